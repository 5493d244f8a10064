--- Text for people: numbers as they are read, and names from files as they may be shown.
local core = require "mcl.core"

local shown = {}

--- 1066440 as 1,066,440.
function shown.thousands(count)
  local grouped = ("%d"):format(count):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^,", ""):gsub("^%-,", "-"))
end

--- Text with whatever a terminal would obey, and bytes that are no UTF-8, as \xNN; ends of lines and tabs stay.
function shown.printable(value)
  return core.printable(tostring(value))
end

--- The same in one line: for a name within a table.
function shown.cell(value)
  return (core.printable(tostring(value)):gsub("\n", "\\n"):gsub("\t", "\\t"))
end

--- Shows text on stdout. All that commands print for people goes through here.
function shown.print(value)
  print(shown.printable(value))
end

return shown
