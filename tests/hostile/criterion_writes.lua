-- What a criterion is shown is written to: the weight, views of it, the statistics.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
local model = mcl.nn.sequential {
  input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
}:build { seed = 1 }
local copy, data = model:copy(), mcl.random({ 64, 8 }, { seed = 1 })
local statistics = model:calibrate(data, { "input_norm", "zero_rate", "gram" })
local before, gram = copy:layers()[1].weight, statistics[model:layers()[1].index].gram:copy()
local refused = 0
local function write(t)
  for _, attempt in ipairs {
    function() t:set(0) end, function() t[1] = 0 end, function() t:rows(1, 1):set(0) end,
    function() t:reshape({ t.count }):set(0) end, function() t:to("f32"):set(0) end, function() t:eval():set(0) end,
    function() mcl.tensor(t):set(0) end,
  } do
    assert(not pcall(attempt))
    refused = refused + 1
  end
end
local by = mcl.criterion { "input_norm", "zero_rate", "gram", function(w, s)
  write(w)
  write(s.input_norm)
  write(s.zero_rate)
  write(s.gram)
  local own = w:copy()
  own:set(0) -- a copy is its own
  return w:abs()
end }
model:compress(mcl.prune { density = 0.5, by = by } .. mcl.share { bits = 2 }, { statistics = statistics })
assert(refused > 0)
assert((copy:layers()[1].weight - before):abs():max() == 0)
assert((statistics[model:layers()[1].index].gram - gram):abs():max() == 0)
for _, layer in ipairs(model:layers()) do
  write(layer.weight)
  write(layer.bias)
  write(layer.representation:values())
end
-- and the other way: what was given is not changed by what is done to it later
local t = mcl.random({ 4, 4 }, { seed = 2 })
local held, kept = core.dense(t), mcl.keep():apply(t)
local norm = t:norm()
t:set(0)
assert(held:values():norm() == norm and kept:values():norm() == norm)
