









local mcl = require "mcl"

return mcl.recipe {
  about = "Prune in stages, then share weights",
  options = {
    density = { 0.08, "fraction of weights kept", min = 0.001, max = 1 },
    bits    = { 5, "codebook bits", min = 1, max = 8 },
  },
  run = function(model, opt, job)
    for _, density in ipairs { 0.5, 0.25, 0.15, opt.density } do
      model:compress(mcl.prune { density = density })
      model:fit { job.data.train, epochs = 2 }
    end
    model:compress(mcl.prune { density = opt.density } .. mcl.share { bits = opt.bits })
    model:fit { job.data.train, epochs = 2, rate = 0.001 }
  end,
}
