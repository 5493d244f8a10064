--- Schemes: functions from a weight (and its layer's statistics) to a representation. They are made here with their
-- keys checked, and are C objects from then on: `a .. b` is a, then b; `a + b` is their sum, fitted by alternation.
local core = require "mcl.core"
local check = require "mcl.check"
local criterion = require "mcl.criterion"

local scheme = {}

function scheme.is(value)
  return core.type(value) == "scheme"
end

--- Keeps the weights that matter most: density (a fraction), or threshold (a score). by: "magnitude" (the preset), a
-- criterion, or a function(w).
function scheme.prune(options)
  check.keys(options, { "density", "threshold", "by" }, "prune")
  local density = check.number(options.density, "prune: density", { 0, 1 })
  local threshold = check.number(options.threshold, "prune: threshold", { -math.huge, math.huge })
  if (density == nil) == (threshold == nil) then
    check.fail("prune: give density, the fraction of weights kept, or threshold")
  end
  if density == 0 then check.fail("prune: density: 0 would keep nothing; it is above 0, at most 1") end
  local by = options.by
  if type(by) == "function" then by = criterion.new { by } end
  if by == nil or by == "magnitude" then return core.prune { density = density, threshold = threshold } end
  if not criterion.is(by) then
    check.fail('prune: by is "magnitude", a criterion or a function, got %s', tostring(by))
  end
  return core.prune {
    density = density, threshold = threshold, by = by.score, statistics = by.statistics, name = by.name,
  }
end

--- Weights share the entries of a codebook. bits 1 … 8, or entries 1 … 256. init: "exact" (k-means by dynamic
-- programming; the preset), "linear", "density", "random". half: entries in f16. weighted: errors count by the inputs.
function scheme.share(options)
  check.keys(options, { "bits", "entries", "init", "iterations", "seed", "half", "weighted" }, "share")
  check.number(options.bits, "share: bits", { 1, 8, integer = true })
  check.number(options.entries, "share: entries", { 1, 256, integer = true })
  if (options.bits == nil) == (options.entries == nil) then
    check.fail("share: give bits, 1 … 8, or entries, 1 … 256")
  end
  return core.share(options)
end

--- Affine quantisation, 1 … 8 bits. group: "tensor" (the preset; 0), "channel" (-1), or how many values a scale.
-- asymmetric: with zero points. minimise: search the clipping with the least error (the preset), else the full range.
function scheme.quantize(options)
  check.keys(options, { "bits", "group", "asymmetric", "minimise", "half", "weighted" }, "quantize")
  if options.bits == nil then check.fail("quantize: bits is wanted, 1 … 8") end
  check.number(options.bits, "quantize: bits", { 1, 8, integer = true })
  local group = options.group
  if group == "tensor" then
    group = 0
  elseif group == "channel" then
    group = -1
  elseif group ~= nil and type(group) ~= "number" then
    check.fail('quantize: group is "tensor", "channel" or a number of values, got %s', tostring(group))
  end
  check.number(group, "quantize: group", { -1, math.maxinteger, integer = true })
  local copy = {}
  for key, value in pairs(options) do
    copy[key] = value
  end
  copy.group = group
  return core.quantize(copy)
end

--- A product of two thin matrices: rank, or energy, the share of the squared singular values kept. factors: a scheme
-- for both. whiten: minimise the error of the layer's output, by its inputs' Gram matrix.
function scheme.lowrank(options)
  check.keys(options, { "rank", "energy", "factors", "whiten" }, "lowrank")
  check.number(options.rank, "lowrank: rank", { 1, math.maxinteger, integer = true })
  check.number(options.energy, "lowrank: energy", { 0, 1 })
  if (options.rank == nil) == (options.energy == nil) then
    check.fail("lowrank: give rank, or energy, the share of the squared singular values kept")
  end
  return core.lowrank(options)
end

--- Dense, as it is; dtype: "f32" (the preset), "f16", "bf16".
function scheme.keep(options)
  options = options or {}
  check.keys(options, { "dtype" }, "keep")
  return core.keep(options)
end

--- The sum of two schemes with a chosen number of alternations: mcl.sum { a, b, alternations = 10 }, from 0. `a + b`
-- has 5.
function scheme.sum(options)
  check.keys(options, { 1, 2, "alternations" }, "sum")
  if not scheme.is(options[1]) or not scheme.is(options[2]) then check.fail("sum: two schemes are wanted") end
  return core.sum(options[1], options[2], options.alternations)
end

return scheme
