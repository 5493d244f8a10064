-- Work in C whose cancel is caught, for ever.
-- ends: anyhow
local mcl = require "mcl"
local t = mcl.random({100000}, {seed = 1})
while true do pcall(function() return t:sum() end) end
