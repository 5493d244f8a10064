--- From an architecture to a graph: walks the layers, infers shapes, draws weights, adds nodes. Private to mcl.nn.
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

-- The size along one axis after a window of `kernel` has passed over it.
local function windows(name, size, kernel, stride, before, after, dilation, ceil)
  local reach = dilation * (kernel - 1) + 1
  local padded = size + before + after
  if reach > padded then
    error(("%s: kernel of %d is larger than its padded input of %d"):format(name, reach, padded), 0)
  end
  local count = (padded - reach) // stride + 1
  if ceil and (padded - reach) % stride ~= 0 and count * stride < size + before then count = count + 1 end
  return count
end

-- ---- One function a kind: (build, layer, value, shape) → value, shape ---------------------------------------------

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
  local height = windows(name, shape[2], kernel[1], stride[1], pad[1], pad[1], dilation[1])
  local width = windows(name, shape[3], kernel[2], stride[2], pad[2], pad[2], dilation[2])
  local output = build:node("conv", name,
    { stride = stride, pad = { pad[1], pad[2], pad[1], pad[2] }, dilation = dilation, groups = groups }, list)
  return output, { options.out, height, width }
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
  return build:node("linear", name, nil, list), { options.out }
end

local function pool(op)
  return function(build, layer, value, shape)
    local options = layer.options
    local name = build:name(layer, "pool")
    image(name, shape, "pooling")
    local kernel = two(options.kernel)
    local stride, pad = two(options.stride, kernel), two(options.pad, 0)
    local height = windows(name, shape[2], kernel[1], stride[1], pad[1], pad[1], 1, options.ceil)
    local width = windows(name, shape[3], kernel[2], stride[2], pad[2], pad[2], 1, options.ceil)
    local attributes = { kernel = kernel, stride = stride, pad = { pad[1], pad[2], pad[1], pad[2] } }
    attributes.ceil = options.ceil and 1 or 0
    local output = build:node(op, name, attributes, { value })
    return output, { shape[1], height, width }
  end
end
add.max_pool = pool "max_pool"
add.average_pool = pool "average_pool"

function add.global_average_pool(build, layer, value, shape)
  local name = build:name(layer, "pool")
  image(name, shape, "pooling")
  return build:node("global_average_pool", name, nil, { value }), { shape[1], 1, 1 }
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
  return build:node("batch_norm", name, { epsilon = options.epsilon, momentum = options.momentum }, list), shape
end

function add.layer_norm(build, layer, value, shape)
  local name = build:name(layer, "ln")
  local scale = build:weight(name .. ".scale", core.ones(shape))
  local bias = build:weight(name .. ".bias", core.zeros(shape))
  local attributes = { axis = 1, epsilon = layer.options.epsilon }
  return build:node("layer_norm", name, attributes, { value, scale, bias }), shape
end

function add.flatten(build, layer, value, shape)
  local count = 1
  for _, size in ipairs(shape) do
    count = count * size
  end
  return build:node("flatten", build:name(layer, "flatten"), { axis = 1 }, { value }), { count }
end

function add.softmax(build, layer, value, shape)
  return build:node("softmax", build:name(layer, "softmax"), { axis = 1 }, { value }), shape
end

local function elementwise(op, attribute)
  add[op] = function(build, layer, value, shape)
    local attributes = attribute and { [attribute] = layer.options[attribute] } or nil
    return build:node(op, build:name(layer, op), attributes, { value }), shape
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

local function list(build, layers, value, shape)
  for _, layer in ipairs(layers) do
    value, shape = add[layer.kind](build, layer, value, shape)
  end
  return value, shape
end

function add.residual(build, layer, value, shape)
  local name = build:name(layer, "add")
  local body, body_shape = list(build, layer.body, value, shape)
  local side, side_shape = list(build, layer.shortcut or {}, value, shape)
  if show(body_shape) ~= show(side_shape) then
    error(("%s: the body gives %s, its shortcut %s; a shortcut = nn.conv{ out=, kernel=1, stride= } can match them")
      :format(name, show(body_shape), show(side_shape)), 0)
  end
  return build:node("add", name, nil, { body, side }), body_shape
end

--- Makes the engine's model. Errors are texts without a position.
function builder.build(architecture, input, seed, name)
  local build = setmetatable({ model = core.model(name), counts = {}, seed = seed, drawn = 0 }, Build)
  local value = build.model:add_input("x", { -1, table.unpack(input) })
  local output = list(build, architecture.layers, value, { table.unpack(input) })
  build.model:add_output(output)
  return build.model
end

return builder
