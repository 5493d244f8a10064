--- --dry-run: what candidates would take in the file, in exact coded bytes, for each layer as it stands, without
-- training.
local common = require "mcl.commands.common"
local progress = require "mcl.progress"
local shown = require "mcl.shown"

local dry_run = {}

-- Candidates where a recipe names none.
local function usual()
  local scheme = require "mcl"
  return {
    scheme.share { bits = 8 }, scheme.share { bits = 4 }, scheme.quantize { bits = 8 }, scheme.quantize { bits = 4 },
    scheme.prune { density = 0.1 }, scheme.prune { density = 0.1 } .. scheme.share { bits = 5 },
  }
end

--- A table: a row a layer, a column a candidate. Nothing in the model changes.
function dry_run.candidates(model, recipe, values)
  local schemes = recipe.candidates and recipe.candidates(values) or usual()
  local head, right, totals = { "layer", "shape", "dense" }, { [3] = true }, {}
  for i, scheme in ipairs(schemes) do
    head[3 + i], right[3 + i], totals[i] = tostring(scheme), true, 0
  end
  local rows = { head }
  local layers = model:layers()
  local dense = 0
  for n, layer in ipairs(layers) do
    progress.report("candidates", n - 1, #layers, "layers")
    local repr = model.core:get(layer.index)
    local row = { layer.name, table.concat(layer.shape, "×"), shown.thousands(4 * layer.count) }
    dense = dense + 4 * layer.count
    for i, scheme in ipairs(schemes) do
      local ok, bytes = pcall(function() return scheme:apply(repr):bytes() end)
      row[3 + i] = ok and shown.thousands(bytes) or "–"
      totals[i] = totals[i] and ok and totals[i] + bytes
    end
    rows[#rows + 1] = row
  end
  progress.clear()
  local last = { "all", "", shown.thousands(dense) }
  for i = 1, #schemes do
    last[3 + i] = totals[i] and shown.thousands(totals[i]) or "–"
  end
  rows[#rows + 1] = last
  return common.table(rows, right)
end

return dry_run
