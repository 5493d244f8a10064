-- Expressions: arithmetic that waits until numbers are wanted.
local mcl = require "mcl"

local function near(expected, actual, tolerance)
  for i, value in ipairs(expected) do
    assert.near(value, actual[i], tolerance or 1e-6)
  end
end

describe("arithmetic on tensors", function()
  local t = mcl.tensor { { 1, -2, 3 }, { -4, 5, -6 } }

  it("computes nothing until asked, and says what it would", function()
    local e = t:abs() * 2 + 1
    assert.matches("^expression 2x3: abs%(", tostring(e))
    assert.same({ 2, 3 }, e.shape)
    assert.same({ { 3, 5, 7 }, { 9, 11, 13 } }, e:totable())
  end)

  it("reads its tensors when it is evaluated", function()
    local x = mcl.tensor { 1, 2 }
    local e = x * 10
    x[1] = 5
    assert.same({ 50, 20 }, e:totable())
  end)

  it("has Lua's operators, with numbers on either side", function()
    local x = mcl.tensor { 1, 2, 4 }
    assert.same({ 3, 4, 6 }, (2 + x):totable())
    assert.same({ 9, 8, 6 }, (10 - x):totable())
    assert.same({ 8, 4, 2 }, (8 / x):totable())
    assert.same({ 1, 4, 16 }, (x ^ 2):totable())
    assert.same({ -1, -2, -4 }, (-x):totable())
  end)

  it("broadcasts as NumPy does", function()
    local row, column = mcl.tensor { 10, 20, 30 }, mcl.tensor { { 100 }, { 200 } }
    assert.same({ { 11, 18, 33 }, { 6, 25, 24 } }, (t + row):totable())
    assert.same({ { 101, 98, 103 }, { 196, 205, 194 } }, (t + column):totable())
    assert.same({ 2, 3 }, (row + column).shape)
    assert.error_matches(function() return t + mcl.ones { 2 } end, "do not broadcast")
  end)

  it("has the functions that criteria need", function()
    local x = mcl.tensor { -1.5, 0, 2.5 }
    assert.same({ 1.5, 0, 2.5 }, x:abs():totable())
    assert.same({ -1, 0, 1 }, x:sign():totable())
    assert.same({ 2.25, 0, 6.25 }, x:square():totable())
    assert.same({ 0, 0, 2.5 }, x:relu():totable())
    assert.same({ -2, 0, 2 }, x:floor():totable())
    assert.same({ -2, 0, 2 }, x:round():totable())
    near({ math.exp(-1.5), 1, math.exp(2.5) }, x:exp():totable(), 1e-5)
    near({ 0.182425524, 0.5, 0.924141820 }, x:sigmoid():totable()) -- 1 / (1 + e^-x)
    near({ -0.905148254, 0, 0.986614298 }, x:tanh():totable())
    near({ 0, math.log(2) }, mcl.tensor({ 1, 2 }):log():totable())
    near({ math.sqrt(2) }, mcl.tensor({ 2 }):sqrt():totable())
  end)

  it("names the methods where it is compared by an operator", function()
    local w = mcl.tensor { 1, 2 }
    assert.error_matches(function() return w > 0 end, "tensor is compared .*w:gt%(0%) for w > 0; w:lt, w:ge, w:le")
    assert.error_matches(function() return w <= 2.5 end, "w:gt%(2.5%)")
    assert.error_matches(function() return w * 2 < w end, "expression is compared element by element")
  end)

  it("compares to 1 or 0, and chooses by it", function()
    assert.same({ { 0, 1, 0 }, { 1, 0, 1 } }, t:lt(0):totable())
    assert.same({ { 1, 0, 1 }, { 0, 1, 0 } }, t:ge(1):totable())
    assert.same({ { 1, 0, 3 }, { 0, 5, 0 } }, t:gt(0):where(t, 0):totable())
    assert.same({ 0, 1, 0 }, mcl.tensor({ 1, 2, 3 }):eq(2):totable())
  end)

  it("takes the smaller or the larger element by element", function()
    assert.same({ { 1, -2, 2 }, { -4, 2, -6 } }, t:min(2):totable())
    assert.same({ { 2, 2, 3 }, { 2, 5, 2 } }, t:max(2):totable())
  end)

  it("refuses what is no operand, at the line that said so", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() return t + "one" end)
    assert.is_false(ok)
    assert.matches("expression_spec.lua:" .. line .. ": argument 2: a tensor, an expression or a number", message)
  end)

  it("has no memory to write to", function()
    assert.error_matches(function() (t + 1)[1] = 2 end, "an expression has no memory")
    assert.error_matches(function() return (t + 1).set end, 'an expression has no "set"')
  end)
