# Ruby's WEBrick over TLS, a thread for each connection: `ruby webrick_server.rb PORT CERTIFICATE KEY`.
# The common paths.
require 'webrick'
require 'webrick/https'

port, certificate, key = ARGV
BIG = 'x' * (1 << 20)

server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1',
  Port: Integer(port),
  AccessLog: [],
  # Or head and body would be 40 ms apart, and the body long written when it leaves.
  AcceptCallback: ->(session) { session.to_io.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1) },
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN),
  SSLEnable: true,
  SSLCertificate: OpenSSL::X509::Certificate.new(File.read(certificate)),
  SSLPrivateKey: OpenSSL::PKey.read(File.read(key))
)

server.mount_proc('/') do |request, response|
  path = request.path
  response.body = "{\"path\": \"#{path}\"}"
  case path
  when '/big' then response.body = BIG
  when '/echo' then response.body = (request.body || '').bytesize.to_s
  when '/slow' then sleep 0.05
  when '/chunked'
    response.chunked = true
    response.body = proc { |out| %w[one two three].each { |part| out.write(part) } }
  when %r{\A/status/(\d+)\z} then response.status = Integer(Regexp.last_match(1))
  end
end

trap('TERM') { server.shutdown }
server.start
