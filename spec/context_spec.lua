-- The context behind a Lua state: callbacks, cancel, seeds, memory; and JSON.
local mcl = require "mcl"
local core = require "mcl.core"
local support = dofile "spec/support.lua"

local function nothing() end

describe("callbacks", function()
  after_each(function()
    core.context { log = nothing, progress = nothing, cancelled = nothing }
  end)

  it("tell how far work is", function()
    local tasks = {}
    core.context { progress = function(task, done, total, unit)
      tasks[#tasks + 1] = { task, done, total, unit }
    end }
    support.mlp():fit { support.dataset(), epochs = 2 }
    assert.is_true(#tasks > 0)
    local last = tasks[#tasks]
    assert.equal(last[2], last[3])
    assert.equal("rows", last[4])
  end)

  it("take lines of the log", function()
    local lines = {}
    core.context { log = function(level, line) lines[#lines + 1] = level .. ": " .. line end }
    mcl.log("warning", "careful")
    assert.same({ "warning: careful" }, lines)
  end)

  it("that raise end the work, and their error comes out", function()
    local mine = {}
    core.context { progress = function() error(mine) end }
    local ok, caught = pcall(function() support.mlp():fit { support.dataset(), epochs = 2 } end)
    assert.is_false(ok)
    assert.equal(mine, caught)
    core.context { progress = nothing }
    support.mlp():fit { support.dataset(), epochs = 1 } -- and nothing is left of it
  end)

  it("may cancel", function()
    local asked = 0
    core.context { cancelled = function()
      asked = asked + 1
      return asked > 2
    end }
    assert.error_matches(function() support.mlp():fit { support.dataset(), epochs = 1000000 } end, "cancelled")
    core.context { cancelled = nothing }
    assert.is_true(core.is_cancelled())
    core.resume()
    assert.is_false(core.is_cancelled())
    support.mlp():fit { support.dataset(), epochs = 1 }
  end)

  it("may use mcl themselves", function()
    local sums = {}
    support.mlp():fit { support.dataset(), epochs = 3, epoch_end = function()
      sums[#sums + 1] = coroutine.wrap(function() return (mcl.ones { 10 } * 2):sum() end)()
    end }
    assert.same({ 20, 20, 20 }, sums)
  end)

  it("keep away from models, which may be in use", function()
    local model, said = support.mlp(), nil
    core.context { progress = function()
      local ok, message = pcall(function() model.core:add_weight("more", mcl.zeros { 3 }) end)
      said = not ok and message
    end }
    model:fit { support.dataset(), epochs = 1 }
    assert.matches("log, progress and cancelled cannot work with models", said)
    assert.equal(4, #model:weights())
  end)

  it("are checked to be functions", function()
    assert.error_matches(function() core.context { log = 3 } end, "log: a function is wanted, got number")
    assert.error_matches(function() core.context { threads = core.threads() + 1 } end, "before mcl is first used")
  end)
end)

describe("the seed", function()
  it("makes random tensors without a seed of their own come again", function()
    mcl.seed(5)
    local a, b = mcl.random { 10 }, mcl.random { 10 }
    mcl.seed(5)
    assert.equal(0, (a - mcl.random { 10 }):abs():max())
    assert.equal(0, (b - mcl.random { 10 }):abs():max())
    mcl.seed(0)
  end)
end)

describe("memory", function()
  it("of tensors, expressions, models is given back", function()
    local function work()
      local model = support.mlp()
      model:compress(mcl.prune { density = 0.5 } .. mcl.share { bits = 2 })
      model:fit { support.dataset(), epochs = 1, penalty = function(w) return w:square() end }
      local t = mcl.ones { 1000 }
      return ((t + 1) * t):sum() + model:size()
    end
    work()
    collectgarbage()
    collectgarbage()
    local before = core.memory()
    for _ = 1, 5 do
      work()
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, core.memory())
  end)

  it("is collected before it runs out, though Lua sees a few bytes", function()
    collectgarbage()
    local most = 0
    for _ = 1, 60 do
      local t = mcl.zeros { 4 << 20 } -- 16 MiB
      most = math.max(most, (core.memory()))
      assert.equal(4 << 20, t.count)
    end
    assert.is_true(most < 400 << 20, most)
  end)
end)

describe("JSON", function()
  it("comes back as it was written", function()
    local value = {
      text = 'a "quoted"\nline\\ \u{2026}', number = 0.1, whole = 12, big = 1 << 60, yes = true, list = { 1, 2.5, "x" },
      nested = { a = { b = { c = "d" } } },
    }
    assert.same(value, core.json_decode(core.json_encode(value)))
  end)

  it("has sorted keys and the shortest digits", function()
    assert.equal('{"a":1,"b":0.1,"c":1e+100}', core.json_encode { c = 1e100, b = 0.1, a = 1 })
    assert.equal('[1,2]', core.json_encode { 1, 2 })
    assert.equal('{"a":[],"b":{}}', core.json_encode { a = core.json_array {}, b = {} })
    assert.equal('{\n  "a": 1\n}', core.json_encode({ a = 1 }, 2))
  end)

  it("writes what JSON lacks as null", function()
    assert.equal('[null,null]', core.json_encode { 0 / 0, math.huge })
    assert.is_nil(core.json_decode('{"a":null}').a)
  end)

  it("makes bytes that are no UTF-8 visible, so that any reader takes the text", function()
    assert.equal('"caf\\\\xe9 \u{2026}"', core.json_encode "caf\xe9 \u{2026}")
    assert.equal([["\\xc0\\x80|\\xed\\xa0\\x80|\\xe2"]], core.json_encode "\xc0\x80|\xed\xa0\x80|\xe2")
    for _, bytes in ipairs { "\xff", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\u{10ffff}", "a\0b" } do
      assert.is_string(core.json_decode(core.json_encode(bytes)))
    end
    assert.equal("a\0b", core.json_decode(core.json_encode "a\0b"))
  end)

  it("keeps the sign of a zero", function()
    assert.equal(-math.huge, 1 / core.json_decode(core.json_encode(-0.0)))
  end)

  it("refuses what has no form", function()
    assert.error_matches(function() core.json_encode { print } end, "a function has no JSON form")
    assert.error_matches(function() core.json_encode { [1] = 1, [3] = 3 } end, "keys are strings")
    local loop = {}
    loop.loop = loop
    assert.error_matches(function() core.json_encode(loop) end, "does a table hold itself")
    assert.error_matches(function() core.json_decode '{"a":' end, "line 1, column 5")
    assert.error_matches(function() core.json_decode '{"a":1,"a":2}' end, "duplicate")
    assert.error_matches(function() core.json_decode '{"a":null,"a":2}' end, "duplicate")
  end)

  it("reads what RFC 8259 says, and nothing else", function()
    local good = { ["-0.5e+1"] = -5.0, ["12"] = 12, [" true\n"] = true,
      ['"\\u00e9\\ud834\\udd1e\\n\\/"'] = "é𝄞\n/",
      ['"é"'] = "é", ["-9223372036854775808"] = math.mininteger }
    for text, value in pairs(good) do
      local read = core.json_decode(text)
      assert.same(value, read)
      assert.equal(math.type(value), math.type(read))
    end
    assert.same({ { { 1, 2 }, {} }, a = {} }, { core.json_decode "[[1,2],[]]", a = core.json_decode "{}" })
    assert.equal("[]", core.json_encode(core.json_decode "[ ]"))
    local bad = { "", "01", "1.", ".5", "+1", "1e", "nul", "[1,]", "[1 2]", '{"a" 1}', "{a:1}", '{"a":1,}',
      '"\1"', '"\\x"', '"open',
      '"\\ud800"', '"\\u12"', '"\xff"', '"\xc0\xaf"', '"\xed\xa0\x80"', "1 2", "[", "1e999",
      "9223372036854775808",
      ("["):rep(101), ("1"):rep(3000) .. ".0" }
    for _, text in ipairs(bad) do
      assert.error_matches(function() core.json_decode(text) end, "json: line 1, column")
    end
    assert.error_matches(function() core.json_decode '{\n "a": 1,\n "b": x}' end, "line 3, column 7: a value is wanted")
  end)
end)

describe("arrays in files", function()
  it("come back by the path's end", function()
    local path = os.tmpname()
    os.remove(path)
    local a, b = mcl.arange(6):reshape { 2, 3 }, mcl.tensor({ 1, 2, 3 }, "u8")
    mcl.save_arrays(path .. ".npy", a * 2)
    assert.same({ { 2, 4, 6 }, { 8, 10, 12 } }, mcl.load_arrays(path .. ".npy"):totable())
    mcl.save_arrays(path .. ".npz", { a = a, b = b, c = a + 1 }, { compress = true })
    local all = mcl.load_arrays(path .. ".npz")
    assert.same({ 1, 2, 3 }, all.b:totable())
    assert.equal("u8", all.b.dtype)
    assert.equal(7, all.c[2][3])
    local mapped = mcl.load_arrays(path .. ".npy")
    local ok = pcall(function() mapped[1][1] = 5 end) -- a mapped file is read-only, and says so
    if not ok then
      assert.error_matches(function() mapped[1][1] = 5 end, "take a :copy")
      mapped:copy()[1][1] = 5
    end
    os.remove(path .. ".npy")
    os.remove(path .. ".npz")
    assert.error_matches(function() mcl.save_arrays("x.txt", a) end, "ends in .npy or .npz")
  end)
end)
