-- A handler of xpcall that loops: Lua calls it with hooks off.
-- ends: anyhow
xpcall(function() while true do end end, function() while true do end end)
