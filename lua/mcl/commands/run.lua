--- mcl RECIPE MODEL …: runs a recipe on a model, evaluates before and after on data that the recipe has not seen,
-- writes the artifact, says what came of it.
local core = require "mcl.core"
local commands = require "mcl.commands"
local common = require "mcl.commands.common"
local outputs = require "mcl.outputs"
local paths = require "mcl.path"
local progress = require "mcl.progress"
local reads = require "mcl.reads"
local recipes = require "mcl.recipe"
local shown = require "mcl.shown"
local system = require "mcl.system"

local function parser_of(new, name, about, recipe)
  local parser = new(name, about, ("  mcl %s lenet5.bin --data fashion-mnist -o lenet5.mcl"):format(name))
  parser:argument("model"):description(common.model_kinds())
  parser:option "-o --output":argname "OUT":description "where the artifact goes (MODEL with .mcl)"
  parser:option "--data":argname "SPEC":description(require("mcl.data").specs)
  parser:option "--set":count "*":argname "KEY=VALUE":description "an option of the recipe"
  parser:option "--seed":argname "N":description "of every random choice (0)"
  parser:option "--zstd":argname "LEVEL":description "wrap the artifact in zstd (19 where no level is given)"
  parser:option "--report":argname "FILE":description "a report: .html or .json"
  parser:flag "--json":description
    "keys: output, bytes, dense_bytes, ratio, seconds, before, after: {bytes, ratio, loss, accuracy, error, count}"
  parser:flag "--dry-run":description "sizes of candidates and of the result without training; nothing is written"
  parser:flag "--resume":description "go on with a run that was interrupted"
  parser:flag "--untrusted":description
    "run the recipe in a sandbox: no files, no io, no os, no debug; nothing is kept to go on from"
  if recipe and next(recipe.options) then parser:epilog("options of the recipe (--set):\n" .. recipe:help()) end
  return parser
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

-- A recipe that is not even loaded here: text, which follows the model in a sandbox of its own.
local Untrusted = {}
Untrusted.__index = Untrusted

local function untrusted_recipe(name)
  local source, file = recipes.find(name)
  if not source then error(file, 0) end
  local about = "a recipe that is not trusted: it runs in a sandbox"
  return setmetatable({ about = about, options = {}, source = source, name = file }, Untrusted), source, file
end

--- Which options there are, the recipe alone knows; it checks them when it runs.
function Untrusted.resolve(_, settings)
  return settings
end

