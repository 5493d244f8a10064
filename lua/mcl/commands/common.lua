--- What commands share: option parsing (lua-argparse, embedded), models and data by name, tables of text.
local core = require "mcl.core"
local commands = require "mcl.commands"
local outputs = require "mcl.outputs"
local paths = require "mcl.path"
local reads = require "mcl.reads"
local system = require "mcl.system"
local shown = require "mcl.shown"

local common = {}

-- ---- Options ---------------------------------------------------------------------------------------------------

local ZSTD_LEVEL = 19 -- where none is given

-- argparse ends the program after --help, which files that mcl runs may not.
local function argparse()
  local source = core.embedded "argparse.lua"
  if not source then
    local file = assert(io.open(assert(package.searchpath("argparse", package.path)), "rb"))
    source = file:read "a"
    file:close()
  end
  local ending = setmetatable({ exit = system.exit }, { __index = os })
  return assert(load(source, "@argparse.lua", "t", setmetatable({ os = ending }, { __index = _G })))()
end

-- What every command takes: --quiet, --verbose, --threads and --dense-limit.
local function with_common_options(parser)
  parser:usage_max_width(100)
  parser:option "--threads":args(1):argname "N":description "processors to use; the result does not depend on it"
  parser:option "--dense-limit":args(1):argname "BYTES"
    :description "of weights that an artifact may stand for (1 GiB, or 4096 times its size)"
  parser:flag "--quiet":description "nothing on stderr but errors"
  parser:flag "--verbose":description "more on stderr"
  return parser
end

--- A parser for `mcl NAME`.
function common.parser(name, about, examples)
  return with_common_options(argparse()("mcl " .. name, about, examples and "examples:\n" .. examples or nil))
end

--- One parser of all commands and of the recipes that come with mcl, for completions.
function common.tree()
  local tree = argparse()("mcl", "compresses trained neural networks under the control of short Lua recipes")
  tree:flag "--version":description "mcl's version"
  for _, name in ipairs(commands.names()) do
    commands.module(name)(function(_, about)
      return with_common_options(tree:command(name, (about:match "[^\n]*")))
    end, { name })
  end
  return tree
end

--- key=value of an option that may come more than once, into a table.
function common.settings(list, option)
  local settings = {}
  for _, text in ipairs(list or {}) do
    local key, value = text:match "^([^=]+)=(.*)$"
    if not key then commands.usage("%s %s: key=value is wanted", option, text) end
    settings[key] = value
  end
  return settings
end

