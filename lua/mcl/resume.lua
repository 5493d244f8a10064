--- Snapshots of a run that may be killed: OUT.resume/ holds a key, and for each finished fit the model with its
-- representations and the fit's report; the fit under way keeps a checkpoint of its own after each epoch.
--
-- A resumed run goes through the recipe from its start. All of it is deterministic, so the n-th fit is the n-th fit
-- again: a finished one is replaced by its snapshot, the interrupted one goes on from its checkpoint, and the file that
-- comes out is the same, byte for byte. The key says what the run is made of: its settings, and every file that it has
-- read; where one differs, --resume is refused.
--
-- The folder is known as mcl's by its key, and in use by a lock that ends with the process. What lies in it under names
-- that mcl gives is mcl's to remove, and nothing else.
local core = require "mcl.core"
local check = require "mcl.check"
local outputs = require "mcl.outputs"
local reads = require "mcl.reads"
local system = require "mcl.system"

local resume = {}

local Resume = {}
Resume.__index = Resume

local MADE_BY = "mcl" -- in the key: the folder is not a user's own
local KEY, LOCK = "key.json", "lock"

-- ---- The folder ------------------------------------------------------------------------------------------------

-- What a kill leaves of a file that was being written.
local function is_temporary(name)
  return name:match "%.mcl%-part%-%x+$" ~= nil
end

local function is_fit(name)
  return name:match "^fit%-%d+%." ~= nil
end

local function is_ours(name)
  return is_fit(name) or name == KEY or name == LOCK or name:match "^key%.json%." and is_temporary(name)
end

-- The key of a folder that mcl made; nil where there is none, false where it is not one of mcl's.
local function key_in(folder)
  local text = reads.text(folder .. "/" .. KEY)
  if not text then return nil end
  local ok, key = pcall(core.json_decode, text)
  return ok and type(key) == "table" and key.made_by == MADE_BY and key or false
end

-- Is all that lies in the folder of mcl's making? An empty one will do; so will one that a kill left without its key.
local function is_free(folder, key)
  if key then return true end
  for _, name in ipairs(system.list(folder)) do
    if is_fit(name) or name == KEY or not is_ours(name) then return false end
  end
  return true
end

local function remove_ours(folder, except)
  for _, name in ipairs(system.list(folder) or {}) do
    if is_ours(name) and name ~= except then assert(os.remove(folder .. "/" .. name)) end
  end
end

local function holds(folder)
  for _, name in ipairs(system.list(folder) or {}) do
    if is_fit(name) and not is_temporary(name) then return true end
  end
  return false
end

-- Makes the folder, or takes over one of mcl's; the key that it holds.
local function take(folder)
  if system.size(folder) and not system.is_folder(folder) then
    error(folder .. ": is where an interrupted run is kept, and a file is in the way; move it away", 0)
  end
  if system.is_folder(folder) and not is_free(folder, key_in(folder)) then
    error(("%s: is where an interrupted run is kept, and holds what mcl has not made; move it away, or name another "
      .. "output with -o"):format(folder), 0)
  end
  system.make_folder(folder)
  local locked, holder = system.lock(folder .. "/" .. LOCK)
  if not locked then
    error(("%s: is in use by another run%s; wait until it ends, or name another output with -o")
      :format(folder, holder and (", process %d"):format(holder) or ""), 0)
  end
  return key_in(folder) or nil
end

-- ---- What a run is made of ---------------------------------------------------------------------------------------

-- Texts as the key has them: JSON is UTF-8, and names of files need not be.
local function written(text)
  return (text:gsub("[%%\128-\255]", function(byte) return ("%%%02x"):format(byte:byte()) end))
end

