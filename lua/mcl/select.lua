--- Selectors: which layers of a model are meant. A selector is a layer's name ("conv1"), a glob over names ("conv*",
-- "?", "[12]"), a kind ("@linear"), or a list of these. One that matches nothing is an error that says what there is.
local core = require "mcl.core"
local check = require "mcl.check"

local select_layers = {}

-- A Lua set of the bytes that a glob's "[a-c]" or "[!a-c]" names: one by one, since the ends of a range cannot be
-- escaped in a set of Lua's.
local function set_of(items, is_negated)
  local bytes, at = {}, 1
  while at <= #items do
    local is_range = items:find("^.%-.", at)
    for byte = items:byte(at), items:byte(is_range and at + 2 or at) do
      bytes[#bytes + 1] = string.char(byte):gsub("%W", "%%%0")
    end
    at = at + (is_range and 3 or 1)
  end
  if #bytes == 0 then return is_negated and "." or "[^\0-\255]" end -- a range from its end to its beginning
  return (is_negated and "[^" or "[") .. table.concat(bytes) .. "]"
end

-- A Lua pattern for a glob; nil where it has no wildcard.
local function pattern_of(glob)
  if not glob:find "[%*%?%[]" then return nil end
  local parts, at = {}, 1
  while at <= #glob do
    local letter = glob:sub(at, at)
    local negation, set, after = glob:match("^%[(!?)(%]?[^%]]*)%]()", at)
    if set and set ~= "" then
      parts[#parts + 1] = set_of(set, negation == "!")
      at = after
    else
      if letter == "[" then check.fail('selector "%s" is no glob: its [ has no ]', glob) end
      parts[#parts + 1] = letter == "*" and ".*" or letter == "?" and "." or letter:gsub("%W", "%%%0")
      at = at + 1
    end
  end
  return "^" .. table.concat(parts) .. "$"
end

-- How well a selector fits each layer, by position: a name before a glob, a long glob before a short one, a kind last;
-- nil where it fits none. What names a layer is that name and nothing else, whatever letters it has.
local function fits(selector, layers)
  local by_name, by_rule = {}, {}
  local kind = selector:match "^@(.*)"
  for i, layer in ipairs(layers) do
    if selector == layer.name or selector == layer.weight_name then by_name[i] = math.huge end
  end
  if next(by_name) then return by_name end
  local pattern = not kind and pattern_of(selector)
  for i, layer in ipairs(layers) do
    if kind then
      if kind == layer.kind then by_rule[i] = 1 end
    elseif pattern and (layer.name:find(pattern) or layer.weight_name:find(pattern)) then
      by_rule[i] = 2 + #selector:gsub("[%*%?]", "")
    end
  end
  return next(by_rule) and by_rule or nil
end

-- "conv1, conv2, ip1 …; kinds: @conv, @linear"
local function there_are(layers)
  local names, kinds, seen = {}, {}, {}
  for i, layer in ipairs(layers) do
    if i <= 12 then names[i] = layer.name end
    if not seen[layer.kind] then
      seen[layer.kind] = true
      kinds[#kinds + 1] = "@" .. layer.kind
    end
  end
  if #layers > 12 then names[13] = ("and %d more"):format(#layers - 12) end
  return ("there are %s; kinds: %s"):format(table.concat(names, ", "), table.concat(kinds, ", ")), names, kinds
end

local function no_match(selector, layers)
  local all, names, kinds = there_are(layers)
  local known = { table.unpack(names) }
  table.move(kinds, 1, #kinds, #known + 1, known)
  local nearest = check.nearest(selector, known)
  local hint = nearest and ('; did you mean "%s"?'):format(nearest) or ""
  check.fail('selector "%s" matches no layer%s; %s', selector, hint, all)
end

--- The layers that a selector (or a list of them; nil: all) matches, in the model's order.
function select_layers.matching(layers, selector)
  if selector == nil then return layers end
  local list = type(selector) == "table" and selector or { selector }
  local chosen, result = {}, {}
  for _, one in ipairs(list) do
    check.type(one, "string", "selector")
    for i in pairs(fits(one, layers) or no_match(one, layers)) do
      chosen[i] = true
    end
  end
  for i, layer in ipairs(layers) do
    if chosen[i] then result[#result + 1] = layer end
  end
  return result
end

--- From { selector = value, …, [1] = value for the rest } to a value for each layer, by its position; where several
-- selectors match, the most specific counts: a name, then the longest glob, then a kind, then [1].
function select_layers.assign(layers, map)
  local values, best, by = {}, {}, {}
  local selectors = {}
  for selector in pairs(map) do
    if selector ~= 1 then
      if type(selector) ~= "string" then
        check.fail("selector: a text is wanted, got %s (a list takes one scheme, for all layers)", core.type(selector))
      end
      selectors[#selectors + 1] = selector
    end
  end
  table.sort(selectors)
  for _, selector in ipairs(selectors) do
    local how_well = fits(selector, layers) or no_match(selector, layers)
    for i, layer in ipairs(layers) do
      if how_well[i] and best[i] == how_well[i] then
        check.fail('selectors "%s" and "%s" fit layer %s equally; name the layer', by[i], selector, layer.name)
      elseif how_well[i] and how_well[i] > (best[i] or 0) then
        values[i], best[i], by[i] = map[selector], how_well[i], selector
      end
    end
  end
  if map[1] ~= nil then
    for i in ipairs(layers) do
      if values[i] == nil then values[i] = map[1] end
    end
  end
  return values
end

return select_layers
