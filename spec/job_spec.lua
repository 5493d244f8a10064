local mcl = require "mcl"
local data = require "mcl.data"
local job = require "mcl.job"

-- Two clouds of points that a line separates.
local points = [[
  local function set(count)
    local x, y = {}, {}
    for i = 1, count do
      local class = i % 2
      x[i] = { class * 2 - 1 + (i * 7 % 11 - 5) / 20, (i * 5 % 13 - 6) / 6 }
      y[i] = class
    end
    return x, y
  end
  local x, y = set(200)
  local tx, ty = set(50)
  return { x_train = x, y_train = y, x_test = tx, y_test = ty }
]]

local function open()
  local path = os.tmpname() .. ".lua"
  local file = assert(io.open(path, "w"))
  file:write(points)
  file:close()
  finally(function() os.remove(path) end)
  return data.open(path)
end

local function net()
  return mcl.nn.sequential({ input = { 2 }, mcl.nn.linear { out = 2 } }):build { seed = 1 }
end

describe("a job", function()
  it("has the parts to fit, calibrate and choose by, and never the one to report on", function()
    local j = job.new(net(), { data = open(), seed = 1 })
    assert.equal(180, j.data.train.count)
    assert.equal(180, j.data.fit.count)
    assert.equal(20, j.data.choose.count)
    for _, name in ipairs { "report", "test" } do
      local ok, message = pcall(function() return j.data[name] end)
      assert.is_false(ok)
      assert.matches("kept for the report", message, 1, true)
      assert.matches("job_spec.lua", message, 1, true)
    end
    local ok, message = pcall(function() return j.data.chose end)
    assert.is_false(ok)
    assert.matches("choose", message, 1, true)
  end)

  it("says which option is missing where there are no data", function()
    local j = job.new(net(), {})
    local ok, message = pcall(function() return j.data.train end)
    assert.is_false(ok)
    assert.matches("--data", message, 1, true)
  end)

  it("says what is wrong with a format, a misspelt method, statistics without data", function()
    local task = job.new(net(), {})
    assert.error_matches(function() task:log("%d", 1.5) end, "job:log: ")
    assert.error_matches(function() task:stp() end, "did you mean \"step\"")
    assert.error_matches(function() task:calibrate() end, "give %-%-data")
  end)

  it("records a step for each fit, with size and accuracy on the held-out part", function()
    local model = net()
    local j = job.new(model, { data = open(), seed = 1 })
    model:compress(mcl.prune { density = 0.5 })
    model:fit { j.data.train, epochs = 5, rate = 0.1 }
    assert.equal(1, #j.steps)
    assert.matches("prune", j.steps[1].name, 1, true)
    assert.is_true(j.steps[1].accuracy > 0.9)
    assert.equal(model:size(), j.steps[1].bytes)
    j:step "done"
    assert.equal("done", j.steps[2].name)
  end)

  it("gives the same result for the same seed, and fits seeds of their own", function()
    local function run(seed)
      local model = net()
      local j = job.new(model, { data = open(), seed = seed })
      model:fit { j.data.train, epochs = 2, rate = 0.1, batch = 16 }
      model:fit { j.data.train, epochs = 2, rate = 0.1, batch = 16 }
      return model.core:values(1):totable()
    end
    assert.same(run(3), run(3))
    assert.not_same(run(3), run(4))
  end)

  it("leaves fits out in a dry run", function()
    local model = net()
    local before = model.core:values(1):totable()
    local j = job.new(model, { data = open(), dry = true })
    model:fit { j.data.train, epochs = 3 }
    assert.same(before, model.core:values(1):totable())
  end)
end)
