-- What those who come from elsewhere write first: each is told the line, and what to write instead.
local mcl = require "mcl"
local support = dofile "spec/support.lua"

-- { what is written, what the message has }
local cases = {
  { "model.compress(mcl.share { bits = 4 })", "a method is called with a colon: model:compress(…)" },
  { "model.fit { data }", "a method is called with a colon: model:fit(…)" },
  { "model.layers()", "model:layers(…)" },
  { "job.step 'x'", "job:step(…)" },
  { "model:prune { density = 0.1 }", "model:compress(mcl.prune { … })" },
  { "model:quantize { bits = 4 }", "model:compress(mcl.quantize { … })" },
  { "model:evalute(data)", 'did you mean "evaluate"?' },
  { "local _ = mcl.nn.lstm { out = 3 }", "there are average_pool, batch_norm, conv," },
  { "local _ = mcl.nn.conv2d { out = 3 }", "it is nn.conv { out =, kernel = }" },
  { "local _ = mcl.linalg.inv(weight)", "linalg.solve(a, b)" },
  { "local _ = mcl.linalg.sdv(weight)", 'did you mean "svd"?' },
  { "local _ = statistics[2].input_norm", "by layer.index, and there are none at 2; layers are at 1 (fc1), 3 (fc2)" },
  { "local _ = statistics.fc1.input_norm", "there are none at fc1" },
  { "local _ = mcl.prune { 0.1 }", "prune: item 1 has no name; write density = 0.1" },
  { "local _ = mcl.share { 4 }", "share: item 1 has no name; write bits = 4" },
  { "local _ = mcl.quantize(4)", "write { bits = … }" },
  { "local _ = mcl.share { bits = '4' }", 'got the text "4"; leave the quotes out' },
  { "local _ = mcl.share { bits = 'few' }", 'a whole number is wanted, got the text "few"' },
  { "model:fit { data, lr = 0.1 }", 'unknown key "lr"; it is rate' },
  { "model:fit { data, learning_rate = 0.1 }", "it is rate" },
  { "model:fit { data = data }", "the data go first, without a name" },
  { "model:fit { data, optimizer = 'adam' }", 'did you mean "optimiser"?' },
  { "local _ = mcl.zeros(3, 4)", "a shape is one table: mcl.zeros { 3, 4 }" },
  { "local _ = mcl.ones(3, 4)", "mcl.ones { 3, 4 }" },
  { "local _ = mcl.random(3, 4)", "mcl.random { 3, 4 }" },
  { "mcl.nn.sequential { mcl.nn.linear { out = 3 } }:build { input = { 1, 8, 8 } }", "put nn.flatten() before it" },
}

describe("a mistake", function()
  for _, case in ipairs(cases) do
    it("is told its line and a remedy: " .. case[1], function()
      local text = "local mcl, model, job, data, statistics, weight = ...\n" .. case[1]
      local model = support.mlp()
      local data = support.dataset(20)
      local job = require("mcl.job").new(model, {})
      local statistics = model:calibrate(data, { "input_norm" })
      local ok, message = pcall(load(text, "@wrong.lua"), mcl, model, job, data, statistics, model:layer("fc1").weight)
      assert.is_false(ok)
      assert.matches("^wrong%.lua:2: ", message)
      assert.matches(case[2], message, 1, true)
    end)
  end

  it("in an architecture is told the line of its layer", function()
    local text = "local nn = require('mcl').nn\nreturn nn.sequential { input = { 1, 8, 8 },\n  nn.relu(),\n"
      .. "  nn.linear { out = 3 } }"
    local ok, message = pcall(load(text, "@arch.lua")().build, load(text, "@arch.lua")(), {})
    assert.is_false(ok)
    assert.matches("^arch%.lua:4: fc1: a linear layer takes a vector", message)
  end)
end)
