--- The driver of fuzz_lua_api: calls of any function of mcl, any method of its objects and any operator, with
-- arguments of the annotated types or of any other; from within callbacks, metamethods, coroutines and `<close>` as
-- well. Functions are found by walking the module, so new ones are called without being named here. All choices come
-- from choose(n).
local host, annotations, types, values = ...
local choose = host.choose

local core = require "mcl.core"
local mcl = require "mcl"

local MOST_DEPTH = 3   -- calls within calls
local MOST_RETRIES = 3 -- with the argument mended that a message complains of

local annotated, names = types.read(annotations)
local depth = 0
local fuzz = { choose = choose, names = names }
local step

--- What callbacks and metamethods do: change or close what is in use, or call anything.
function fuzz.act()
  if depth >= MOST_DEPTH then return end
  local habit = choose(6)
  if habit == 1 then
    local _ <close> = values.object() -- an error where it has no __close
  elseif habit == 2 then
    local t = values.get "tensor"
    t:set(values.number())
  elseif habit > 3 then
    step()
  end
end

values = values.new(fuzz, mcl, core)
local pick, one_in = values.pick, values.one_in

-- ---- What can be called ----------------------------------------------------------------------------------------

local functions, seen = {}, {} -- { name =, call =, types = or nil }

local function sorted_keys(t)
  local keys = {}
  for key in next, t do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

local function walk(t, name, level)
  if seen[t] or level > 3 then return end
  seen[t] = true
  for _, key in ipairs(sorted_keys(t)) do
    local value = rawget(t, key)
    if type(value) == "function" and not seen[value] then
      seen[value] = true
      functions[#functions + 1] = { name = name .. "." .. key, call = value, types = annotated[name .. "." .. key] }
    elseif type(value) == "table" then
      walk(value, key, level + 1)
    end
  end
end

for _, name in ipairs(mcl.names()) do
  local _ = mcl[name] -- loads the part
end
walk(mcl, "mcl", 1)
walk(core, "core", 1)
for _, file in ipairs(core.embedded_names()) do
  local module = file:match "^lua/(mcl/%w+)%.lua$"
  local loaded, part = pcall(require, module and module:gsub("/", ".") or "mcl")
  if loaded and type(part) == "table" then walk(part, module or "mcl", 2) end
end

local classes = {
  tensor = "Expression", expression = "Expression", scheme = "Scheme", representation = "Representation",
  dataset = "Dataset", model = "core_model", ["mcl.model"] = "Model", ["mcl.plan"] = "Plan", ["mcl.job"] = "Job",
  ["mcl.nn.architecture"] = "Architecture",
}

local methods = {} -- by kind of object

local function methods_of(object)
  local kind = core.type(object)
  if not methods[kind] then methods[kind] = host.methods(object) end
  return methods[kind], classes[kind]
end

local operators = {
  { "+", function(a, b) return a + b end }, { "-", function(a, b) return a - b end },
  { "*", function(a, b) return a * b end }, { "/", function(a, b) return a / b end },
  { "^", function(a, b) return a ^ b end }, { "..", function(a, b) return a .. b end },
  { "neg", function(a) return -a end }, { "#", function(a) return #a end },
  { "[]", function(a, b) return a[b] end }, { "[]=", function(a, b, c) a[b] = c end },
  { "()", function(a, b) return a(b) end }, { "==", function(a, b) return a == b end },
  { "<", function(a, b) return a < b end }, { "<=", function(a, b) return a <= b end },
  { "pairs", pairs }, { "close", function(a) local _ <close> = a end },
  { "tostring", tostring }, { "getmetatable", getmetatable }, { "core.type", core.type },
}

local fields = {
  "shape", "dtype", "count", "x", "y", "weight", "bias", "representation", "codebook", "parts", "core", "gram", "rows",
  1, 2, 3, -1,
}

-- ---- A call ----------------------------------------------------------------------------------------------------

local function typed(list, args, first)
  local n = #list
  if one_in(10) then n = choose(n + 2) - 1 end
  for i = 1, n do
    args[first + i] = list[i] and values.of(list[i], 1) or values.anything(2)
  end
  return first + n
end

-- name, function, arguments, their number
local function prepare()
  local habit = choose(8)
  if habit <= 3 then
    local entry, args = pick(functions), {}
    if entry.types then return entry.name, entry.call, args, typed(entry.types, args, 0) end
    local n = choose(5) - 1
    for i = 1, n do
      args[i] = values.anything(1)
    end
    return entry.name, entry.call, args, n
  elseif habit <= 7 then
    local object = values.object()
    local list, class = methods_of(object)
    if #list == 0 then return "tostring", tostring, { object }, 1 end
    local name = pick(list)
    local args = { object }
    local known = class and (annotated[class .. ":" .. name] or annotated["Tensor:" .. name])
    local call = function(self, ...) return self[name](self, ...) end
    if known then return class .. ":" .. name, call, args, typed(known, args, 1) end
    local n = choose(4)
    for i = 2, n do
      args[i] = values.anything(1)
    end
    return core.type(object) .. ":" .. name, call, args, n
  end
  local operator = pick(operators)
  local second = one_in(2) and pick(fields) or values.anything(1)
  return operator[1], operator[2], { values.object(), second, values.anything(1) }, 3
end

-- Called plainly, in a coroutine, under a handler that acts, or with something to be closed at its end.
local function invoke(call, args, n)
  local habit = choose(12)
  if habit == 1 then return pcall(coroutine.wrap(call), table.unpack(args, 1, n)) end
  if habit == 2 then
    return xpcall(call, function(message)
      fuzz.act()
      return message
    end, table.unpack(args, 1, n))
  end
  if habit == 3 then
    return pcall(function(...)
      local _ <close> = setmetatable({}, { __close = fuzz.act })
      return call(...)
    end, table.unpack(args, 1, n))
  end
  return pcall(call, table.unpack(args, 1, n))
end

local words = { ["a"] = "", ["an"] = "", ["integer"] = "integer", ["matrix"] = "mcl.Tensor" }

-- The argument that a message complains of, made anew: "argument 2: a tensor is wanted, got nil".
local function mend(message, args, n)
  if type(message) ~= "string" then return nil end
  local position, wanted = message:match "argument (%d+): an? ([%w ]+) is wanted"
  if not position then wanted = message:match "an? ([%w ]+) is wanted, got" end
  if not wanted then return nil end
  position = math.tointeger(tonumber(position or choose(n + 1)))
  if position < 1 or position > 8 then return nil end
  local name = words[wanted] or wanted
  args[position] = values.of({ kind = "name", name = name }, 1)
  return math.max(n, position)
end

function step()
  depth = depth + 1
  local name, call, args, n = prepare()
  for _ = 0, MOST_RETRIES do
    host.count(depth, name, table.unpack(args, 1, n))
    local results = table.pack(invoke(call, args, n))
    for i = 2, math.min(results.n, 4) do
      values.keep(results[i])
    end
    if results[1] then break end
    host.failed(results[2])
    n = mend(results[2], args, n)
    if not n then break end
  end
  depth = depth - 1
end

for _ = 1, choose(200) do
  pcall(step)
  depth = 0
  if core.is_cancelled() then break end
end
