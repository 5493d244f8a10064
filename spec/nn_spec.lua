local mcl = require "mcl"
local nn = mcl.nn

local function build(layers, input)
  layers.input = input
  local model = nn.sequential(layers):build { seed = 1 }
  return model
end

local function weights(model)
  local list = {}
  for _, weight in ipairs(model.core:weights()) do
    list[#list + 1] = weight.name .. " " .. table.concat(weight.shape, "x")
  end
  return list
end

describe("an architecture", function()
  it("infers the shapes of its weights and counts its layers", function()
    local model = build({
      nn.conv { out = 4, kernel = 5 }, nn.max_pool { kernel = 2 },
      nn.conv { out = 6, kernel = { 3, 1 }, pad = { 1, 0 } }, nn.flatten(), nn.linear { out = 10 },
    }, { 1, 28, 28 })
    assert.same({
      "conv1.weight 4x1x5x5", "conv1.bias 4", "conv2.weight 6x4x3x1", "conv2.bias 6",
      "fc1.weight 10x864", "fc1.bias 10",
    }, weights(model))
  end)

  it("has exactly the parameters of the papers' nets", function()
    local function parameters(name)
      return nn.load("examples/models/" .. name .. ".lua"):build({ seed = 0 }).core:parameters()
    end
    assert.equal(266610, parameters "lenet300")
    assert.equal(431080, parameters "lenet5")
  end)

  it("builds the small VGG and the small residual network, which give ten classes", function()
    for _, name in ipairs { "vgg_small", "resnet_small" } do
      local model = assert(nn.load("examples/models/" .. name .. ".lua")):build { seed = 0 }
      local y = model.core:run(mcl.zeros { 2, 1, 28, 28 })
      assert.same({ 2, 10 }, y.shape)
    end
  end)

  it("draws the same weights from the same seed, and others from another", function()
    local net = nn.sequential { input = { 20 }, nn.linear { out = 30 } }
    local a, b, c = net:build { seed = 7 }, net:build { seed = 7 }, net:build { seed = 8 }
    assert.equal(0, (a.core:values(1) - b.core:values(1)):abs():max())
    assert.is_true((a.core:values(1) - c.core:values(1)):abs():max() > 0.01)
  end)

  it("draws as He et al. do: deviation √(2 / inputs)", function()
    local model = nn.sequential({ input = { 400 }, nn.linear { out = 500 } }):build { seed = 3 }
    local w = model.core:values(1)
    assert.is_true(math.abs(w:std() - math.sqrt(2 / 400)) < 0.002)
    assert.is_true(math.abs(w:mean()) < 0.001)
  end)

  it("keeps a layer's weights when another layer changes", function()
    local a = nn.sequential({ input = { 8 }, nn.linear { out = 8 }, nn.linear { out = 3 } }):build { seed = 5 }
    local b = nn.sequential({ input = { 8 }, nn.linear { out = 8 }, nn.linear { out = 9 } }):build { seed = 5 }
    assert.equal(0, (a.core:values(1) - b.core:values(1)):abs():max())
  end)

  it("takes its input's shape from build where it has none of its own", function()
    local model = nn.sequential({ nn.linear { out = 2 } }):build { input = { 5 } }
    assert.same({ "fc1.weight 2x5", "fc1.bias 2" }, weights(model))
    assert.has_error(function() nn.sequential({ nn.linear { out = 2 } }):build() end)
  end)
end)

describe("mistakes in an architecture", function()
  local function fails(fragment, f)
    local ok, message = pcall(f)
    assert.is_false(ok)
    assert.matches(fragment, message, 1, true)
    assert.matches("nn_spec.lua", message, 1, true)
  end

  it("are named with the layer and the remedy", function()
    fails("kernel 7x7 is larger than its padded input 5x5", function()
      build({ nn.conv { out = 1, kernel = 7 } }, { 1, 5, 5 })
    end)
    fails("put nn.flatten() before it", function() build({ nn.linear { out = 1 } }, { 1, 5, 5 }) end)
    fails("in = 3, but its input has 1 channels", function()
      build({ nn.conv { ["in"] = 3, out = 1, kernel = 1 } }, { 1, 5, 5 })
    end)
    fails("groups = 2 does not divide", function()
      build({ nn.conv { out = 2, kernel = 1, groups = 2 } }, { 3, 5, 5 })
    end)
    fails("a shortcut", function()
      build({ nn.residual { nn.conv { out = 2, kernel = 1 } } }, { 1, 5, 5 })
    end)
  end)

  it("are found when the layer is written", function()
    fails("kernel", function() nn.conv { out = 3, kernal = 5 } end)
    fails("out is missing", function() nn.linear {} end)
    fails("a whole number", function() nn.linear { out = 2.5 } end)
    fails("a number from 0", function() nn.dropout { rate = 2 } end)
    fails("not a layer", function() nn.sequential { input = { 1 }, "relu" } end)
    fails("has no layers", function() nn.sequential {} end)
    fails("epochs", function() nn.sequential { nn.relu(), train = { epoch = 3 } } end)
  end)
end)
