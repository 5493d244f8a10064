--- What a command has read so far: files that the engine opened, and those that Lua did for recipes, architectures and
-- data (require, loadfile, dofile, io.open, io.lines, io.input). Nothing of it may be written over, and a run that is
-- gone on with must find it unchanged.
local core = require "mcl.core"

local reads = {}

local plain_open = io.open
local noted, written = {}, {} -- by path

--- Counts a file as read that something else reads.
function reads.note(path)
  noted[path] = true
end

-- Calls one of Lua's own functions by its name, so that its complaints stay as they are.
local function through(name, call, ...)
  local results = table.pack(pcall(call, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  error((tostring(results[2]):gsub("'%?'", "'" .. name .. "'")), 3)
end

-- What the run itself has written is no input of it, whoever reads it later.
local function note_opened(path, mode)
  if type(path) ~= "string" then return end
  if type(mode) == "string" and mode:find "[wa+]" then
    written[path] = true
  elseif not written[path] then
    noted[path] = true
  end
end

local function watch_lua()
  local open, lines, input, load_file, do_file = io.open, io.lines, io.input, loadfile, dofile
  io.open = function(...) -- luacheck: ignore 122
    note_opened(...)
    return through("open", open, ...)
  end
  io.lines = function(...) -- luacheck: ignore 122
    note_opened((...))
    return through("lines", lines, ...)
  end
  io.input = function(...) -- luacheck: ignore 122
    note_opened((...))
    return through("input", input, ...)
  end
  loadfile = function(...) -- luacheck: ignore 121
    note_opened((...))
    return load_file(...)
  end
  dofile = function(...) -- luacheck: ignore 121
    note_opened((...))
    return do_file(...)
  end
end

-- A searcher of require gives the loader and the file's name; mcl's own modules come out of the program.
local function watch_require()
  local searchers = package.searchers
  for i, searcher in ipairs(searchers) do
    searchers[i] = function(module)
      local loader, path = searcher(module)
      if type(loader) == "function" and not module:match "^mcl%f[.\0]" then note_opened(path) end
      return loader, path
    end
  end
end

local watching = false

--- From here on what is read is known.
function reads.begin()
  if watching then return end
  watching = true
  core.files_read()
  watch_lua()
  watch_require()
end

--- A file's text, or nil where it is not there; of mcl's own files, which are no input of a run.
function reads.text(path)
  local file = plain_open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

--- The paths of all ordinary files read so far, sorted.
function reads.list()
  local paths, list = {}, {}
  for _, path in ipairs(core.files_read()) do
    paths[path] = true
  end
  for path in pairs(noted) do
    paths[path] = true
  end
  for path in pairs(paths) do
    local info = core.stat(path)
    if info and info.kind == "file" then list[#list + 1] = path end
  end
  table.sort(list)
  return list
end

return reads
