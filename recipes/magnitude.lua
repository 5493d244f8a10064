--- Magnitude pruning: keep the largest weights of each layer, a few more go at each stage, and what is left is
-- trained on (Han et al. 2015). The simplest recipe that does real work, and the one to copy first.
--
-- Why in stages: a net that loses most of its weights at once does not find back; one that loses them little by little
-- does. The cubic schedule of Zhu & Gupta 2017 takes much while there is much to spare, and little at the end.
local mcl = require "mcl"

return mcl.recipe {
  about = "Prune the smallest weights of each layer in stages, training in between (Han et al., 2015)",

  options = {
    density = { 0.1, "fraction of each layer's weights kept", min = 0.001, max = 1 },
    stages = { 4, "steps in which weights are taken away", min = 1, max = 100 },
    epochs = { 1, "training after each stage; the last stage has twice as much", min = 0, max = 1000 },
    rate = { 0.01, "learning rate", min = 0, max = 10 },
    shift = { 1, "augmentation of images: pixels moved at most", min = 0, max = 8 },
  },

  fits = function(opt) return opt.epochs > 0 and opt.stages or 0 end,

  run = function(model, opt, job)
    if not job.has_data then job:log "no data: pruned without training" end
    for stage = 1, opt.stages do
      local left = 1 - stage / opt.stages
      local density = opt.density + (1 - opt.density) * left ^ 3
      model:compress(mcl.prune { density = density })

      local last = stage == opt.stages
      if opt.epochs > 0 and job.has_data then
        model:fit {
          job.data.train,
          epochs = last and 2 * opt.epochs or opt.epochs,
          rate = opt.rate,
          schedule = { last and "cosine" or "constant" },
          augment = job:augment { shift = opt.shift },
          validation = job.data.choose,
          keep_best = last,
        }
      end
      job:step(("density %.3f"):format(density))
    end
  end,
}
