--- mcl recipes: the recipes that come with it.
local common = require "mcl.commands.common"
local recipe = require "mcl.recipe"
local shown = require "mcl.shown"

local function list(args)
  if args.show then
    local source, message = recipe.find((args.show:gsub("%.[Ll][Uu][Aa]$", "")))
    if not source then require("mcl.commands").usage("%s", message) end
    io.write(source)
    return
  end
  local rows = {}
  for _, name in ipairs(recipe.embedded()) do
    local source, file = recipe.find(name)
    rows[#rows + 1] = { "  " .. name, assert(recipe.load(source, file)).about:match "[^\n]*" }
  end
  shown.print(common.table(rows))
end

return function(new)
  local parser = new("recipes", "The recipes that come with mcl; one may be run by its name alone.")
  parser:option "--show":argname "NAME":description "print the recipe's text, to start one of your own"
  return parser, list
end
