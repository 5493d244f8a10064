-- Coroutines that close one another: each has a count of its own of how deep C's stack is.
-- ends: well
local chain, deepest = {}, 0
for i = 1, 60000 do
  chain[i] = coroutine.create(function()
    local _ <close> = setmetatable({}, { __close = function()
      deepest = i
      if chain[i + 1] then assert(coroutine.close(chain[i + 1])) end
    end })
    coroutine.yield()
  end)
  coroutine.resume(chain[i])
end
local ok, message = coroutine.close(chain[1])
assert(not ok and message:find("C stack overflow"), message)
assert(deepest == 8 and coroutine.close(chain[9]) == false and deepest == 16)
