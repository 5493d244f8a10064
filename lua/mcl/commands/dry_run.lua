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

--- What each layer takes under each candidate:
-- { layers = {{ name, shape, dense }}, dense, candidates = {{ scheme, bytes, layers = { bytes } }} }.
-- Where a scheme does not suit a layer its bytes are false, and so is their sum. Nothing in the model changes.
function dry_run.measure(model, recipe, values)
  local found = { layers = {}, candidates = {}, dense = 0 }
  for i, scheme in ipairs(recipe.candidates and recipe.candidates(values) or usual()) do
    found.candidates[i] = { scheme = scheme, bytes = 0, layers = {} }
  end
  local layers = model:layers()
  for n, layer in ipairs(layers) do
    progress.report("candidates", n - 1, #layers, "layers")
    local repr = model.core:get(layer.index)
    found.layers[n] = { name = layer.name, shape = layer.shape, dense = 4 * layer.count }
    found.dense = found.dense + 4 * layer.count
    for _, candidate in ipairs(found.candidates) do
      local ok, bytes = pcall(function() return candidate.scheme:apply(repr):bytes() end)
      candidate.layers[n] = ok and bytes
      candidate.bytes = candidate.bytes and ok and candidate.bytes + bytes
    end
  end
  progress.clear()
  return found
end

local WIDTH = 100 -- of a table, at most

local function bytes_text(bytes)
  return bytes and shown.thousands(bytes) or "–"
end

-- The table with the candidates first … last as its columns.
local function part(found, first, last)
  local head, right = { "layer", "shape", "dense" }, { [3] = true }
  for i = first, last do
    head[#head + 1] = tostring(i)
    right[#head] = true
  end
  local rows = { head }
  for n, layer in ipairs(found.layers) do
    local row = { layer.name, table.concat(layer.shape, "×"), bytes_text(layer.dense) }
    for i = first, last do
      row[#row + 1] = bytes_text(found.candidates[i].layers[n])
    end
    rows[#rows + 1] = row
  end
  local all = { "all", "", bytes_text(found.dense) }
  for i = first, last do
    all[#all + 1] = bytes_text(found.candidates[i].bytes)
  end
  rows[#rows + 1] = all
  return common.table(rows, right)
end

local function width_of(text)
  local most = 0
  for line in text:gmatch "[^\n]+" do
    most = math.max(most, utf8.len(line) or #line)
  end
  return most
end

--- As text: the candidates by number, and tables of a row a layer, of as many columns each as a terminal holds.
function dry_run.text(found)
  local parts, first = {}, 1
  for i, candidate in ipairs(found.candidates) do
    parts[#parts + 1] = ("%3d  %s"):format(i, tostring(candidate.scheme))
  end
  while first <= #found.candidates do
    local last = #found.candidates
    while last > first and width_of(part(found, first, last)) > WIDTH do
      last = last - 1
    end
    parts[#parts + 1] = "\n" .. part(found, first, last)
    first = last + 1
  end
  return table.concat(parts, "\n")
end

--- For --json.
function dry_run.record(found)
  local candidates = {}
  for i, candidate in ipairs(found.candidates) do
    local layers = {}
    for n, layer in ipairs(found.layers) do
      layers[n] = {
        name = layer.name, shape = layer.shape, dense_bytes = layer.dense, bytes = candidate.layers[n] or nil,
      }
    end
    candidates[i] = { scheme = tostring(candidate.scheme), bytes = candidate.bytes or nil, layers = layers }
  end
  return candidates
end

return dry_run