local function as_it_was(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function hashes(paths)
  local files = {}
  for _, path in ipairs(paths) do
    files[written(path)] = system.hash_file(path)
  end
  return files
end

-- A file of `files` that `others` does not have, under whatever name, or has otherwise.
local function changed(files, others)
  local left = {}
  for path, hash in pairs(others) do
    if not files[path] then left[hash] = true end
  end
  for _, path in ipairs(check.sorted_keys(files)) do
    local same = others[path] and others[path] == files[path] or not others[path] and left[files[path]]
    if not same then return path end
  end
  return nil
end

-- What differs from the run that `old` is the key of, in words; or nil. Files that were read before the first fit are
-- read again by now; those that were read later must still be what they were.
local function difference(old, settings, files)
  for _, name in ipairs(check.sorted_keys(settings)) do
    if old.settings[name] ~= settings[name] then return ("its %s differs"):format(name) end
  end
  local path = changed(files, old.files) or changed(old.files, files)
  if path then return as_it_was(path) .. " differs" end
  for _, name in ipairs(check.sorted_keys(old.later)) do
    local later = as_it_was(name)
    if not system.size(later) then return later .. " is not there any more" end
    if system.hash_file(later) ~= old.later[name] then return later .. " differs" end
  end
  return nil
end

-- ---- A run's snapshots -------------------------------------------------------------------------------------------

--- Opens the folder beside `out`. settings: text fields by what they are ("options", "seed" …). wanted: --resume was
-- given. Errors are texts without a position. log(text) tells what is found.
function resume.open(out, settings, wanted, log)
  local folder = out .. ".resume"
  local self = setmetatable({ folder = folder, resumed = false }, Resume)
  local files = hashes(reads.list())
  for name, text in pairs(settings) do
    settings[name] = written(text)
  end
  local old = take(folder)
  if old and wanted and holds(folder) then
    local what = difference(old, settings, files)
    if what then
      error(("%s is of another run: %s; resume with what it was started with, or run without --resume")
        :format(folder, what), 0)
    end
    self.resumed, self.key = true, old
    return self
  end
  if wanted then
    log(("nothing to resume: %s holds no run; starting anew"):format(folder))
  elseif holds(folder) then
    log(("%s holds an interrupted run, which is discarded (--resume would go on from it)"):format(folder))
  end
  remove_ours(folder, LOCK)
  self.key = { made_by = MADE_BY, version = core.version, settings = settings, files = files, later = {} }
  self:write_key()
  return self
end

function Resume:write_key()
  core.write_file(self.folder .. "/" .. KEY, core.json_encode(self.key, 2))
end

-- What the recipe has read since: it is not to be written over either.
function Resume:note_reads()
  outputs.check()
  local news = false
  for _, path in ipairs(reads.list()) do
    local own = path:sub(1, #self.folder + 1) == self.folder .. "/" -- snapshots
    local name = written(path)
    if not own and not self.key.files[name] and not self.key.later[name] then
      self.key.later[name] = system.hash_file(path)
      news = true
    end
  end
  if news then self:write_key() end
end

function Resume:path(fit, ending)
  return ("%s/fit-%d.%s"):format(self.folder, fit, ending)
end

--- Where the fit under way keeps its state: the beginning of its files' names.
function Resume:checkpoint(fit)
  self:note_reads()
  return self:path(fit, "checkpoint")
end

--- The report of a finished fit, its weights put into the model; nil if it was not finished.
function Resume:finished(fit, model)
  local path = self:path(fit, "json")
  local text = self.resumed and reads.text(path)
  if not text then return nil end
  local ok, report = pcall(core.json_decode, text)
  if not ok or type(report) ~= "table" then
    error(("%s: is damaged; remove it, and --resume does this fit again"):format(path), 0)
  end
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
  self:note_reads()
  model.core:save(self:path(fit, "bin"), { keep = true })
  core.write_file(self:path(fit, "json"), core.json_encode(plain(report), 2))
end

--- The run is done: what it kept goes, and the folder where that is all that was in it.
function Resume:remove()
  remove_ours(self.folder, LOCK)
  os.remove(self.folder .. "/" .. LOCK) -- last: whoever comes then finds nothing else
  core.rmdir(self.folder)
end

--- The run failed: what can be gone on from stays. Is there any?
function Resume:leave()
  if not holds(self.folder) then
    self:remove()
    return false
  end
  os.remove(self.folder .. "/" .. LOCK)
  return true
end

return resume
