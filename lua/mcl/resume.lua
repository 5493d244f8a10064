--- Snapshots of a run that may be killed: OUT.resume/ holds a key, and for each finished fit the model with its
-- representations and the fit's report; the fit under way keeps a checkpoint of its own after each epoch.
--
-- A resumed run goes through the recipe from its start. All of it is deterministic, so the n-th fit is the n-th fit
-- again: a finished one is replaced by its snapshot, the interrupted one goes on from its checkpoint, and the file that
-- comes out is the same, byte for byte. The key says what the run was made of; another recipe, option, seed, model or
-- data is refused.
local core = require "mcl.core"
local check = require "mcl.check"
local system = require "mcl.system"

local resume = {}

local Resume = {}
Resume.__index = Resume

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

-- What differs between two keys, or nil.
local function difference(old, new)
  new = core.json_decode(core.json_encode(new)) -- as it was written: names that are no UTF-8 have another form there
  for _, field in ipairs(check.sorted_keys(new)) do
    if old[field] ~= new[field] then return field end
  end
  return nil
end

--- Opens the folder beside `out`. key: text fields by what they are ("recipe", "seed" …). wanted: --resume was given.
-- Errors are texts without a position. log(text) tells what is found.
function resume.open(out, key, wanted, log)
  local self = setmetatable({ folder = out .. ".resume", resumed = false }, Resume)
  local old = read(self.folder .. "/key.json")
  if old and wanted then
    local ok, fields = pcall(core.json_decode, old)
    if not ok or type(fields) ~= "table" then
      error(("%s/key.json is damaged; remove the folder and start anew"):format(self.folder), 0)
    end
    local field = difference(fields, key)
    if field then
      error(("%s is of another run: its %s differs; resume with what it was started with, or run without --resume")
        :format(self.folder, field), 0)
    end
    self.resumed = true
    return self
  end
  if old then
    log(("%s holds an interrupted run, which is discarded (--resume would go on from it)"):format(self.folder))
  elseif wanted then
    log(("nothing to resume: %s is not there; starting anew"):format(self.folder))
  end
  system.remove_folder(self.folder)
  self.key = key
  return self
end

-- The folder is made when there is something to keep.
function Resume:begin()
  if not self.key then return end
  system.make_folder(self.folder)
  core.write_file(self.folder .. "/key.json", core.json_encode(self.key, 2))
  self.key = nil
end

function Resume:path(fit, ending)
  return ("%s/fit-%d.%s"):format(self.folder, fit, ending)
end

--- Where the fit under way keeps its state.
function Resume:checkpoint(fit)
  self:begin()
  return self:path(fit, "checkpoint")
end

--- The report of a finished fit, its weights put into the model; nil if it was not finished.
function Resume:finished(fit, model)
  local text = self.resumed and read(self:path(fit, "json"))
  if not text then return nil end
  local report = core.json_decode(text)
  local snapshot = core.load(self:path(fit, "bin"))
  for index in ipairs(snapshot:weights()) do
    model.core:set(index, snapshot:get(index))
  end
  report.skipped = true
  return report
end

-- JSON has no NaN: a field without a value is left out.
local function plain(report)
  local copy = {}
  for name, value in pairs(report) do
    if type(value) ~= "function" and type(value) ~= "userdata" and value == value then copy[name] = value end
  end
  return copy
end

--- Keeps a finished fit. The report comes last: a snapshot without one is not finished.
function Resume:keep(fit, model, report)
  self:begin()
  model.core:save(self:path(fit, "bin"), { keep = true })
  core.write_file(self:path(fit, "json"), core.json_encode(plain(report), 2))
end

--- Is there anything to go on from?
function Resume:holds()
  return system.size(self:path(1, "json")) ~= nil or system.size(self:path(1, "checkpoint")) ~= nil
end

--- The run is done: the folder goes.
function Resume:remove()
  system.remove_folder(self.folder)
end

return resume
