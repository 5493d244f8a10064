--- Values for the fuzzer of the Lua API: of the types that annotations name, and of no type at all. Objects live in a
-- pool, by kind; they are used again in later calls, closed or changed as they may have become by then.
local values = {}

local MOST_POOLED = 8 -- objects of a kind
local EXPRESSION = { kind = "name", name = "mcl.Expression" }

--- fuzz: choose(n) → 1 … n; act(): whatever callbacks and metamethods do; names: types by name.
function values.new(fuzz, mcl, core)
  local choose = fuzz.choose
  local pool, everything = {}, {}
  local of, anything -- forward

  local function one_in(n) return choose(n) == n end
  local function pick(list) return list[choose(#list)] end

  -- ---- Plain values --------------------------------------------------------------------------------------------

  local odd_integers = {
    -1, -2, 9, 16, 63, 64, 100, 127, 128, 255, 256, 257, 1000, 65535, 65536, 1000000, 2 ^ 31 - 1 | 0, 1 << 31, -1 << 31,
    1 << 32, (1 << 32) - 1, 1 << 40, 1 << 53, math.maxinteger, math.mininteger, math.maxinteger // 4,
  }
  local odd_numbers = {
    -0.0, 0.5, 0.1, 1e-3, -1.5, 2.5, 0.999999, 1e-320, 1e300, -1e300, 2.0 ^ 31, 2.0 ^ 63, 2.0 ^ 64, 3.4e38, 1e39, 1 / 0,
    -1 / 0, 0 / 0,
  }
  local odd_texts = {
    "", "f32", "f16", "i64", "u8", "x", "w", "relu", "mse", "sgd", "fc1", "*", "[", "%s%n%p", "\0", "a\0b", "@linear",
    "\xff\xfe", "../x", "/dev/null", "[[1,2],{\"a\":null}]", "return 1", ("y"):rep(300),
  }

  local function integer() return one_in(3) and pick(odd_integers) or choose(9) - 1 end
  local function number() return one_in(2) and integer() or pick(odd_numbers) end
  local function text() return pick(odd_texts) end

  -- ---- Callbacks, coroutines, hostile tables -------------------------------------------------------------------

  -- result: a type, or nil for any.
  local function callback(result, depth)
    local habit = choose(8)
    return function(...)
      if habit == 1 then error("raised by a callback", 0) end
      if habit == 2 then error({}) end
      if habit == 3 then coroutine.yield(...) end
      if habit >= 6 then fuzz.act(...) end
      if habit == 7 then return ... end
      if result then return of(result, depth + 1) end
      return anything(depth + 1), anything(depth + 1)
    end
  end

  local function thread(depth)
    local routine = coroutine.create(callback(nil, depth))
    if one_in(2) then coroutine.resume(routine) end
    return routine
  end

  local events = {
    "__index", "__newindex", "__len", "__call", "__eq", "__lt", "__le", "__close", "__concat", "__unm", "__add",
    "__sub", "__mul", "__div", "__pow", "__pairs", "__tostring",
  }

  local function list(depth)
    local made = {}
    for i = 1, choose(5) - 1 do
      made[i] = anything(depth + 1)
    end
    if one_in(3) then made[text()] = anything(depth + 1) end
    return made
  end

  local function hostile(depth)
    local meta = {}
    for _ = 1, choose(4) do
      local event = pick(events)
      if event == "__len" and one_in(2) then
        local length = integer()
        meta.__len = function() return length end
      elseif event == "__index" and one_in(2) then
        local value = anything(depth + 1)
        meta.__index = function() return value end
      else
        meta[event] = callback(nil, depth)
      end
    end
    if one_in(4) then meta.__mode = pick { "k", "v", "kv" } end
    if one_in(6) then meta.__name = pick { "tensor", "model", "mcl.model", "scheme", "" } end
    return setmetatable(list(depth), meta)
  end

  -- ---- Objects -------------------------------------------------------------------------------------------------

  local shapes = { {}, { 1 }, { 3 }, { 8 }, { 0 }, { 2, 3 }, { 8, 8 }, { 16, 8 }, { 3, 8 }, { 5, 1 }, { 1, 6, 6 },
    { 4, 1, 3, 3 }, { 3, 0, 2 }, { 2, 1, 6, 6 }, { 1, 1, 1, 1, 1, 1, 1, 2 }, { 12, 20 } }
  local dtypes = { "f32", "f32", "f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64", "u8", "bool" }

  local makers = {}

  function makers.tensor()
    local shape = pick(shapes)
    local habit = choose(5)
    if habit <= 2 then return mcl.random(shape, { seed = choose(9), kind = "normal" }) end
    if habit == 3 then return mcl.full(shape, number(), pick(dtypes)) end
    if habit == 4 then return mcl.arange(choose(9), choose(40), choose(3)) end
    return mcl.random(shape, { seed = 1 }):to(pick(dtypes))
  end

  function makers.expression()
    local t = values.get "tensor"
    local habit = choose(4)
    return habit == 1 and t + number() or habit == 2 and t * t or habit == 3 and t:abs() or (t * 2):exp() - t
  end

  makers["mcl.model"] = function()
    local nn = mcl.nn
    if one_in(3) then
      return nn.sequential { input = { 1, 6, 6 }, nn.conv { out = 2, kernel = 3 }, nn.batch_norm(), nn.relu(),
        nn.max_pool { kernel = 2 }, nn.flatten(), nn.linear { out = 3 } }:build { seed = 1 }
    end
    local activation = pick { nn.relu, nn.tanh, nn.gelu }
    return nn.sequential { input = { 8 }, nn.linear { out = 8 }, activation(), nn.linear { out = 3 } }
      :build { seed = choose(9) }
  end

  makers.model = function()
    if one_in(2) then return values.get("mcl.model").core end
    local m = core.model "net"
    local x = m:add_input("x", pick { { -1, 8 }, { -1, 1, 6, 6 }, { 4, 8 } })
    m:add_weight("w", mcl.random({ 3, 8 }, { seed = 1 }))
    m:add_weight("b", mcl.random({ 3 }, { seed = 2 }))
    if one_in(2) then m:add_output(m:add_node(pick { "relu", "tanh", "softmax" }, "y", nil, { x })) end
    return m
  end

  function makers.dataset()
    local rows = pick { 1, 2, 12 }
    local shape = one_in(3) and { rows, 1, 6, 6 } or { rows, 8 }
    local x = mcl.random(shape, { seed = choose(4) })
    local y = one_in(3) and mcl.random({ rows, 3 }, { seed = 1 }) or (mcl.arange(rows) / 4):floor():eval():to "i64"
    if one_in(4) then x = (x * 255):eval():to "u8" end
    return mcl.dataset(x, y)
  end

  function makers.scheme()
    local habit = choose(9)
    if habit == 1 then return mcl.keep { dtype = pick { "f32", "f16", "bf16" } } end
    if habit == 2 then return mcl.share { bits = choose(8) } end
    if habit == 3 then return mcl.quantize { bits = choose(8), group = pick { 0, -1, 2, 8 } } end
    if habit == 4 then return mcl.lowrank { rank = choose(3), factors = one_in(2) and values.get "scheme" or nil } end
    if habit == 5 then return values.get "scheme" .. values.get "scheme" end
    if habit == 6 then return values.get "scheme" + values.get "scheme" end
    if habit == 7 then return mcl.prune { density = 0.5, by = callback(EXPRESSION, 0) } end
    if habit == 8 then return mcl.share { bits = 2, weighted = true } end
    return mcl.prune { density = choose(10) / 10 }
  end

  function makers.representation() return values.get("scheme"):apply(values.get "tensor") end

  function makers.statistics()
    local x = values.get "dataset":rows()
    local seen = values.get "mcl.model":calibrate(x, { "input_norm", "input_square", one_in(2) and "gram" or "range" })
    return seen[1] or seen[2]
  end

  makers["mcl.layer"] = function() return pick(values.get("mcl.model"):layers()) end
  makers["mcl.nn.layer"] = function() return mcl.nn.linear { out = choose(4) } end
  makers["mcl.nn.architecture"] = function() return mcl.nn.sequential { mcl.nn.linear { out = 2 }, mcl.nn.relu() } end
  makers["mcl.plan"] = function()
    local candidates = { values.get "scheme", mcl.keep {} }
    return mcl.plan { values.get "mcl.model", candidates = candidates, budget = { ratio = choose(8) / 4 } }
  end
  makers["mcl.job"] = function() return require("mcl.job").new(values.get "mcl.model", {}) end
  makers["mcl.recipe"] = function()
    return mcl.recipe { about = "x", options = { bits = { 4, "bits" } }, run = callback(nil, 0) }
  end
  makers.criterion = function()
    return mcl.criterion { "input_norm", callback(EXPRESSION, 0) }
  end
  local kinds = {}
  for kind in pairs(makers) do
    kinds[#kinds + 1] = kind
  end
  table.sort(kinds)

  --- What calls gave is kept, for calls to come.
  function values.keep(value)
    local kind = core.type(value)
    if not makers[kind] and type(value) ~= "userdata" then return end
    pool[kind] = pool[kind] or {}
    local at = #pool[kind] < MOST_POOLED and #pool[kind] + 1 or choose(MOST_POOLED)
    pool[kind][at] = value
    everything[#everything < 64 and #everything + 1 or choose(64)] = value
  end

  --- An object of a kind: one that was seen before, or a new one; nil where none can be made.
  function values.get(kind)
    local held = pool[kind]
    if held and #held > 0 and not (makers[kind] and one_in(3)) then return pick(held) end
    local made, value = pcall(makers[kind] or error)
    if made and value ~= nil then
      values.keep(value)
      return value
    end
    return held and held[1]
  end

  --- Any object.
  function values.object()
    if #everything > 0 and not one_in(4) then return pick(everything) end
    return values.get(pick(kinds))
  end

  -- ---- Typed values --------------------------------------------------------------------------------------------

  local by_name = {
    integer = integer, number = number, string = text, text = text, table = list, thread = thread,
    boolean = function() return one_in(2) end, userdata = function() return values.object() end,
    any = function(depth) return anything(depth) end, ["function"] = function(depth) return callback(nil, depth) end,
    ["a whole number"] = integer, value = function() return choose(4) end, ["nil"] = function() end,
    ["..."] = function() end,
  }

  local kinds_of_types = {
    name = function(type, depth)
      local make = by_name[type.name]
      if make then return make(depth) end
      local kind = type.name:lower()
      if makers[kind] or pool[kind] then return values.get(kind) end
      kind = kind:gsub("^mcl%.", "")
      if makers[kind] or pool[kind] then return values.get(kind) end
      local named = fuzz.names[type.name]
      if named then return of(named, depth + 1) end
      return anything(depth)
    end,
    literal = function(type) return type.value end,
    optional = function(type, depth)
      if choose(3) > 1 then return nil end
      return of(type.of, depth)
    end,
    union = function(type, depth) return of(pick(type.choices), depth) end,
    callback = function(type, depth) return callback(type.result, depth) end,
    list = function(type, depth)
      local made = {}
      for i = 1, choose(4) do
        made[i] = of(type.of, depth + 1)
      end
      return made
    end,
    table = function(type, depth)
      local made = {}
      for _ = 1, choose(3) do
        local key = of(type.key, depth + 1)
        if key ~= nil and key == key then made[key] = of(type.value, depth + 1) end
      end
      return made
    end,
    record = function(type, depth)
      local made = {}
      for _, field in ipairs(type.fields) do
        if not field.optional or one_in(4) then made[field.name] = of(field.type, depth + 1) end
      end
      return made
    end,
  }

  --- A value of a type; now and then of another one.
  function of(type, depth)
    if depth > 5 then return nil end
    if one_in(16) then return anything(depth) end
    return kinds_of_types[type.kind](type, depth)
  end

  --- Of no type that was asked for.
  function anything(depth)
    if depth > 4 then return integer() end
    local habit = choose(12)
    if habit == 1 then return nil end
    if habit == 2 then return number() end
    if habit == 3 then return text() end
    if habit == 4 then return one_in(2) end
    if habit == 5 then return callback(nil, depth) end
    if habit == 6 then return thread(depth) end
    if habit == 7 then return list(depth) end
    if habit <= 9 then return hostile(depth) end
    return values.object()
  end

  values.of, values.anything, values.callback, values.hostile = of, anything, callback, hostile
  values.pick, values.one_in, values.number = pick, one_in, number
  return values
end

return values
