--- Checks at every public door: keys of option tables, with the nearest right one; ranges; errors that point at the
-- line of the recipe, whatever of mcl's own Lua lies between.
local core = require "mcl.core"

local check = {}

--- Raises an error at the recipe's line: check.fail("rank %d is too large", rank).
function check.fail(format, ...)
  local text = select("#", ...) > 0 and format:format(...) or format
  error(core.where() .. text, 0)
end

-- At the recipe's line, or `level` calls above the caller; 0: without a position.
local function raise(text, level)
  if level == nil then check.fail("%s", text) end
  error(text, level == 0 and 0 or level + 2)
end

--- Keys of a table as text, sorted.
function check.sorted_keys(t)
  local names = {}
  for key in pairs(t) do
    names[#names + 1] = tostring(key)
  end
  table.sort(names)
  return names
end

-- Damerau-Levenshtein distance: insertions, deletions, changes, exchanges of neighbours.
local function distance(a, b)
  local before, last
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    before, last, row = last, row, { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
  end
  return row[#b]
end

--- The name nearest to `name`, or nil where none is near: at most a third of its letters wrong, or one begins the
-- other.
function check.nearest(name, names)
  local best, least
  local lower = name:lower()
  for _, candidate in ipairs(names) do
    local apart = distance(lower, candidate:lower())
    local most = math.max(1, math.max(#name, #candidate) // 3)
    if #name >= 3 and (candidate:sub(1, #name) == name or name:sub(1, #candidate) == candidate) then
      apart, most = math.min(apart, 1.5), 1.5 -- just worse than one wrong letter
    end
    if apart <= most and (not least or apart < least) then
      best, least = candidate, apart
    end
  end
  return best
end

--- The text for an unknown name: unknown option "denstiy"; did you mean "density"? hints: what to say to names that
-- others use.
function check.unknown(what, name, names, hints)
  if hints and hints[name] then return ('unknown %s "%s"; %s'):format(what, name, hints[name]) end
  local nearest = check.nearest(name, names)
  if nearest then return ('unknown %s "%s"; did you mean "%s"?'):format(what, name, nearest) end
  if #names == 0 then return ('unknown %s "%s"; there are none'):format(what, name) end
  return ('unknown %s "%s"; there are %s'):format(what, name, table.concat(names, ", "))
end

--- `options` is a table, and all its keys are among `names`. level: 1 is the caller's line, 2 its caller's, 0 none;
-- nil: the recipe's line. hints: as for check.unknown.
function check.keys(options, names, what, level, hints)
  if type(options) ~= "table" then
    local example = type(names[1]) == "string" and ("; write { %s = … }"):format(names[1]) or ""
    raise(("%s: a table of options is wanted, got %s%s"):format(what, core.type(options), example), level)
  end
  for key in pairs(options) do
    local known = false
    for _, name in ipairs(names) do
      known = known or key == name
    end
    if not known then
      local sorted = {} -- the positional ones have no name to offer
      for _, name in ipairs(names) do
        if type(name) == "string" then sorted[#sorted + 1] = name end
      end
      table.sort(sorted)
      if math.type(key) == "integer" and #sorted > 0 then
        local first = type(names[1]) == "string" and names[1] or sorted[1]
        raise(("%s: item %d has no name; write %s = %s, or another of %s"):format(what, key, first,
          tostring(options[key]), table.concat(sorted, ", ")), level)
      end
      raise(what .. ": " .. check.unknown("key", tostring(key), sorted, hints), level)
    end
  end
end

--- A value of a Lua type (or of one of mcl's classes): check.type(x, "function", "run").
function check.type(value, wanted, what, level)
  local got = core.type(value)
  if got ~= wanted then
    raise(("%s: a %s is wanted, got %s"):format(what, wanted, got == "string" and ("%q"):format(value) or got), level)
  end
  return value
end

--- A number from least to most; limits = { least, most, integer = }. nil is passed through.
function check.number(value, what, limits, level)
  if value == nil then return nil end
  local wanted = limits.integer and "a whole number" or "a number"
  if type(value) ~= "number" or limits.integer and not math.tointeger(value) then
    local text = type(value) == "string" and ('the text "%s"'):format(value) or tostring(value)
    local remedy = tonumber(value) and type(value) == "string" and "; leave the quotes out" or ""
    raise(("%s: %s is wanted, got %s%s"):format(what, wanted, text, remedy), level)
  end
  if not (value >= limits[1] and value <= limits[2]) then
    raise(("%s: %s is out of range %s … %s"):format(what, value, limits[1], limits[2]), level)
  end
  return value
end

-- The names of a class or a module that are for others: no metamethods.
local function public(methods)
  local names = {}
  for _, name in ipairs(check.sorted_keys(methods)) do
    if name:sub(1, 2) ~= "__" then names[#names + 1] = name end
  end
  return names
end

--- __index of a class: its methods; the fields of `optional` are nil where an object has none; any other name is told
-- the nearest right one, or what `hints` has for it.
function check.index(methods, what, optional, hints)
  return function(_, name)
    local method = methods[name]
    if method ~= nil or optional[name] then return method end
    check.fail("%s", check.unknown(what, tostring(name), public(methods), hints))
  end
end

--- A class whose methods are whole: from here on, one that is called with a dot, or on something else, says so at the
-- recipe's line. name: of an object in messages, "model".
function check.methods(class, name)
  for key, method in pairs(class) do
    if type(method) == "function" and key:sub(1, 2) ~= "__" then
      class[key] = function(self, ...)
        if getmetatable(self) ~= class then
          check.fail("%s.%s: a method is called with a colon: %s:%s(…)", name, key, name, key)
        end
        return method(self, ...)
      end
    end
  end
end

--- A module whose names are all there: another is an error at the recipe's line, with the nearest, or with a hint.
function check.module(module, what, hints)
  return setmetatable(module, {
    __index = function(_, name)
      if type(name) == "string" then check.fail("%s", check.unknown(what, name, public(module), hints)) end
    end,
  })
end

return check
