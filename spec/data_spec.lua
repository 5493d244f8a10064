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

  it("takes rows of one 1 for labels, others for targets, and says so", function()
    local core = require "mcl.core"
    local told = {}
    local log = core.log
    core.log = function(_, line) told[#told + 1] = line end
    finally(function() core.log = log end)
    local function with(rows)
      local path = os.tmpname() .. ".npz"
      finally(function() core.log = log os.remove(path) end)
      local y = core.tensor(rows):to "i64"
      core.npz_save(path, { x_train = core.zeros { 3, 2 }, y_train = y, x_test = core.zeros { 3, 2 }, y_test = y })
      local part = data.open("npz:" .. path):part "report"
      return select(2, part:rows(1, 3))
    end
    local labels = with { { 0, 1 }, { 1, 0 }, { 0, 1 } }
    assert.matches("^i", labels.dtype)
    assert.same({ 1, 0, 1 }, labels:totable())
    assert.matches("taken as labels of 2 classes", told[1], 1, true)
    told = {}
    assert.equal("f32", with({ { 1, 1 }, { 1, 0 }, { 0, 0 } }).dtype)
    assert.matches("by mean squares", told[1], 1, true)
    told = {}
    assert.equal("f32", with({ { 2, 5 }, { 1, 0 }, { 0, 0 } }).dtype)
    assert.same({}, told)
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
    fails("x has shape {2,1} and y {1}", function() d:part "report" end)
  end)
end)

describe("data that are normalised", function()
  local two = "x_test = { { 1, 2 }, { 3, 4 } }, y_test = { 0, 1 }"

  local function seen(text, follows)
    return data.open(lua_data("return { " .. text .. " }") .. (follows or "")):examples(1, 2):totable()
  end

  it("by a mean and a standard deviation, or a scale and an offset, after SPEC", function()
    assert.same({ { 0, 0.5 }, { 1, 1.5 } }, seen(two, ",mean=1,std=2"))
    assert.same({ { 2, 5 }, { 8, 11 } }, seen(two, ",scale=3,offset=-1"))
    assert.same({ { -1, 0 }, { 1, 2 } }, seen(two, ",mean=2"))
  end)

  it("by a number a column, or a channel", function()
    assert.same({ { 0, 0 }, { 2, 0.5 } }, seen(two, ",mean=1:2,std=1:4"))
    local x = seen "x_test = require('mcl').full({ 2, 3, 1, 1 }, 6), y_test = { 0, 1 }, mean = { 0, 2, 4 }, std = 2"
    assert.same({ { { 3 } }, { { 2 } }, { { 1 } } }, x[1])
  end)

  it("by what the file holds, unless SPEC says otherwise", function()
    assert.same({ { 0, 0.5 }, { 1, 1.5 } }, seen(two .. ", mean = 1, std = 2"))
    assert.same({ { 2, 4 }, { 6, 8 } }, seen(two .. ", mean = 1, std = 2", ",scale=2"))
    local path = os.tmpname() .. ".npz"
    finally(function() os.remove(path) end)
    require("mcl.core").npz_save(path, {
      x_test = mcl.tensor({ { 0, 255 } }, "u8"), y_test = mcl.tensor({ 1 }, "u8"), mean = mcl.tensor { 0.5 },
      std = mcl.tensor({ 0.25 }, "f64"),
    })
    assert.same({ { -2, 2 } }, data.open("npz:" .. path):examples(1, 1):totable())
    assert.same({ { 0, 255 } }, data.open("npz:" .. path .. ",scale=1"):examples(1, 1):totable())
  end)

  it("is what the engine trains and evaluates on", function()
    local x = data.open(lua_data("return { " .. two .. " }") .. ",mean=1,std=2"):part("report"):rows()
    assert.same({ { 0, 0.5 }, { 1, 1.5 } }, x:totable())
  end)

  it("is refused where it makes no sense", function()
    fails("mean=much: a number is wanted", function() data.open "npz:x.npz,mean=much" end)
    fails('unknown option "men"; did you mean "mean"?', function() data.open "npz:x.npz,men=1" end)
    fails("mean is given twice", function() data.open "npz:x.npz,mean=1,mean=2" end)
    fails("images=perhaps: yes or no", function() data.open "npz:x.npz,images=perhaps" end)
    fails("std is to be above 0", function() seen(two, ",std=0") end)
    fails("mean has 3 numbers; one is wanted, or 2", function() seen(two, ",mean=1:2:3") end)
    fails("not both", function() seen(two, ",mean=1,scale=2") end)
  end)
end)

describe("images", function()
  local images = require "mcl.images"
  local support = dofile "spec/support.lua"
  local convnet, mlp = support.convnet().core, support.mlp().core

  it("are pixels in 8 bits, or what a model looks at through windows", function()
    assert.is_true(images.are({ 1, 8, 8 }, true, mlp))
    assert.is_true(images.are({ 1, 8, 8 }, false, convnet))
  end)

  it("are not told by the number of dimensions", function()
    assert.is_false(images.are({ 1, 8, 8 }, false, mlp))
    assert.is_false(images.are({ 4, 100, 1 }, true, convnet))
    assert.is_false(images.are({ 64 }, true, mlp))
  end)
end)

describe("a dataset", function()
  it("gives rows as a model sees them, and no scale that could be applied to them twice", function()
    local d = mcl.dataset(mcl.tensor({ { 0, 51 }, { 102, 255 } }, "u8"), mcl.tensor({ 0, 1 }, "i64"), 1 / 255, 0.5)
    local x, y = d:rows()
    assert.near(0.7, x[1][2], 1e-6)
    assert.near(0, (mcl.dataset(x, y):rows() - x):abs():max(), 0)
    for _, field in ipairs { "x", "y", "scale", "offset" } do
      fails(("a dataset has no %q; x, y = data:rows() gives copies as a model sees them, scaled already"):format(field),
        function() return d[field] end)
    end
  end)

  it("keeps its labels, whatever becomes of the tensor that they came from", function()
    local labels = mcl.tensor({ 0, 1 }, "i64")
    local d = mcl.dataset(mcl.zeros { 2, 3 }, labels)
    labels:set(100)
    assert.same({ 0, 1 }, select(2, d:rows()):totable())
  end)
end)
