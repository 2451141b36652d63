-- wrk, 16 requests deep: each send holds 16 GETs. Its argument (`wrk ... URL -- 20`) is how many
-- milliseconds a connection waits before each send: 0 is as fast as it goes.
pause = 0

init = function(args)
  pause = tonumber(args[1] or 0)
  local requests = {}
  for i = 1, 16 do
    requests[i] = wrk.format("GET", "/json?n=" .. i)
  end
  whole = table.concat(requests)
end

request = function()
  return whole
end

delay = function()
  return pause
end
