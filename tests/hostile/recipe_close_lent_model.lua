-- A recipe closes the model that the host lent to it.
-- ends: "this model was closed"
local mcl = require "mcl"
return mcl.recipe { about = "x", options = {}, run = function(model)
  do
    local _ <close> = model.core
  end
  model:parameters()
end }
