# A hop on Puma, whose workers share all connections, and whose reactor reads for them: THREADS PORT.
require "puma"
require "puma/server"
require_relative "hops"

application = lambda do |environment|
  target = environment["REQUEST_PATH"] + "?" + environment["QUERY_STRING"]
  environment["rack.after_reply"].concat(Hops.walk(target))
  [200, {}, ["end\n"]]
end
threads = ARGV[0].to_i
server = Puma::Server.new(application, Puma::Events.null, min_threads: threads, max_threads: threads)
server.add_tcp_listener("127.0.0.1", ARGV[1].to_i)
running = server.run
trap("TERM") { exit! }
running.join
