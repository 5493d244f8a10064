-- Small models and data for the specs: dofile "spec/support.lua".
local core = require "mcl.core"
local model = require "mcl.model"

local support = {}

local function normal(shape, seed, scale)
  return core.random(shape, { seed = seed, kind = "normal", scale = scale or 1 })
end

--- 6 → 8 → 3, with a ReLU between: layers fc1, fc2.
function support.mlp()
  local m = core.model "mlp"
  local x = m:add_input("x", { -1, 6 })
  local h = m:add_node("linear", "fc1", nil,
    { x, m:add_weight("fc1.weight", normal({ 8, 6 }, 1)), m:add_weight("fc1.bias", normal({ 8 }, 2, 0.1)) })
  h = m:add_node("relu", "relu1", nil, { h })
  m:add_output(m:add_node("linear", "fc2", nil,
    { h, m:add_weight("fc2.weight", normal({ 3, 8 }, 3)), m:add_weight("fc2.bias", normal({ 3 }, 4, 0.1)) }))
  return model.wrap(m)
end

--- 1×8×8 → conv1 (4, 3×3) → conv2 (6, 3×3, stride 2) → ip1 (5).
function support.convnet()
  local m = core.model "convnet"
  local x = m:add_input("x", { -1, 1, 8, 8 })
  x = m:add_node("conv", "conv1", nil, { x, m:add_weight("conv1.weight", normal({ 4, 1, 3, 3 }, 5)) })
  x = m:add_node("relu", "relu1", nil, { x })
  x = m:add_node("conv", "conv2", { stride = 2 }, { x, m:add_weight("conv2.weight", normal({ 6, 4, 3, 3 }, 6, 0.3)) })
  x = m:add_node("relu", "relu2", nil, { x })
  x = m:add_node("flatten", "flat", nil, { x })
  m:add_output(m:add_node("linear", "ip1", nil,
    { x, m:add_weight("ip1.weight", normal({ 5, 24 }, 7, 0.3)), m:add_weight("ip1.bias", core.zeros { 5 }) }))
  return model.wrap(m)
end

--- 300 rows of three classes in six dimensions that a line can tell apart.
function support.dataset(count, seed)
  count = count or 300
  local x, y = normal({ count, 6 }, seed or 11), core.zeros({ count }, "i64")
  for i = 1, count do
    local label = i % 3
    y[i] = label
    x[i][label + 1] = x[i][label + 1] + 3
  end
  return core.dataset(x, y, 1, 0)
end

return support
