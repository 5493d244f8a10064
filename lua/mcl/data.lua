--- Data: what a SPEC on the command line names, read when first needed, and its parts.
--
--     fashion-mnist   Debian's dataset-fashion-mnist        npz:FILE     x_train, y_train, x_test, y_test
--     mnist:DIR       the four files of MNIST, .gz or not   images:DIR   a folder of images
--     idx:DIR         the same for other idx data           FILE.lua     returns such arrays, or an iterator of batches
--
-- What may follow a SPEC, such as ",mean=0.28,std=0.35", is data_spec's.
--
-- The training set is split once and for all: `choose`, a tenth of it, 5,000 at most, is held out to choose by; `fit`
-- is the rest; `calibrate` is 1,024 of fit. The split does not depend on --seed, so a net trained with one seed and
-- compressed with another has still never seen what is chosen by. `report` is the test set.
local core = require "mcl.core"
local check = require "mcl.check"
local chunk = require "mcl.chunk"
local data_spec = require "mcl.data_spec"
local images = require "mcl.images"
local paths = require "mcl.path"

local data = {}

local SPLIT_SEED = 0x6d636c
local MOST_CHOOSE, MOST_CALIBRATE = 5000, 1024

local Data = {}
Data.__index = Data
Data.__name = "mcl.data"

local function fail(format, ...)
  error(format:format(...), 0)
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- ---- Arrays ----------------------------------------------------------------------------------------------------

local function product(shape, first)
  local count = 1
  for i = first, #shape do
    count = count * shape[i]
  end
  return count
end

-- NaN or infinity in floating data: an error with the place.
local function check_finite(name, x)
  local bad = x:ne(x) + x:abs():gt(3.4e38)
  if bad:sum() == 0 then return end
  local rows = x.shape[1]
  local first, last = 1, rows -- the first bad row, by bisection
  while first < last do
    local middle = (first + last) // 2
    local part = x:rows(first, middle - first + 1)
    if (part:ne(part) + part:abs():gt(3.4e38)):sum() > 0 then
      last = middle
    else
      first = middle + 1
    end
  end
  local row = x:rows(first, 1):reshape { product(x.shape, 2) }:totable()
  for i, value in ipairs(row) do
    if value ~= value or math.abs(value) == math.huge then
      local what = value ~= value and "not a number" or "infinite"
      fail("%s: example %d, value %d is %s; clean the data first", name, first, i, what)
    end
  end
end

-- Labels that stand as rows of one 1 among zeros become the numbers of their classes; other rows are targets, whose
-- squares are trained. Where whole numbers look like labels, what is made of them is said.
local function targets(name, y)
  local is_whole = not (y.dtype:match "^f" or y.dtype == "bf16")
  y = y:to("f32", name .. " (targets)")
  check_finite(name .. " (targets)", y)
  local zeros_and_ones = is_whole and y:eq(0):sum() + y:eq(1):sum() == y.count
  if not zeros_and_ones then return y end
  local classes = product(y.shape, 2)
  local rows = y:reshape { y.shape[1], classes }
  if rows:sum(2):ne(1):sum() == 0 and classes > 1 then
    core.log("warning", ("%s: y has one 1 a row: it is taken as labels of %d classes"):format(name, classes))
    return (rows:argmax() - 1):eval():to "i64"
  end
  core.log("warning", ("%s: y has several labels a row: they are trained as targets, by mean squares"):format(name))
  return y
end

