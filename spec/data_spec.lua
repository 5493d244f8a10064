local mcl = require "mcl"
local data = require "mcl.data"

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function lua_data(text)
  local path = os.tmpname() .. ".lua"
  write(path, text)
  finally(function() os.remove(path) end)
  return path
end

local function fails(fragment, f)
  local ok, message = pcall(f)
  assert.is_false(ok)
  assert.matches(fragment, tostring(message), 1, true)
end

describe("data by SPEC", function()
  it("reads Debian's Fashion-MNIST: 60,000 and 10,000 images of 28×28", function()
    local d = data.open "fashion-mnist"
    assert.equal(10000, d:part("report").count)
    assert.same({ 1, 28, 28 }, d:shape())
    assert.equal(55000, d:part("fit").count)
    assert.equal(5000, d:part("choose").count)
    assert.equal(1024, d:part("calibrate").count)
  end)

  it("reads arrays and iterators that a Lua file returns", function()
    local d = data.open(lua_data [[
      return { x_train = { { 1, 2 }, { 3, 4 }, { 5, 6 } }, y_train = { 0, 1, 0 },
               x_test = { { 7, 8 } }, y_test = { 1 } }
    ]])
    assert.equal(2, d:part("fit").count)
    assert.equal(1, d:part("choose").count)
    assert.same({ { 7, 8 } }, d:examples(1, 10):totable())
    d = data.open(lua_data [[
      return function(part)
        local left = part == "train" and 3 or 1
        return function()
          left = left - 1
          if left >= 0 then return { { left, 1 }, { left, 2 } }, { 0, 1 } end
        end
      end
    ]])
    assert.equal(5, d:part("fit").count)
    assert.same({ { 0, 1 }, { 0, 2 } }, d:examples(1, 10):totable())
  end)

  it("gives examples the shape that a model takes", function()
    local d = data.open(lua_data [[
      return { x_test = { { 1, 2, 3, 4 } }, y_test = { 1 } }
    ]])
    d:reshape { 1, 2, 2 }
    assert.same({ 1, 1, 2, 2 }, d:examples(1, 1).shape)
    d:reshape { 5 }
    fails("the model takes 5", function() d:part "report" end)
  end)

  it("keeps 8-bit images as fractions of one", function()
    local path = os.tmpname() .. ".npz"
    finally(function() os.remove(path) end)
    local core = require "mcl.core"
    core.npz_save(path, {
      x_test = mcl.tensor({ { 0, 51, 255 } }, "u8"), y_test = mcl.tensor({ 2 }, "u8"),
      x_train = mcl.tensor({ { 0, 51, 255 }, { 1, 2, 3 } }, "u8"), y_train = mcl.tensor({ 2, 1 }, "u8"),
    })
    local x = data.open("npz:" .. path):examples(1, 1):totable()[1]
    assert.is_true(math.abs(x[2] - 0.2) < 1e-6 and math.abs(x[3] - 1) < 1e-6)
  end)
end)

describe("bad data", function()
  it("names the kinds there are when it is of none", function()
    fails("fashion-mnist", function() data.open "fashion-minst" end)
    fails("a place is wanted", function() data.open "mnist" end)
  end)

  it("says what file is missing", function()
    fails("/nowhere/train-images-idx3-ubyte", function() data.open "mnist:/nowhere" end)
    fails("not in this build", function() data.open "images:/tmp" end)
    fails("nothere.lua", function() data.open "/nowhere/nothere.lua" end)
  end)

  it("names the place of what is not a number", function()
    local d = data.open(lua_data [[
      return { x_test = { { 1, 2 }, { 3, 0 / 0 }, { 5, 6 } }, y_test = { 0, 1, 0 } }
    ]])
    fails("example 2, value 2 is not a number", function() d:part "report" end)
    d = data.open(lua_data [[
      return { x_test = { { 1, 2 }, { 3, 4 }, { -math.huge, 6 } }, y_test = { 0, 1, 0 } }
    ]])
    fails("example 3, value 1 is infinite", function() d:part "report" end)
  end)

  it("is refused when examples and labels do not match in number", function()
    local d = data.open(lua_data "return { x_test = { { 1 }, { 2 } }, y_test = { 0 } }")
    fails("2 examples, but 1 labels", function() d:part "report" end)
  end)
end)
