--- Rank search: how many singular values each layer may keep, under a budget of bytes. Each layer is tried at several
-- ranks, its factors in 8 bits; one solver chooses a rank a layer, or none where low rank does not pay; then the
-- factors are trained on (Denton et al. 2014; the allocation after Idelbayev & Carreira-Perpiñán 2020).
--
-- Why a search: the spectra of layers differ. A wide linear layer may lose nine tenths of its rank unnoticed, a small
-- convolution none. The squared error of a cut is the sum of the squared singular values left out, so layers compare.
local mcl = require "mcl"

-- Ranks to try: fractions of the full rank, without repeats.
local function candidates(layer, opt)
  local cols = layer.count // layer.shape[1]
  local full = math.min(layer.shape[1], cols)
  local factors = mcl.quantize { bits = opt.bits, group = -1 }
  local list, seen = { mcl.quantize { bits = opt.bits, group = -1 } }, {}
  for _, share in ipairs(opt.shares) do
    local rank = math.max(1, math.floor(full * share + 0.5))
    if not seen[rank] and rank * (layer.shape[1] + cols) < layer.count then
      seen[rank] = true
      list[#list + 1] = mcl.lowrank { rank = rank, factors = factors }
    end
  end
  return list
end

return mcl.recipe {
  about = "Choose a rank per layer under a budget of coded bytes, then train the factors on",

  options = {
    ratio = { 10.0, "how many times smaller than dense the file shall be", min = 1.1, max = 1000 },
    shares = { { 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5 }, "ranks to try, fractions of the full", min = 0.001, max = 1 },
    bits = { 8, "bits of the factors", min = 2, max = 8 },
    epochs = { 2, "training of the factors", min = 0, max = 1000 },
    rate = { 0.01, "learning rate", min = 0, max = 10 },
  },

  run = function(model, opt, job)
    local plan = mcl.plan {
      model,
      statistics = job:calibrate "input_square",
      candidates = function(layer) return candidates(layer, opt) end,
      budget = { ratio = opt.ratio, reserve = opt.epochs > 0 and 0.01 or 0 },
    }
    job:log(tostring(plan))
    model:compress(plan)
    job:step "factorised"
    if opt.epochs > 0 then
      model:fit {
        job.data.train, epochs = opt.epochs, rate = opt.rate, schedule = { "cosine" },
        validation = job.data.choose, keep_best = true, within = plan.limit,
      }
    end
  end,
}
