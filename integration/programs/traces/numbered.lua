-- For wrk: numbers the paths. wrk ... URL -- HOPS MARK
local number = -1

function init(words)
  hops, mark = words[1], words[2]
end

function request()
  number = number + 1
  return wrk.format("GET", "/walk/" .. number .. "/" .. hops .. "?n=" .. mark)
end
