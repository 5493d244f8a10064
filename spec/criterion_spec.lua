-- Criteria written in Lua.
local mcl = require "mcl"
local core = require "mcl.core"
local support = dofile "spec/support.lua"

local function prune(by, density)
  return mcl.prune { density = density or 0.25, by = by }
end

describe("a criterion", function()
  it("chooses by its scores: keeping the smallest, say", function()
    local w = core.tensor { { 1, -2, 3, -4 }, { 5, -6, 7, -8 } }
    local smallest = mcl.criterion { function(x) return -x:abs() end }
    assert.same({ { 1, -2, 0, 0 }, { 0, 0, 0, 0 } }, prune(smallest):apply(w):values():totable())
  end)

  it("may be a plain function", function()
    local w = core.tensor { { 1, -2 }, { 3, -4 } }
    assert.same({ { 0, 0 }, { 3, 0 } }, prune(function(x) return x end):apply(w):values():totable())
  end)

  it("sees the statistics it names, computed over the data", function()
    local model, data = support.mlp(), support.dataset()
    local wanda = mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }
    local before = model:layer("fc1").weight
    local x = data:rows()
    model:compress(prune(wanda, 0.5), { statistics = model:calibrate(data, { "input_norm" }) })
    local scores = before:abs() * x:norm(1)
    local expected = scores:top(24):to "f32" * before
    assert.near(0, (model:layer("fc1").weight - expected):abs():max(), 1e-6)
  end)

  it("has its statistics collected from the model's calibration data", function()
    local model = support.mlp()
    model.calibration_data = support.dataset()
    model:compress(prune(mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }))
    assert.equal(12, model:layer("fc1").representation:nonzeros())
  end)

  it("without data is an error that says what to pass", function()
    local model = support.mlp()
    local by = mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }
    assert.error_matches(function() model:compress(prune(by)) end,
      "needs statistics %(input_norm%): pass statistics = model:calibrate")
  end)

  it("sees a convolution as a matrix, a row an output", function()
    local model = support.convnet()
    local shapes = {}
    local by = mcl.criterion { "input_norm", "zero_rate", function(w, s)
      shapes[#shapes + 1] = { w.shape, s.input_norm.shape, s.zero_rate.shape }
      return w:abs() * s.input_norm * (1 - s.zero_rate)
    end }
    model:compress({ conv2 = prune(by) },
      { statistics = model:calibrate(core.random({ 10, 1, 8, 8 }, { seed = 1 }), { "input_norm", "zero_rate" }) })
    assert.same({ { { 6, 36 }, { 36 }, { 6, 1 } } }, shapes)
    assert.same({ 6, 4, 3, 3 }, model:layer("conv2").weight.shape)
    assert.equal(54, model:layer("conv2").representation:nonzeros())
  end)

  it("is printed with its needs", function()
    local by = mcl.criterion { "gram", "input_norm", function() end, name = "mine" }
    assert.equal("criterion mine of input_norm, gram", tostring(by))
  end)
end)

describe("a wrong criterion", function()
  local w = core.ones { 2, 3 }

  it("that returns no scores is refused", function()
    assert.error_matches(function() prune(function() return 1 end):apply(w) end, "returned a number")
    assert.error_matches(function() prune(function() end):apply(w) end, "returned a nil")
  end)

  it("of the wrong shape is refused with both shapes", function()
    assert.error_matches(function() prune(function(x) return x:sum(1) end):apply(w) end,
      "one score a weight, 2x3 here; this one returned 3")
  end)

  it("that gives NaN is refused", function()
    assert.error_matches(function() prune(function(x) return (x * -1):log() end):apply(w) end, "NaN")
  end)

  it("that asks for what was not named is told so", function()
    assert.error_matches(function() prune(function(x, s) return x * s.gram end):apply(w) end,
      'the statistic "gram" was not collected')
    assert.error_matches(function() prune(function(x, s) return x * s.gramm end):apply(w) end, 'have no "gramm"')
  end)

  it("that raises comes out with its own error, even a table", function()
    local mine = {}
    local ok, caught = pcall(function() prune(function() error(mine) end):apply(w) end)
    assert.is_false(ok)
    assert.equal(mine, caught)
  end)

  it("is refused when it is made, where that can be seen", function()
    assert.error_matches(function() mcl.criterion { "inputnorm", function() end } end, '"inputnorm" is none of')
    assert.error_matches(function() mcl.criterion { "gram" } end, "its last item is the function")
    assert.error_matches(function() mcl.criterion(print) end, "a table is wanted")
    assert.error_matches(function() prune("wanda") end, 'by is "magnitude", a criterion or a function, got wanda')
  end)
end)
