--- Deep Compression (Han, Mao & Dally 2016): prune, share weights, code. The file's entropy coding is the third part
-- and needs no line here.
--
-- 1. Prune. Each stage raises one threshold for the whole net, so that `density` of all weights are left at the end;
--    layers with large weights, such as small convolutions, keep more of them than wide linear layers. Then a stage of
--    training lets the rest make up for it. The paper set a density a layer by hand; one threshold finds them.
-- 2. Share. Each layer's weights become entries of a small codebook (exact k-means), and training goes on with one
--    gradient an entry: the sum over the weights that use it, scaled so that an entry moves as they would on average.
--
-- The best epoch by the held-out part of the training data is kept; the test set is never looked at.
local mcl = require "mcl"

-- The threshold above which `count` weights of all layers lie, by bisection; counting is one pass at memory speed.
local function threshold(layers, count)
  local low, high = 0, 0
  for _, layer in ipairs(layers) do
    high = math.max(high, layer.weight:abs():max())
  end
  for _ = 1, 40 do
    local middle, kept = (low + high) / 2, 0
    for _, layer in ipairs(layers) do
      kept = kept + layer.weight:abs():gt(middle):sum()
    end
    if kept > count then low = middle else high = middle end
  end
  return high
end

return mcl.recipe {
  about = "Prune, share weights, entropy-code: Deep Compression (Han et al., 2016)",

  options = {
    density = { 0.035, "fraction of all weights kept", min = 0.001, max = 1 },
    bits = { 4, "codebook bits of linear layers", min = 1, max = 8 },
    conv_bits = { 5, "codebook bits of convolutions", min = 1, max = 8 },
    stages = { 5, "stages of pruning, an epoch each", min = 1, max = 1000 },
    epochs = { 3, "training after the last stage", min = 0, max = 1000 },
    share_epochs = { 1, "training of the codebooks", min = 0, max = 1000 },
    rate = { 0.03, "learning rate while pruning", min = 0, max = 10 },
    share_rate = { 0.1, "learning rate of the codebooks", min = 0, max = 10 },
    weight_decay = { 1e-4, "pull of the weights towards zero while pruning", min = 0, max = 1 },
    batch = { 64, "images a step", min = 1, max = 65536 },
    shift = { 1, "augmentation of images: pixels moved at most", min = 0, max = 8 },
  },

  fits = function(opt) return opt.stages + (opt.epochs > 0 and 1 or 0) + (opt.share_epochs > 0 and 1 or 0) end,

  run = function(model, opt, job)
    local layers, total = model:layers(), 0
    for _, layer in ipairs(layers) do
      total = total + layer.count
    end

    local function fit(epochs, rate, schedule, weight_decay)
      model:fit {
        job.data.train, epochs = epochs, batch = opt.batch, rate = rate, nesterov = true, schedule = { schedule },
        weight_decay = weight_decay, augment = job:augment { shift = opt.shift },
        validation = job.data.choose, keep_best = schedule == "cosine",
      }
    end

    for stage = 1, opt.stages do
      local left = 1 - stage / opt.stages
      local density = opt.density + (1 - opt.density) * left ^ 3
      model:compress(mcl.prune { threshold = threshold(model:layers(), density * total) })
      fit(1, opt.rate, "constant", opt.weight_decay)
    end
    if opt.epochs > 0 then fit(opt.epochs, opt.rate, "cosine", opt.weight_decay) end
    job:step "pruned"

    local kept = mcl.prune { threshold = 0 } -- what is zero stays zero
    local schemes = {}
    for _, layer in ipairs(layers) do
      schemes[layer.name] = kept .. mcl.share { bits = layer.op == "conv" and opt.conv_bits or opt.bits }
    end
    model:compress(schemes)
    if opt.share_epochs > 0 then fit(opt.share_epochs, opt.share_rate, "cosine", 0) end
    for _, layer in ipairs(model:layers()) do -- 8 bits of mantissa are plenty for a bias
      if layer.bias then layer.bias = layer.bias:to("bf16"):to "f32" end
    end
    job:step "shared"
  end,
}
