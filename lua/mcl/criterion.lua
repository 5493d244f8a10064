--- A criterion says which weights matter: a function (weight, statistics) → scores; pruning keeps the largest.
--
--     local wanda = mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }
--
-- w is the weight's matrix view [rows, cols]: a row an output, and for a convolution the columns are its patch,
-- in/groups × kh × kw. s has the statistics that were named, and only those; each broadcasts over w: input_norm,
-- input_mean, input_square [cols], gram [cols, cols], zero_rate [rows, 1], fisher [rows, cols]; and rows_seen, least,
-- greatest.
-- The result is an expression, which is run block by block while the threshold is found: scores are never stored.
local core = require "mcl.core"
local check = require "mcl.check"

local criterion = {}

local Criterion = {}
Criterion.__index = Criterion
Criterion.__name = "criterion"

function Criterion:__tostring()
  local needs = #self.statistics > 0 and " of " .. table.concat(self.statistics, ", ") or ""
  return ("criterion %s%s"):format(self.name, needs)
end

function criterion.is(value)
  return getmetatable(value) == Criterion
end

--- Makes a criterion: names of statistics, then the function. name= is for messages and tables.
function criterion.new(spec)
  if type(spec) ~= "table" then
    check.fail('criterion: a table is wanted: mcl.criterion { "input_norm", function … }')
  end
  for key in pairs(spec) do
    if math.type(key) ~= "integer" and key ~= "name" then
      check.fail("criterion: %s", check.unknown("key", tostring(key), { "name" }))
    end
  end
  local score = spec[#spec]
  if type(score) ~= "function" then
    check.fail("criterion: its last item is the function(w, s), got %s", core.type(score))
  end
  local names = { table.unpack(spec, 1, #spec - 1) }
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      check.fail("criterion: item %d is a statistic's name, got %s", i, core.type(name))
    end
  end
  local name = spec.name
  if name == nil then
    local info = debug and debug.getinfo(score, "S")
    name = info and ("at %s:%d"):format(info.short_src, info.linedefined) or "of the recipe"
  elseif type(name) ~= "string" then
    check.fail("criterion: name is a text, got %s", core.type(name))
  end
  return setmetatable({ statistics = core.statistic_names(names), score = score, name = name }, Criterion)
end

return criterion
