-- The same, run by the collector.
-- ends: anyhow
local core = require "mcl.core"
local mt = getmetatable(core.json_array {})
print(type(mt))
if type(mt) == "table" then
  mt.__gc = function() while true do end end
  core.json_array {}
  for i = 1, 1e6 do local t = {i} end
end
