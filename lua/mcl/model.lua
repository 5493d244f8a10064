--- A model as a recipe sees it: layers with weights, and what is done to it. The field `core` is the C object.
local core = require "mcl.core"
local check = require "mcl.check"
local select_layers = require "mcl.select"

local model = {}

local Model = {}
local hints = {}
for _, name in ipairs { "prune", "share", "quantize", "lowrank" } do
  hints[name] = ("it is a scheme: model:compress(mcl.%s { … })"):format(name)
end
hints.train, hints.eval = "it is model:fit { job.data.train, epochs = 1 }", "it is model:evaluate(dataset)"
Model.__index = check.index(Model, "method of a model", { hooks = true, calibration_data = true }, hints)
Model.__name = "mcl.model"

function model.is(value)
  return getmetatable(value) == Model
end

--- A model around a C object.
function model.wrap(object)
  check.type(object, "model", "model.wrap")
  return setmetatable({ core = object, name = object.name }, Model)
end

--- Loads a model, by the extension of its file.
function model.load(path)
  check.type(path, "string", "load: path")
  return model.wrap(core.load(path))
end

-- ---- Layers ------------------------------------------------------------------------------------------------------

local Layer = {}
Layer.__name = "mcl.layer"

local FIELDS = {} -- the key of what does not change, out of the way of assignments

-- Values and representations are asked for when they are read: they change as the model does.
local computed = {
  weight = function(layer) return layer.model.core:values(layer.index) end,
  bias = function(layer) return layer.bias_index and layer.model.core:values(layer.bias_index) or nil end,
  representation = function(layer) return layer.model.core:get(layer.index) end,
  density = function(layer)
    local values = layer.model.core:get(layer.index)
    return values:nonzeros() / values.count
  end,
}

local plain = {
  "attributes", "bias", "bias_index", "count", "density", "index", "kind", "model", "multiply_adds", "name", "op",
  "output_shape", "representation", "shape", "weight", "weight_name",
}

function Layer.__index(layer, key)
  if computed[key] then return computed[key](layer) end
  local value = rawget(layer, FIELDS)[key]
  if value ~= nil or key == "bias_index" then return value end
  check.fail("layer: %s", check.unknown("field", tostring(key), plain))
end

function Layer.__newindex(layer, key, value)
  local index = key == "weight" and layer.index or key == "bias" and layer.bias_index
  if not index then check.fail("layer: %s cannot be set; weight and bias can", tostring(key)) end
  local what = ("layer %s: %s"):format(layer.name, key)
  local kind = core.type(value)
  if kind == "expression" then
    value = value:eval()
  elseif kind ~= "tensor" then
    check.fail("%s: a tensor or an expression is wanted, got %s", what, kind)
  end
  value:check_finite(what)
  local before = layer.model.core:get(index)
  layer.model.core:set_values(index, value)
  if before.kind ~= "dense" then
    core.log("warning", ("%s: was %s, and what is assigned is held dense: compress it again"):format(what,
      tostring(before)))
  end
end

function Layer.__tostring(layer)
  return ("layer %s: %s %s, %s"):format(layer.name, layer.op, table.concat(layer.shape, "x"),
    tostring(layer.representation))
end

