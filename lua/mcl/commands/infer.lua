--- mcl infer MODEL --input NAME=x.npy … --output NAME=y.npy …: runs a model on arrays.
local core = require "mcl.core"
local check = require "mcl.check"
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local shown = require "mcl.shown"

-- "NAME=FILE" in two; a name that the model has may have a = of its own.
local function split(text, names)
  local best
  for _, name in ipairs(names) do
    if text:sub(1, #name + 1) == name .. "=" and #text > #name + 1 and #name >= #(best or "") then best = name end
  end
  if best then return best, text:sub(#best + 2) end
  return text:match "^([^=]+)=(.+)$"
end

-- names → paths, each a name that the model has. A lone path needs no name where the model has one such value.
local function bind(option, list, values)
  local names = {}
  for i, value in ipairs(values) do
    names[i] = value.name
  end
  local bound = {}
  for _, text in ipairs(list) do
    local name, path = split(text, names)
    if not name and #names == 1 then
      name, path = names[1], text
    elseif not name then
      commands.usage("%s %s: NAME=FILE is wanted; names are %s", option, text, table.concat(names, ", "))
    end
    local known = false
    for _, one in ipairs(names) do
      known = known or one == name
    end
    if not known then commands.usage("%s", check.unknown(option:sub(3), name, names)) end
    bound[name] = path
  end
  return bound, names
end

return function(arguments)
  local parser = common.parser("infer", "Runs a model on arrays in .npy files.",
    "  mcl infer lenet5.mcl --input x=x.npy --output fc2=y.npy\n"
    .. "  mcl infer lenet5.mcl --input x.npy --output y.npy")
  parser:argument("model"):description(common.model_kinds())
  parser:option "--input":count "+":argname "NAME=FILE.npy":description "an input; without a name, the only one"
  parser:option "--output":count "+":argname "NAME=FILE.npy":description "where an output goes"
  local args = common.parse(parser, arguments)

  local model = common.model(args.model)
  if #model.core:outputs() == 0 then error(args.model .. ": holds weights and no graph, so it cannot be run", 0) end
  local inputs, input_names = bind("--input", args.input, model.core:inputs())
  local outputs, output_names = bind("--output", args.output, model.core:outputs())
  local values = {}
  for _, name in ipairs(input_names) do
    if not inputs[name] then commands.usage("input %s is not given: --input %s=FILE.npy", name, name) end
    values[name] = core.npy_load(inputs[name])
  end
  local results = { model.core:run(values) }
  for i, name in ipairs(output_names) do
    if outputs[name] then
      core.npy_save(outputs[name], results[i])
      shown.print(("%s: %s to %s"):format(name, table.concat(results[i].shape, "×"), outputs[name]))
    end
  end
end
