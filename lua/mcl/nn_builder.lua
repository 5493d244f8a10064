--- From an architecture to a graph: walks the layers, draws weights, adds nodes; shapes are what the engine says they
-- are. Private to mcl.nn.
--
-- Weights start as He et al. 2015 have them (normal, deviation √(2 / inputs of a unit)), or as Glorot & Bengio 2010
-- with init = "xavier" (uniform in ±√(6 / (inputs + outputs))). Each weight draws from a sequence of its own, numbered
-- by the seed and its place, so that a change in one layer does not change another.
local core = require "mcl.core"

local builder = {}

local Build = {}
Build.__index = Build

local function show(shape)
  return table.concat(shape, "×")
end

local function two(value, preset)
  value = value or preset
  if type(value) == "table" then return value end
  return { value, value }
end

-- splitmix64's finaliser: well-mixed seeds from consecutive numbers.
local function mix(a, b)
  local z = a + b * 0x9E3779B97F4A7C15
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return (z ~ (z >> 31)) & 0x7FFFFFFFFFFFFFFF
end

function Build:name(layer, prefix)
  if layer.options.name then return layer.options.name end
  self.counts[prefix] = (self.counts[prefix] or 0) + 1
  return prefix .. self.counts[prefix]
end

function Build:draw(shape, inputs, outputs, init)
  self.drawn = self.drawn + 1
  local seed = mix(self.seed, self.drawn)
  if init == "zero" then return core.zeros(shape) end
  if init == "xavier" then
    local reach = math.sqrt(6 / (inputs + outputs))
    return ((core.random(shape, { seed = seed, kind = "uniform" }) * 2 - 1) * reach):eval()
  end
  return (core.random(shape, { seed = seed, kind = "normal" }) * math.sqrt(2 / inputs)):eval()
end

function Build:weight(name, tensor, is_state)
  return self.model:add_weight(name, tensor, is_state or false)
end

function Build:node(op, name, attributes, inputs)
  return self.model:add_node(op, name, attributes or {}, inputs)
end

local function image(name, shape, what)
  if #shape ~= 3 then
    error(("%s: %s takes images (channels × height × width), but its input is %s"):format(name, what, show(shape)), 0)
  end
end

-- ---- One function a kind: (build, layer, value, shape of the value) → value --------------------------------------

local add = {}

