-- A model is closed while its inputs are looked up: the pointer that run holds must not dangle.
-- ends: well
local mcl = require "mcl"
local model = mcl.nn.sequential { input = { 2 }, mcl.nn.linear { out = 2 } }:build {}
local inputs = setmetatable({}, {
  __index = function()
    local _ <close> = model.core
  end,
})
local core = model.core
local run, size, check, calibrate, add = core.run, core.size, core.check_gradients, core.calibrate, core.add_node
pcall(run, core, inputs)
pcall(size, core, inputs)
pcall(check, core, inputs)
pcall(calibrate, core, mcl.zeros { 4, 2 }, inputs)
pcall(add, core, "relu", "more", inputs, inputs)
