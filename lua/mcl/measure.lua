--- What a report says beside the sizes: measured once, after the run, and only where a report is wanted.
local core = require "mcl.core"

local measure = {}

local BINS, BATCH = 24, 500

--- { path, bytes, hash } of each file; the hash is of all its bytes.
function measure.files(paths)
  local system, list = require "mcl.system", {} -- the program's; a module of Lua has no such files
  for _, path in ipairs(paths) do
    list[#list + 1] = { path = path, bytes = system.size(path), hash = system.hash_file(path) }
  end
  return list
end

--- What the model of before takes by plainer means: exact sizes of files, no accuracy is claimed for them.
function measure.beside(before)
  local eight = before:copy():compress(require("mcl.scheme").quantize { bits = 8, group = "channel" })
  return {
    { name = "dense, zstd 19", bytes = before:size { dense = true, zstd = 19 } },
    { name = "dense, its bytes coded by mcl", bytes = before:size() },
    { name = "8 bits, a scale a row, not trained", bytes = eight:size() },
  }
end

--- { class, count, accuracy } over the test set; nil where there are no labels.
function measure.classes(model, data)
  local test = data:set "test"
  if not data.classes or #test.y.shape ~= 1 then return nil end
  local count, right = {}, {}
  for first = 1, test.count, BATCH do
    local x = data:examples(first, BATCH)
    local labels = test.y:rows(first, x.shape[1]):totable()
    local best = model.core:run(x):argmax():totable()
    for i, label in ipairs(labels) do
      count[label] = (count[label] or 0) + 1
      right[label] = (right[label] or 0) + (best[i] == label + 1 and 1 or 0)
    end
  end
  local list = {}
  for class = 0, data.classes - 1 do
    list[class + 1] = {
      class = class, count = count[class] or 0, accuracy = count[class] and right[class] / count[class] or nil,
    }
  end
  return list
end

local function codebook_of(representation)
  if representation.kind == "palette" then return representation.codebook:totable() end
  for _, part in ipairs(representation.parts or {}) do
    local codebook = codebook_of(part)
    if codebook then return codebook end
  end
  return nil
end

--- Of each layer: how its weights are spread (bins of one width from least to greatest, zeros counted apart), and the
-- codebook that they share.
function measure.weights(model)
  local list = {}
  for i, layer in ipairs(model:layers()) do
    local values = layer.weight
    local least, greatest = values:min(), values:max()
    local zeros = values:eq(0):sum()
    local counts, above = {}, values.count
    for bin = 1, BINS do
      local edge = least + (greatest - least) * bin / BINS
      local left = bin == BINS and 0 or values:gt(edge):sum()
      counts[bin] = math.tointeger(above - left)
      if least + (greatest - least) * (bin - 1) / BINS < 0 and edge >= 0 then counts[bin] = counts[bin] - zeros // 1 end
      above = left
    end
    list[i] = {
      name = layer.name, least = least, greatest = greatest, zeros = zeros, histogram = counts,
      codebook = codebook_of(layer.representation),
    }
  end
  return list
end

--- The graph: { name, op, shape, inputs, multiply_adds } in running order.
function measure.graph(model)
  local list = {}
  for i, node in ipairs(model.core:nodes()) do
    local inputs = {}
    for _, name in ipairs(node.inputs) do
      if name then inputs[#inputs + 1] = name end
    end
    list[i] = {
      name = node.name, op = node.op, shape = node.shape, inputs = core.json_array(inputs),
      multiply_adds = node.multiply_adds,
    }
  end
  return list
end

return measure
