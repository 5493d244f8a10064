--- mcl.nn: architectures. A layer is a description; `sequential` lists them; `build` makes a model of the list: shapes
-- are inferred from the input's, names counted ("conv1", "fc2") unless given, weights drawn from numbers that depend on
-- the seed alone.
--
--     return mcl.nn.sequential {
--       input = { 1, 28, 28 },
--       mcl.nn.conv { out = 20, kernel = 5 }, mcl.nn.relu(), mcl.nn.max_pool { kernel = 2 },
--       mcl.nn.flatten(), mcl.nn.linear { out = 10 },
--     }
--
-- Images are channels × height × width. kernel, stride, pad and dilation are a number, or { vertical, horizontal }.
local core = require "mcl.core"
local check = require "mcl.check"
local chunk = require "mcl.chunk"
local builder = require "mcl.nn_builder"

local nn = {}

local Layer = {}
Layer.__index = Layer
Layer.__name = "mcl.nn.layer"

local function show(value)
  if type(value) == "table" then return "{" .. table.concat(value, ",") .. "}" end
  return tostring(value)
end

function Layer:__tostring()
  local parts = {}
  for _, key in ipairs(check.sorted_keys(self.options)) do
    if type(key) == "string" and type(self.options[key]) ~= "table" then
      parts[#parts + 1] = key .. "=" .. show(self.options[key])
    end
  end
  return ("nn.%s{%s}"):format(self.kind, table.concat(parts, ", "))
end

-- ---- Checks of options -----------------------------------------------------------------------------------------

local function whole(least)
  return function(value)
    if math.type(value) ~= "integer" or value < least then return "a whole number of at least " .. least end
  end
end

local function pair(least)
  return function(value)
    local one = whole(least)
    if type(value) == "table" and #value == 2 then return one(value[1]) or one(value[2]) end
    return one(value) and ("a whole number of at least %d, or two of them"):format(least)
  end
end

local function number(least, most)
  return function(value)
    if type(value) == "number" and value >= least and value <= most then return nil end
    return ("a number from %s to %s"):format(least, most)
  end
end

local function flag(value)
  if type(value) ~= "boolean" then return "true or false" end
end

local function choice(...)
  local names = { ... }
  return function(value)
    for _, name in ipairs(names) do
      if name == value then return nil end
    end
    return "one of " .. table.concat(names, ", ")
  end
end

local function text(value)
  if type(value) ~= "string" or value == "" then return "a name" end
end

-- ---- The kinds: what options each takes, and which it must have -------------------------------------------------

local pool = { kernel = pair(1), stride = pair(1), pad = pair(0), ceil = flag }
local init = choice("he", "xavier", "zero")

local kinds = {
  conv = {
    ["in"] = whole(1), out = whole(1), kernel = pair(1), stride = pair(1), pad = pair(0), dilation = pair(1),
    groups = whole(1), bias = flag, init = init, must = { "out", "kernel" },
  },
  linear = { ["in"] = whole(1), out = whole(1), bias = flag, init = init, must = { "out" } },
  max_pool = { kernel = pool.kernel, stride = pool.stride, pad = pool.pad, ceil = flag, must = { "kernel" } },
  average_pool = { kernel = pool.kernel, stride = pool.stride, pad = pool.pad, ceil = flag, must = { "kernel" } },
  global_average_pool = {},
  batch_norm = { epsilon = number(0, 1), momentum = number(0, 1) },
  layer_norm = { epsilon = number(0, 1) },
  dropout = { rate = number(0, 0x1.fffffep-1) },
  leaky_relu = { alpha = number(-10, 10) },
  elu = { alpha = number(0, 100) },
  softmax = {},
  relu = {}, sigmoid = {}, tanh = {}, gelu = {}, silu = {}, flatten = {},
}

local function check_layers(list, what, level)
  for i, layer in ipairs(list) do
    if getmetatable(layer) ~= Layer then
      error(("nn.%s: item %d is a %s, not a layer such as nn.conv{…}"):format(what, i, type(layer)), level + 1)
    end
  end
end

for kind, accepted in pairs(kinds) do
  local names = { "name" }
  for key in pairs(accepted) do
    if key ~= "must" then names[#names + 1] = key end
  end
  nn[kind] = function(options)
    options = options or {}
    if type(options) ~= "table" then error(("nn.%s: options are a table: nn.%s{…}"):format(kind, kind), 2) end
    check.keys(options, names, "nn." .. kind, 2)
    for key, value in pairs(options) do
      local wanted = (accepted[key] or text)(value)
      if wanted then error(("nn.%s: %s is %s, not %s"):format(kind, key, wanted, show(value)), 2) end
    end
    for _, key in ipairs(accepted.must or {}) do
      if options[key] == nil then error(("nn.%s: %s is missing"):format(kind, key), 2) end
    end
    return setmetatable({ kind = kind, options = options, place = core.where() }, Layer)
  end
end

--- residual { layer, layer, …, shortcut = layer or list of layers }: adds its input, or the shortcut's output, to the
-- output of its body. The two must have one shape.
function nn.residual(options)
  if type(options) ~= "table" or #options == 0 then
    error("nn.residual: it has no body: nn.residual{ nn.conv{…}, … }", 2)
  end
  for key in pairs(options) do
    if math.type(key) ~= "integer" and key ~= "shortcut" and key ~= "name" then
      error(check.unknown("key of nn.residual", tostring(key), { "shortcut", "name" }), 2)
    end
  end
  check_layers(options, "residual", 2)
  local shortcut = options.shortcut
  if getmetatable(shortcut) == Layer then shortcut = { shortcut } end
  if shortcut then check_layers(shortcut, "residual", 2) end
  local body = { table.unpack(options) }
  return setmetatable({
    kind = "residual", options = { name = options.name }, body = body, shortcut = shortcut, place = core.where(),
  }, Layer)
end

-- ---- Architectures ----------------------------------------------------------------------------------------------

local Architecture = {}
Architecture.__index = Architecture
Architecture.__name = "mcl.nn.architecture"

--- What `train` of an architecture may hold; `mcl train --set` knows the same names.
nn.training_options = {
  epochs = { 10, "passes over the training data", min = 1, max = 100000 },
  batch = { 64, "images a step", min = 1, max = 65536 },
  optimiser = { "sgd", "how steps are made", choices = { "sgd", "adam", "adamw" } },
  rate = { 0.05, "learning rate at the start", min = 0, max = 100 },
  momentum = { 0.9, "of sgd", min = 0, max = 1 },
  nesterov = { true, "Nesterov's momentum, of sgd" },
  weight_decay = { 0.0, "pull of the weights towards zero", min = 0, max = 1 },
  schedule = { "cosine", "of the learning rate", choices = { "constant", "step", "cosine", "one_cycle" } },
  step_epochs = { 10.0, "step schedule: epochs between steps", min = 0, max = 100000 },
  step_factor = { 0.1, "step schedule: the rate is multiplied by it", min = 0, max = 1 },
  warmup = { 0.0, "fraction of the steps in which the rate rises from zero", min = 0, max = 1 },
  label_smoothing = { 0.0, "share of the label given to all classes", min = 0, max = 0.9 },
  clip_norm = { 0.0, "largest norm of a gradient; 0: no limit", min = 0, max = 1e9 },
  shift = { 0, "augmentation: pixels moved at most, each way", min = 0, max = 1000 },
  flip = { 0.0, "augmentation: probability of a horizontal flip", min = 0, max = 1 },
  rotate = { 0.0, "augmentation: degrees at most", min = 0, max = 180 },
  scale = { 0.0, "augmentation: fraction by which the size changes at most", min = 0, max = 1 },
  keep_best = { true, "end with the epoch that does best on the held-out part" },
}

--- A list of layers, with `input` (shape without the batch), `about` (a line) and `train` (presets of `mcl train`).
function nn.sequential(options)
  if type(options) ~= "table" or #options == 0 then
    error("nn.sequential: it has no layers: nn.sequential{ nn.linear{…}, … }", 2)
  end
  local keys = { input = true, about = true, train = true, name = true }
  for key in pairs(options) do
    if math.type(key) ~= "integer" and not keys[key] then
      error(check.unknown("key of nn.sequential", tostring(key), check.sorted_keys(keys)), 2)
    end
  end
  check_layers(options, "sequential", 2)
  local input = options.input
  if input ~= nil then
    if type(input) ~= "table" or #input == 0 then
      error("nn.sequential: input is a shape without the batch: { 1, 28, 28 }", 2)
    end
    for _, size in ipairs(input) do
      local wanted = whole(1)(size)
      if wanted then error(("nn.sequential: input: each size is %s, not %s"):format(wanted, show(size)), 2) end
    end
  end
  if options.train ~= nil then
    check.keys(options.train, check.sorted_keys(nn.training_options), "nn.sequential: train", 2)
  end
  return setmetatable({
    layers = { table.unpack(options) }, input = input, about = options.about or "", train = options.train or {},
    name = options.name,
  }, Architecture)
end

--- Is `value` an architecture?
function nn.is(value)
  return getmetatable(value) == Architecture
end

function Architecture:__tostring()
  local input = self.input and ", input " .. show(self.input) or ""
  local lines = { ("nn.sequential, %d layers%s"):format(#self.layers, input) }
  for _, layer in ipairs(self.layers) do
    lines[#lines + 1] = "  " .. tostring(layer)
  end
  return table.concat(lines, "\n")
end

--- Makes a model: weights are drawn by `seed` (default 0); `input` is needed where the architecture does not say.
-- Errors, such as a kernel larger than its input, name the layer.
function Architecture:build(options)
  options = options or {}
  check.keys(options, { "seed", "input", "name" }, "build", 2)
  local input = self.input or options.input
  if not input then error("build: the architecture does not say its input's shape; give input = { 1, 28, 28 }", 2) end
  return require("mcl.model").wrap(builder.build(self, input, options.seed or 0, options.name or self.name or "model"))
end

--- Loads an architecture from a file that returns one; nil and a message otherwise.
function nn.load(path)
  local result, message = chunk.run(path)
  if message then return nil, message end
  if not nn.is(result) then return nil, path .. " does not return mcl.nn.sequential{ … }" end
  return result
end

return check.module(nn, "name in mcl.nn", {
  conv2d = "it is nn.conv { out =, kernel = }", dense = "it is nn.linear { out = }",
  maxpool2d = "it is nn.max_pool { kernel = }", batchnorm = "it is nn.batch_norm()",
})
