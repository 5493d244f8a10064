-- A text of 255 KB that takes seconds to compile: a global's name is looked for in 180 functions of 195 variables each.
-- ends: anyhow
local names, parts = {}, {}
for i = 1, 195 do names[i] = string.char(65 + i % 26, 65 + i // 26) end
local head = "local " .. table.concat(names, ",") .. " local function f() "
local body = ("x=x "):rep((255 * 1024 - 180 * (#head + 4)) // 4)
for i = 1, 180 do parts[i] = head end
local text = table.concat(parts) .. body .. ("end "):rep(180)
while true do assert(load(text)) end
