-- Requests as browsers and services send them: long heads, paths with ids, half with a trace context.
local prepared = {}
local at = 0

function init(arguments)
  for number = 1, 512 do
    local headers = {
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
      ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      ["Accept-Language"] = "en-US,en;q=0.5",
      ["Accept-Encoding"] = "gzip, deflate, br",
      ["Cookie"] = "session=0123456789abcdef0123456789abcdef; theme=dark",
    }
    if number % 2 == 0 then
      headers["traceparent"] = string.format("00-%032x-%016x-01", number * 7919, number * 104729)
    end
    local path = string.format("/api/v1/users/%d/orders?page=%d", number, number % 7)
    prepared[number] = wrk.format("GET", path, headers)
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]
end

dofile((debug.getinfo(1, "S").source:sub(2):gsub("[^/]*$", "")) .. "report.lua")
