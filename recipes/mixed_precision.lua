--- Mixed precision: bits per layer under a budget of bytes. Every layer is tried at every width; what each would take
-- in the file is measured exactly, coded, and what it would cost in accuracy is estimated by the error at the layer's
-- output. One solver then chooses a width a layer, so that the file fits and the errors add up to as little as they
-- can.
--
-- Why the error at the output: a wrong weight matters as much as the inputs that meet it. E[x²] of each input column,
-- from calibration, weighs the squared error of the column's weights.
local mcl = require "mcl"

local function widths(opt)
  local list = {}
  for i, bits in ipairs(opt.bits) do
    list[i] = mcl.quantize { bits = bits, group = opt.group }
  end
  return list
end

return mcl.recipe {
  about = "Choose bits per layer under a budget of coded bytes, then fine-tune under the quantisation",

  options = {
    ratio = { 8.0, "how many times smaller than dense the file shall be", min = 1.1, max = 1000 },
    bits = { { 2, 3, 4, 5, 6, 8 }, "the widths to choose from", min = 1, max = 8 },
    group = { -1, "values a scale; -1: a row each, 0: the whole layer", min = -1, max = 65536 },
    epochs = { 1, "training under the quantisation", min = 0, max = 1000 },
    rate = { 0.002, "learning rate", min = 0, max = 10 },
  },

  candidates = widths,

  run = function(model, opt, job)
    local plan = mcl.plan {
      model,
      statistics = job:calibrate "input_square",
      candidates = widths(opt),
      budget = { ratio = opt.ratio, reserve = opt.epochs > 0 and 0.01 or 0 },
    }
    job:log(tostring(plan))
    model:compress(plan)
    job:step "quantised"
    if opt.epochs > 0 then
      model:fit {
        job.data.train, epochs = opt.epochs, rate = opt.rate, schedule = { "cosine" },
        validation = job.data.choose, keep_best = true, within = plan.limit,
      }
    end
  end,
}