function add.conv(build, layer, value, shape)
  local options = layer.options
  local name = build:name(layer, "conv")
  image(name, shape, "a convolution")
  local channels, groups = shape[1], options.groups or 1
  if options["in"] and options["in"] ~= channels then
    error(("%s: in = %d, but its input has %d channels"):format(name, options["in"], channels), 0)
  end
  if channels % groups ~= 0 or options.out % groups ~= 0 then
    error(("%s: groups = %d does not divide %d channels in and %d out"):format(name, groups, channels, options.out), 0)
  end
  local kernel, stride = two(options.kernel), two(options.stride, 1)
  local pad, dilation = two(options.pad, 0), two(options.dilation, 1)
  local inputs = channels // groups * kernel[1] * kernel[2]
  local outputs = options.out // groups * kernel[1] * kernel[2]
  local list = { value, build:weight(name .. ".weight",
    build:draw({ options.out, channels // groups, kernel[1], kernel[2] }, inputs, outputs, options.init)) }
  if options.bias ~= false then list[3] = build:weight(name .. ".bias", core.zeros { options.out }) end
  return build:node("conv", name,
    { stride = stride, pad = { pad[1], pad[2], pad[1], pad[2] }, dilation = dilation, groups = groups }, list)
end

function add.linear(build, layer, value, shape)
  local options = layer.options
  local name = build:name(layer, "fc")
  if #shape ~= 1 then
    local message = "%s: a linear layer takes a vector, but its input is %s; put nn.flatten() before it"
    error(message:format(name, show(shape)), 0)
  end
  if options["in"] and options["in"] ~= shape[1] then
    error(("%s: in = %d, but its input has %d values"):format(name, options["in"], shape[1]), 0)
  end
  local list = { value, build:weight(name .. ".weight",
    build:draw({ options.out, shape[1] }, shape[1], options.out, options.init)) }
  if options.bias ~= false then list[3] = build:weight(name .. ".bias", core.zeros { options.out }) end
  return build:node("linear", name, nil, list)
end

local function pool(op)
  return function(build, layer, value, shape)
    local options = layer.options
    local name = build:name(layer, "pool")
    image(name, shape, "pooling")
    local kernel = two(options.kernel)
    local stride, pad = two(options.stride, kernel), two(options.pad, 0)
    local attributes = { kernel = kernel, stride = stride, pad = { pad[1], pad[2], pad[1], pad[2] } }
    attributes.ceil = options.ceil and 1 or 0
    return build:node(op, name, attributes, { value })
  end
end
add.max_pool = pool "max_pool"
add.average_pool = pool "average_pool"

function add.global_average_pool(build, layer, value, shape)
  local name = build:name(layer, "pool")
  image(name, shape, "pooling")
  return build:node("global_average_pool", name, nil, { value })
end

function add.batch_norm(build, layer, value, shape)
  local options = layer.options
  local name = build:name(layer, "bn")
  local channels = { shape[1] }
  local list = {
    value,
    build:weight(name .. ".scale", core.ones(channels)),
    build:weight(name .. ".bias", core.zeros(channels)),
    build:weight(name .. ".mean", core.zeros(channels), true),
    build:weight(name .. ".variance", core.ones(channels), true),
  }
  return build:node("batch_norm", name, { epsilon = options.epsilon, momentum = options.momentum }, list)
end

function add.layer_norm(build, layer, value, shape)
  local name = build:name(layer, "ln")
  local scale = build:weight(name .. ".scale", core.ones(shape))
  local bias = build:weight(name .. ".bias", core.zeros(shape))
  local attributes = { axis = 1, epsilon = layer.options.epsilon }
  return build:node("layer_norm", name, attributes, { value, scale, bias })
end

function add.flatten(build, layer, value)
  return build:node("flatten", build:name(layer, "flatten"), { axis = 1 }, { value })
end

function add.softmax(build, layer, value)
  return build:node("softmax", build:name(layer, "softmax"), { axis = 1 }, { value })
end

local function elementwise(op, attribute)
  add[op] = function(build, layer, value)
    local attributes = attribute and { [attribute] = layer.options[attribute] } or nil
    return build:node(op, build:name(layer, op), attributes, { value })
  end
end
elementwise "relu"
elementwise "sigmoid"
elementwise "tanh"
elementwise "gelu"
elementwise "silu"
elementwise("leaky_relu", "alpha")
elementwise("elu", "alpha")
elementwise("dropout", "rate")

-- The shape of a value without its batch.
local function shape_of(build, value)
  return { table.unpack(build.model:value_shape(value), 2) }
end

-- Raises a layer's error at the line that made the layer, whatever line asked to build it.
local function raise_at(build, layer, message)
  if not build.is_placed and type(message) == "string" and layer.place ~= "" then
    local here = core.where()
    if message:sub(1, #here) == here then message = message:sub(#here + 1) end
    build.is_placed, message = true, layer.place .. message
  end
  error(message, 0)
end

local function list(build, layers, value)
  for _, layer in ipairs(layers) do
    local ok, result = pcall(add[layer.kind], build, layer, value, shape_of(build, value))
    if not ok then raise_at(build, layer, result) end
    value = result
  end
  return value
end

function add.residual(build, layer, value)
  local name = build:name(layer, "add")
  local body, side = list(build, layer.body, value), list(build, layer.shortcut or {}, value)
  local body_shape, side_shape = show(shape_of(build, body)), show(shape_of(build, side))
  if body_shape ~= side_shape then
    error(("%s: the body gives %s, its shortcut %s; a shortcut = nn.conv{ out=, kernel=1, stride= } can match them")
      :format(name, body_shape, side_shape), 0)
  end
  return build:node("add", name, nil, { body, side })
end

--- Makes the engine's model. Errors name the layer, at the line that made it.
function builder.build(architecture, input, seed, name)
  local build = setmetatable({ model = core.model(name), counts = {}, seed = seed, drawn = 0 }, Build)
  local value = build.model:add_input("x", { -1, table.unpack(input) })
  build.model:add_output(list(build, architecture.layers, value))
  return build.model
end

return builder