-- --zstd may stand alone: then it has a level of its own, and of what follows takes a whole number alone. A negative
-- number is the argument of the option before it, not an option.
local function prepared(arguments)
  local list = {}
  for i = 2, #arguments do
    local word = arguments[i]
    if word == "--zstd" then
      word = (arguments[i + 1] or ""):match "^%d+$" and word or "--zstd=" .. ZSTD_LEVEL
    end
    if word:match "^%-%d" and (list[#list] or ""):match "^%-%-[%w-]+$" then
      list[#list] = list[#list] .. "=" .. word
    else
      list[#list + 1] = word
    end
  end
  return list
end

local function threads_of(text)
  local threads = math.tointeger(tonumber(text))
  if not threads or threads < 1 or threads > 256 then
    commands.usage("--threads %s: a number from 1 to 256 is wanted", text)
  end
  return threads
end

local function dense_limit_of(text)
  local bytes = tonumber(text)
  if not bytes or bytes < 1 or bytes > 1e18 then
    commands.usage("--dense-limit %s: a number of bytes is wanted", text)
  end
  return bytes
end

-- Settings that the engine takes when it is first used, and how each is read.
local first_settings = { threads = threads_of, dense_limit = dense_limit_of }

--- Begins what has to be there before a recipe or an architecture is loaded, whose options are parsed after: the engine
-- with the settings that it takes then, and the list of what is read.
function common.begin(arguments)
  local settings = {}
  for i, word in ipairs(arguments) do
    local name, text = word:match "^%-%-([%a-]+)=?(.*)$"
    local key = name and name:gsub("%-", "_")
    if first_settings[key] then
      if text == "" then text = arguments[i + 1] end
      settings[key] = text and first_settings[key](text)
    end
  end
  if next(settings) then core.context(settings) end
  reads.begin()
end

--- Parses what follows the command's name, and sets up stderr and the engine. Wrong usage ends the command with code 2.
function common.parse(parser, arguments)
  local ok, result = parser:pparse(prepared(arguments))
  if not ok then
    local usage = parser:get_usage():gsub("^Usage", "usage")
    commands.usage("%s\n%s", (result:gsub("\nDid you mean", "; did you mean")), usage)
  end
  if result.quiet and result.verbose then commands.usage "--quiet and --verbose do not go together" end
  for key, read in pairs(first_settings) do
    result[key] = result[key] and read(result[key])
  end
  if result.seed then
    local seed = math.tointeger(tonumber(result.seed))
    if not seed or seed < 0 then commands.usage("--seed %s: from 0 to 2^63 - 1 is wanted", result.seed) end
    result.seed = seed
  end
  require("mcl.progress").setup(result)
  system.watch()
  return result
end

-- ---- Work that can be gone on with ------------------------------------------------------------------------------

--- Runs `work`, whose snapshots stay where it fails; the message of a signal says where they are, and the command that
-- goes on: the arguments, with --resume.
function common.keeping(snapshots, arguments, work)
  local ok, failure, stopped = system.attempt(commands.explain, work)
  if ok then return end
  local kept = snapshots:leave()
  if stopped and not kept then error("stopped; there was nothing yet to keep", 0) end
  if stopped then
    error(("stopped; finished fits and the last epoch are kept in %s. To go on:\n  %s")
      :format(snapshots.folder, common.how_to_resume(arguments)), 0)
  end
  if kept then
    require("mcl.progress").line("what was done is kept in %s. To go on:\n  %s", snapshots.folder,
      common.how_to_resume(arguments))
  end
  error(failure, 0)
end

--- The command as it could be typed again.
function common.command_line(arguments)
  local words = { "mcl" }
  for _, word in ipairs(arguments) do
    words[#words + 1] = word:match "^[%w%-_./=:,@+%%]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

--- The command that goes on with an interrupted one.
function common.how_to_resume(arguments)
  local list = {}
  for _, word in ipairs(arguments) do
    if word ~= "--resume" then list[#list + 1] = word end
  end
  list[#list + 1] = "--resume"
  return common.command_line(list)
end

-- ---- Where results go ------------------------------------------------------------------------------------------

--- Claims the file of a model to be written, whose extension says the format.
function common.claim_model(path)
  outputs.claim(path)
  local known, format = pcall(core.format_of, path, "written")
  if not known then commands.usage("%s", format) end
end

--- The level of --zstd, or nil.
function common.zstd_level(args)
  if not args.zstd then return nil end
  local level = math.tointeger(tonumber(args.zstd))
  if not level or level < 1 or level > 22 then
    commands.usage("--zstd=%s: a level from 1 to 22 is wanted", args.zstd)
  end
  return level
end

-- ---- Models and data -------------------------------------------------------------------------------------------

--- What may stand for a model, for help.
function common.model_kinds()
  return core.extensions "read" .. ", or an architecture in .lua"
end

-- Bytes of the files that the engine has read but for those in `known`.
local function bytes_read(known)
  local bytes = 0
  for _, path in ipairs(core.files_read()) do
    if not known[path] then bytes = bytes + (system.size(path) or 0) end
  end
  return bytes
end

--- Loads a model, or builds an architecture (weights drawn by seed). And the bytes of its files, the data beside it
-- too; of an architecture, which is text, nil.
function common.model(path, seed)
  if paths.extension(path) == "lua" then
    local architecture, message = require("mcl.nn").load(path)
    if not architecture then error(message, 0) end
    return architecture:build { seed = seed or 0, name = path }
  end
  local known = {}
  for _, name in ipairs(core.files_read()) do
    known[name] = name ~= path
  end
  local model = require("mcl.model").load(path)
  return model, bytes_read(known)
end

--- 4 bytes a parameter: what ratios are of.
function common.dense_bytes(model)
  return 4 * model.core:parameters()
end

--- Opens data by SPEC. What is wrong with the SPEC itself is wrong usage.
function common.open_data(spec)
  local data = require "mcl.data"
  local wrong = data.wrong(spec)
  if wrong then commands.usage("--data: %s", wrong) end
  local opened = data.open(spec)
  for _, path in ipairs(opened.files) do
    reads.note(path)
  end
  return opened
end

--- Opens data for a model: examples take the shape of its input, labels must be among its classes.
function common.data(spec, model)
  local data = common.open_data(spec)
  data:suit(model)
  return data
end

-- ---- Text ------------------------------------------------------------------------------------------------------

--- Rows of cells as aligned text; the first row is the head. right: columns that are numbers, as a set.
function common.table(rows, right)
  local widths = {}
  for i, row in ipairs(rows) do
    rows[i] = {}
    for column, cell in ipairs(row) do
      cell = shown.cell(cell)
      rows[i][column] = cell
      widths[column] = math.max(widths[column] or 0, utf8.len(cell) or #cell)
    end
  end
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for column, cell in ipairs(row) do
      local pad = (" "):rep(widths[column] - (utf8.len(cell) or #cell))
      cells[column] = right and right[column] and pad .. cell or cell .. pad
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

--- Prints a table as JSON on stdout.
function common.print_json(value)
  print(core.json_encode(value, 2))
end

return common
