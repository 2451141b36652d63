# Ruby's Net::HTTP over one kept connection: URL MARK COUNT METHOD.
require 'json'
require 'net/http'

url, mark, count, method = ARGV
uri = URI(url)
body = method == 'POST' ? 'y' * 2000 : nil

def nanoseconds(clock)
  Process.clock_gettime(clock, :nanosecond)
end

Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https') do |http|
  Integer(count).times do |number|
    name = "#{mark}-#{number}"
    began = nanoseconds(Process::CLOCK_MONOTONIC)
    start = nanoseconds(Process::CLOCK_REALTIME)
    response = http.send_request(method, "#{uri.path}?n=#{name}", body)
    took = nanoseconds(Process::CLOCK_MONOTONIC) - began
    puts JSON.generate(n: name, start_ns: start, duration_ns: took, status: Integer(response.code))
  end
end
