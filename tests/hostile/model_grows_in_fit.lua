-- Nodes, weights, inputs and other values are added to the model, and weights replaced, by all that a fit calls.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
for _, where in ipairs { "loss", "penalty", "epoch_end" } do
  local model = mcl.nn.sequential {
    input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
  }:build { seed = 1 }
  local data = mcl.dataset(mcl.random({ 64, 8 }, { seed = 1 }), mcl.zeros(64, "i64"))
  local object, added = model.core, 0
  local function grow()
    for i = 1, 100 do
      local name = where .. added .. "." .. i
      local changes = {
        function() object:add_node("relu", name, nil, { 1 }) end,
        function() object:add_weight(name, mcl.zeros { 3 }) end,
        function() object:add_input(name, { -1, 3 }) end,
        function() object:add_output(1) end,
        function() object:set(1, core.dense(mcl.zeros(model:layers()[1].shape))) end,
        function() object:fit(data, { epochs = 1 }) end,
      }
      for _, change in ipairs(changes) do
        assert(not pcall(change))
      end
      added = added + 1
    end
  end
  local options = { data, epochs = 2 }
  options[where] = function(output, target)
    grow()
    object:size()
    object:evaluate(data)
    object:run(mcl.zeros { 2, 8 })
    object:calibrate(data, { "gram" })
    local copy = model:copy()
    copy.core:add_weight("more", mcl.zeros { 3 })
    copy:fit { data, epochs = 1 }
    if where == "loss" then return (output - target):square() end
  end
  model:fit(options)
  assert(added > 0 and #object:weights() == #model:copy():weights())
  object:add_weight("afterwards", mcl.zeros { 3 })
end