end)

describe("a reduction", function()
  local t = mcl.tensor { { 1, -2, 3 }, { -4, 5, -6 } }

  it("of everything gives a number", function()
    assert.equal(-3, t:sum())
    assert.equal(-0.5, t:mean())
    assert.equal(-6, t:min())
    assert.equal(5, t:max())
    assert.near(math.sqrt(91), t:norm(), 1e-6)
    assert.equal(6, t:count_nonzero())
    assert.equal(42, (t * t):sum() - 49)
  end)

  it("along an axis gives a tensor without it", function()
    assert.same({ -3, 3, -3 }, t:sum(1):totable())
    assert.same({ 2, -5 }, t:sum(2):totable())
    assert.same({ 2, -5 }, t:sum(-1):totable())
    assert.same({ -4, -2, -6 }, t:min(nil, 1):totable())
    near({ math.sqrt(14), math.sqrt(77) }, t:norm(2):totable(), 1e-5)
    assert.error_matches(function() t:sum(3) end, "axis: 3 is out of range")
  end)

  it("gives the population's standard deviation, however large the mean", function()
    assert.near(math.sqrt(2), mcl.tensor({ 1, 2, 3, 4, 5 }):std(), 1e-6)
    assert.near(math.sqrt(2), mcl.tensor({ 100001, 100002, 100003, 100004, 100005 }):std(), 1e-2)
  end)

  it("gives quantiles as numpy.quantile does", function()
    local x = mcl.tensor { 3, 1, 4, 1, 5, 9, 2, 6 }
    assert.equal(3.5, x:quantile(0.5)) -- numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], 0.5)
    assert.near(1.7, x:quantile(0.2) + 0.3, 1e-6) -- 1.4
    assert.equal(9, x:quantile(1))
    assert.error_matches(function() x:quantile(1.5) end, "out of range 0 … 1")
  end)

  it("picks exactly the asked number, ties by the lower index", function()
    local x = mcl.tensor { 1, 3, 3, 3, 2 }
    assert.same({ false, true, true, false, false }, x:top(2):totable())
    assert.equal(2, x:top(2):to("f32"):sum())
  end)

  it("is the same for any number of elements that threads share", function()
    local x = mcl.random({ 300001 }, { seed = 1 })
    local sum = 0
    for first = 1, 300001, 100000 do
      sum = sum + x:rows(first, math.min(100000, 300001 - first + 1)):sum()
    end
    assert.near(sum, x:sum(), 1e-6)
  end)
end)

describe("a gradient", function()
  it("of an expression agrees with its derivative", function()
    local x = mcl.tensor { 0.5, -1, 2 }
    local slope = (x ^ 3 + 2 * x):gradient(x)
    near({ 2.75, 5, 14 }, slope:totable(), 1e-5)
  end)

  it("sums over what was broadcast", function()
    local w, s = mcl.ones { 2, 3 }, mcl.tensor { 1, 2, 3 }
    local dw, ds = (w * s):gradient(w, s)
    assert.same({ { 1, 2, 3 }, { 1, 2, 3 } }, dw:totable())
    assert.same({ 2, 2, 2 }, ds:totable())
  end)

  it("agrees with finite differences, by the library's own checker", function()
    local x = mcl.random({ 4, 5 }, { seed = 2, kind = "normal" })
    local y = mcl.random({ 5 }, { seed = 3 })
    local worst = mcl.gradcheck(function(a, b) return (a * b):tanh() + (a - 1):square() * b:exp() end, { x, y })
    assert.is_true(worst < 1e-2, worst)
  end)

  it("has a checker that catches a wrong one", function()
    local x = mcl.tensor { 1, 2 }
    local calls = 0
    local worst = mcl.gradcheck(function(a)
      calls = calls + 1
      return calls == 1 and a * 3 or a * 2 -- the first call is the one that is differentiated
    end, { x })
    assert.is_true(worst > 0.3)
  end)
end)
