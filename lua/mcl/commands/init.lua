--- The command line: which command an argument names, exit codes, help. 0 done, 1 the work failed, 2 wrong usage.
-- Only what a command needs is loaded, so that short commands stay short.
--
-- A command is a function (new, arguments): it makes its parser by new(name, about, examples), and returns it with the
-- function that does the work, called with what the parser made of the arguments. It may give an exit code.
local commands = {}

-- name → the arguments it takes, what it does. The module is mcl.commands.NAME.
local rows = {
  { "train", "ARCH.lua --data SPEC -o MODEL.bin", "train an architecture" },
  { "eval", "MODEL --data SPEC", "loss and accuracy on the test set" },
  { "inspect", "FILE", "what a file holds, layer by layer, in bytes" },
  { "convert", "IN OUT", "another format, by extension" },
  { "verify", "FILE", "every checksum, every stream decoded" },
  { "infer", "MODEL --input NAME=x.npy --output NAME=y.npy", "run a model on arrays" },
  { "diff", "A B", "error of each weight between two models" },
  { "recipes", "", "the recipes that come with mcl" },
  { "completion", "bash|zsh|fish", "completions for a shell, to be sourced" },
  { "manual", "", "the page that man(1) shows" },
}

local NOTES = [[
MODEL is a file, %s, or an architecture in .lua; .safetensors, .gguf and .npz
hold weights alone. SPEC is %s. Results go to stdout,
progress and logs to stderr. Exit: 0 done, 1 the work failed, 2 wrong usage, 130 stopped by Ctrl-C.

examples:
  mcl train examples/models/lenet5.lua --data fashion-mnist -o lenet5.bin
  mcl deep_compression lenet5.bin --data fashion-mnist -o lenet5.mcl --report report.html
  mcl deep_compression --help
  mcl eval lenet5.mcl --data fashion-mnist
  mcl inspect lenet5.mcl
  mcl convert lenet5.mcl lenet5.onnx]]

--- What `mcl --help` prints.
function commands.help()
  local lines = {
    "mcl: compresses trained neural networks under the control of short Lua recipes",
    "",
    "  mcl RECIPE MODEL [-o OUT] [--data SPEC] [--set key=value]…   compress (RECIPE: a .lua file, or a name)",
  }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("  mcl %-58s %s"):format(row[1] .. " " .. row[2], row[3])
  end
  lines[#lines + 1] = "  mcl COMMAND --help, mcl RECIPE --help, mcl --version"
  lines[#lines + 1] = ""
  lines[#lines + 1] = NOTES:format(require("mcl.core").extensions "read", require("mcl.data").specs)
  return table.concat(lines, "\n")
end

--- An error of usage: the message is printed, the exit code is 2.
function commands.usage(format, ...)
  error({ usage = select("#", ...) > 0 and format:format(...) or format }, 0)
end

--- The names of the commands, then of the recipes that come with mcl.
function commands.names()
  local names = {}
  for i, row in ipairs(rows) do
    names[i] = row[1]
  end
  for _, name in ipairs(require("mcl.recipe").embedded()) do
    names[#names + 1] = name
  end
  return names
end

-- The module's name of a command; a recipe is run by the command "run".
local function find(word)
  for _, row in ipairs(rows) do
    if row[1] == word then return "mcl.commands." .. word end
  end
  if require("mcl.path").extension(word) == "lua" or word:match "/" then return "mcl.commands.run" end
  local recipe = require "mcl.recipe"
  local names = recipe.embedded()
  for _, name in ipairs(names) do
    if name == word then return "mcl.commands.run" end
  end
  if word:match "^%-" then
    commands.usage("%s: a command or a recipe comes first: mcl COMMAND %s; mcl --help lists them", word, word)
  end
  for _, row in ipairs(rows) do
    names[#names + 1] = row[1]
  end
  commands.usage("%s; mcl --help lists them", require("mcl.check").unknown("command or recipe", word, names))
end

--- The function of a command or a recipe, by name.
function commands.module(word)
  return require(find(word))
end

local function wants_help(arguments)
  for i = 2, #arguments do
    if arguments[i] == "--help" or arguments[i] == "-h" then return true end
  end
  return false
end

local function run(arguments)
  local word = arguments[1]
  if word == "--help" or word == "-h" or word == "help" then
    print(commands.help())
    return 0
  elseif word == "--version" then
    print("mcl " .. require("mcl.core").version)
    return 0
  elseif not word then
    io.stderr:write(commands.help(), "\n")
    return 2
  end
  local command = commands.module(word)
  local common = require "mcl.commands.common"
  common.begin(arguments)
  local parser, work = command(common.parser, arguments)
  if wants_help(arguments) then
    require("mcl.shown").print(parser:get_help())
    return 0
  end
  return work(common.parse(parser, arguments)) or 0
end

--- A failure as text for the user; wrong usage stays what it is. Called where the error happened, so that a traceback
-- can be had.
function commands.explain(failure)
  if type(failure) == "table" and failure.usage then return failure end
  local text = require("mcl.core").explain(failure)
  return os.getenv "MCL_TRACEBACK" and debug.traceback(text, 2) or text
end

--- Runs the command line; returns the exit code.
function commands.main(arguments)
  local system = require "mcl.system"
  local ok, result, stopped = system.attempt(commands.explain, run, arguments)
  if ok then return result end
  local loaded = package.loaded["mcl.progress"]
  if loaded then loaded.clear() end
  io.stdout:flush()
  local printable = require("mcl.shown").printable
  if type(result) == "table" then
    io.stderr:write("mcl: ", printable(result.usage), "\n")
    return 2
  end
  if stopped and result:match "cancelled$" then result = "stopped" end
  io.stderr:write("mcl: ", printable(result), "\n")
  return system.interrupted() or 1
end

return setmetatable(commands, {
  __call = function(_, arguments)
    return commands.main(arguments)
  end,
})
