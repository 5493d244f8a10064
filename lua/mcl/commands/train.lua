--- mcl train ARCH.lua --data SPEC -o MODEL.bin: trains an architecture. Its own presets, then --set.
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local nn = require "mcl.nn"
local paths = require "mcl.path"
local progress = require "mcl.progress"
local recipe = require "mcl.recipe"
local shown = require "mcl.shown"

-- The options of training as a recipe's, with the architecture's presets as defaults.
local function options_of(architecture)
  local options = {}
  for name, option in pairs(nn.training_options) do
    local copy = {}
    for key, value in pairs(option) do
      copy[key] = value
    end
    local preset = architecture and architecture.train[name]
    if preset ~= nil then
      copy[1] = math.type(option[1]) == "float" and preset + 0.0 or preset
    end
    options[name] = copy
  end
  return recipe.new { about = "training", options = options, run = function() end }
end

local function parser_of(new, options)
  local parser = new("train", "Trains an architecture.",
    "  mcl train examples/models/lenet5.lua --data fashion-mnist -o lenet5.bin\n"
    .. "  mcl train examples/models/lenet300.lua --data mnist:data/mnist -o lenet300.bin --set epochs=30 --seed 1")
  parser:argument "architecture":description "a .lua file that returns mcl.nn.sequential{ … }"
  parser:option "--data":argname "SPEC":description(require("mcl.data").specs)
  parser:option "-o --output":argname "MODEL":description "where the model goes (ARCH with .bin)"
  parser:option "--set":count "*":argname "KEY=VALUE":description "an option of training"
  parser:option "--seed":argname "N":description "of the first weights, the order and the augmentation (0)"
  parser:flag "--json":description "keys: output, loss, accuracy and error, or explained, count, seconds"
  parser:flag "--resume":description "go on with a run that was interrupted"
  parser:epilog("options of training (--set):\n" .. options:help())
  return parser
end

-- Fit options by the engine's names, from the values of `options_of`.
local function fit_options(values)
  return {
    epochs = values.epochs, batch = values.batch, optimiser = values.optimiser, rate = values.rate,
    momentum = values.momentum, nesterov = values.nesterov, weight_decay = values.weight_decay,
    schedule = {
      values.schedule, step_epochs = values.step_epochs, step_factor = values.step_factor, warmup = values.warmup,
    },
    augment = { shift = values.shift, flip = values.flip, rotate = values.rotate, scale = values.scale },
    label_smoothing = values.label_smoothing, clip_norm = values.clip_norm, keep_best = values.keep_best,
  }
end

-- Trains, writes the model; how it does on the test set.
local function train(model, job, fit, out)
  model:fit(fit)
  job:finish()
  require("mcl.outputs").check()
  model:save(out)
  return model:evaluate(job.source:part "report")
end

local function show(result, out, json)
  if json then
    return common.print_json {
      output = out, loss = result.loss, accuracy = result.accuracy, error = result.error, count = result.count,
      seconds = result.seconds, explained = result.explained,
    }
  end
  local classes = result.accuracy and ("accuracy %.4f, error %.4f, "):format(result.accuracy, result.error) or ""
  if result.explained then classes = ("explained %.4f, "):format(result.explained) end
  shown.print(("%s: %sloss %.4f on %s test examples"):format(out, classes, result.loss, shown.thousands(result.count)))
end

local function work(architecture, options, args, arguments)
  if not args.data then commands.usage("train needs data: --data SPEC (%s)", require("mcl.data").specs) end
  local values, wrong = options:resolve(common.settings(args.set, "--set"))
  if not values then commands.usage("train: %s", wrong) end
  local out = args.output or paths.stem(args.architecture:match "[^/]*$") .. ".bin"
  common.claim_model(out)

  local data = common.open_data(args.data)
  local model = architecture:build { seed = args.seed or 0, input = not architecture.input and data:shape() or nil }
  data:suit(model)
  data:part "report" -- now, not after an hour, is the time to find that there is none
  local function log(text) progress.line(text) end
  log(("%s: %s parameters, %s multiply-adds; %s"):format(args.architecture, shown.thousands(model.core:parameters()),
    shown.thousands(model.core:multiply_adds()), tostring(data)))

  local settings = { options = options:text_of_options(values), seed = tostring(args.seed or 0), data = args.data }
  local snapshots = require("mcl.resume").open(out, settings, args.resume, log)
  local job = require("mcl.job").new(model, { data = data, seed = args.seed, snapshots = snapshots, log = log })
  local fit = fit_options(values)
  fit[1] = job.data.fit
  local result
  common.keeping(snapshots, arguments, function() result = train(model, job, fit, out) end)
  snapshots:remove()
  show(result, out, args.json)
end

return function(new, arguments)
  local path = arguments[2]
  local architecture, message
  if path and paths.extension(path) == "lua" then architecture, message = nn.load(path) end
  local options = options_of(architecture)
  return parser_of(new, options), function(args)
    if paths.extension(args.architecture) ~= "lua" then
      commands.usage("%s: train wants an architecture, a .lua file", args.architecture)
    end
    if not architecture then architecture, message = nn.load(args.architecture) end
    if not architecture then error(message, 0) end
    return work(architecture, options, args, arguments)
  end
end
