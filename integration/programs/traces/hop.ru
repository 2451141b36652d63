# A hop for any server of Rack's, which asks by a pool of connections that all its threads share.
require "net/http/persistent"

asking = Net::HTTP::Persistent.new(name: "hop", pool_size: 16)

run(lambda do |environment|
  _, name, number, hop, *more = environment["PATH_INFO"].split("/")
  if name == "walk" && hop
    rest = ["", name, number, *more].join("/") + "?" + environment["QUERY_STRING"]
    hop.split("+").each { |port| asking.request(URI("http://127.0.0.1:#{port}#{rest}")) }
  end
  [200, { "Content-Type" => "text/plain", "Content-Length" => "4" }, ["end\n"]]
end)