function Untrusted.text_of_options(_, values)
  local texts = {}
  for key, value in pairs(values) do
    texts[#texts + 1] = key .. "=" .. value
  end
  table.sort(texts)
  return table.concat(texts, " ")
end

function Untrusted:follow(model, values, job)
  local call = { source = self.source, name = self.name, model = model.core, seed = job.seed, set = {} }
  for key, value in pairs(values) do
    call.set[#call.set + 1] = key .. "=" .. value
  end
  if job.source then call.x, call.y, call.scale, call.offset = job.source:training() end
  system.run_untrusted(call)
  return model
end

-- What would run other Lua, or keep what the sandbox cannot be given back.
local function check_untrusted(args)
  if not args.untrusted then return end
  for _, option in ipairs { "dry_run", "resume" } do
    if args[option] then commands.usage("--%s and --untrusted do not go together", (option:gsub("_", "-"))) end
  end
  local files = { MODEL = args.model, ["--data"] = args.data and require("mcl.data_spec").parse(args.data) or nil }
  for what, file in pairs(files) do
    if paths.extension(file) == "lua" then
      commands.usage("%s %s: with --untrusted no Lua file runs but the recipe; give a file of numbers", what, file)
    end
  end
end

local function wants_sandbox(arguments)
  for _, word in ipairs(arguments) do
    if word == "--untrusted" then return true end
  end
  return false
end

local function output_of(args)
  local out = args.output or paths.stem(args.model) .. ".mcl"
  common.claim_model(out)
  if not select(2, core.format_of(out, "written")) then
    commands.usage("-o %s: a recipe's result is a .mcl or .bin; mcl convert makes other formats of it", out)
  end
  if system.is_stream(out) then commands.usage("-o %s: is no ordinary file, and the result is read again", out) end
  return out
end

local function claim_report(args)
  if not args.report then return end
  local extension = paths.extension(args.report)
  if extension ~= "html" and extension ~= "json" then
    commands.usage("--report %s: the file's name ends in .html or .json", args.report)
  end
  outputs.claim(args.report)
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
    { "ratio", ("%.2f"):format(before.ratio), ("%.2f"):format(after.ratio) },
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
  return {
    accuracy = result.accuracy, error = result.error, explained = result.explained, loss = result.loss,
    count = result.count,
  }
end

-- ---- The run ---------------------------------------------------------------------------------------------------

local function dry_run(recipe, values, model, data, args)
  local dry = require "mcl.commands.dry_run"
  local dense = common.dense_bytes(model)
  local found = dry.measure(model, recipe, values)
  if not args.json then shown.print(dry.text(found)) end
  local job = require("mcl.job").new(model, {
    data = data, seed = args.seed, dry = true, log = function(text) progress.line(text) end,
  })
  local ok, result = xpcall(recipe.follow, core.explain, recipe, model, values, job)
  if not ok then
    error("without training, the recipe could not be followed to its end: " .. result, 0)
  end
  local bytes = result:size { zstd = common.zstd_level(args) }
  if args.json then
    return common.print_json {
      bytes = bytes, dense_bytes = dense, ratio = dense / bytes, candidates = dry.record(found),
    }
  end
  shown.print(("\nwithout training the recipe gives %s bytes of %s: ratio %.2f"):format(
    shown.thousands(bytes), shown.thousands(dense), dense / bytes))
  shown.print "nothing was written"
end

-- What only a report shows.
local function add_details(run, model, record)
  local measure = require "mcl.measure"
  local files = { run.args.model, run.out, table.unpack(run.data and run.data.files or {}) }
  record.files, record.beside = measure.files(files), measure.beside(run.before)
  record.weights, record.graph, record.epochs = measure.weights(model), measure.graph(model), run.job.epochs
  record.classes = run.data and measure.classes(model, run.data) or nil
end

-- Follows the recipe, writes the artifact, judges it; the rest of the record.
local function compress(run, record)
  local args, model, job = run.args, run.model, run.job
  math.randomseed(job.seed)
  model = run.recipe:follow(model, run.values, job)
  job:finish(model)
  outputs.check()
  model:save(run.out, { zstd = run.level })
  record.after = evaluation(model, run.data)
  local info = core.inspect(run.out)
  record.after.bytes, record.after.ratio = info.bytes, info.ratio
  record.dense_bytes, record.layers, record.steps = info.dense_bytes, info.layers, job.steps
  record.seconds = core.now() - run.began
  if args.report then
    add_details(run, model, record)
    require("mcl.report").write(args.report, record)
  end
end

local function work(run)
  local args, arguments = run.args, run.arguments
  local model, bytes = common.model(args.model, args.seed)
  local data = args.data and common.data(args.data, model)
  if args.dry_run then return dry_run(run.recipe, run.values, model, data, args) end

  local record = {
    command = common.command_line(arguments), recipe = run.file, about = run.recipe.about, options = run.values,
    seed = args.seed or 0, model = args.model, output = run.out, data = args.data, version = core.version,
    before = evaluation(model, data),
  }
  local dense = common.dense_bytes(model)
  record.before.bytes = bytes or dense
  record.before.ratio = dense / record.before.bytes
  local function log(text) progress.line(text) end
  local settings = {
    recipe = system.hash(run.source), options = run.recipe:text_of_options(run.values), seed = tostring(args.seed or 0),
    data = args.data or "none",
  }
  local snapshots = require("mcl.resume").open(run.out, settings, args.resume, log)
  run.model, run.data, run.before = model, data, args.report and model:copy() or nil
  run.job = require("mcl.job").new(model, {
    data = data, seed = args.seed, snapshots = snapshots, log = log,
    expected = run.recipe.fits and run.recipe.fits(run.values),
  })
  common.keeping(snapshots, arguments, function() compress(run, record) end)
  snapshots:remove()
  progress.line("%s written, %s", run.out, progress.duration(record.seconds))
  if args.json then
    common.print_json {
      output = run.out, bytes = record.after.bytes, dense_bytes = record.dense_bytes, ratio = record.after.ratio,
      seconds = record.seconds, before = record.before, after = record.after,
    }
  else
    summary(record)
  end
end

return function(new, arguments)
  local load_it = wants_sandbox(arguments) and untrusted_recipe or load_recipe
  local recipe, source, file = load_it(arguments[1])
  return parser_of(new, arguments[1], recipe.about, recipe), function(args)
    local values, message = recipe:resolve(common.settings(args.set, "--set"))
    if not values then commands.usage("%s: %s", arguments[1], message) end
    check_untrusted(args)
    reads.note(args.model)
    claim_report(args)
    return work {
      recipe = recipe, source = source, file = file, args = args, arguments = arguments, values = values,
      level = common.zstd_level(args), out = output_of(args), began = core.now(),
    }
  end
end
