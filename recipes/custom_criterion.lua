--- A criterion of your own: which weights matter is a function that you write, over a weight and what calibration saw
-- at its layer's input. Here it is Wanda's (Sun et al. 2024), |w| · ‖x‖: a weight matters as much as the signal that
-- it passes on. No score is ever stored: the arithmetic is an expression that the engine runs block by block while it
-- picks the threshold.
--
-- To make it yours: change the line of the criterion. w is the weight as a matrix, a row an output; s.input_norm is a
-- row of norms, one an input. Also there, when named in front: input_mean, input_square, zero_rate, fisher.
local mcl = require "mcl"

local wanda = mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }

return mcl.recipe {
  about = "Prune by a criterion written in Lua: weight times the norm of its input (Wanda; Sun et al., 2024)",

  options = {
    density = { 0.4, "fraction of each layer's weights kept", min = 0.001, max = 1 },
    bits = { 6, "codebook bits; 0: the kept weights stay as they are", min = 0, max = 8 },
    epochs = { 0, "training afterwards; the criterion is made to do without", min = 0, max = 1000 },
    rate = { 0.01, "learning rate", min = 0, max = 10 },
  },

  run = function(model, opt, job)
    local scheme = mcl.prune { density = opt.density, by = wanda }
    if opt.bits > 0 then scheme = scheme .. mcl.share { bits = opt.bits } end
    model:compress(scheme)
    job:step "pruned by Wanda"
    if opt.epochs > 0 then
      model:fit {
        job.data.train, epochs = opt.epochs, rate = opt.rate, schedule = { "cosine" },
        validation = job.data.choose, keep_best = true,
      }
    end
  end,
}
