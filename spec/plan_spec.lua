-- Plans: one scheme a layer, under a budget in exact bytes of the file.
local mcl = require "mcl"
local core = require "mcl.core"
local support = dofile "spec/support.lua"

local function widths()
  local list = {}
  for bits = 1, 8 do
    list[bits] = mcl.share { bits = bits }
  end
  return list
end

-- Larger than the other specs' models, so that codebooks pay.
local function net()
  local m = core.model "net"
  local x = m:add_input("x", { -1, 40 })
  for i, size in ipairs { 60, 50, 10 } do
    local cols = i == 1 and 40 or i == 2 and 60 or 50
    local w = core.random({ size, cols }, { seed = i, kind = "normal", scale = i })
    x = m:add_node("linear", "fc" .. i, nil, { x, m:add_weight(("fc%d.weight"):format(i), w) })
    if i < 3 then x = m:add_node("relu", "relu" .. i, nil, { x }) end
  end
  m:add_output(x)
  return require("mcl.model").wrap(m)
end

local function file_size(model)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ".mcl"
  model:save(path)
  local file = assert(io.open(path, "rb"))
  local bytes = #file:read "a"
  file:close()
  os.remove(path)
  return bytes
end

describe("a plan", function()
  it("never makes the file larger than its budget, at any budget", function()
    for _, bytes in ipairs { 1500, 2000, 2500, 3001, 4000, 6000 } do
      local model = net()
      local plan = mcl.plan { model, candidates = widths(), budget = { bytes = bytes } }
      model:compress(plan)
      assert.is_true(file_size(model) <= bytes)
      assert.equal(plan.bytes, file_size(model))
    end
  end)

  it("takes its budget as a ratio, or as bits a weight", function()
    local model = net()
    local parameters = model:parameters()
    local by_ratio = mcl.plan { model, candidates = widths(), budget = { ratio = 10 } }
    assert.is_true(by_ratio.ratio >= 10)
    local by_bits = mcl.plan { model, candidates = widths(), budget = { bits = 4 } }
    assert.is_true(by_bits.bytes <= parameters / 2)
  end)

  it("loses less with more bytes", function()
    local model, last = net(), math.huge
    for _, bytes in ipairs { 1500, 2500, 3500, 5000 } do
      local plan = mcl.plan { model, candidates = widths(), budget = { bytes = bytes } }
      assert.is_true(plan.distortion < last)
      last = plan.distortion
    end
  end)

  it("is as good as the best of all choices that fit", function()
    local model = net()
    local list = { mcl.share { bits = 2 }, mcl.share { bits = 3 }, mcl.share { bits = 5 } }
    local budget = 2600
    local plan = mcl.plan { model, candidates = list, budget = { bytes = budget }, distortion = "output" }
    local best = math.huge -- by trying all 27
    local layers = model:layers()
    for code = 0, 26 do
      local copy, lost = model:copy(), 0
      for i, layer in ipairs(layers) do
        local scheme = list[math.tointeger(code // 3 ^ (i - 1) % 3) + 1]
        local before = layer.representation
        local after = scheme:apply(before)
        copy.core:set(layer.index, after)
        lost = lost + core.distortion(before, after)
      end
      if copy:size() <= budget then best = math.min(best, lost) end
    end
    assert.is_true(plan.distortion <= best * 1.05 + 1e-9, ("%g against %g"):format(plan.distortion, best))
  end)

  it("that cannot be met says the smallest that can be reached", function()
    local model = net()
    local ok, message = pcall(mcl.plan, { model, candidates = widths(), budget = { bytes = 300 } })
    assert.is_false(ok)
    local smallest = tonumber(message:match "smallest file that these candidates reach has (%d+) bytes")
    assert.is_true(smallest > 300)
    local plan = mcl.plan { model, candidates = widths(), budget = { bytes = smallest } }
    assert.equal(smallest, plan.bytes)
  end)

  it("plans the layers that are selected, and counts the others as they are", function()
    local model = net()
    local plan = mcl.plan { model, layers = "fc[12]", candidates = widths(), budget = { bytes = 6000 } }
    assert.equal(2, #plan.rows)
    model:compress(plan)
    assert.equal("dense", model:layer("fc3").representation.kind)
    assert.is_true(file_size(model) <= 6000)
  end)

  it("asks a function for each layer's candidates", function()
    local seen = {}
    mcl.plan { net(), budget = { bytes = 6000 }, candidates = function(layer)
      seen[#seen + 1] = layer.name
      return { mcl.share { bits = 4 }, mcl.lowrank { rank = 5 } }
    end }
    assert.same({ "fc1", "fc2", "fc3" }, seen)
  end)

  it("weighs errors by statistics, or by a function of the user's", function()
    local model = net()
    local statistics = model:calibrate(core.random({ 50, 40 }, { seed = 1 }), { "input_square" })
    local plan = mcl.plan { model, statistics = statistics, candidates = widths(), budget = { ratio = 12 } }
    assert.is_true(plan.ratio >= 12)
    local calls = 0
    mcl.plan { model, candidates = widths(), budget = { ratio = 12 }, distortion = function(_, before, after)
      calls = calls + 1
      return (before:values() - after:values()):abs():max()
    end }
    assert.equal(24, calls)
  end)

  it("keeps to a budget of multiply-adds", function()
    local model = net()
    local dense = model:multiply_adds()
    local plan = mcl.plan { model, budget = { multiply_adds = dense / 4 }, candidates = {
      mcl.keep(), mcl.prune { density = 0.5 }, mcl.prune { density = 0.1 }, mcl.lowrank { rank = 3 },
    } }
    local total = 0
    for _, row in ipairs(plan.rows) do
      total = total + row.multiply_adds
    end
    assert.is_true(total <= dense / 4)
    assert.error_matches(function()
      mcl.plan { model, candidates = { mcl.keep() }, budget = { multiply_adds = 10 } }
    end, "the fewest that these candidates reach are " .. dense)
  end)

  it("takes no failure of the solver for a budget that is too small", function()
    local solve, calls = core.plan_solve, 0
    finally(function() core.plan_solve = solve end)
    core.plan_solve = function(...)
      calls = calls + 1
      if calls == 2 then error("out of memory", 0) end
      return solve(...)
    end
    local made = pcall(mcl.plan, { net(), candidates = widths(), budget = { ratio = 8 } })
    assert.is_true(calls < 2 or not made)
    core.plan_solve = function() error("out of memory", 0) end
    assert.error_matches(function() mcl.plan { net(), candidates = widths(), budget = { ratio = 8 } } end,
      "out of memory")
  end)

  it("finds the smallest file within a loss of accuracy", function()
    local model, data = support.mlp(), support.dataset(600)
    model:fit { data, epochs = 10, rate = 0.05, batch = 20 }
    local accuracy = model:evaluate(data).accuracy
    local plan = mcl.plan { model, candidates = widths(), budget = { accuracy_loss = 0.02, data = data } }
    model:compress(plan)
    local after = model:evaluate(data).accuracy
    assert.is_true(after >= accuracy - 0.02)
    assert.near(after, plan.accuracy, 1e-9)
    local finest = support.mlp()
    finest:compress(mcl.share { bits = 8 })
    assert.is_true(plan.bytes <= finest:size())
  end)

  it("leaves a reserve for training, which is undone where it passes the limit all the same", function()
    local x, labels = core.random({ 60, 40 }, { seed = 9, kind = "normal" }), {}
    for i = 1, 60 do
      labels[i] = i % 10
    end
    local data = core.dataset(x, core.tensor(labels, "i64"), 1, 0)
    local model = net()
    local plan = mcl.plan { model, candidates = widths(), budget = { bytes = 3000, reserve = 0.1 } }
    assert.equal(3000, plan.limit)
    assert.is_true(plan.bytes <= 2700)
    model:compress(plan)
    local before, size = model:layers()[1].weight:totable(), model:size()
    local report = model:fit { data, epochs = 3, rate = 0.05, within = size - 1 }
    assert.is_true(report.undone)
    assert.same(before, model:layers()[1].weight:totable())
    assert.equal(size, model:size())
    report = model:fit { data, epochs = 3, rate = 0.05, within = plan.limit }
    assert.is_nil(report.undone)
    assert.equal(report.bytes, model:size())
    assert.is_true(model:size() <= 3000)
    assert.not_same(before, model:layers()[1].weight:totable())
    assert.has_error(function()
      mcl.plan { model, candidates = widths(), budget = { multiply_adds = 3000, reserve = 0.1 } }
    end)
  end)

  it("prints as a table: layer, choice, bytes, distortion", function()
    local text = tostring(mcl.plan { net(), candidates = widths(), budget = { ratio = 10 } })
    assert.matches("^layer +choice +bytes +of dense +distortion\n", text)
    assert.matches("\nfc1 +share{bits=%d} +[%d,]+ +[%d.]+ %% +", text)
    assert.matches("\nfile +budget: ratio 10", text)
  end)

  it("checks its keys, its budget, its candidates", function()
    local model = net()
    local function refused(spec, text)
      assert.error_matches(function() mcl.plan(spec) end, text)
    end
    refused({ model, candidate = {}, budget = {} }, 'unknown key "candidate"; did you mean "candidates"')
    refused({ candidates = {}, budget = {} }, "the first item is the model")
    refused({ model, candidates = widths() }, "budget is wanted")
    refused({ model, candidates = widths(), budget = {} }, "give ratio, bytes, bits")
    refused({ model, candidates = widths(), budget = { ratio = 2, bytes = 9 } }, "one of bytes and ratio, not both")
    refused({ model, candidates = widths(), budget = { accuracy_loss = 0.1 } }, "accuracy_loss needs data")
    refused({ model, candidates = {}, budget = { ratio = 2 } }, "layer fc1: a list of candidate schemes")
    refused({ model, candidates = { 3 }, budget = { ratio = 2 } }, "candidate 1 is a number")
    refused({ model, candidates = { mcl.lowrank { rank = 11 } }, budget = { ratio = 2 } }, "layer fc3: ")
    refused({ model, layers = "conv*", candidates = widths(), budget = { ratio = 2 } }, "matches no layer")
  end)

  it("is refused by a model with other layers", function()
    local plan = mcl.plan { net(), candidates = widths(), budget = { ratio = 10 } }
    assert.error_matches(function() support.convnet():compress(plan) end, "made for a model with other layers")
  end)
end)
