-- Coroutines too short to be charged.
-- ends: anyhow
local function f(d) for i = 1, 60 do if d > 0 then coroutine.wrap(f)(d - 1) else for j = 1, 9 do end end end end f(9)
