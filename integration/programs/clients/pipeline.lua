-- wrk, 16 requests deep: each send holds 16 GETs.
init = function(args)
  local requests = {}
  for i = 1, 16 do
    requests[i] = wrk.format("GET", "/json?n=" .. i)
  end
  whole = table.concat(requests)
end

request = function()
  return whole
end
