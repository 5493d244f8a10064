-- Tensors in Lua: making, reading, writing, viewing.
local mcl = require "mcl"

describe("a tensor", function()
  local t
  before_each(function()
    t = mcl.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  end)

  it("takes its shape and values from nested tables", function()
    assert.same({ 2, 3 }, t.shape)
    assert.equal("f32", t.dtype)
    assert.equal(6, t.count)
    assert.equal(2, #t)
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, t:totable())
  end)

  it("is read by rows and elements, from 1", function()
    assert.equal(6, t[2][3])
    assert.same({ 4, 5, 6 }, t[2]:totable())
  end)

  it("ends an ipairs loop after its last row", function()
    local sums = {}
    for i, row in ipairs(t) do
      sums[i] = row:sum()
    end
    assert.same({ 6, 15 }, sums)
  end)

  it("is written by elements, and by rows with anything that broadcasts", function()
    t[1][2] = 20
    t[2] = t[1] * 2
    assert.same({ { 1, 20, 3 }, { 2, 40, 6 } }, t:totable())
    t[1] = 7
    assert.same({ 7, 7, 7 }, t[1]:totable())
  end)

  it("refuses an index outside", function()
    assert.has_error(function() t[2][5] = 0 end, "index: 5 is out of range 1 … 3")
    assert.error_matches(function() return t[0] end, "index: 0 is out of range")
    assert.error_matches(function() return t[4] end, "index: 4 is out of range")
  end)

  it("refuses rows of different length", function()
    assert.error_matches(function() mcl.tensor { { 1, 2 }, { 3 } } end, "rows differ in length")
    assert.error_matches(function() mcl.tensor { 1, "two" } end, "a number is wanted as an element, got string")
  end)

  it("says which names it does not have", function()
    assert.error_matches(function() return t.shpae end, 'a tensor has no "shpae"')
    assert.error_matches(function() t.x = 1 end, "fields cannot be set")
  end)

  it("prints its dtype, its shape and its ends", function()
    assert.equal("tensor f32 2x3\n  1  2  3\n  4  5  6", tostring(t))
    assert.matches("^tensor f32 1000:  1  2  3  4  5  6  …  995", tostring(mcl.arange(1000)))
  end)

  it("shares memory with its views", function()
    local flat = t:reshape { -1 }
    flat[6] = 60
    assert.equal(60, t[2][3])
    t:rows(2, 1)[1][1] = 40
    assert.equal(40, flat[4])
  end)

  it("refuses a range of more elements than there can be", function()
    for _, step in ipairs { 1e-9, 1e-320 } do
      assert.error_matches(function() mcl.arange(0, 1e15, step) end, "more elements than there can be")
    end
  end)

  it("refuses views of rows that are not there, however many", function()
    for _, count in ipairs { 2, math.maxinteger } do
      assert.error_matches(function() t:rows(2, count) end, ("%d rows from row 2 are not within 1 … 2"):format(count))
    end
  end)

  it("does not share memory with copies, transposes and permutations", function()
    local copy, turned = t:copy(), t:transpose()
    t[1][2] = 0
    assert.equal(2, copy[1][2])
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, turned:totable())
    local cube = mcl.arange(24):reshape { 2, 3, 4 }
    local permuted = cube:permute { 3, 1, 2 }
    assert.same({ 4, 2, 3 }, permuted.shape)
    assert.equal(cube[2][3][4], permuted[4][2][3])
  end)

  it("refuses a reshape that does not fit", function()
    assert.error_matches(function() t:reshape { 4, 2 } end, "6 elements")
    assert.error_matches(function() t:reshape { -1, 4 } end, "cannot be cut into parts of 4")
    assert.error_matches(function() t:permute { 1, 1 } end, "axes")
  end)

  it("converts between dtypes, rounding to even and clamping", function()
    assert.same({ 0, 2, 2, 255, 0 }, mcl.tensor({ 0.5, 1.5, 2.5, 300, -4 }):to("u8"):totable())
    assert.same({ true, false }, mcl.tensor({ 2, 0 }):to("bool"):totable())
    assert.error_matches(function() t:to "f31" end, 'dtype: "f31" is none of')
  end)

  it("multiplies matrices and vectors", function()
    assert.same({ { 14, 32 }, { 32, 77 } }, t:matmul(t:transpose()):totable())
    assert.same({ 6, 15 }, t:matmul(mcl.ones { 3 }):totable())
    assert.same({ 5, 7, 9 }, mcl.ones({ 2 }):matmul(t):totable())
    assert.error_matches(function() t:matmul(t) end, "inner dimensions differ")
  end)

  it("finds the largest along its last axis", function()
    assert.same({ 3, 1 }, mcl.tensor({ { 1, 2, 9 }, { 8, 8, 0 } }):argmax():totable())
  end)

  it("takes all of another's values by set, in place", function()
    local view = t:rows(1, 1)
    t:set(t + 1)
    assert.same({ { 2, 3, 4 } }, view:totable())
    t:set(0)
    assert.equal(0, t:sum())
    assert.error_matches(function() t:set(mcl.ones { 5 }) end, "do not broadcast")
  end)
