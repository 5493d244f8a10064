-- Statistics, the scheme and the weight are closed by the criterion that runs over them.
-- ends: well
local mcl = require "mcl"
local model = mcl.nn.sequential {
  input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
}:build { seed = 1 }
local statistics = model:calibrate(mcl.random({ 64, 8 }, { seed = 1 }), { "input_norm", "input_square", "gram" })
local scheme
local by = mcl.criterion { "input_norm", function(w, s)
  for _, one in pairs(statistics) do
    local _ <close> = one
  end
  do
    local _ <close> = scheme
  end
  local score = w:abs() * s.input_norm
  do
    local _ <close> = s.input_norm
    local _ <close> = w
  end
  return score
end }
scheme = mcl.prune { density = 0.5, by = by } .. mcl.share { bits = 2, weighted = true }
pcall(model.compress, model, scheme, { statistics = statistics })
assert(not pcall(tostring, scheme))
local repr = model:layers()[1].representation
local plain = mcl.prune { density = 0.5, by = function(w)
  local _ <close> = repr
  return w:abs()
end }
assert(plain:apply(repr):nonzeros() == 32)
