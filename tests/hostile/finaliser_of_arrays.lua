-- A finaliser by way of a metatable that mcl hands out.
-- ends: anyhow
local c = require"mcl.core" getmetatable(c.json_array{}).__gc = function() while true do end end c.json_array{}
