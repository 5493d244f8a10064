-- Models from Lua: layers, compression, training, evaluation, files.
local mcl = require "mcl"
local core = require "mcl.core"
local support = dofile "spec/support.lua"

local function temporary(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

describe("a model", function()
  local model
  before_each(function()
    model = support.mlp()
  end)

  it("shows its layers with what recipes need", function()
    local layers = model:layers()
    assert.equal(2, #layers)
    local fc1 = layers[1]
    assert.equal("fc1", fc1.name)
    assert.equal("linear", fc1.op)
    assert.equal("linear", fc1.kind)
    assert.equal("fc1.weight", fc1.weight_name)
    assert.same({ 8, 6 }, fc1.shape)
    assert.equal(48, fc1.count)
    assert.equal(48, fc1.multiply_adds)
    assert.same({ 8, 6 }, fc1.weight.shape)
    assert.same({ 8 }, fc1.bias.shape)
    assert.equal(1, fc1.density)
    assert.is_nil(support.convnet():layer("conv1").bias)
    assert.error_matches(function() return fc1.wieght end, 'unknown field "wieght"; did you mean "weight"')
  end)

  it("tells the nearest method where one is misspelt", function()
    assert.error_matches(function() model:comress(mcl.share { bits = 2 }) end, 'did you mean "compress"')
  end)

  it("lets weight and bias of a layer be set, to finite tensors, and nothing else", function()
    local fc1 = model:layer("fc1")
    fc1.weight = fc1.weight:round()
    assert.equal(0, (fc1.weight - fc1.weight:round()):abs():max())
    assert.error_matches(function() fc1.name = "other" end, "name cannot be set")
    assert.error_matches(function() fc1.weight = 3 end, "layer fc1: weight: a tensor or an expression is wanted")
    assert.error_matches(function() fc1.bias = fc1.bias / 0 - fc1.bias / 0 end, "layer fc1: bias: NaN")
  end)

  it("shows weights to be read: what is written to them would be lost, so it is refused with the remedy", function()
    local m = support.mlp()
    local layer = m:layer "fc1"
    local remedy = "local w = layer.weight:copy() … layer.weight = w"
    local refused = {
      function() layer.weight[1] = 0 end,
      function() layer.weight[1][2] = 0 end,
      function() layer.bias[1] = 0 end,
      function() layer.weight:set(0) end,
      function() layer.weight:rows(1, 2):reshape({ -1 }):set(0) end,
      function() layer.representation:values():set(0) end,
      function() mcl.share({ bits = 2 }):apply(layer.weight).codebook[1] = 0 end,
      function() m:calibrate(mcl.zeros { 4, 6 }, "gram")[layer.index].gram[1][1] = 0 end,
    }
    for _, write in ipairs(refused) do
      local ok, message = pcall(write)
      assert.is_false(ok)
      assert.truthy(message:find(remedy, 1, true), message)
    end
    local w = layer.weight:copy()
    w[1][2] = 7
    layer.weight = w
    assert.equal(7, layer.weight[1][2])
    w[1][2] = 8
    assert.equal(7, layer.weight[1][2])
  end)

  it("warns where an assignment makes a compressed weight dense", function()
    local m = support.mlp()
    local layer = m:layer "fc1"
    local lines = {}
    require("mcl.core").context { log = function(level, line) lines[#lines + 1] = level .. ": " .. line end }
    layer.weight = layer.weight * 2
    assert.same({}, lines)
    m:compress(mcl.prune { density = 0.25 })
    layer.weight = layer.weight * 2
    require("mcl.core").context { log = function() end }
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("warning: layer fc1: weight: was sparse", 1, true), lines[1])
    assert.equal("dense", layer.representation.kind)
  end)

  it("refuses what fit cannot use", function()
    local data = support.dataset()
    assert.error_matches(function() model:fit { data, validation = 0.1 } end, "validation: a dataset")
    assert.error_matches(function() model:fit { data, loss = function() return 3 end } end, "comes with the gradient")
  end)

  it("counts its parameters and multiply-adds", function()
    assert.equal(48 + 8 + 24 + 3, model:parameters())
    assert.equal(48 + 24, model:multiply_adds())
    assert.equal(4 * 9 * 36 + 6 * 36 * 4 + 5 * 24, support.convnet():multiply_adds())
  end)

  it("prints a line a layer", function()
    assert.matches("^model mlp: 2 layers, 83 parameters\n  fc1 .* linear .* 8x6", tostring(model))
    assert.matches("layer fc2: linear 3x8", tostring(model:layer "fc2"))
  end)

  it("computes what its weights say", function()
    local x = core.random({ 4, 6 }, { seed = 9, kind = "normal" })
    local fc1, fc2 = model:layer "fc1", model:layer "fc2"
    local h = (x:matmul(fc1.weight:transpose()) + fc1.bias):relu()
    local y = h:matmul(fc2.weight:transpose()) + fc2.bias
    assert.near(0, (model:run(x) - y):abs():max(), 1e-5)
    assert.near(0, (model:run { x = x } - y):abs():max(), 1e-5)
  end)

  it("runs any number of rows", function()
    local x = core.random({ 600, 6 }, { seed = 9 })
    local all = model:run(x)
    assert.near(0, (all:rows(599, 2) - model:run(x:rows(599, 2))):abs():max(), 1e-6)
    assert.same({ 0, 3 }, model:run(core.zeros { 0, 6 }).shape)
  end)

  it("takes its rows from inputs that are used, and computes what needs no rows", function()
    local two = core.model "two"
    local x, unused = two:add_input("x", { -1, 2 }), two:add_input("unused", { -1 })
    local fixed = two:add_input("fixed", { 2 })
    assert.is_number(unused)
    two:add_output(two:add_node("relu", "y", nil, { x }))
    two:add_output(two:add_node("relu", "z", nil, { fixed }))
    local given = { x = core.tensor { { 1, -2 }, { -3, 4 } }, unused = core.zeros { 0 }, fixed = core.tensor { 5, -6 } }
    local y, z = two:run(given)
    assert.same({ { 1, 0 }, { 0, 4 } }, y:totable())
    assert.same({ 5, 0 }, z:totable())
    given.x = core.zeros { 0, 2 }
    y, z = two:run(given)
    assert.same({ 0, 2 }, y.shape)
    assert.same({ 5, 0 }, z:totable())
  end)

  it("refuses inputs of the wrong shape or name", function()
    assert.error_matches(function() model:run(core.zeros { 2, 5 }) end, 'input "x" has shape 2x6, but got 2x5')
    assert.error_matches(function() model:run { y = core.zeros { 2, 6 } } end, 'input "x" is missing')
    assert.error_matches(function() model:run(3) end, "tensor is wanted")
  end)

  it("takes new weights, and refuses those of another shape", function()
    model:layer("fc1").weight = core.zeros { 8, 6 }
    assert.equal(0, model:layer("fc1").weight:abs():sum())
    assert.error_matches(function() model:layer("fc1").weight = core.zeros { 6, 8 } end, "6x8")
    assert.error_matches(function() model:layer("fc1").colour = "red" end, "colour cannot be set")
  end)

  it("is refused where a node cannot be", function()
    local m = core.model "bad"
    local x = m:add_input("x", { -1, 6 })
    assert.error_matches(function() m:add_node("liner", "fc", nil, { x }) end, 'op "liner" is unknown')
    assert.error_matches(function() m:add_node("relu", "r", { slope = 1 }, { x }) end, 'no attribute "slope"')
    assert.error_matches(function()
      m:add_node("linear", "fc", nil, { x, m:add_weight("w", core.zeros { 3, 5 }) })
    end, "fc")
  end)

  it("has gradients that agree with finite differences", function()
    local worst = mcl.gradcheck(model, { samples = 0 })
    assert.is_true(worst < 1e-2, worst)
    assert.is_true(mcl.gradcheck(support.convnet()) < 1e-2)
  end)
end)

describe("compress", function()
  it("changes all layers' weights, and neither biases nor inputs", function()
    local model = support.mlp()
    model:compress { mcl.prune { density = 0.5 } }
    assert.equal(24, model:layer("fc1").representation:nonzeros())
    assert.equal(12, model:layer("fc2").representation:nonzeros())
    assert.equal(0.5, model:layer("fc1").density)
    for _, weight in ipairs(model:weights()) do
      if weight.name:find "bias" then assert.equal("dense", weight.kind) end
    end
  end)

  it("leaves the model as it was when one layer cannot", function()
    local model = support.mlp()
    local ok, message = pcall(model.compress, model, { fc1 = mcl.share { bits = 2 }, fc2 = mcl.lowrank { rank = 7 } })
    assert.is_false(ok)
    assert.matches("layer fc2: ", message, 1, true)
    assert.equal("dense", model:layer("fc1").representation.kind)
  end)

  it("refuses what is no scheme", function()
    local model = support.mlp()
    assert.error_matches(function() model:compress(3) end, "a scheme, a plan or { selector = scheme } is wanted")
    assert.error_matches(function() model:compress {} end, "the table is empty")
    assert.error_matches(function() model:compress { fc1 = 3 } end, "layer fc1: a scheme or false is wanted")
    assert.error_matches(function() model:compress { mcl.prune { density = 1 }, 2 } end, "selector: a text is wanted")
  end)

  it("tells the hook what was done", function()
    local model, told = support.mlp(), nil
    model.hooks = { after_compress = function(_, what) told = what end }
    model:compress { fc1 = mcl.share { bits = 2 } }
    assert.equal("fc1: share{bits=2}", told)
  end)

  it("makes the file smaller, and says by how much beforehand", function()
    local model = support.mlp()
    local before = model:size()
    model:compress(mcl.prune { density = 0.2 } .. mcl.share { bits = 2 })
    assert.is_true(model:size() < before)
    local path = temporary ".mcl"
    model:save(path)
    local file = assert(io.open(path, "rb"))
    assert.equal(#file:read "a", model:size())
    file:close()
    os.remove(path)
  end)
end)

describe("a copy", function()
  it("does not follow its original", function()
    local model = support.mlp()
    local copy = model:copy()
    model:compress(mcl.prune { density = 0.5 })
    assert.equal("dense", copy:layer("fc1").representation.kind)
    copy:fit { support.dataset(60), epochs = 1 }
    assert.equal(24, model:layer("fc1").representation:nonzeros())
  end)
end)

describe("fit", function()
  it("learns what can be learnt", function()
    local model, data = support.mlp(), support.dataset(600)
    local before = model:evaluate(data)
    local report = model:fit { data, epochs = 15, rate = 0.05, batch = 20 }
    local after = model:evaluate(data)
    assert.equal(15, report.epoch)
    assert.is_true(after.loss < before.loss)
    assert.is_true(after.accuracy > 0.85, after.accuracy)
    assert.near(1, after.accuracy + after.error, 1e-12)
    assert.equal(600, after.count)
  end)

  it("keeps pruned weights at zero, and shared ones shared", function()
    local model = support.mlp()
    model:compress(mcl.prune { density = 0.5 } .. mcl.share { bits = 2 })
    local gone = model:layer("fc1").weight:eq(0):eval()
    model:fit { support.dataset(), epochs = 2, rate = 0.05 }
    local layer = model:layer "fc1"
    assert.equal(24, layer.representation:nonzeros())
    assert.equal(0, (gone * layer.weight):abs():sum())
    local seen, count = {}, 0
    for _, value in ipairs(layer.weight:reshape({ -1 }):totable()) do
      if not seen[value] then count = count + 1 end
      seen[value] = true
    end
    assert.is_true(count <= 5)
  end)

  it("gives the same weights for the same seed", function()
    local a, b = support.mlp(), support.mlp()
    a:fit { support.dataset(), epochs = 2, seed = 7 }
    b:fit { support.dataset(), epochs = 2, seed = 7 }
    assert.equal(0, (a:layer("fc1").weight - b:layer("fc1").weight):abs():max())
  end)

  it("takes a loss written in Lua, as an expression", function()
    local builtin, written = support.mlp(), support.mlp()
    local x = core.random({ 100, 6 }, { seed = 1, kind = "normal" })
    local data = core.dataset(x, core.random({ 100, 3 }, { seed = 2 }), 1, 0)
    builtin:fit { data, loss = "mse", epochs = 3, rate = 0.01, batch = 25, seed = 1 }
    written:fit {
      data, epochs = 3, rate = 0.01, batch = 25, seed = 1,
      loss = function(output, target) return (output - target):square() / output.shape[2] end,
    }
    assert.near(0, (builtin:layer("fc1").weight - written:layer("fc1").weight):abs():max(), 1e-4)
  end)

  it("takes a loss written in Lua with its own gradient", function()
    local a, b = support.mlp(), support.mlp()
    local x = core.random({ 100, 6 }, { seed = 1, kind = "normal" })
    local data = core.dataset(x, core.random({ 100, 3 }, { seed = 2 }), 1, 0)
    a:fit { data, epochs = 1, rate = 0.01, loss = function(y, t) return (y - t):square() end }
    b:fit { data, epochs = 1, rate = 0.01, loss = function(y, t)
      return (y - t):square():sum() / #y, 2 * (y - t) / #y
    end }
    assert.near(0, (a:layer("fc1").weight - b:layer("fc1").weight):abs():max(), 1e-5)
  end)

  it("takes a penalty: weights shrink under it", function()
    local free, pulled = support.mlp(), support.mlp()
    local names = {}
    free:fit { support.dataset(), epochs = 3, rate = 0.02 }
    pulled:fit { support.dataset(), epochs = 3, rate = 0.02, penalty = function(w, name)
      names[name] = true
      return name:find "weight" and 0.1 * w:square() or nil
    end }
    assert.is_true(pulled:layer("fc1").weight:norm() < free:layer("fc1").weight:norm())
    assert.is_true(names["fc1.weight"] and names["fc2.bias"])
  end)

  it("calls epoch_end with a report, and ends when it returns false", function()
    local epochs = {}
    local function epoch_end(report)
      epochs[#epochs + 1] = report.epoch
      assert(report.validation_accuracy and report.loss and report.rate)
      return report.epoch < 2
    end
    support.mlp():fit {
      support.dataset(), epochs = 5, validation = support.dataset(60, 12), epoch_end = epoch_end,
    }
    assert.same({ 1, 2 }, epochs)
  end)

  it("lets an error in a callback out, as it was", function()
    local mine = {}
    for _, name in ipairs { "loss", "penalty", "epoch_end" } do
      local ok, caught = pcall(function()
        local options = { support.dataset() }
        options[name] = function() error(mine) end
        support.mlp():fit(options)
      end)
      assert.is_false(ok)
      assert.equal(mine, caught)
    end
  end)

  it("lets Lua keep what a callback was given", function()
    local kept = {}
    support.mlp():fit { support.dataset(60), epochs = 1, loss = function(output)
      kept[#kept + 1] = output * 2
      return output:square()
    end, penalty = function(w)
      kept[#kept + 1] = w * 2
    end }
    collectgarbage()
    for _, expression in ipairs(kept) do
      assert.is_true(expression:abs():sum() < 1e6)
    end
  end)

  it("shows its model to a callback, which can keep a copy and cannot change it", function()
    local data = support.dataset()
    local model = support.mlp()
    local copy, repr, loss
    model:fit { data, epochs = 3, epoch_end = function(report)
      if report.epoch > 1 then return end
      copy, repr, loss = model:copy(), model:layer("fc1").representation, model:evaluate(data).loss
      local changes = {
        function() model:layer("fc1").weight = mcl.zeros { 8, 6 } end,
        function() model:compress(mcl.prune { density = 0.5 }) end,
        function() model:fit { data, epochs = 1 } end,
        function() model.core:add_weight("more", mcl.zeros { 3 }) end,
        function() model.core:check_gradients() end,
      }
      for _, change in ipairs(changes) do
        assert.error_matches(change, "is being trained, and functions that the fit calls cannot change it")
      end
      copy:layer("fc2").bias = mcl.zeros { 3 } -- another model can be
      copy:layer("fc2").bias = model:layer("fc2").bias
    end }
    assert.equal(loss, copy:evaluate(data).loss)
    assert.equal(0, (repr:values() - copy:layer("fc1").weight):abs():max())
    assert.not_equal(loss, model:evaluate(data).loss)
  end)

  it("of no epochs does nothing", function()
    local model = support.mlp()
    local before = model:layer("fc1").weight
    assert.equal(0, model:fit({ support.dataset(), epochs = 0 }).epoch)
    assert.equal(0, (model:layer("fc1").weight - before):abs():max())
  end)

  it("goes on from a checkpoint of the same data and functions alone", function()
    local path = os.tmpname()
    local function epochs(dataset, loss, stop)
      local seen = 0
      pcall(function()
        support.mlp():fit { dataset, epochs = 3, checkpoint = path, loss = loss, epoch_end = function()
          seen = seen + 1
          if seen == stop then error "stopped" end
        end }
      end)
      return seen
    end
    local function squares(factor) return function(y, t) return (y - t):square() * factor end end
    epochs(support.dataset(), squares(1), 2)
    assert.equal(2, epochs(support.dataset(), squares(1))) -- the second epoch had not been saved
    epochs(support.dataset(), squares(1), 2)
    assert.equal(3, epochs(support.dataset(), squares(2)))
    epochs(support.dataset(), squares(1), 2)
    assert.equal(3, epochs(support.dataset(300, 12), squares(1)))
    os.remove(path)
    os.remove(path .. ".fit")
  end)

  it("checks its keys", function()
    local model, data = support.mlp(), support.dataset()
    assert.error_matches(function() model:fit { data, epoch = 2 } end, 'unknown key "epoch"; did you mean "epochs"')
    assert.error_matches(function() model:fit { epochs = 2 } end, "the first item is the data")
    local wrong = { "cosine", warmpu = 1 }
    assert.error_matches(function() model:fit { data, schedule = wrong } end, 'did you mean "warmup"')
    assert.error_matches(function() model:fit { data, optimiser = "sgdd" } end, "sgdd")
    assert.error_matches(function() model:fit { data, rate = -1 } end, "out of range")
  end)

  it("leaves a fit out when the hook has its report, and tells the other hook", function()
    local model, told = support.mlp(), nil
    local before = model:layer("fc1").weight
    model.hooks = {
      before_fit = function() return { epoch = 9 } end,
      after_fit = function(_, report) told = report.epoch end,
    }
    model:fit { support.dataset() }
    assert.equal(9, told)
    assert.equal(0, (model:layer("fc1").weight - before):abs():max())
  end)
end)

describe("calibrate", function()
  it("says that there are no rows", function()
    local model = support.mlp()
    assert.error_matches(function() model:calibrate(core.zeros { 0, 6 }, { "input_norm" }) end, "no rows")
  end)

  it("collects what is named, by weight", function()
    local model, data = support.mlp(), support.dataset()
    local statistics = model:calibrate(data, { "input_norm", "input_mean", "gram" })
    local seen = statistics[model:layer("fc1").index]
    local x = data:rows()
    assert.near(0, (seen.input_norm - x:norm(1)):abs():max(), 1e-3)
    assert.near(0, (seen.input_mean - x:mean(1)):abs():max(), 1e-5)
    assert.near(0, (seen.gram - x:transpose():matmul(x) / 300):abs():max(), 1e-4)
    assert.equal(300, seen.rows_seen)
    assert.is_nil(seen.fisher)
    assert.error_matches(function() return seen.norms end, 'no "norms"')
  end)

  it("needs labels for the Fisher diagonal alone", function()
    local model, data = support.mlp(), support.dataset()
    local seen = model:calibrate(data, { "fisher" })[model:layer("fc1").index]
    assert.same({ 8, 6 }, seen.fisher.shape)
    assert.is_true(seen.fisher:min() >= 0 and seen.fisher:max() > 0)
  end)

  it("refuses names it does not know", function()
    local model = support.mlp()
    assert.error_matches(function() model:calibrate(support.dataset(), { "norm" }) end, '"norm" is none of')
    assert.error_matches(function() model:calibrate(nil, { "gram" }) end, "a dataset or a tensor is wanted")
  end)
end)

describe("files", function()
  it("give back the model that was saved, exactly", function()
    local model = support.convnet()
    model:compress { ["@conv"] = mcl.quantize { bits = 4 }, ["@linear"] = mcl.prune { density = 0.3 } }
    local x = core.random({ 3, 1, 8, 8 }, { seed = 1 })
    for _, ending in ipairs { ".mcl", ".bin" } do
      local path = temporary(ending)
      model:save(path)
      local loaded = mcl.load(path)
      assert.equal(0, (loaded:run(x) - model:run(x)):abs():max())
      core.verify(path)
      os.remove(path)
    end
  end)

  it("keep representations in a .bin when asked", function()
    local model, path = support.mlp(), temporary ".bin"
    model:compress(mcl.share { bits = 3 })
    model:save(path, { keep = true })
    assert.equal("palette", mcl.load(path):layer("fc1").representation.kind)
    os.remove(path)
  end)

  it("are inspected without decoding", function()
    local model, path = support.mlp(), temporary ".mcl"
    model:compress(mcl.prune { density = 0.25 })
    model:save(path)
    local info = core.inspect(path)
    assert.equal(model:size(), info.bytes)
    assert.equal(4 * 83, info.dense_bytes)
    assert.near(info.dense_bytes / info.bytes, info.ratio, 1e-9)
    assert.equal("fc1.weight", info.layers[1].name)
    assert.near(0.25, info.layers[1].density, 1e-9)
    assert.is_true(info.layers[1].bytes.coded > 0)
    os.remove(path)
  end)

  it("that are missing or not models are refused by name", function()
    assert.error_matches(function() mcl.load "/nowhere/net.mcl" end, "/nowhere/net.mcl")
    local path = temporary ".mcl"
    core.write_file(path, "not a container")
    assert.error_matches(function() mcl.load(path) end, (path:gsub("%p", "%%%0")))
    os.remove(path)
    assert.error_matches(function() support.mlp():save "/nowhere/net.mcl" end, "/nowhere")
  end)
end)