-- One set: images or vectors x, labels or targets y; 8-bit values become fractions of one, unless settings say else.
local function set(name, x, y, settings)
  local shape = x.shape
  if #shape < 2 then
    fail("%s: x has shape {%s}; examples along the first dimension are wanted", name, table.concat(shape, ","))
  end
  if shape[1] == 0 then fail("%s: there are no examples", name) end
  local is_stored_as_pixels = x.dtype == "u8" and #shape > 2
  if x.dtype ~= "u8" and x.dtype ~= "f32" then x = x:to("f32", name) end
  if x.dtype == "f32" then check_finite(name, x) end
  if #shape == 3 then x = x:reshape { shape[1], 1, shape[2], shape[3] } end
  if y.shape[1] ~= shape[1] then
    fail("%s: x has shape {%s} and y {%s}; y wants as many rows as x, a label or targets an example", name,
      table.concat(shape, ","), table.concat(y.shape, ","))
  end
  if #y.shape == 2 and y.shape[2] == 1 and y.dtype ~= "f32" then y = y:reshape { y.shape[1] } end
  if #y.shape == 1 and y.dtype ~= "u8" then
    if y.dtype:match "^f" or y.dtype == "bf16" then
      check_finite(name .. " (labels)", y)
      if y:ne(y:floor()):sum() > 0 then
        fail("%s: labels are whole numbers; targets of a regression have shape {examples, values}", name)
      end
    end
    y = y:to "i64"
  elseif #y.shape > 1 then
    y = targets(name, y)
  end
  local scale, offset
  x, scale, offset = data_spec.normalise(name, x, settings)
  return {
    x = x, y = y, scale = scale, offset = offset, count = shape[1], is_stored_as_pixels = is_stored_as_pixels,
  }
end

-- ---- Where data come from: each source gives a function (part) → x, y, settings; part is "train" or "test" ---------

