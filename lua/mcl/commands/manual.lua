--- mcl manual: the manual page, in roff, made from what --help prints.
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local core = require "mcl.core"
local recipes = require "mcl.recipe"

-- Text as it stands, in roff.
local function verbatim(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    line = line:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^([.'])", "\\&%1")
    lines[#lines + 1] = line
  end
  return ".nf\n" .. table.concat(lines, "\n"):gsub("\n+$", "") .. "\n.fi"
end

local function help_of(name)
  return (commands.module(name)(common.parser, { name }):get_help())
end

-- What every recipe takes: the help of one, without its own name, text and options.
local function help_of_recipes(any)
  local parser = commands.module(any)(function()
    return common.parser("RECIPE", "Runs a recipe on a model and writes what comes of it.")
  end, { any })
  return (parser:get_help():gsub("\n\noptions of the recipe.*$", ""))
end

local function recipe_options(name)
  local source, file = recipes.find(name)
  local recipe = assert(recipes.load(source, file))
  return recipe.about .. "\n\n" .. recipe:help()
end

local ENVIRONMENT = [[
.SH ENVIRONMENT
.TP
MCL_KERNELS
portable, avx2 or avx512: the instruction set, where less than the processor has is wanted.
.TP
MCL_TRACEBACK
set: errors show where in Lua they come from.]]

local function manual()
  local synopsis, description = commands.help():match "\n\n(.-)\n\n(.*)$"
  local embedded = recipes.embedded()
  local parts = {
    ('.TH MCL 1 "" "mcl %s"'):format(core.version),
    ".SH NAME\nmcl \\- compresses trained neural networks under the control of short Lua recipes",
    ".SH SYNOPSIS\n" .. verbatim(synopsis),
    ".SH DESCRIPTION\n" .. verbatim(description),
    ".SH COMPRESSING\n" .. verbatim(help_of_recipes(embedded[1])),
  }
  for _, name in ipairs(embedded) do
    parts[#parts + 1] = (".SS %s\n"):format(name) .. verbatim(recipe_options(name))
  end
  parts[#parts + 1] = ".SH COMMANDS"
  for i = 1, #commands.names() - #embedded do
    local name = commands.names()[i]
    parts[#parts + 1] = (".SS %s\n"):format(name) .. verbatim(help_of(name))
  end
  parts[#parts + 1] = ENVIRONMENT
  return table.concat(parts, "\n")
end

return function(new)
  local parser = new("manual", "The manual page, in roff.", "  mcl manual | man -l -")
  return parser, function() print(manual()) end
end
