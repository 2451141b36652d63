# A hop on Ruby's WEBrick, a thread for each connection: PORT.
require "webrick"
require_relative "hops"

# What is done after the answer is done where that is logged.
class Server < WEBrick::HTTPServer
  def access_log(_, request, _)
    request.attributes.fetch(:after, []).each(&:call)
  end
end

quiet = WEBrick::Log.new(nil, 0)
server = Server.new(BindAddress: "127.0.0.1", Port: ARGV[0].to_i, MaxClients: 256, AccessLog: [], Logger: quiet)
server.mount_proc("/") do |request, response|
  request.attributes[:after] = Hops.walk(request.unparsed_uri)
  response.body = "end\n"
end
trap("TERM") { server.shutdown }
server.start
