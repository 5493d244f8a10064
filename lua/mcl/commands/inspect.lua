--- mcl inspect FILE [--json]: what a file holds, layer by layer, in bytes. A container's directory is read without
-- decoding a stream; other formats are loaded.
local core = require "mcl.core"
local common = require "mcl.commands.common"
local paths = require "mcl.path"
local shown = require "mcl.shown"

-- The same table for a model of another format. What the file holds of a weight is what its reader saw there: nothing
-- of an architecture, whose weights are drawn, and numbers that several weights are made of are counted once.
local function of_model(path)
  local model, bytes = common.model(path)
  local layers, dense = {}, 0
  local ops = {}
  for _, node in ipairs(model.core:nodes()) do
    if node.weight then ops[node.weight] = node end
  end
  for index, weight in ipairs(model.core:weights()) do
    local node = ops[index]
    dense = dense + 4 * weight.count
    layers[index] = {
      name = weight.name, op = node and node.op or "", shape = weight.shape, representation = weight.representation,
      density = weight.count > 0 and weight.nonzeros / weight.count or 1, coder = "",
      bits = weight.file_bytes > 0 and 8 * weight.file_bytes / weight.count or nil,
    }
    local held = weight.file_bytes
    layers[index].bytes = { dense = 4 * weight.count, packed = held, coded = held, file = held }
  end
  bytes = bytes or dense
  return { bytes = bytes, dense_bytes = dense, ratio = dense / bytes, layers = layers }
end

local function is_container(path)
  return paths.extension(path) ~= "lua" and select(2, core.format_of(path, "read"))
end

local function show(info)
  local rows = { { "weight", "op", "shape", "representation", "kept", "bits", "coder", "dense", "coded", "in file" } }
  for _, layer in ipairs(info.layers) do
    rows[#rows + 1] = {
      layer.name, layer.op or "", table.concat(layer.shape, "×"), layer.representation,
      ("%.2f %%"):format(layer.density * 100), layer.bits and ("%.4g"):format(layer.bits) or "", layer.coder or "",
      shown.thousands(layer.bytes.dense), shown.thousands(layer.bytes.coded), shown.thousands(layer.bytes.file),
    }
  end
  shown.print(common.table(rows, { [5] = true, [6] = true, [8] = true, [9] = true, [10] = true }))
  shown.print(("\n%s bytes; dense %s; ratio %.2f"):format(
    shown.thousands(info.bytes), shown.thousands(info.dense_bytes), info.ratio))
end

local function inspect(args)
  local info = is_container(args.file) and core.inspect(args.file) or of_model(args.file)
  if args.json then
    local layers = core.json_array(info.layers)
    common.print_json { bytes = info.bytes, dense_bytes = info.dense_bytes, ratio = info.ratio, layers = layers }
  else
    show(info)
  end
end

return function(new)
  local parser = new("inspect", "What a file holds, layer by layer, in bytes.",
    "  mcl inspect lenet5.mcl\n  mcl inspect lenet5.mcl --json")
  parser:argument "file":description(common.model_kinds())
  parser:flag "--json":description
    "keys: bytes, dense_bytes, ratio, layers: [{name, op, shape, representation, density, bits, coder, bytes}]"
  return parser, inspect
end