local function idx_files(folder, hint)
  local function find(stem)
    local dotted = stem:gsub("%-idx", ".idx")
    for _, name in ipairs { stem, stem .. ".gz", dotted, dotted .. ".gz" } do
      local path = folder .. "/" .. name
      if exists(path) then return path end
    end
    fail("%s/%s is not there (nor .gz); %s", folder, stem, hint)
  end
  local files = {}
  for _, stem in ipairs { "train", "t10k" } do
    files[#files + 1] = find(stem .. "-images-idx3-ubyte")
    files[#files + 1] = find(stem .. "-labels-idx1-ubyte")
  end
  return function(part)
    local first = part == "train" and 1 or 3
    return core.idx_load(files[first]), core.idx_load(files[first + 1])
  end, files
end

local function npz(path)
  return function(part)
    local wanted = { "x_" .. part, "y_" .. part, table.unpack(data_spec.normal_keys) }
    local arrays, names = core.npz_load(path, wanted) -- what else it holds is not ours to judge
    local x, y = arrays[wanted[1]], arrays[wanted[2]]
    if not x or not y then
      table.sort(names)
      fail("%s has no x_%s and y_%s; it has %s", path, part, part, table.concat(names, ", "))
    end
    return x, y, arrays
  end, { path }
end

-- A tensor of what a Lua file gave: a tensor, an expression, or nested tables.
local function tensor_of(value, what, ...)
  if type(value) == "table" then value = core.tensor(value) end
  local kind = core.type(value)
  if kind == "expression" then return value:eval() end
  if kind ~= "tensor" then fail("%s is a tensor or nested tables, not %s", what:format(...), kind) end
  return value
end

-- All batches of an iterator as one pair of tensors.
local function gather(path, iterator)
  local xs, ys, rows = {}, {}, 0
  while true do
    local x, y = iterator()
    if x == nil then break end
    local batch = #xs + 1
    x, y = tensor_of(x, "%s: x of batch %d", path, batch), tensor_of(y, "%s: y of batch %d", path, batch)
    if x.shape[1] ~= y.shape[1] then
      fail("%s: batch %d has not as many labels as examples", path, batch)
    end
    if batch > 1 and table.concat(x.shape, "×", 2) ~= table.concat(xs[1].shape, "×", 2) then
      fail("%s: batch %d has examples of %s, the first of %s", path, batch, table.concat(x.shape, "×", 2),
        table.concat(xs[1].shape, "×", 2))
    end
    xs[#xs + 1], ys[#ys + 1], rows = x, y, rows + x.shape[1]
  end
  if rows == 0 then fail("%s: the iterator gave no batch", path) end
  local function join(parts)
    local whole = core.zeros({ rows, table.unpack(parts[1].shape, 2) }, parts[1].dtype)
    local at = 1
    for _, part in ipairs(parts) do
      whole:rows(at, part.shape[1]):set(part)
      at = at + part.shape[1]
    end
    return whole
  end
  return join(xs), join(ys)
end

local function lua_file(path)
  local result, message = chunk.run(path)
  if message then fail("%s", message) end
  if type(result) == "function" then
    return function(part)
      local iterator = result(part)
      if type(iterator) ~= "function" then
        fail("%s: the function it returns, called with %q, does not give an iterator of batches x, y", path, part)
      end
      return gather(path, iterator)
    end, { path }
  end
  if type(result) ~= "table" then
    fail("%s returns neither { x_train=, y_train=, x_test=, y_test= } nor a function(part), an iterator's maker", path)
  end
  check.keys(result, { "x_train", "y_train", "x_test", "y_test", table.unpack(data_spec.normal_keys) }, path, 0)
  return function(part)
    local x, y = result["x_" .. part], result["y_" .. part]
    if not x or not y then fail("%s: x_%s and y_%s are missing", path, part, part) end
    return tensor_of(x, "%s: x_%s", path, part), tensor_of(y, "%s: y_%s", path, part), result
  end, { path }
end

local FASHION = "/usr/share/datasets/fashion-mnist"

local sources = {
  ["fashion-mnist"] = function()
    return idx_files(FASHION, "install it: apt-get install dataset-fashion-mnist")
  end,
  mnist = function(folder)
    return idx_files(folder, "mnist:DIR wants the folder that holds MNIST's four idx files")
  end,
  idx = function(folder)
    return idx_files(folder, "idx:DIR wants train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k")
  end,
  npz = npz,
  images = function(folder)
    fail("images:%s: folders of images are not in this build; make an .npz of them and give npz:FILE", folder)
  end,
}

--- What a SPEC may be, for messages.
data.specs = "fashion-mnist, mnist:DIR, idx:DIR, npz:FILE, images:DIR, FILE.lua"

-- The kind of data that a SPEC names, and its place.
local function kind_of(spec)
  local kind, place = spec:match "^([%w-]+):(.*)$"
  return kind or spec, place
end

local function wrong_place(spec)
  if paths.extension(spec) == "lua" then return nil end
  local kind, place = kind_of(spec)
  if not sources[kind] then
    return ("%s; data are one of %s"):format(check.unknown("data", kind, check.sorted_keys(sources)), data.specs)
  elseif kind == "fashion-mnist" then
    return place and ("data %s: fashion-mnist takes no place; idx:DIR reads a folder"):format(spec) or nil
  elseif (place or "") == "" then
    return ("data %q: a place is wanted, %s:…"):format(spec, kind)
  end
  return nil
end

--- What is wrong with a SPEC as such, whatever is in its files; or nil.
function data.wrong(spec)
  local ok, place = pcall(data_spec.parse, spec)
  if not ok then return place end
  return wrong_place(place)
end

-- The source that a SPEC names.
local function source_of(spec)
  if paths.extension(spec) == "lua" then return lua_file(spec) end
  local wrong = wrong_place(spec)
  if wrong then fail("%s", wrong) end
  local kind, place = kind_of(spec)
  return sources[kind](place)
end

-- ---- The object ------------------------------------------------------------------------------------------------

--- Opens data by SPEC; nothing large is read yet. Errors are texts without a position.
function data.open(spec)
  local place, settings = data_spec.parse(spec)
  local source, files = source_of(place)
  return setmetatable({
    spec = spec, source = source, files = files, settings = settings, sets = {}, parts = {},
  }, Data)
end

function Data:__tostring()
  return "data " .. self.spec
end

-- Of the pairs mean and std, scale and offset: those that SPEC gives, else those of the source.
local function settings_of(spec, source)
  for _, key in ipairs(data_spec.normal_keys) do
    if spec[key] then return spec end
  end
  return source or {}
end

--- The set "train" or "test": x, y, scale, offset, count.
function Data:set(name)
  if not self.sets[name] then
    local x, y, settings = self.source(name)
    self.sets[name] = set(self.spec .. " " .. name, x, y, settings_of(self.settings, settings))
  end
  return self.sets[name]
end

--- Shape of an example.
function Data:shape()
  local any = self.sets.train or self.sets.test or self:set "train"
  return { table.unpack(any.x.shape, 2) }
end

--- Gives examples the shape that a model wants, where the number of values is the same (28×28 for 784, say).
function Data:reshape(wanted)
  self.wanted = { table.unpack(wanted) }
  self.parts = {}
end

local function shaped(self, one)
  local wanted = self.wanted
  local x = one.x
  if not wanted then return x end
  if product(wanted, 1) ~= product(x.shape, 2) then
    local have, want = table.concat(x.shape, "×", 2), table.concat(wanted, "×")
    fail("%s: examples are %s, but the model takes %s", self.spec, have, want)
  end
  return x:reshape { x.shape[1], table.unpack(wanted) }
end

local function sizes(count)
  local choose = math.max(1, math.min(MOST_CHOOSE, count // 10))
  local fit = count - choose
  return fit, choose, math.min(MOST_CALIBRATE, fit)
end

--- Examples take the shape of the model's only input; labels must be among its classes.
function Data:suit(model)
  local inputs, outputs = model.core:inputs(), model.core:outputs()
  if #outputs == 0 then
    error(("%s: holds weights and no graph, so data cannot run through it; leave --data out"):format(model.name), 0)
  end
  if #inputs == 1 then self:reshape { table.unpack(inputs[1].shape, 2) } end
  self.classes = #outputs[1].shape == 2 and outputs[1].shape[2] or nil
end

--- May the examples be augmented as images, when this model takes them? SPEC may say so: images=yes, images=no.
function Data:are_images(model)
  if self.settings.images ~= nil then return self.settings.images end
  local one = self.sets.train or self:set "train"
  return images.are(self.wanted or { table.unpack(one.x.shape, 2) }, one.is_stored_as_pixels, model.core)
end

local function check_labels(self, name, y)
  local classes = self.classes
  if not classes or #y.shape ~= 1 then return end
  local least, most = y:min(), y:max()
  if least < 0 or most >= classes then
    fail("%s: there is a label %d, but the model has %d classes: labels run from 0 to %d", name,
      math.tointeger(least < 0 and least or most), classes, classes - 1)
  end
end

--- The engine's dataset of a part: fit, calibrate, choose, report.
function Data:part(name)
  if self.parts[name] then return self.parts[name] end
  local which = name == "report" and "test" or "train"
  local one = self:set(which)
  check_labels(self, self.spec .. " " .. which, one.y)
  local whole = core.dataset(shaped(self, one), one.y, one.scale, one.offset)
  local part = whole
  if name ~= "report" then
    if one.count < 2 then fail("%s: %d training examples cannot be split", self.spec, one.count) end
    local fit, choose, calibrate = sizes(one.count)
    if name == "fit" then
      part = whole:part(SPLIT_SEED, 0, fit)
    elseif name == "choose" then
      part = whole:part(SPLIT_SEED, fit, choose)
    elseif name == "calibrate" then
      part = whole:part(SPLIT_SEED, 0, calibrate)
    else
      fail("data have no part %s", name)
    end
  end
  self.parts[name] = part
  return part
end

--- The training set as arrays: x in the model's shape, labels y, scale, offset.
function Data:training()
  local one = self:set "train"
  check_labels(self, self.spec .. " train", one.y)
  return shaped(self, one), one.y, one.scale, one.offset
end

--- Rows first … of the test set as f32, as the model sees them: for comparisons.
function Data:examples(first, count)
  local one = self:set "test"
  local x = shaped(self, one)
  count = math.min(count, one.count - first + 1)
  return (x:rows(first, count):to "f32" * one.scale + one.offset):eval()
end

return data
