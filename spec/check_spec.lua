-- Checked keys: the nearest right name, and the caller's line.
local mcl = require "mcl"
local check = require "mcl.check"

-- Runs fn; the error it must raise, without and with its position.
local function failure(fn)
  local ok, message = pcall(fn)
  assert.is_false(ok)
  return message
end

describe("an unknown name", function()
  it("is answered with the nearest one", function()
    assert.equal("density", check.nearest("denstiy", { "by", "density", "threshold" }))
    assert.equal("threshold", check.nearest("treshold", { "by", "density", "threshold" }))
    assert.equal("density", check.nearest("dens", { "by", "density", "threshold" }))
    assert.is_nil(check.nearest("xyz", { "by", "density", "threshold" }))
  end)

  it("is answered with all of them where none is near", function()
    assert.equal('unknown key "xyz"; there are by, density', check.unknown("key", "xyz", { "by", "density" }))
  end)

  it("in mcl itself is an error", function()
    local message = failure(function() return mcl.quantise end)
    assert.matches('unknown name in mcl "quantise"; did you mean "quantize"?', message, 1, true)
  end)
end)

describe("an error", function()
  it("points at the line of the recipe, however deep it arose", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local message = failure(function() mcl.prune { denstiy = 0.5 } end)
    assert.equal(("%s:%d: prune: unknown key \"denstiy\"; did you mean \"density\"?")
      :format(debug.getinfo(1, "S").short_src, line), message)
  end)

  it("of a C function points there too", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local message = failure(function() return mcl.ones { 2 } + mcl.ones { 3 } end)
    assert.matches("check_spec.lua:" .. line .. ": ", message, 1, true)
  end)

  it("can be asked to point at any caller, or nowhere", function()
    local function door(options)
      check.keys(options, { "a" }, "door", 2)
    end
    local line = debug.getinfo(1, "l").currentline + 1
    assert.matches("check_spec.lua:" .. line .. ":", failure(function() door { b = 1 } end), 1, true)
    local message = failure(function() check.keys({ b = 1 }, { "a" }, "x", 0) end)
    assert.equal('x: unknown key "b"; did you mean "a"?', message)
  end)
end)

describe("an option", function()
  local function refused(text, fn)
    assert.matches(text, failure(fn), 1, true)
  end

  it("out of range says the range", function()
    refused("prune: density: 1.5 is out of range 0 … 1", function() mcl.prune { density = 1.5 } end)
    refused("share: bits: 9 is out of range 1 … 8", function() mcl.share { bits = 9 } end)
    refused("share: bits: a whole number is wanted, got 2.5", function() mcl.share { bits = 2.5 } end)
    refused("out of range", function() mcl.prune { density = 0 / 0 } end)
  end)

  it("that is missing is asked for", function()
    refused("prune: give density", function() mcl.prune {} end)
    refused("quantize: bits is wanted", function() mcl.quantize {} end)
    refused("lowrank: give rank, or energy", function() mcl.lowrank { rank = 2, energy = 0.5 } end)
  end)

  it("of the wrong type says which is wanted", function()
    refused("prune: a table of options is wanted, got number", function() mcl.prune(0.5) end)
    refused("factors: a scheme is wanted, got table", function() mcl.lowrank { rank = 2, factors = {} } end)
  end)
end)
