-- Lists with elements at the powers of two alone: Lua gives them lengths up to 2^62, though they hold 63 numbers.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
local function sparse(element)
  local list = {}
  for i = 62, 0, -1 do
    list[1 << i] = element
  end
  return list
end
assert(#sparse(1) > 1 << 30)
local function refused(f, ...)
  assert(not pcall(f, ...))
end
local model = core.model "m"
local x = model:add_input("x", { -1, 4 })
refused(mcl.zeros, sparse(1))
refused(mcl.tensor, sparse(1))
refused(mcl.tensor, sparse { 1, 2 })
refused(core.plan_solve, sparse { { 1, 1 } }, 1)
refused(core.plan_solve, { sparse { 1, 1 } }, 1)
refused(model.add_node, model, "reshape", "r", { shape = sparse(1) }, { x })
refused(model.add_node, model, "relu", "r", nil, sparse(x))
refused(core.statistic_names, sparse "gram")
refused(core.json_encode, sparse(1))
