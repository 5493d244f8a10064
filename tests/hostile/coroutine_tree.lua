-- A tree of coroutines, each shorter than a period.
-- ends: anyhow
-- each coroutine runs fewer instructions than a period, so its count is never charged
local n = 0
local function leaf() for i = 1, 900 do n = n + 1 end end
local function tree(depth)
  if depth == 0 then return leaf() end
  for i = 1, 60 do coroutine.wrap(tree)(depth - 1) end
end
tree(4) -- 60^4 * 2700 instructions = 35e9