--- The layers: nodes with a weight, in running order. A layer has name, op, kind (for "@kind" selectors), weight (a
-- tensor to be read; assigning another sets it), bias (or nil), weight_name, shape, count, index, multiply_adds,
-- output_shape, attributes, representation, density. A file of weights alone has no graph: there each matrix is a layer
-- "@weight".
function Model:layers()
  local weights, nodes = self.core:weights(true), self.core:nodes()
  local list, seen = {}, {}
  for index, weight in ipairs(#nodes == 0 and weights or {}) do
    if #weight.shape >= 2 then
      list[#list + 1] = setmetatable({ [FIELDS] = {
        model = self, name = (weight.name:gsub("%.weight$", "")), op = "weight", kind = "weight", index = index,
        weight_name = weight.name, shape = weight.shape, count = weight.count, multiply_adds = weight.count,
        output_shape = {}, attributes = {},
      } }, Layer)
    end
  end
  for _, node in ipairs(nodes) do
    if node.weight and not seen[node.weight] then
      seen[node.weight] = true -- a weight that two nodes share is one layer, the first's
      local weight = weights[node.weight]
      list[#list + 1] = setmetatable({ [FIELDS] = {
        model = self, name = node.name, op = node.op, kind = node.op, index = node.weight, bias_index = node.bias,
        weight_name = weight.name, shape = weight.shape, count = weight.count, multiply_adds = node.multiply_adds,
        output_shape = node.shape, attributes = node.attributes,
      } }, Layer)
    end
  end
  return list
end

--- The layer that a selector means; exactly one must match.
function Model:layer(selector)
  check.type(selector, "string", "layer: selector")
  local found = select_layers.matching(self:layers(), selector)
  if #found > 1 then check.fail('layer: "%s" matches %d layers; one is wanted', selector, #found) end
  return found[1]
end

-- ---- Compression ------------------------------------------------------------------------------------------------

