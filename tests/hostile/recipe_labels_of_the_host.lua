-- The host's own labels, which a dataset shares, are out of a recipe's reach.
-- ends: well
local mcl = require "mcl"
return mcl.recipe { about = "x", options = {}, run = function(model, _, job)
  local data = job.data.train
  for _, field in ipairs { "x", "y", "scale", "offset" } do
    assert(not pcall(function() return data[field] end))
  end
  local x, y = data:rows()
  x:set(0 / 0)
  y:set(1000000)
  model:fit { data, epochs = 2, epoch_end = function()
    local _, labels = data:rows()
    labels:set(1000000)
  end }
end }