end)

describe("constructors", function()
  it("fill with zeros, ones, a value, a range", function()
    assert.same({ 0, 0 }, mcl.zeros({ 2 }):totable())
    assert.same({ 1, 1 }, mcl.ones({ 2 }, "i32"):totable())
    assert.same({ { 2.5 } }, mcl.full({ 1, 1 }, 2.5):totable())
    assert.same({ 1, 2, 3 }, mcl.arange(3):totable())
    assert.same({ 0, 0.25, 0.5 }, mcl.arange(0, 0.5, 0.25):totable())
  end)

  it("refuse shapes that cannot be", function()
    assert.error_matches(function() mcl.zeros { 1, 1, 1, 1, 1, 1, 1, 1, 1 } end, "8 are the most")
    assert.error_matches(function() mcl.zeros { -2 } end, "out of range")
    assert.error_matches(function() mcl.zeros { 1 << 40, 1 << 40 } end, "more elements than can be counted")
    assert.error_matches(function() mcl.zeros "2" end, "shape: a table")
  end)

  it("draw the same numbers for the same seed", function()
    local a = mcl.random({ 100000 }, { seed = 3, kind = "normal" })
    local b = mcl.random({ 100000 }, { seed = 3, kind = "normal" })
    assert.equal(0, (a - b):abs():max())
    assert.is_true((a - mcl.random({ 100000 }, { seed = 4, kind = "normal" })):abs():max() > 0)
    assert.near(0, a:mean(), 0.02)
    assert.near(1, a:std(), 0.02)
  end)

  it("draw uniform numbers from 0 to 1, new ones each time without a seed", function()
    local a, b = mcl.random { 10000 }, mcl.random { 10000 }
    assert.is_true(a:min() >= 0 and a:max() < 1)
    assert.near(0.5, a:mean(), 0.02)
    assert.is_true((a - b):abs():max() > 0)
  end)
end)

describe("mcl.linalg", function()
  local a = mcl.tensor { { 3, 1 }, { 1, 3 }, { 0, 2 } }

  it("takes a matrix apart and puts it together", function()
    local u, s, v = mcl.linalg.svd(a)
    assert.is_true((u * s):eval():matmul(v):eval().count == 6)
    assert.near(0, ((u * s):eval():matmul(v) - a):abs():max(), 1e-5)
    local q, r = mcl.linalg.qr(a)
    assert.near(0, (q:matmul(r) - a):abs():max(), 1e-5)
  end)

  it("solves with a Cholesky factor", function()
    local gram = a:transpose():matmul(a)
    local x = mcl.linalg.solve(mcl.linalg.cholesky(gram), mcl.tensor { { 1 }, { 2 } })
    assert.near(0, (gram:matmul(x) - mcl.tensor { { 1 }, { 2 } }):abs():max(), 1e-5)
  end)

  it("finds eigenvalues, ascending", function()
    local values = mcl.linalg.eigen(mcl.tensor { { 2, 1 }, { 1, 2 } })
    assert.near(1, values[1], 1e-6)
    assert.near(3, values[2], 1e-6)
  end)

  it("refuses what is not a matrix", function()
    assert.error_matches(function() mcl.linalg.svd(mcl.ones { 3 }) end, "a matrix is wanted")
    assert.error_matches(function() mcl.linalg.svd(a, 3) end, "rank: 3 is out of range 1 … 2")
  end)
end)
