local mcl = require "mcl"
local recipe = require "mcl.recipe"

local function sample(extra)
  local options = {
    density = { 0.1, "fraction kept", min = 0.001, max = 1 },
    bits = { 5, "codebook bits", min = 1, max = 8 },
    name = { "fast", "how", choices = { "fast", "slow" } },
    deep = { false, "whether deep" },
    steps = { { 0.5, 0.25 }, "densities", min = 0, max = 1 },
  }
  for key, value in pairs(extra or {}) do
    options[key] = value
  end
  return mcl.recipe { about = "a sample", options = options, run = function() end }
end

describe("a recipe's options", function()
  it("are their defaults where nothing is set", function()
    local values = sample():resolve {}
    assert.equal(0.1, values.density)
    assert.equal(5, values.bits)
    assert.equal("fast", values.name)
    assert.is_false(values.deep)
    assert.same({ 0.5, 0.25 }, values.steps)
  end)

  it("take text of the default's type", function()
    local values = sample():resolve { density = "1", bits = "3", name = "slow", deep = "true", steps = "0.9, 0.1" }
    assert.equal("float", math.type(values.density))
    assert.equal("integer", math.type(values.bits))
    assert.equal("slow", values.name)
    assert.is_true(values.deep)
    assert.same({ 0.9, 0.1 }, values.steps)
  end)

  it("refuse text of another type", function()
    for key, text in pairs { bits = "2.5", density = "much", deep = "perhaps", steps = "0.5;0.1" } do
      local values, message = sample():resolve { [key] = text }
      assert.is_nil(values)
      assert.matches("option " .. key, message, 1, true)
    end
  end)

  it("refuse values out of range, naming the bound", function()
    local _, message = sample():resolve { density = "1.5" }
    assert.matches("more than 1", message, 1, true)
    _, message = sample():resolve { bits = "0" }
    assert.matches("less than 1", message, 1, true)
    _, message = sample():resolve { steps = "0.5,7" }
    assert.matches("more than 1", message, 1, true)
    _, message = sample():resolve { name = "medium" }
    assert.matches("fast, slow", message, 1, true)
  end)

  it("refuse a number that is none", function()
    local values = sample():resolve { density = "nan" }
    assert.is_nil(values)
  end)

  it("are given back by their text, digit for digit", function()
    local made = sample { none = { {}, "densities" } }
    for name, value in pairs { density = 0.1 + 0.2, steps = { 1 / 3, 0.5 }, bits = 3, deep = true, none = {} } do
      assert.same(value, made:resolve({ [name] = recipe.text_of(value) })[name])
    end
    assert.equal("0.1", recipe.text_of(0.1))
  end)

  it("name the nearest when one is unknown", function()
    local _, message = sample():resolve { densty = "0.1" }
    assert.matches("density", message, 1, true)
  end)

  it("raise an error at the reader's line when read by a wrong name", function()
    local values = sample():resolve {}
    local ok, message = pcall(function() return values.densty end)
    assert.is_false(ok)
    assert.matches("recipe_spec.lua", message, 1, true)
    assert.matches("density", message, 1, true)
  end)

  it("are listed in the help with defaults and bounds", function()
    local help = sample():help()
    assert.matches("density=0.1", help, 1, true)
    assert.matches("0.001 … 1", help, 1, true)
    assert.matches("fast | slow", help, 1, true)
  end)
end)

describe("mcl.recipe", function()
  local function fails(spec, fragment)
    local ok, message = pcall(function() mcl.recipe(spec) end)
    assert.is_false(ok)
    assert.matches(fragment, message, 1, true)
    assert.matches("recipe_spec.lua", message, 1, true)
  end

  it("checks its keys at the caller's line", function()
    fails({ about = "x", run = function() end, option = {} }, "options")
    fails({ about = "x" }, "run")
    fails({ run = function() end }, "about")
    fails({ about = "x", run = function() end, options = { a = { 1 } } }, "text")
    fails({ about = "x", run = function() end, options = { a = { 1, "t", maximum = 3 } } }, "maximum")
    fails({ about = "x", run = function() end, options = { a = { 9, "t", max = 3 } } }, "more than 3")
  end)
end)

describe("recipe files", function()
  it("that come with mcl are these, each found by its name", function()
    local names = { "custom_criterion", "deep_compression", "magnitude", "mixed_precision", "rank_search" }
    assert.same(names, recipe.embedded())
    for _, name in ipairs(names) do
      local source, file = recipe.find(name)
      local loaded, message = recipe.load(source, file)
      assert.is_truthy(loaded, message)
      assert.is_truthy(loaded:resolve {})
    end
  end)

  it("name the nearest when there is none of that name", function()
    local source, message = recipe.find "deep_compresion"
    assert.is_nil(source)
    assert.matches("deep_compression", message, 1, true)
  end)

  it("say what is wrong with a file that does not return one", function()
    local loaded, message = recipe.load("return 1", "one.lua")
    assert.is_nil(loaded)
    assert.matches("one.lua does not return mcl.recipe", message, 1, true)
    loaded, message = recipe.load("return nil +", "broken.lua")
    assert.is_nil(loaded)
    assert.matches("broken.lua:1", message, 1, true)
  end)
end)
