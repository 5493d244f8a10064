-- lua/mcl.d.lua, the annotations for editors, names what there is: no less in mcl itself, and no more anywhere.
local mcl = require "mcl"
local support = dofile "spec/support.lua"

local function declared()
  local names = {}
  for line in io.lines "lua/mcl.d.lua" do
    local class, separator, name = line:match "^function ([%w_]+)([.:])([%w_]+)%("
    if class then
      names[class] = names[class] or {}
      names[class][name] = separator
    end
  end
  return names
end

describe("lua/mcl.d.lua", function()
  local names = declared()

  it("names all of mcl, and nothing else", function()
    names.mcl.version, names.mcl.linalg, names.mcl.nn = ".", ".", "." -- fields
    for _, name in ipairs(mcl.names()) do
      assert.is_truthy(names.mcl[name], "mcl." .. name .. " has no annotation")
    end
    for name in pairs(names.mcl) do
      assert.is_truthy(mcl[name], name)
    end
  end)

  it("names methods that objects have", function()
    local scheme = mcl.share { bits = 2 }
    local model = support.mlp()
    local objects = {
      Expression = mcl.ones { 2 } + 1, Tensor = mcl.ones { 2 }, Scheme = scheme, Model = model,
      Representation = scheme:apply(mcl.arange(10)), Dataset = support.dataset(10), nn = mcl.nn, linalg = mcl.linalg,
      Architecture = mcl.nn.sequential { mcl.nn.relu() }, Job = require("mcl.job").new(model, {}),
      Plan = mcl.plan { model, candidates = { scheme }, budget = { ratio = 0.1 } },
    }
    for class, object in pairs(objects) do
      for name in pairs(names[class]) do
        assert.is_function(object[name], class .. ":" .. name)
      end
    end
    for class in pairs(names) do
      assert.is_truthy(objects[class] or class == "mcl", class .. " is not looked at")
    end
  end)

  it("gives tensors what expressions have", function()
    for name in pairs(names.Expression) do
      assert.is_function(mcl.ones({ 1 })[name], name)
    end
  end)

  it("names every layer of mcl.nn", function()
    for name, value in pairs(mcl.nn) do
      if type(value) == "function" and name ~= "is" and name ~= "load" then
        assert.is_truthy(names.nn[name], "nn." .. name .. " has no annotation")
      end
    end
  end)
end)
