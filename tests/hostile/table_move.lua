-- 2^63 moves in one call of Lua's table library.
-- ends: anyhow
table.move({}, 1, math.maxinteger - 1, 2)
