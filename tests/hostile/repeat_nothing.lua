-- 2^63 copies of nothing in one call of Lua's string library.
-- ends: anyhow
local s = (""):rep(math.maxinteger)
