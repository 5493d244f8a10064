-- Tensors, expressions and representations are closed, and used all the same.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
local t = mcl.random({ 64, 64 }, { seed = 1 })
local e = t + 1
local view = t:rows(1, 4)
local repr = core.dense(t)
for _, one in ipairs { t, repr } do
  local _ <close> = one
end
local function closed(use)
  local ok, message = pcall(use)
  assert(not ok and message:find("was closed", 1, true) or message:find("is wanted", 1, true), message)
end
closed(function() return t + 1 end)
closed(function() return t:sum() end)
closed(function() return t:rows(1) end)
closed(function() return t[1] end)
closed(function() return repr:values() end)
assert(e:sum() == e:eval():sum() and view.count == 256)
do
  local _ <close> = e
end
closed(function() return e:eval() end)
closed(function() return e * 2 end)
for _ = 1, 50 do
  local _ <close> = mcl.zeros { 1 << 20 } -- closed memory does not pile up past the limit
end
