--- What follows a SPEC of data, ",key=value" each, and what it does to examples: numbers are normalised, and told to be
-- images or not.
--
--     npz:digits.npz,mean=0.1307,std=0.3081      x becomes (x − mean) / std, after 8-bit values became fractions of one
--     npz:photos.npz,mean=0.49:0.48:0.45,std=…   a number a channel (of tables: a column)
--     table.lua,scale=0.01,offset=-1             x becomes x · scale + offset, of the numbers as they are stored
--     npz:tiles.npz,images=no                    never augmented
--
-- Archives and Lua files may hold mean, std, scale and offset themselves, beside x_train; what SPEC says goes first.
local core = require "mcl.core"
local check = require "mcl.check"

local data_spec = {}

--- The keys that say how numbers are normalised.
data_spec.normal_keys = { "mean", "std", "scale", "offset" }

local function fail(format, ...)
  error(format:format(...), 0)
end

-- "0.49:0.48" as { 0.49, 0.48 }
local function numbers(key, text)
  local list = {}
  for item in (text .. ":"):gmatch "([^:]*):" do
    local number = tonumber(item)
    if not number or number ~= number or math.abs(number) == math.huge then
      fail("data: %s=%s: a number is wanted, or one a channel, as in %s=0.5:0.4", key, text, key)
    end
    list[#list + 1] = number
  end
  return list
end

local readers = { mean = numbers, std = numbers, scale = numbers, offset = numbers }

function readers.images(key, text)
  if text == "yes" then return true end
  if text == "no" then return false end
  fail("data: %s=%s: yes or no is wanted", key, text)
end

--- SPEC without what follows it, and that as a table.
function data_spec.parse(spec)
  local settings, names = {}, check.sorted_keys(readers)
  while true do
    local rest, key, value = spec:match "^(.+),([%a_]+)=([^,]*)$"
    if not rest then break end
    if not readers[key] then
      if not check.nearest(key, names) then break end -- a comma and a = of the file's name
      fail("data: %s", check.unknown("option", key, names))
    end
    if settings[key] ~= nil then fail("data: %s is given twice", key) end
    settings[key] = readers[key](key, value)
    spec = rest
  end
  return spec, settings
end

-- The numbers of `what` as a tensor that broadcasts over x: one, or one along x's second dimension.
local function along_channels(name, key, what, x)
  if type(what) == "number" then what = { what } end
  local values = type(what) == "table" and core.tensor(what) or what:to "f32"
  local channels = x.shape[2]
  if values.count ~= 1 and values.count ~= channels then
    fail("%s: %s has %d numbers; one is wanted, or %d, one a channel", name, key, values.count, channels)
  end
  values:check_finite(("%s: %s"):format(name, key))
  local shape = { 1, values.count }
  for i = 3, #x.shape do
    shape[i] = 1
  end
  return values:reshape(shape)
end

local function only(values)
  return values.count == 1 and values:reshape({ 1 }):totable()[1] or nil
end

--- How x, of 8-bit or f32 numbers, is to be seen: x, scale, offset. x stays as it is stored where one scale and one
-- offset serve, and is normalised here where each channel has its own. `settings` is of what SPEC and the source say.
function data_spec.normalise(name, x, settings)
  local fraction = x.dtype == "u8" and 1 / 255 or 1
  if (settings.mean or settings.std) and (settings.scale or settings.offset) then
    fail("%s: mean and std, or scale and offset; not both", name)
  end
  local scale, offset
  if settings.mean or settings.std then
    local mean = along_channels(name, "mean", settings.mean or 0, x)
    local std = along_channels(name, "std", settings.std or 1, x)
    if std:le(0):sum() > 0 then fail("%s: std is to be above 0", name) end
    scale, offset = (fraction / std):eval(), (-mean / std):eval()
  else
    scale = along_channels(name, "scale", settings.scale or fraction, x)
    offset = along_channels(name, "offset", settings.offset or 0, x)
  end
  if only(scale) and only(offset) then return x, only(scale), only(offset) end
  return (x:to "f32" * scale + offset):eval(), 1, 0
end

return data_spec
