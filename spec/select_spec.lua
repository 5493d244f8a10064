-- Selectors: names, globs and kinds of layers.
local mcl = require "mcl"
local select_layers = require "mcl.select"
local support = dofile "spec/support.lua"

local function names(layers)
  local list = {}
  for i, layer in ipairs(layers) do
    list[i] = layer.name
  end
  return list
end

describe("a selector", function()
  local layers = support.convnet():layers()

  it("matches a layer by its name, or by its weight's", function()
    assert.same({ "conv2" }, names(select_layers.matching(layers, "conv2")))
    assert.same({ "ip1" }, names(select_layers.matching(layers, "ip1.weight")))
  end)

  it("matches globs", function()
    assert.same({ "conv1", "conv2" }, names(select_layers.matching(layers, "conv*")))
    assert.same({ "conv1", "ip1" }, names(select_layers.matching(layers, "*1")))
    assert.same({ "conv2" }, names(select_layers.matching(layers, "conv[2-9]")))
    assert.same({ "conv1" }, names(select_layers.matching(layers, "conv[!2]")))
    assert.same({ "ip1" }, names(select_layers.matching(layers, "ip?")))
  end)

  it("that names a layer is that name, whatever letters it has", function()
    local odd = {}
    for i, name in ipairs { "Block[0]", "Block0", "a*", "ab", "@conv", "a[", "100%d", "[!]", "^x$" } do
      odd[i] = { name = name, weight_name = name .. ".weight", kind = "linear" }
    end
    for i, layer in ipairs(odd) do
      assert.same({ layer.name }, names(select_layers.matching(odd, layer.name)))
      assert.same({ layer.name }, names(select_layers.matching(odd, layer.weight_name)))
      assert.equal("this", select_layers.assign(odd, { [layer.name] = "this" })[i])
    end
    assert.same({ "Block[0]", "Block0" }, names(select_layers.matching(odd, "Block*")))
    assert.same({ "100%d" }, names(select_layers.matching(odd, "*[%]d")))
    assert.same({ "^x$" }, names(select_layers.matching(odd, "[^]x?")))
    assert.same({ "[!]" }, names(select_layers.matching(odd, "[[]*")))
    assert.same({ "Block[0]", "[!]" }, names(select_layers.matching(odd, "*[]]")))
  end)

  it("takes what a class of a glob names, whatever it means in Lua's patterns", function()
    local odd = {}
    for i, name in ipairs { "]", "%", "^", "a", "-" } do
      odd[i] = { name = name, weight_name = name .. ".weight", kind = "linear" }
    end
    local function matched(glob)
      return names(select_layers.matching(odd, glob))
    end
    assert.same({ "%", "^", "a" }, matched "[%-%^a]")
    assert.same({ "]", "a" }, matched "[]a]")
    assert.same({ "%", "^", "-" }, matched "[!]a]")
    assert.same({ "]", "^", "a" }, matched "[]-a]")
    assert.error_matches(function() matched "[b-a]" end, "matches no layer")
  end)

  it("takes a dot or a dash as they are", function()
    assert.error_matches(function() select_layers.matching(layers, "conv.") end, "matches no layer")
  end)

  it("matches kinds", function()
    assert.same({ "conv1", "conv2" }, names(select_layers.matching(layers, "@conv")))
    assert.same({ "ip1" }, names(select_layers.matching(layers, "@linear")))
  end)

  it("can be a list; the order is the model's", function()
    assert.same({ "conv1", "ip1" }, names(select_layers.matching(layers, { "@linear", "conv1" })))
  end)

  it("that matches nothing is an error with what there is, and the nearest", function()
    local ok, message = pcall(select_layers.matching, layers, "cnov1")
    assert.is_false(ok)
    assert.matches('selector "cnov1" matches no layer; did you mean "conv1"?', message, 1, true)
    assert.matches("there are conv1, conv2, ip1; kinds: @conv, @linear", message, 1, true)
    assert.error_matches(function() select_layers.matching(layers, "@pool") end, '"@pool" matches no layer')
    assert.error_matches(function() select_layers.matching(layers, "conv[") end, "its %[ has no %]")
  end)
end)

describe("a table of selectors", function()
  local layers = support.convnet():layers()

  it("gives each layer the value of the most specific one", function()
    assert.same({ "name", "glob", "kind" },
      select_layers.assign(layers, { conv1 = "name", ["conv*"] = "glob", ["@conv"] = "kind", ["@linear"] = "kind" }))
    assert.same({ "conv", "conv", "rest" }, select_layers.assign(layers, { ["@conv"] = "conv", [1] = "rest" }))
  end)

  it("may leave layers out", function()
    local map = select_layers.assign(layers, { ["@conv"] = "conv" })
    assert.is_nil(map[3])
  end)

  it("refuses two that fit a layer equally", function()
    assert.error_matches(function() select_layers.assign(layers, { ["conv*"] = 1, ["*conv"] = 2, ["c*nv1"] = 3 }) end,
      "matches no layer")
    assert.error_matches(function() select_layers.assign(layers, { ["con*1"] = 1, ["c*nv1"] = 2 }) end, "equally")
  end)
end)

describe("compress by selectors", function()
  it("changes the layers that match, and no others", function()
    local model = support.convnet()
    model:compress { ["conv*"] = mcl.share { bits = 2 }, ["ip1"] = false }
    assert.equal("palette", model:layer("conv1").representation.kind)
    assert.equal("palette", model:layer("conv2").representation.kind)
    assert.equal("dense", model:layer("ip1").representation.kind)
  end)
end)
