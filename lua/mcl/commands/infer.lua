--- mcl infer MODEL --input NAME=x.npy … --output NAME=y.npy …: runs a model on arrays.
local core = require "mcl.core"
local check = require "mcl.check"
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local outputs = require "mcl.outputs"
local paths = require "mcl.path"
local reads = require "mcl.reads"
local shown = require "mcl.shown"
local system = require "mcl.system"

-- "NAME=FILE" in two; a name that the model has may have a = of its own.
local function split(text, names)
  local best
  for _, name in ipairs(names) do
    if text:sub(1, #name + 1) == name .. "=" and #text > #name + 1 and #name >= #(best or "") then best = name end
  end
  if best then return best, text:sub(#best + 2) end
  return text:match "^([^=]+)=(.+)$"
end

-- The pairs { name, path } that an option gives, each a name that the model has. A lone path needs no name where the
-- model has one such value.
local function bind(option, list, values)
  local names, bound = {}, {}
  for i, value in ipairs(values) do
    names[i] = value.name
  end
  for i, text in ipairs(list) do
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
    bound[i] = { name = name, path = path }
  end
  return bound
end

-- The values of all inputs, by name.
local function read_inputs(model, args)
  local values = {}
  for _, input in ipairs(bind("--input", args.input, model.core:inputs())) do
    if values[input.name] then commands.usage("input %s is given twice", input.name) end
    reads.note(input.path)
    values[input.name] = core.npy_load(input.path)
  end
  for _, input in ipairs(model.core:inputs()) do
    local name = input.name
    if not values[name] then commands.usage("input %s is not given: --input %s=FILE.npy", name, name) end
  end
  return values
end

-- Outputs by the file they go to, in order: one to an .npy, any number to an .npz.
local function claim_outputs(bound)
  local files = {}
  for _, output in ipairs(bound) do
    local path = output.path
    local extension = paths.extension(path)
    if extension == "npz" and files[path] then
      files[path][#files[path] + 1] = output.name
    else
      outputs.claim(path)
      if extension ~= "npy" and extension ~= "npz" and not system.is_stream(path) then
        commands.usage("--output %s: arrays are written as .npy or .npz", path)
      end
      files[path] = { output.name, path = path, is_archive = extension == "npz" }
      files[#files + 1] = files[path]
    end
  end
  return files
end

local function write(file, results)
  if file.is_archive then
    local arrays = {}
    for _, name in ipairs(file) do
      arrays[name] = results[name]
    end
    core.npz_save(file.path, arrays)
  else
    core.npy_save(file.path, results[file[1]])
  end
  if system.is_stream(file.path) then return end -- which may be stdout
  for _, name in ipairs(file) do
    shown.print(("%s: %s to %s"):format(name, table.concat(results[name].shape, "×"), file.path))
  end
end

local function infer(args)
  reads.note(args.model)
  local model = common.model(args.model)
  if #model.core:outputs() == 0 then error(args.model .. ": holds weights and no graph, so it cannot be run", 0) end
  local values = read_inputs(model, args)
  local files = claim_outputs(bind("--output", args.output, model.core:outputs()))
  local results = {}
  for i, value in ipairs { model.core:run(values) } do
    results[model.core:outputs()[i].name] = value
  end
  for _, file in ipairs(files) do
    write(file, results)
  end
end

return function(new)
  local parser = new("infer", "Runs a model on arrays in .npy files.",
    "  mcl infer lenet5.mcl --input x=x.npy --output fc2=y.npy\n"
    .. "  mcl infer lenet5.mcl --input x.npy --output y.npy")
  parser:argument("model"):description(common.model_kinds())
  parser:option "--input":count "+":argname "NAME=FILE.npy":description "an input; without a name, the only one"
  parser:option "--output":count "+":argname "NAME=FILE":description "where an output goes; into an .npz, several"
  return parser, infer
end
