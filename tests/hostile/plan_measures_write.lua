-- Candidates and the measure of a plan write to what they are shown.
-- ends: well
local mcl = require "mcl"
local model = mcl.nn.sequential {
  input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
}:build { seed = 1 }
local data = mcl.random({ 64, 8 }, { seed = 1 })
local before = model:layers()[1].weight
local statistics = model:calibrate(data, { "input_square" })
local measured = 0
mcl.plan {
  model, statistics = statistics, budget = { ratio = 0.1 },
  candidates = function(layer)
    assert(not pcall(function() layer.weight:set(0) end))
    return { mcl.share { bits = 1 }, mcl.quantize { bits = 4 } }
  end,
  distortion = function(_, was, is, seen)
    measured = measured + 1
    assert(not pcall(function() was:values():set(0) end))
    assert(not pcall(function() is:values():set(0) end))
    assert(not pcall(function() seen.input_square:set(0) end))
    return measured
  end,
}
pcall(mcl.plan, {
  model, budget = { ratio = 0.1 }, candidates = { mcl.share { bits = 1 } },
  distortion = function(_, was, is)
    local _ <close> = was
    local _ <close> = is
    return 1
  end,
})
assert(measured > 0 and (model:layers()[1].weight - before):abs():max() == 0)
