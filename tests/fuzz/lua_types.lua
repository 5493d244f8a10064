--- Reads annotations (lua/mcl.d.lua): which functions there are, with the types of their parameters, and the fields of
-- classes. A type is { kind =, … }: name, literal (value), list (of), table (key, value), record (fields), union
-- (choices), optional (of), callback (result).
local types = {}

local function parser(text)
  local at = 1
  local union

  local function match(pattern)
    local first, last, capture = text:find("^" .. pattern, at)
    if not first then return nil end
    at = last + 1
    return capture or text:sub(first, last)
  end

  local function record()
    local fields = {}
    while not match "%s*}" do
      local name = tonumber(match "%s*%[(%d+)%]") or match "%s*([%a_][%w_]*)"
      if not name then break end
      local optional = match "%?" ~= nil
      match ":%s*"
      fields[#fields + 1] = { name = name, optional = optional, type = union() }
      match "%s*,"
    end
    return { kind = "record", fields = fields }
  end

  local function primary()
    local literal = match '"([^"]*)"'
    if literal then return { kind = "literal", value = literal } end
    if match "{" then return record() end
    if match "fun%([^)]*%)" then
      return { kind = "callback", result = match ":%s*" and union() or { kind = "name", name = "nil" } }
    end
    local name = match "[%a_][%w_.]*" or match "%.%.%." or "any"
    if not match "<" then return { kind = "name", name = name } end
    local key = union()
    match ",%s*"
    local value = union()
    match ">"
    return { kind = "table", key = key, value = value }
  end

  local function postfix()
    local type = primary()
    while true do
      if match "%[%]" then
        type = { kind = "list", of = type }
      elseif match "%?" then
        type = { kind = "optional", of = type }
      else
        return type
      end
    end
  end

  function union()
    local choices = { postfix() }
    while match "|" do
      choices[#choices + 1] = postfix()
    end
    return #choices == 1 and choices[1] or { kind = "union", choices = choices }
  end

  return union
end

--- The type that `text` begins with.
function types.parse(text)
  return parser(text)()
end

--- From the text of annotations: functions["mcl.zeros" or "Tensor:set"] = list of types, names["mcl.shape"] = type.
function types.read(text)
  local functions, names, parameters, class = {}, {}, {}, nil
  for line in text:gmatch "[^\n]+" do
    local name, rest = line:match "^%-%-%-@alias ([%w_.]+) (.*)"
    if name then names[name] = types.parse(rest) end
    name = line:match "^%-%-%-@class ([%w_.]+)"
    if name then
      class = { kind = "record", fields = {} }
      names[name] = class
    end
    local key, mark
    key, mark, rest = line:match "^%-%-%-@field ([%w_%[%]]+)(%??) (.*)"
    if key and class then
      key = tonumber(key:match "^%[(%d+)%]$") or key
      class.fields[#class.fields + 1] = { name = key, optional = mark == "?", type = types.parse(rest) }
    end
    name, mark, rest = line:match "^%-%-%-@param ([%w_.]+)(%??) (.*)"
    if name then
      local type = types.parse(rest)
      parameters[#parameters + 1] = mark == "?" and { kind = "optional", of = type } or type
    end
    name = line:match "^function ([%w_.:]+)%("
    if name then functions[name] = parameters end
    if not line:match "^%-%-" then parameters = {} end
  end
  return functions, names
end

return types
