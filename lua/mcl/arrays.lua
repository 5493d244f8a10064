--- Arrays in files: .npy, .npz, .idx and .idx.gz, by the path's end.
local core = require "mcl.core"
local check = require "mcl.check"
local paths = require "mcl.path"

local arrays = {}

--- A tensor, or for .npz a table { name = tensor }.
function arrays.load(path)
  check.type(path, "string", "load_arrays: path")
  local extension = paths.extension(path)
  if extension == "npy" then return core.npy_load(path) end
  if extension == "npz" then return (core.npz_load(path)) end
  return core.idx_load(path)
end

--- save_arrays("x.npy", tensor), or save_arrays("all.npz", { name = tensor }[, { compress = true }]).
function arrays.save(path, what, options)
  check.type(path, "string", "save_arrays: path")
  if options then check.keys(options, { "compress" }, "save_arrays") end
  local extension = paths.extension(path)
  if extension == "npy" then
    core.npy_save(path, what)
  elseif extension == "npz" then
    core.npz_save(path, check.type(what, "table", "save_arrays: the arrays"), options and options.compress)
  else
    check.fail("save_arrays: %s: the path ends in .npy or .npz", path)
  end
end

return arrays
