-- Lengths told by __len: negative, past an int, another each time; and elements told by __index.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
local function lying(lengths, element)
  local asked = 0
  return setmetatable({}, {
    __len = function()
      asked = asked + 1
      return lengths[math.min(asked, #lengths)]
    end,
    __index = function() return element end,
  })
end
local function refused(f, ...)
  assert(not pcall(f, ...))
end
local t = mcl.zeros { 4, 8 }
local model = core.model "m"
local x = model:add_input("x", { -1, 4, 8, 8 })
local lies = { { -4294967286 }, { -1 }, { 1 << 32 }, { (1 << 32) + 4 }, { 1, 100000 }, { math.maxinteger } }
for i, lengths in ipairs(lies) do
  local list = lying(lengths, 1)
  assert(mcl.zeros(list).count == 1) -- what is in the table counts: nothing, a scalar
  assert(mcl.random(list).count == 1)
  assert(mcl.tensor(list).count == 0)
  refused(t.reshape, t, list)
  refused(t.permute, t, list)
  refused(model.add_node, model, "reshape", "r", { shape = list }, { x })
  refused(model.add_node, model, "transpose", "t", { perm = list }, { x })
  refused(model.add_node, model, "relu", "s", nil, list)
  assert(#core.statistic_names(list) == 0)
  local pair = { 1, 1 }
  local row = lying(lengths, pair)
  refused(core.plan_solve, { row }, 1)
  refused(core.plan_solve, { lying(lengths, pair), { pair } }, 1)
  assert(#core.plan_solve(lying(lengths, row), 1) == 0)
  assert(core.json_encode(list) == "{}")
  assert(#model:value_shape(model:add_input("scalar" .. i, lying(lengths, "no integer"))) == 0)
end
