--- mcl.recipe: a strategy of compression with a description and typed options; how recipe files are found and loaded.
--
--     return mcl.recipe {
--       about = "one line, or a page",
--       options = { density = { 0.08, "fraction of weights kept", min = 0.001, max = 1 } },
--       run = function(model, opt, job) … end,
--     }
--
-- An option is { default, "text", min=, max=, choices= }; its type is that of the default: whole number, number, true
-- or false, text, or a list of numbers. `opt` holds the resolved values; reading a name that is none is an error.
local check = require "mcl.check"
local chunk = require "mcl.chunk"
local paths = require "mcl.path"

local recipe = {}

local Recipe = {}
Recipe.__index = Recipe
Recipe.__name = "mcl.recipe"

--- Is `value` a recipe?
function recipe.is(value)
  return getmetatable(value) == Recipe
end

function Recipe:__tostring()
  return ("recipe: %s"):format(self.about:match "[^\n]*")
end

-- ---- Options ---------------------------------------------------------------------------------------------------

local function kind_of(default)
  if type(default) == "table" then return "list" end
  return math.type(default) or type(default)
end

local kinds = {
  integer = "a whole number",
  float = "a number",
  boolean = "true or false",
  string = "text",
  list = "numbers separated by commas",
}

-- The value of `text` as `kind`, or nil.
local function parse(kind, text)
  if kind == "integer" then
    return math.tointeger(tonumber(text))
  elseif kind == "float" then
    local number = tonumber(text)
    return number and number + 0.0
  elseif kind == "boolean" then
    if text == "true" or text == "yes" or text == "1" then return true end
    if text == "false" or text == "no" or text == "0" then return false end
    return nil
  elseif kind == "list" then
    local list = {}
    if not text:find "%S" then return list end
    for item in (text .. ","):gmatch "%s*([^,]*)%s*," do
      list[#list + 1] = tonumber(item)
      if not list[#list] then return nil end
    end
    return list
  end
  return text
end

-- What is wrong with a value of the right type, or nil.
local function out_of_range(option, value)
  local numbers = type(value) == "table" and value or { value }
  for _, number in ipairs(numbers) do
    if type(number) == "number" then
      if number ~= number then return "is not a number" end
      if option.min and number < option.min then return ("is less than %s"):format(option.min) end
      if option.max and number > option.max then return ("is more than %s"):format(option.max) end
    end
  end
  if option.choices then
    for _, choice in ipairs(option.choices) do
      if choice == value then return nil end
    end
    local texts = {}
    for i, choice in ipairs(option.choices) do
      texts[i] = tostring(choice)
    end
    return "is not one of " .. table.concat(texts, ", ")
  end
  return nil
end

local function check_option(name, option, level)
  if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then
    error(("recipe: an option's name is a word, not %s"):format(tostring(name)), level + 1)
  end
  if type(option) ~= "table" then
    error(("recipe: option %s is { default, \"text\", min=, max=, choices= }"):format(name), level + 1)
  end
  for key in pairs(option) do
    if key ~= 1 and key ~= 2 and key ~= "min" and key ~= "max" and key ~= "choices" then
      local message = "recipe: option %s has an unknown key %s; there are a default, a text, min, max, choices"
      error(message:format(name, key), level + 1)
    end
  end
  if option[1] == nil or not kinds[kind_of(option[1])] then
    error(("recipe: option %s has no default: { default, \"text\", … }"):format(name), level + 1)
  end
  if type(option[2]) ~= "string" then
    error(("recipe: option %s has no text that says what it is"):format(name), level + 1)
  end
  local wrong = out_of_range(option, option[1])
  if wrong then error(("recipe: the default of option %s %s"):format(name, wrong), level + 1) end
end

--- The options' names, sorted.
function Recipe:names()
  return check.sorted_keys(self.options)
end

--- The value of an option as text that gives it back.
function recipe.text_of(value)
  if type(value) == "table" then
    local texts = {}
    for i, item in ipairs(value) do
      texts[i] = recipe.text_of(item)
    end
    return table.concat(texts, ",")
  end
  local text = tostring(value) -- fourteen digits, where those are enough
  return math.type(value) == "float" and tonumber(text) ~= value and ("%.17g"):format(value) or text
end

--- Resolved options in one line.
function Recipe:text_of_options(values)
  local texts = {}
  for i, name in ipairs(self:names()) do
    texts[i] = name .. "=" .. recipe.text_of(values[name])
  end
  return table.concat(texts, " ")
end

--- Resolved options: defaults, with `settings` (name → text, or a value of the right type) over them. An unknown name
-- or a value out of range gives nil and a message.
function Recipe:resolve(settings)
  local values = {}
  for name, option in pairs(self.options) do
    values[name] = option[1]
  end
  for _, name in ipairs(check.sorted_keys(settings or {})) do
    local setting = settings[name]
    local option = self.options[name]
    if not option then return nil, check.unknown("option", name, self:names()) end
    local kind = kind_of(option[1])
    local value = setting
    if type(setting) == "string" then
      value = parse(kind, setting)
    elseif kind == "float" and type(setting) == "number" then
      value = setting + 0.0
    end
    if value == nil or kind_of(value) ~= kind then
      return nil, ("option %s is %s, not %q"):format(name, kinds[kind], recipe.text_of(setting))
    end
    local wrong = out_of_range(option, value)
    if wrong then return nil, ("option %s: %s %s"):format(name, recipe.text_of(value), wrong) end
    values[name] = value
  end
  local names = self:names()
  return setmetatable(values, {
    __index = function(_, name)
      error(check.unknown("option of this recipe", tostring(name), names), 2)
    end,
  })
end

--- Help on the options: one line each.
function Recipe:help()
  local lines = {}
  for _, name in ipairs(self:names()) do
    local option = self.options[name]
    local limits = {}
    if option.min or option.max then
      limits[1] = ("%s … %s"):format(option.min or "−∞", option.max or "∞")
    end
    if option.choices then
      local texts = {}
      for i, choice in ipairs(option.choices) do
        texts[i] = tostring(choice)
      end
      limits[#limits + 1] = table.concat(texts, " | ")
    end
    local left = ("%s=%s"):format(name, recipe.text_of(option[1]))
    local limit = #limits > 0 and " (" .. table.concat(limits, "; ") .. ")" or ""
    lines[#lines + 1] = "  " .. left .. (" "):rep(26 - #left) .. " " .. option[2] .. limit
  end
  return table.concat(lines, "\n")
end

--- Makes a recipe. Keys are checked; errors point at the caller's line.
function recipe.new(spec, level)
  level = (level or 1) + 1
  if type(spec) ~= "table" then error("recipe: a table is wanted: mcl.recipe{ about=, options=, run= }", level) end
  check.keys(spec, { "about", "options", "run", "candidates", "fits" }, "recipe", level)
  if type(spec.run) ~= "function" then error("recipe: run is a function(model, opt, job)", level) end
  if type(spec.about) ~= "string" then error("recipe: about says in a line what it does", level) end
  if spec.candidates ~= nil and type(spec.candidates) ~= "function" then
    error("recipe: candidates is a function(opt) that returns a list of schemes", level)
  end
  if spec.fits ~= nil and type(spec.fits) ~= "function" then
    error("recipe: fits is a function(opt) that returns how many fits there will be", level)
  end
  local options = spec.options or {}
  if type(options) ~= "table" then error("recipe: options is a table: name = { default, \"text\" }", level) end
  for name, option in pairs(options) do
    check_option(name, option, level)
  end
  return setmetatable({
    about = spec.about, options = options, run = spec.run, candidates = spec.candidates, fits = spec.fits,
  }, Recipe)
end

--- Runs the recipe. The model that comes of it: the one that `run` returns, or else the one it was given.
function Recipe:follow(model, values, job)
  local result = self.run(model, values, job)
  if result == nil then return model end
  if not require("mcl.model").is(result) then
    local place = debug.getinfo(self.run, "S")
    error(("%s:%d: run returned %s; it returns the model that is the result, or nothing where that is the one it was "
      .. "given"):format(place.short_src, place.linedefined, require("mcl.core").type(result)), 0)
  end
  return result
end

-- ---- Files -----------------------------------------------------------------------------------------------------

--- Names of the recipes that come with mcl, sorted.
function recipe.embedded()
  local core = require "mcl.core"
  local names = {}
  for _, file in ipairs(core.embedded_names()) do
    names[#names + 1] = file:match "^recipes/(.*)%.lua$"
  end
  table.sort(names)
  return names
end

--- The text of a recipe and the name for its messages: `name` is a path, or the name of one that comes with mcl. nil
-- and a message if there is none.
function recipe.find(name)
  local core = require "mcl.core"
  if paths.extension(name) ~= "lua" and not name:match "/" then
    local source = core.embedded("recipes/" .. name .. ".lua")
    if source then return source, "recipes/" .. name .. ".lua" end
    return nil, check.unknown("recipe", name, recipe.embedded())
  end
  local file, message = io.open(name, "rb")
  local source = file and file:read "a"
  if file then file:close() end
  if not source then return nil, message or name .. " cannot be read" end
  return source, name
end

--- Runs a recipe's text; nil and a message if it does not return a recipe.
function recipe.load(source, name)
  local result, message = chunk.run(name, source)
  if message then return nil, message end
  if not recipe.is(result) then return nil, name .. " does not return mcl.recipe{ … }" end
  return result
end

return recipe
