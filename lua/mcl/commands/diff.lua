--- mcl diff A B: error of each weight; with --data, the difference of the outputs on test data too.
local common = require "mcl.commands.common"
local shown = require "mcl.shown"

local EXAMPLES = 1000 -- of the test set

local function by_name(model)
  local weights = {}
  for index, weight in ipairs(model.core:weights()) do
    weights[weight.name] = { index = index, shape = weight.shape }
  end
  return weights
end

-- Errors of b against a: largest, root mean square, and relative to the norm of a.
local function compare(a, b)
  local difference = (b - a):eval()
  local norm = a:norm()
  return {
    largest = difference:abs():max(), rms = difference:norm() / math.sqrt(a.count),
    relative = norm > 0 and difference:norm() / norm or difference:norm(),
  }
end

local function weights(a, b)
  local others, list = by_name(b), {}
  for index, weight in ipairs(a.core:weights()) do
    local other = others[weight.name]
    others[weight.name] = nil
    local row = { name = weight.name, shape = weight.shape }
    if not other then
      row.note = "only in the first"
    elseif table.concat(other.shape, ",") ~= table.concat(weight.shape, ",") then
      row.note = "shapes differ: " .. table.concat(other.shape, "×")
    else
      local errors = compare(a.core:values(index), b.core:values(other.index))
      row.largest, row.rms, row.relative = errors.largest, errors.rms, errors.relative
    end
    list[#list + 1] = row
  end
  for name, other in pairs(others) do
    list[#list + 1] = { name = name, shape = other.shape, note = "only in the second" }
  end
  table.sort(list, function(x, y) return x.name < y.name end)
  return list
end

-- The first output on the first test examples.
local function run(model, path, spec)
  local count = #model.core:inputs()
  if count ~= 1 then error(("%s: --data feeds one input, and the model has %d"):format(path, count), 0) end
  return (model.core:run(common.data(spec, model):examples(1, EXAMPLES)))
end

local function outputs(a, b, args)
  local ya, yb = run(a, args.a, args.data), run(b, args.b, args.data)
  local shape_a, shape_b = table.concat(ya.shape, "×"), table.concat(yb.shape, "×")
  if shape_a ~= shape_b then
    error(("the outputs cannot be compared: %s gives %s, %s gives %s"):format(args.a, shape_a, args.b, shape_b), 0)
  end
  local errors = compare(ya, yb)
  local agree, classes = 0, ya.shape[2]
  if #ya.shape == 2 then
    local la, lb = ya:totable(), yb:totable()
    for i = 1, #la do
      local best_a, best_b = 1, 1
      for class = 2, classes do
        if la[i][class] > la[i][best_a] then best_a = class end
        if lb[i][class] > lb[i][best_b] then best_b = class end
      end
      if best_a == best_b then agree = agree + 1 end
    end
    errors.agreement = agree / #la
  end
  errors.count = ya.shape[1]
  return errors
end

local function compare_models(args)
  local a, b = common.model(args.a), common.model(args.b)
  local record = { weights = weights(a, b), outputs = args.data and outputs(a, b, args) or nil }
  if args.json then return common.print_json(record) end
  local rows = { { "weight", "shape", "largest", "rms", "relative" } }
  for _, row in ipairs(record.weights) do
    local shape = table.concat(row.shape, "×")
    rows[#rows + 1] = row.note and { row.name, shape, row.note, "", "" }
      or { row.name, shape, ("%.3g"):format(row.largest), ("%.3g"):format(row.rms), ("%.3g"):format(row.relative) }
  end
  shown.print(common.table(rows, { [3] = true, [4] = true, [5] = true }))
  local out = record.outputs
  if out then
    shown.print(("\noutputs on %d test examples: largest %.3g, rms %.3g, relative %.3g%s"):format(out.count,
      out.largest, out.rms, out.relative, out.agreement and (", same class %.4f"):format(out.agreement) or ""))
  end
end

return function(new)
  local parser = new("diff", "Error of each weight of B against A.",
    "  mcl diff lenet5.bin lenet5.mcl\n  mcl diff lenet5.bin lenet5.mcl --data fashion-mnist --json")
  parser:argument("a"):description(common.model_kinds())
  parser:argument "b"
  parser:option "--data":argname "SPEC":description "compare the outputs on test data too"
  parser:flag "--json":description "keys: weights: [{name, shape, largest, rms, relative, note}], outputs"
  return parser, compare_models
end
