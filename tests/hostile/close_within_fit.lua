-- Everything that a fit works with is closed by its loss, its penalty and the end of its epochs.
-- ends: well
local mcl = require "mcl"
for _, where in ipairs { "loss", "penalty", "epoch_end" } do
  local model = mcl.nn.sequential {
    input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
  }:build { seed = 1 }
  local x, y = mcl.random({ 64, 8 }, { seed = 1 }), mcl.zeros(64, "i64")
  local data, held_out = mcl.dataset(x, y), mcl.dataset(x, y)
  local options = { epochs = 3, validation = held_out }
  options[where] = function(first, second)
    for _, one in ipairs { model.core, data, held_out, x, y } do
      local _ <close> = one
    end
    if where == "loss" then
      local _ <close> = second
      return (first - second):square()
    end
    if where == "penalty" then
      local square = first:square()
      local _ <close> = first
      return square
    end
  end
  assert(model.core:fit(data, options).epochs == 3)
  assert(not pcall(function() return model.core:parameters() end))
  assert(not pcall(function() return data:rows() end))
end
