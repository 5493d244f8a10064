--- mcl RECIPE MODEL …: runs a recipe on a model, evaluates before and after on data that the recipe has not seen,
-- writes the artifact, says what came of it.
local core = require "mcl.core"
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local paths = require "mcl.path"
local progress = require "mcl.progress"
local recipes = require "mcl.recipe"
local system = require "mcl.system"
local shown = require "mcl.shown"

local function parser_of(name, about, recipe)
  local parser = common.parser(name, about, ("  mcl %s lenet5.bin --data fashion-mnist -o lenet5.mcl"):format(name))
  parser:argument("model"):description(common.model_kinds())
  parser:option "-o --output":argname "OUT":description "where the artifact goes (MODEL with .mcl)"
  parser:option "--data":argname "SPEC":description(require("mcl.data").specs)
  parser:option "--set":count "*":argname "KEY=VALUE":description "an option of the recipe"
  parser:option "--seed":argname "N":description "of every random choice (0)"
  parser:option "--zstd":argname "LEVEL":description "wrap the artifact in zstd (19 where no level is given)"
  parser:option "--report":argname "FILE":description "a report: .html or .json"
  parser:flag "--dry-run":description "sizes of candidates and of the result without training; nothing is written"
  parser:flag "--resume":description "go on with a run that was interrupted"
  if recipe and next(recipe.options) then parser:epilog("options of the recipe (--set):\n" .. recipe:help()) end
  return parser
end

local function wants_help(arguments)
  for i = 2, #arguments do
    if arguments[i] == "--help" or arguments[i] == "-h" then return true end
  end
  return false
end

-- ---- Reading ---------------------------------------------------------------------------------------------------

-- The recipe that the first argument names.
local function load_recipe(name)
  local source, file = recipes.find(name)
  if not source then error(file, 0) end
  local recipe, message = recipes.load(source, file)
  if not recipe then error(message, 0) end
  return recipe, source, file
end

local function output_of(args)
  local out = args.output or paths.stem(args.model) .. ".mcl"
  common.check_output(out, args.model)
  if not select(2, core.format_of(out, "written")) then
    commands.usage("-o %s: a recipe's result is a .mcl or .bin; mcl convert makes other formats of it", out)
  end
  return out
end

local function check_report(args)
  if not args.report then return end
  local extension = paths.extension(args.report)
  if extension ~= "html" and extension ~= "json" then
    commands.usage("--report %s: the file's name ends in .html or .json", args.report)
  end
  common.check_place(args.report)
end

-- What the run is made of, for --resume.
local function key_of(args, source, values, data)
  local options = {}
  for name, value in pairs(values) do
    options[#options + 1] = name .. "=" .. recipes.text_of(value)
  end
  table.sort(options)
  return {
    version = core.version, recipe = system.hash(source), options = table.concat(options, " "),
    seed = tostring(args.seed or 0), model = system.hash_file(args.model),
    data = data and data:fingerprint(system.hash_file) or "none",
  }
end

-- ---- Writing ---------------------------------------------------------------------------------------------------

local function percent(value)
  return value and ("%.2f %%"):format(value * 100) or "–"
end

-- The table at the end of a run.
local function summary(record)
  local before, after = record.before, record.after
  local rows = {
    { "", "before", "after" },
    { "bytes", shown.thousands(before.bytes), shown.thousands(after.bytes) },
    { "ratio", ("%.2f"):format(record.dense_bytes / before.bytes), ("%.2f"):format(after.ratio) },
  }
  if before.accuracy then
    rows[#rows + 1] = { "accuracy", percent(before.accuracy), percent(after.accuracy) }
    rows[#rows + 1] = { "error", percent(1 - before.accuracy), percent(1 - after.accuracy) }
  elseif before.explained then -- targets: how much of their variance
    rows[#rows + 1] = { "explained", percent(before.explained), percent(after.explained) }
  end
  if before.loss then rows[#rows + 1] = { "loss", ("%.4g"):format(before.loss), ("%.4g"):format(after.loss) } end
  shown.print(common.table(rows, { [2] = true, [3] = true }))
end

local function evaluation(model, data)
  local result = data and model:evaluate(data:part "report") or {}
  return { accuracy = result.accuracy, explained = result.explained, loss = result.loss, count = result.count }
end

-- ---- The run ---------------------------------------------------------------------------------------------------

local function dry_run(recipe, values, model, data, args)
  local dry = require "mcl.commands.dry_run"
  shown.print(dry.candidates(model, recipe, values))
  local job = require("mcl.job").new(model, {
    data = data, seed = args.seed, dry = true, log = function(text) progress.line(text) end,
  })
  local ok, message = xpcall(recipe.run, core.explain, model, values, job)
  if not ok then
    error("without training, the recipe could not be followed to its end: " .. message, 0)
  end
  local bytes, dense = model:size { zstd = common.zstd_level(args) }, dry.dense_bytes(model)
  shown.print(("\nwithout training the recipe gives %s bytes of %s: ratio %.2f"):format(
    shown.thousands(bytes), shown.thousands(dense), dense / bytes))
  print "nothing was written"
end

return function(arguments)
  local recipe, source, file = load_recipe(arguments[1])
  local parser = parser_of(arguments[1], recipe.about, recipe)
  if wants_help(arguments) then
    shown.print(parser:get_help())
    return 0
  end
  local args = common.parse(parser, arguments)
  local values, message = recipe:resolve(common.settings(args.set, "--set"))
  if not values then commands.usage("%s: %s", arguments[1], message) end
  check_report(args)
  local level, out = common.zstd_level(args), output_of(args)

  local began = core.now()
  local model = common.model(args.model, args.seed)
  local data = args.data and common.data(args.data, model)
  if args.dry_run then return dry_run(recipe, values, model, data, args) end

  local function log(text) progress.line(text) end
  local key = key_of(args, source, values, data)
  local record = {
    command = common.command_line(arguments), recipe = file, about = recipe.about, options = values,
    seed = args.seed or 0, model = args.model, output = out, data = args.data, version = core.version,
    before = evaluation(model, data),
  }
  record.before.bytes = system.size(args.model)
  local snapshots = require("mcl.resume").open(out, key, args.resume, log)
  local job = require("mcl.job").new(model, { data = data, seed = args.seed, snapshots = snapshots, log = log })
  common.keeping(snapshots, arguments, function()
    math.randomseed(job.seed)
    recipe.run(model, values, job)
    job:finish()
    model:save(out, { zstd = level })
    record.after = evaluation(model, data)
    local info = core.inspect(out)
    record.after.bytes, record.after.ratio = info.bytes, info.ratio
    record.dense_bytes, record.layers, record.steps = info.dense_bytes, info.layers, job.steps
    record.seconds = core.now() - began
    if args.report then require("mcl.report").write(args.report, record) end
  end)
  snapshots:remove()
  progress.line("%s written, %s", out, progress.duration(record.seconds))
  summary(record)
end
