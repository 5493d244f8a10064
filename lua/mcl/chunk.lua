--- Lua files that return something: recipes, architectures, data. What goes wrong in them comes
-- back as a message that names the file.
local core = require "mcl.core"

local chunk = {}

-- `return f{…}` at the end of a file is a tail call, which leaves no line to point at: then the file's name goes first.
local function placed(name, message)
  return message:find(name, 1, true) and message or name .. ": " .. message
end

--- What the text returns; nil and a message where it fails. `source` nil: the text of the file `name`.
function chunk.run(name, source)
  local code, message
  if source then
    code, message = load(source, "@" .. name, "t")
  else
    code, message = loadfile(name, "t")
  end
  if not code then return nil, message end
  local ok, result = xpcall(code, core.explain)
  if not ok then return nil, placed(name, result) end
  return result
end

return chunk
