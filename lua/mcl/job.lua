--- A job: what a recipe is given beside the model. The parts of the data, calibration, logs, named steps; and, through
-- the model's hooks, numbered fits with a seed each, the record for the report, and snapshots to resume from.
local core = require "mcl.core"
local check = require "mcl.check"

local job = {}

local Job = {}
local unset = {
  expected = true, source = true, snapshots = true, write = true, dry = true, pending = true, told_no_images = true,
}
Job.__index = check.index(Job, "method of a job", unset)
Job.__name = "mcl.job"

local PARTS = { train = "fit", fit = "fit", calibrate = "calibrate", choose = "choose" }

-- What job.data is to a recipe: the parts by name, but never the one to report on.
local function parts(data)
  return setmetatable({}, {
    __index = function(_, name)
      if name == "report" or name == "test" then
        error("job.data: the test set is kept for the report; fit by job.data.train, choose by job.data.choose", 2)
      end
      if not PARTS[name] then
        error(check.unknown("part of job.data", tostring(name), check.sorted_keys(PARTS)), 2)
      end
      if not data then error("this recipe needs data: give --data SPEC", 2) end
      return data:part(PARTS[name])
    end,
    __newindex = function()
      error("job.data cannot be changed", 2)
    end,
    __tostring = function()
      return data and tostring(data) or "no data"
    end,
  })
end

--- A seed for the n-th use of a job's seed.
local function derive(seed, n)
  return (seed * 0x5851F42D4C957F2D + n * 0x14057B7EF767814F + 1) & 0x7FFFFFFFFFFFFFFF
end

--- Makes a job for a model: data (mcl.data or nil), seed, snapshots (mcl.resume or nil), log (function(text) or nil),
-- dry (fits are left out), expected (how many fits there will be, where that is known). A recipe that can do without
-- data asks job.has_data.
function job.new(model, options)
  local self = setmetatable({
    model = model, source = options.data, seed = options.seed or 0, snapshots = options.snapshots, write = options.log,
    has_data = options.data ~= nil,
    dry = options.dry, expected = options.expected,
    fits = 0, steps = {}, epochs = {}, began = core.now(), data = parts(options.data),
  }, Job)
  model.hooks = {
    before_fit = function(...) return self:before_fit(...) end,
    after_fit = function(...) return self:after_fit(...) end,
    after_compress = function(...) return self:after_compress(...) end,
  }
  if options.data then
    -- read only when a scheme asks for statistics
    model.calibration_data = function() return options.data:part "calibrate" end
  end
  return self
end

function Job:__tostring()
  return ("job: seed %d, %s"):format(self.seed, tostring(self.data))
end

--- A line on stderr, with --quiet none: job:log("density %.2f", 0.1).
function Job:log(format, ...)
  local text = tostring(format)
  if select("#", ...) > 0 then
    local ok, result = pcall(string.format, text, ...)
    if not ok then check.fail("job:log: %s", result) end
    text = result
  end
  if self.write then self.write(text) end
end

--- Shows how far the recipe's own loop is.
function Job:progress(task, done, total)
  local show = require("mcl.progress").report
  if self.write then show(task, done, total) end
end

--- Statistics of every layer over the calibration data; names such as "input_norm", "gram", "fisher".
function Job:calibrate(...)
  local names = { ... }
  if #names == 0 then names = { "input_square" } end
  if not self.has_data then check.fail "this recipe needs data: give --data SPEC" end
  return self.model:calibrate(self.data.calibrate, names)
end

--- What model:fit takes as augment: the options where the data are images; nothing, with a line that says so, where
-- they are none: augment = job:augment { shift = 1 }.
function Job:augment(options)
  check.type(options, "table", "job:augment")
  local any = false
  for _, value in pairs(options) do
    any = any or value ~= 0
  end
  if not any or not self.has_data then return nil end
  if self.source:are_images(self.model) then return options end
  if not self.told_no_images then
    self.told_no_images = true
    self:log("%s: the examples are no images: training goes without augmentation", tostring(self.source))
  end
  return nil
