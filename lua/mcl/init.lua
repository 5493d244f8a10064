--- mcl: what `require "mcl"` gives. Parts are loaded when they are first named, so that a command that needs little
-- starts quickly; a name that is none is an error, with the nearest one.
local core = require "mcl.core"

local mcl = { version = core.version }

-- From the C half as they are.
for _, name in ipairs {
  "tensor", "zeros", "ones", "full", "arange", "random", "dataset", "log", "progress", "threads", "seed", "now",
} do
  mcl[name] = core[name]
end

--- Factorisations of matrices.
mcl.linalg = require("mcl.check").module({
  svd = core.svd, qr = core.qr, eigen = core.eigen, cholesky = core.cholesky, solve = core.solve,
}, "name in mcl.linalg", {
  inv = "linalg.solve(a, b) solves a · x = b, without an inverse",
  inverse = "linalg.solve(a, b) solves a · x = b, without an inverse",
  eig = "linalg.eigen(a) is of symmetric matrices",
  lstsq = "linalg.qr(a), then linalg.solve, gives least squares",
})

-- name → module, and the field of it where that differs from the name.
local parts = {
  prune = { "scheme" }, share = { "scheme" }, quantize = { "scheme" }, lowrank = { "scheme" }, keep = { "scheme" },
  sum = { "scheme" }, criterion = { "criterion", "new" }, plan = { "plan", "new" }, load = { "model", "load" },
  gradcheck = { "gradcheck", "check" }, recipe = { "recipe", "new" }, nn = { "nn" }, save_arrays = { "arrays", "save" },
  load_arrays = { "arrays", "load" },
}

local function part(name)
  local where = parts[name]
  local module = require("mcl." .. where[1])
  if name == where[1] and not where[2] and rawget(module, name) == nil then return module end
  return module[where[2] or name]
end

--- All names, sorted: for messages, and for tools.
function mcl.names()
  local names = {}
  for name in pairs(mcl) do
    names[#names + 1] = name
  end
  for name in pairs(parts) do
    if rawget(mcl, name) == nil then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return setmetatable(mcl, {
  __index = function(_, name)
    if parts[name] then
      local value = part(name)
      mcl[name] = value
      return value
    end
    local check = require "mcl.check"
    check.fail(check.unknown("name in mcl", tostring(name), mcl.names()))
  end,
})