local function union(names, more)
  local list, seen = {}, {}
  for _, from in ipairs { names, more } do
    for _, name in ipairs(from) do
      if not seen[name] then list[#list + 1] = name end
      seen[name] = true
    end
  end
  return list
end

-- Data to calibrate by: given, or model.calibration_data, a dataset or a function that gives one.
local function calibration_data(self)
  local data = rawget(self, "calibration_data")
  if type(data) == "function" then data = data() end
  return data
end

--- Statistics by weight index for schemes that need them: those given, or newly collected. what: for messages.
function Model:statistics_for(schemes, given, what)
  if given ~= nil then
    check.type(given, "table", what .. ": statistics")
    return given
  end
  local names = {}
  for _, one in pairs(schemes) do
    names = union(names, one:needs())
  end
  if #names == 0 then return {} end
  local data = calibration_data(self)
  if data == nil then
    check.fail("%s needs statistics (%s): pass statistics = model:calibrate(data, {…}), or set model.calibration_data",
      what, table.concat(names, ", "))
  end
  return self:calibrate(data, names)
end

-- From a scheme, a plan, or a table by selectors, to a scheme by the position of the layer (false: leave it).
local function schemes_of(layers, what)
  local plan = require "mcl.plan"
  if plan.is(what) then return what:schemes(layers) end
  if core.type(what) == "scheme" then what = { what } end
  if type(what) ~= "table" then
    check.fail("compress: a scheme, a plan or { selector = scheme } is wanted, got %s", core.type(what))
  end
  if next(what) == nil then
    check.fail("compress: the table is empty; a scheme, or { selector = scheme }, is wanted")
  end
  local chosen = select_layers.assign(layers, what)
  for i, one in pairs(chosen) do
    if one ~= false and core.type(one) ~= "scheme" then
      check.fail("compress: layer %s: a scheme or false is wanted, got %s", layers[i].name, core.type(one))
    end
  end
  return chosen
end

local function describe(what)
  if type(what) ~= "table" or require("mcl.plan").is(what) then return tostring(what) end
  local texts = {}
  for _, key in ipairs(check.sorted_keys(what)) do
    local value = what[key] == nil and what[1] or what[key]
    texts[#texts + 1] = (key == "1" and "" or key .. ": ") .. tostring(value)
  end
  return table.concat(texts, "; ")
end

--- Compresses the weights of layers (not biases, not states): model:compress(scheme), model:compress { scheme },
-- model:compress { ["conv*"] = scheme, ["@linear"] = scheme }, model:compress(plan). options.statistics: from
-- model:calibrate; without them, those that are needed are collected over model.calibration_data. All or nothing: an
-- error leaves the model as it was.
function Model:compress(what, options)
  if options then check.keys(options, { "statistics" }, "compress") end
  local layers = self:layers()
  local chosen = schemes_of(layers, what)
  local needed = {}
  for i, one in pairs(chosen) do
    if one then needed[i] = one end
  end
  local statistics = self:statistics_for(needed, options and options.statistics, "compress")
  local results = {}
  for i, one in pairs(needed) do
    local layer = layers[i]
    local ok, result = pcall(one.apply, one, layer.representation, rawget(statistics, layer.index))
    if not ok then error(model.at_layer(result, layer), 0) end
    results[i] = result
  end
  for i, result in pairs(results) do
    self.core:set(layers[i].index, result)
  end
  local hook = self.hooks and self.hooks.after_compress
  if hook then hook(self, describe(what)) end
  return self
end

--- The error `message` with the layer's name put after its position.
function model.at_layer(message, layer)
  if type(message) ~= "string" then return message end
  local position, text = message:match "^([^\n]-:%d+: )(.*)$"
  if not position then position, text = "", message end
  if text:find(layer.name, 1, true) then return message end
  return ("%slayer %s: %s"):format(position, layer.name, text)
end

-- ---- Training, evaluation, calibration ---------------------------------------------------------------------------

local fit_keys = {
  1, "augment", "batch", "beta1", "beta2", "checkpoint", "clip_norm", "epoch_end", "epochs", "epsilon", "keep_best",
  "label_smoothing", "loss", "momentum", "nesterov", "optimiser", "penalty", "rate", "schedule", "seed", "validation",
  "weight_decay", "within",
}

local fit_hints = {
  lr = "it is rate", learning_rate = "it is rate", data = "the data go first, without a name: { job.data.train, … }",
  decay = "it is weight_decay", val = "it is validation", patience = "keep_best = true ends with the best epoch",
}

-- Trains, unless that takes the file past `within` bytes (training moves the statistics that codes live on): then the
-- weights of before come back.
local function fit_within(self, options, within)
  local before = self:copy()
  local report = self.core:fit(options[1], options)
  local size = self:size()
  report.bytes = size
  if size <= within then return report end
  for i = 1, #self:weights() do
    self.core:set(i, before.core:get(i))
  end
  report.undone = true
  core.log("warning", ("fit: training took the file to %d bytes, past the %d allowed: the weights of before it stay")
    :format(size, within))
  return report
end

--- Trains under the representations: model:fit { dataset, epochs =, batch =, rate =, … }. Returns the last epoch's
-- report: epoch, loss, accuracy, validation_loss, validation_accuracy, rate, seconds; with within = BYTES also bytes,
-- and undone = true where training was undone because the file would have passed them.
function Model:fit(options)
  check.keys(options, fit_keys, "fit", nil, fit_hints)
  if core.type(options[1]) ~= "dataset" then
    check.fail("fit: the first item is the data: model:fit { job.data.train, epochs = 2 }; got %s",
      core.type(options[1]))
  end
  if type(options.schedule) == "table" then
    check.keys(options.schedule, { 1, "name", "step_factor", "step_epochs", "final_factor", "warmup" }, "fit: schedule")
  end
  if options.validation and core.type(options.validation) ~= "dataset" then
    check.fail("fit: validation: a dataset such as job.data.choose is wanted, or false; got %s",
      core.type(options.validation))
  end
  if options.augment ~= nil then check.keys(options.augment, { "shift", "flip", "rotate", "scale" }, "fit: augment") end
  local within = options.within and check.number(options.within, "fit: within", { 1, 2 ^ 53 })
  local copy = {} -- hooks add to it; the caller's table stays as it is
  for key, value in pairs(options) do
    copy[key] = value
  end
  local hooks = self.hooks or {}
  local report = hooks.before_fit and hooks.before_fit(self, copy)
  if copy.validation == false then copy.validation = nil end -- said to want none
  if not report and copy.epochs == 0 then report = { epoch = 0, epochs = 0 } end -- nothing to do is done
  if not report then
    copy.within = nil
    report = within and fit_within(self, copy, within) or self.core:fit(copy[1], copy)
  end
  if hooks.after_fit then hooks.after_fit(self, report) end
  return report
end

--- { loss, accuracy, error, count, seconds } over a dataset; loss: "cross_entropy" or "mse".
function Model:evaluate(dataset, loss)
  if core.type(dataset) ~= "dataset" then check.fail("evaluate: a dataset is wanted, got %s", core.type(dataset)) end
  return self.core:evaluate(dataset, loss)
end

-- Statistics, which say what they are by where they are asked for something else, such as a layer's place in the list.
local function by_weight(self, statistics)
  return setmetatable(statistics, {
    __index = function(_, key)
      local texts = {}
      for i, layer in ipairs(self:layers()) do
        texts[i] = ("%d (%s)"):format(layer.index, layer.name)
      end
      check.fail("statistics are by layer.index, and there are none at %s; layers are at %s", tostring(key),
        table.concat(texts, ", "))
    end,
  })
end

--- Statistics by weight index over a dataset or a tensor: model:calibrate(data, { "input_norm", "gram" }).
function Model:calibrate(data, names, labels)
  if type(names) == "string" then names = { names } end
  if names == nil then check.fail('calibrate: name the statistics: model:calibrate(data, { "input_norm" })') end
  if #names == 0 then check.fail("calibrate: the list of statistics is empty") end
  if data == nil then data = calibration_data(self) end
  if data == nil then check.fail("calibrate: a dataset or a tensor is wanted, got nil") end
  return by_weight(self, self.core:calibrate(data, names, labels))
end

-- ---- The rest, as the C object has it ----------------------------------------------------------------------------

--- Outputs for inputs: model:run(tensor), or model:run { name = tensor }.
function Model:run(inputs)
  return self.core:run(inputs)
end

local file_keys = { "zstd", "coder", "keep", "dense", "portable" }

--- Exact bytes of the .mcl file. options: zstd =, coder =, portable =.
function Model:size(options)
  if options then check.keys(options, file_keys, "size") end
  return self.core:size(options)
end

--- Writes the model, by extension: .mcl .bin .onnx …; whole or not at all. options: zstd = level, coder =, keep = (.bin
-- with representations kept), portable = (opens in a runtime without zstd).
function Model:save(path, options)
  check.type(path, "string", "save: path")
  if options then check.keys(options, file_keys, "save") end
  self.core:save(path, options)
  return self
end

--- A copy; weights are shared until one of the two changes them.
function Model:copy()
  local copy = model.wrap(self.core:copy())
  copy.calibration_data = self.calibration_data
  return copy
end

--- Elements of all weights.
function Model:parameters()
  return self.core:parameters()
end

--- Multiplications with additions of an inference of one example, dense.
function Model:multiply_adds()
  return self.core:multiply_adds()
end

--- { {name, shape} … }; shape[1] is -1 where it is the batch.
function Model:inputs()
  return self.core:inputs()
end

function Model:outputs()
  return self.core:outputs()
end

--- { {name, shape, count, is_state, representation, kind, nonzeros} … }, biases and states too.
function Model:weights()
  return self.core:weights()
end

function Model:__tostring()
  local layers = self:layers()
  local width = 5
  for _, layer in ipairs(layers) do
    width = math.max(width, #layer.name)
  end
  local lines = { ("model %s: %d layers, %d parameters"):format(self.name, #layers, self:parameters()) }
  for _, layer in ipairs(layers) do
    lines[#lines + 1] = ("  %-" .. width .. "s  %-8s  %-14s  %s"):format(layer.name, layer.op,
      table.concat(layer.shape, "x"), tostring(layer.representation))
  end
  return table.concat(lines, "\n")
end

check.methods(Model, "model")

return model
