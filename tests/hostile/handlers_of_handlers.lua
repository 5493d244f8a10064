-- Handlers that fail in handlers.
-- ends: anyhow
local function h(e) return xpcall(error, h, e) end
print(xpcall(error, h, "x"))
local function f() local ok = xpcall(f, h) end
for i = 1, 100 do pcall(f) end
while true do xpcall(function() while true do end end, function(e) while true do end end) end
