-- Schemes from Lua: what they make, how they compose, what they refuse.
local mcl = require "mcl"
local core = require "mcl.core"
local support = dofile "spec/support.lua"

local w = core.random({ 20, 30 }, { seed = 1, kind = "normal" })

local function distinct(t)
  local seen, count = {}, 0
  for _, value in ipairs(t:reshape({ -1 }):totable()) do
    if not seen[value] then count = count + 1 end
    seen[value] = true
  end
  return count
end

describe("prune", function()
  it("keeps exactly the asked number of weights, the largest", function()
    local kept = mcl.prune({ density = 0.1 }):apply(w)
    assert.equal(60, kept:nonzeros())
    local values = kept:values()
    assert.equal(60, values:count_nonzero())
    local least_kept = values:ne(0):where(values:abs(), 100):min()
    local greatest_gone = values:eq(0):where(w:abs(), 0):max()
    assert.is_true(least_kept >= greatest_gone)
  end)

  it("keeps scores above a threshold", function()
    local kept = mcl.prune({ threshold = 1 }):apply(w)
    assert.equal(w:abs():gt(1):sum(), kept:nonzeros())
  end)
end)

describe("share", function()
  it("leaves as many values as its codebook has entries", function()
    assert.equal(8, distinct(mcl.share({ bits = 3 }):apply(w):values()))
    assert.equal(5, distinct(mcl.share({ entries = 5 }):apply(w):values()))
  end)

  it("shows its codebook", function()
    local shared = mcl.share({ bits = 2 }):apply(w)
    assert.equal("palette", shared.kind)
    assert.equal(4, #shared.codebook)
    assert.equal(2, shared.bits)
  end)

  it("errs less with more bits", function()
    local last = math.huge
    for bits = 1, 8 do
      local lost = (mcl.share({ bits = bits }):apply(w):values() - w):norm()
      assert.is_true(lost < last)
      last = lost
    end
  end)
end)

describe("quantize", function()
  it("uses at most 2^bits levels a group", function()
    local row = mcl.quantize({ bits = 3, group = "channel" }):apply(w):values()[1]
    assert.is_true(distinct(row) <= 8)
  end)

  it("takes groups by name or number", function()
    assert.equal("affine", mcl.quantize({ bits = 4, group = "tensor" }):apply(w).kind)
    assert.equal("affine", mcl.quantize({ bits = 4, group = 10 }):apply(w).kind)
    assert.error_matches(function() mcl.quantize { bits = 4, group = "row" } end, 'group is "tensor", "channel"')
  end)
end)

describe("lowrank", function()
  it("is exact at full rank, and errs by the singular values that are left out", function()
    assert.near(0, (mcl.lowrank({ rank = 20 }):apply(w):values() - w):norm(), 1e-4)
    local _, s = mcl.linalg.svd(w)
    local tail = s:rows(6, 15):norm() -- Eckart & Young 1936
    assert.near(tail, (mcl.lowrank({ rank = 5 }):apply(w):values() - w):norm(), 1e-3)
  end)

  it("keeps the least rank that has the energy", function()
    local _, s = mcl.linalg.svd(w)
    local made = mcl.lowrank({ energy = 0.9 }):apply(w)
    local total = s:square():sum()
    assert.is_true(s:rows(1, made.rank):square():sum() >= 0.9 * total - 1e-3)
    assert.is_true(s:rows(1, made.rank - 1):square():sum() < 0.9 * total)
  end)

  it("holds its factors by another scheme", function()
    local made = mcl.lowrank({ rank = 4, factors = mcl.quantize { bits = 8 } }):apply(w)
    assert.equal("affine", made.parts[1].kind)
    assert.equal("affine", made.parts[2].kind)
  end)

  it("refuses a rank beyond the matrix", function()
    assert.error_matches(function() mcl.lowrank({ rank = 21 }):apply(w) end, "20")
  end)
end)

describe("composition", function()
  it("by .. applies the second to the values of the first", function()
    local scheme = mcl.prune { density = 0.2 } .. mcl.share { bits = 3 }
    local made = scheme:apply(w)
    assert.equal("sparse", made.kind)
    assert.equal("palette", made.parts[1].kind)
    assert.equal(120, made:nonzeros())
    assert.is_true(distinct(made:values()) <= 9)
  end)

  it("by + fits the second to what the first leaves", function()
    local alone = mcl.lowrank({ rank = 3 }):apply(w)
    local both = (mcl.lowrank { rank = 3 } + mcl.prune { density = 0.1 }):apply(w)
    assert.equal("sum", both.kind)
    assert.is_true((both:values() - w):norm() < (alone:values() - w):norm())
  end)

  it("by + alternates: better than a, and then b on the rest", function()
    local a, b = mcl.lowrank { rank = 3 }, mcl.prune { density = 0.1 }
    local first = a:apply(w):values()
    local once = first + b:apply((w - first):eval()):values()
    local function left(values) return (w - values):norm() end
    local function by_sum(alternations)
      return left(mcl.sum({ a, b, alternations = alternations }):apply(w):values())
    end
    assert.near(left(once), by_sum(0), 1e-5)
    assert.equal(by_sum(5), left((a + b):apply(w):values()))
    assert.is_true(by_sum(5) < 0.99 * by_sum(0))
  end)

  it("reads as it was written", function()
    local scheme = mcl.prune { density = 0.08 } .. mcl.share { bits = 5 }
    assert.matches("prune{density=0.08} .. share{bits=5}", tostring(scheme), 1, true)
  end)

  it("takes schemes alone", function()
    assert.error_matches(function() return mcl.prune { density = 0.1 } .. 3 end, "scheme is wanted")
    assert.error_matches(function() return mcl.prune { density = 0.1 } + "x" end, "scheme is wanted")
  end)
end)

describe("a representation", function()
  it("knows its exact coded size, which shrinks with the density", function()
    local dense = core.dense(w)
    assert.is_true(dense:bytes() >= 4 * w.count * 0.8)
    local last = dense:bytes()
    for _, density in ipairs { 0.5, 0.2, 0.05 } do
      local bytes = mcl.prune({ density = density }):apply(w):bytes()
      assert.is_true(bytes < last)
      last = bytes
    end
  end)

  it("is printed by its kind", function()
    assert.matches("sparse", tostring(mcl.prune({ density = 0.1 }):apply(w)))
    assert.error_matches(function() return core.dense(w).codebok end, 'a representation has no "codebok"')
  end)
end)

describe("the distortion", function()
  it("is the squared error without statistics", function()
    local after = mcl.prune({ density = 0.3 }):apply(w)
    local squares = (after:values() - w):square():sum()
    assert.near(squares, core.distortion(core.dense(w), after), 1e-3 * squares)
  end)
end)

describe("a weight with NaN", function()
  it("is refused by name", function()
    local model = support.mlp()
    local bad = model:layer("fc1").weight:copy()
    bad[2][3] = 0 / 0
    model.core:set_values(model:layer("fc1").index, bad)
    assert.error_matches(function() model:compress(mcl.prune { density = 0.5 }) end, "fc1")
  end)
end)
