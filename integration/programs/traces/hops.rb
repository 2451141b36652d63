# What Ruby's services of the trace tests do: each asks the next ones, as the path says. See hops.py.
#
# Connections are kept, one to each port for each thread. Behind a hop's port: `c` by a connection of its own,
# `t` by a thread that is made for it, `b` by one that is not waited for, `a` after the answer, by the same thread.
require "net/http"

module Hops
  module_function

  # Returns what is to be done after the answer.
  def walk(target)
    path, _, query = target.partition("?")
    _, name, number, hop, *more = path.split("/")
    return [] unless name == "walk" && hop
    rest = ["", name, number, *more].join("/") + "?" + query
    hop.split("+").filter_map { |one| go(one, rest) }
  end

  def go(hop, target)
    case hop[-1]
    when "t" then Thread.new { ask(hop, target) }.join && nil
    when "b" then Thread.new { sleep(0.001) && ask(hop, target) } && nil
    when "a" then -> { ask(hop, target) }
    else ask(hop, target) && nil
    end
  end

  def ask(hop, target)
    port = hop.to_i
    return Net::HTTP.start("127.0.0.1", port) { |http| get(http, target) } if hop.match?(/[ctb]\z/)
    kept = Thread.current.thread_variable_get(:kept) || {}
    Thread.current.thread_variable_set(:kept, kept)
    kept[port] ||= Net::HTTP.new("127.0.0.1", port).tap { |http| http.keep_alive_timeout = 60 }.start
    get(kept[port], target)
  end

  def get(http, target)
    http.request_get(target).body
  end
end
