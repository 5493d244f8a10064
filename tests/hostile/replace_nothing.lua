-- An empty pattern, and a table that has nothing for it: no step of the matcher, no instruction.
-- ends: anyhow
local text = ("x"):rep(30000000)
while true do pcall(string.gsub, text, "", {}) end
