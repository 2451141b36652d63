# A hop on async-http, which is Falcon's server: fibers in one thread. ["named"] PORT.
#
# named: each request asks its socket who both ends are, as WEBrick's threads do.
require "async"
require "async/http/server"
require "async/http/endpoint"
require_relative "hops"

named = ARGV[0] == "named"
endpoint = Async::HTTP::Endpoint.parse("http://127.0.0.1:#{ARGV[-1]}")
server = Async::HTTP::Server.for(endpoint) do |request|
  if named
    socket = request.instance_variable_get(:@connection).stream.io.to_io
    socket.remote_address
    socket.local_address
  end
  Hops.walk(request.path) # by connections of their own: fibers would share those that are kept
  Protocol::HTTP::Response[200, {}, ["end\n"]]
end
Async { server.run }
