--- Progress and logs on stderr: a bar with the time to go where stderr is a terminal, a line now and then elsewhere,
-- nothing with --quiet.
local core = require "mcl.core"
local shown = require "mcl.shown"

local progress = {}

local SPARSE_SECONDS = 20 -- between lines where there is no terminal
local BAR_WIDTH = 24

local state = { level = 2, terminal = false, quiet = false, shown = false, done = 0, began = 0, last = 0 }

--- Seconds as people say them: 8 s, 1 min 20 s, 2 h 05 min.
function progress.duration(seconds)
  if seconds ~= seconds or seconds < 0 then return "?" end
  if seconds < 9.95 then return ("%.1f s"):format(seconds) end
  if seconds < 60 then return ("%.0f s"):format(seconds) end
  if seconds < 3600 then return ("%d min %02d s"):format(seconds // 60, math.floor(seconds % 60)) end
  return ("%d h %02d min"):format(seconds // 3600, seconds % 3600 // 60)
end

--- Bytes as people say them: 812 B, 17.6 KB, 1.07 MB.
function progress.bytes(count)
  if count < 1000 then return ("%d B"):format(count) end
  if count < 1e6 then return ("%.1f KB"):format(count / 1e3) end
  if count < 1e9 then return ("%.2f MB"):format(count / 1e6) end
  return ("%.2f GB"):format(count / 1e9)
end

--- Takes the bar away, so that a line may be written.
function progress.clear()
  if state.shown then
    io.stderr:write "\r\27[K"
    state.shown = false
  end
end

--- A line on stderr, unless --quiet.
function progress.line(format, ...)
  if state.quiet then return end
  progress.clear()
  io.stderr:write(shown.printable(select("#", ...) > 0 and format:format(...) or format), "\n")
end

-- A bar: ━━━━━━━╸        42 %  12.1 s to go  fit
local function bar(task, share, left)
  local filled = math.floor(share * BAR_WIDTH)
  local line = ("━"):rep(filled) .. (" "):rep(BAR_WIDTH - filled)
  local time = left and progress.duration(left) .. " to go" or ""
  return ("\r\27[K%s %3.0f %%  %s  %s"):format(line, share * 100, shown.cell(task), time)
end

--- Is there a bar, so that it is worth knowing what to write beside it?
function progress.has_bar()
  return state.terminal and not state.quiet
end

--- What tasks are a part of from here on ("fit 2 of 5, 17.6 KB"); nil: nothing.
function progress.within(text)
  state.within = text
end

-- What the engine calls some ten times a second.
local function report(task, done, total)
  if state.quiet then return end
  if state.within then task = state.within .. ", " .. task end
  local now = core.now()
  if total ~= state.total or done < state.done then -- another task; its text alone may change as it goes
    state.total, state.began, state.last, state.first = total, now, now, done
  end
  state.done = done
  local share = total > 0 and math.min(done / total, 1) or 0
  local elapsed = now - state.began
  local moved = done - state.first
  local left = moved > 0 and elapsed > 0.5 and elapsed * (total - done) / moved or nil
  if state.terminal then
    io.stderr:write(bar(task, share, left))
    io.stderr:flush()
    state.shown = true
    if done >= total then progress.clear() end
  elseif now - state.last >= SPARSE_SECONDS then
    state.last = now
    local time = left and ", " .. progress.duration(left) .. " to go" or ""
    io.stderr:write(("%s: %.0f %%%s\n"):format(shown.cell(task), share * 100, time))
  end
end
progress.report = report

local levels = { error = 0, warning = 1, info = 2, debug = 3 }

local function log(level, line)
  if levels[level] > state.level then return end
  progress.clear()
  io.stderr:write(levels[level] < 2 and "mcl: " .. level .. ": " or "", shown.printable(line), "\n")
end
progress.log = log

--- Sets up stderr for a command: options quiet, verbose; threads and seed go to the engine.
function progress.setup(options)
  state.quiet = options.quiet and true or false
  state.level = options.quiet and 0 or options.verbose and 3 or 2
  state.terminal = core.isatty(2)
  core.context {
    threads = options.threads, seed = options.seed, dense_limit = options.dense_limit, log = log, progress = report,
  }
end

return progress