end

--- Marks a step for the report, with the size of the model's file and, where there are data, how it does on the part to
-- choose by. Returns the record { name, bytes, accuracy, loss, seconds }.
function Job:step(name)
  self.pending = nil
  return self:record(name, self.source and not self.dry and self.model:evaluate(self.data.choose) or nil)
end

function Job:record(name, evaluation)
  local step = {
    name = name, bytes = self.model:size(), seconds = core.now() - self.began,
    accuracy = evaluation and evaluation.accuracy, loss = evaluation and evaluation.loss,
    explained = evaluation and evaluation.explained,
  }
  self.steps[#self.steps + 1] = step
  return step
end

-- ---- Hooks: what the model calls ---------------------------------------------------------------------------------

local function epoch_line(fit, report)
  local line = ("fit %d, epoch %d/%d: loss %.4f"):format(fit, report.epoch, report.epochs, report.loss)
  if report.accuracy then line = line .. (", accuracy %.4f"):format(report.accuracy) end
  if report.validation_accuracy then
    line = line .. (", held out %.4f"):format(report.validation_accuracy)
  elseif report.validation_loss then
    line = line .. (", held out loss %.4g"):format(report.validation_loss)
  end
  return line .. (", %.1f s"):format(report.seconds)
end

-- Puts the fit before what the engine says of it: its number, how many there will be, what the file would take now.
function Job:show_fit(is_begun)
  if not self.write then return end
  local progress = require "mcl.progress"
  if not is_begun then return progress.within(nil) end
  local of = self.expected and self.fits <= self.expected and (" of %d"):format(self.expected) or ""
  local size = progress.has_bar() and ", " .. progress.bytes(self.model:size()) or ""
  progress.within(("fit %d%s%s"):format(self.fits, of, size))
end

function Job:before_fit(_, options)
  self.fits = self.fits + 1
  local fit = self.fits
  if self.dry then return { epoch = 0, epochs = 0, loss = 0, accuracy = 0, seconds = 0, skipped = true } end
  if self.snapshots then
    local report = self.snapshots:finished(fit, self.model)
    if report then
      self:log("fit %d was finished before: taken from %s", fit, self.snapshots.folder)
      return report
    end
    options.checkpoint = options.checkpoint or self.snapshots:checkpoint(fit)
  end
  self:show_fit(true)
  options.seed = options.seed or derive(self.seed, fit)
  if options.validation == nil and self.source then options.validation = self.data.choose end
  if options.validation == false then options.validation = nil end
  local user = options.epoch_end
  options.epoch_end = function(report)
    self:log(epoch_line(fit, report))
    self.epochs[#self.epochs + 1] = {
      fit = fit, epoch = report.epoch, loss = report.loss, accuracy = report.accuracy, rate = report.rate,
      validation_loss = report.validation_loss, validation_accuracy = report.validation_accuracy,
    }
    if user then return user(report) end
  end
  return nil
end

function Job:after_fit(_, report)
  if self.dry then return end
  self:show_fit(false)
  if self.snapshots and not report.skipped then self.snapshots:keep(self.fits, self.model, report) end
  local name = self.pending or "fit"
  self.pending = nil
  local evaluation = { accuracy = report.validation_accuracy, loss = report.validation_loss }
  self:record(("%s, fit %d"):format(name, self.fits), evaluation)
end

function Job:after_compress(_, what)
  self.pending = tostring(what)
  if #self.pending > 60 then self.pending = self.pending:sub(1, utf8.offset(self.pending, 0, 57) - 1) .. "…" end
end

--- Ends the job: a last compression without a fit after it becomes a step too. model: what came of it, where that is
-- not the one that the job was made for.
function Job:finish(model)
  if model and model ~= self.model then
    self.model.hooks = nil
    self.model = model
  end
  if self.pending and not self.dry then self:step(self.pending) end
  self.model.hooks = nil
end

check.methods(Job, "job")

return job
