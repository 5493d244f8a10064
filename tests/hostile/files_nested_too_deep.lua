-- Representations nested deeper than a reader takes: what was saved can be read again, or was not saved.
-- ends: well
local mcl = require "mcl"

local function try(scheme)
  local model = mcl.nn.sequential { input = { 8 }, mcl.nn.linear { out = 4 } }:build { seed = 1 }
  if not pcall(model.compress, model, scheme) or not pcall(model.save, model, "nested.mcl") then return false end
  local norm = mcl.load("nested.mcl"):layers()[1].weight:norm()
  assert(norm == norm, "not a number")
  return true
end

local saved, refused = 0, 0
for _, depth in ipairs { 1, 2, 5, 6, 7, 8, 9 } do
  local product = mcl.keep {}
  for _ = 1, depth do
    product = mcl.lowrank { rank = 1, factors = product }
  end
  if try(product) then saved = saved + 1 else refused = refused + 1 end
end
assert(saved >= 5 and refused >= 1, ("%d saved, %d refused: the bound lies elsewhere"):format(saved, refused))
assert(try(mcl.keep {} + mcl.share { bits = 1 } + mcl.share { bits = 1 }))
