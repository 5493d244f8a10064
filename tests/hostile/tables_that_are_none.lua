-- What is no table but has the metamethods of one: they are looked up, and are no arguments.
-- ends: well
local x = require("mcl").tensor({ 1, 2, 3 })
assert(table.concat(x) == "1.02.03.0" and table.concat(x, ",", 2) == "2.0,3.0")
