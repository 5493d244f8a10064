--- Names of files: what their ends say.
local path = {}

--- The extension in small letters, without its dot: "npz" of "data/W.NPZ"; "" where there is none.
function path.extension(name)
  return (name:match "%.([^./]*)$" or ""):lower()
end

--- The name without its extension.
function path.stem(name)
  return (name:gsub("%.[^./]*$", ""))
end

return path
