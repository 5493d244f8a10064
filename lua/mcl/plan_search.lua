--- The search behind mcl.plan: from candidates with costs and distortions to one choice a layer. The C solver works on
-- sums; here the sum is made to stand for the whole file, whose directory and graph depend a little on the choices, and
-- for accuracy, which no sum gives.
local core = require "mcl.core"
local check = require "mcl.check"

local plan_search = {}

local MOST_ROUNDS = 12 -- of correcting the overhead; two or three are usual
local MOST_TRIALS = 14 -- of bisecting for accuracy: a ten-thousandth of the range of sizes

local function table_of(items, cost)
  local choices = {}
  for i, item in ipairs(items) do
    choices[i] = {}
    for j, choice in ipairs(item.choices) do
      choices[i][j] = { choice[cost], choice.distortion }
    end
  end
  return choices
end

local function sum(items, chosen, field)
  local total = 0
  for i, item in ipairs(items) do
    total = total + item.choices[chosen[i]][field]
  end
  return total
end

-- The choice with the least of a field for each layer; the least distortion among equals.
local function least(items, field, second)
  local chosen = {}
  for i, item in ipairs(items) do
    local best = 1
    for j, choice in ipairs(item.choices) do
      local leader = item.choices[best]
      if choice[field] < leader[field] or choice[field] == leader[field] and choice[second] < leader[second] then
        best = j
      end
    end
    chosen[i] = best
  end
  return chosen
end

-- A copy of the model with the choices in it.
local function apply(model, items, chosen)
  local copy = model:copy()
  for i, item in ipairs(items) do
    copy.core:set(item.layer.index, item.choices[chosen[i]].make())
  end
  return copy
end

local function size_of(model, items, chosen)
  return apply(model, items, chosen):size()
end

-- The best choices whose file has at most `limit` bytes, or nil. smallest: those of the fewest bytes, and their file's
-- size. The overhead is the file's size less the sum of the costs; it moves by a few bytes with the choices.
local function within_bytes(model, items, choices, limit, smallest)
  if smallest.size > limit then return nil end
  local best = { chosen = smallest.chosen, size = smallest.size, gap = 0 }
  best.distortion = sum(items, best.chosen, "distortion")
  local least_cost = sum(items, smallest.chosen, "bytes")
  local overhead = smallest.size - least_cost
  for _ = 1, MOST_ROUNDS do
    if least_cost > limit - overhead then break end -- nothing fits beside this overhead: the smallest stays
    local chosen, gap = core.plan_solve(choices, limit - overhead)
    local size = size_of(model, items, chosen)
    local distortion = sum(items, chosen, "distortion")
    local seen = size - sum(items, chosen, "bytes")
    if size <= limit then
      if distortion <= best.distortion then
        best = { chosen = chosen, size = size, gap = gap, distortion = distortion }
      end
      if seen >= overhead then break end -- there is no room that was not used
      overhead = seen
    else
      overhead = math.max(seen, overhead + 1)
    end
  end
  return best
end

-- No plan fits: an error that C callers can tell from others.
local function fail(format, ...)
  core.fail("budget", format:format(...))
end

local function smallest_of(model, items)
  local chosen = least(items, "bytes", "distortion")
  return { chosen = chosen, size = size_of(model, items, chosen) }
end

local function by_bytes(model, items, budget)
  local smallest = smallest_of(model, items)
  local found = within_bytes(model, items, table_of(items, "bytes"), budget.bytes, smallest)
  if found then return found end
  local dense = 4 * model:parameters()
  fail(
    "plan: no choice fits the budget, %d bytes; the smallest file that these candidates reach has %d bytes, ratio %.4g",
    budget.bytes, smallest.size, dense / smallest.size)
end

local function by_multiply_adds(model, items, budget)
  local fixed = model:multiply_adds()
  for _, item in ipairs(items) do
    fixed = fixed - item.layer.multiply_adds
  end
  local fewest = least(items, "multiply_adds", "distortion")
  local reachable = fixed + sum(items, fewest, "multiply_adds")
  if reachable > budget.value then
    fail("plan: no choice fits the budget, %.0f multiply-adds; the fewest that these candidates reach are %.0f",
      budget.value, math.ceil(reachable))
  end
  local chosen, gap = core.plan_solve(table_of(items, "multiply_adds"), budget.value - fixed)
  return { chosen = chosen, gap = gap, size = size_of(model, items, chosen) }
end

-- The smallest file whose accuracy is at most the given loss below the model's: bisection over the bytes.
local function by_accuracy(model, items, budget)
  local choices = table_of(items, "bytes")
  local wanted = model:evaluate(budget.data).accuracy
  if not wanted then check.fail("plan: budget: accuracy_loss needs data with labels") end
  wanted = wanted - budget.value
  local smallest, finest = smallest_of(model, items), { chosen = least(items, "distortion", "bytes") }
  finest.size = size_of(model, items, finest.chosen)
  local function accuracy_of(found)
    return apply(model, items, found.chosen):evaluate(budget.data).accuracy
  end
  finest.accuracy = accuracy_of(finest)
  if finest.accuracy < wanted then
    fail("plan: no choice keeps the accuracy at %.4f; the best that these candidates reach is %.4f (%d bytes)",
      wanted, finest.accuracy, finest.size)
  end
  local best, low, high = finest, smallest.size, finest.size
  for trial = 1, MOST_TRIALS do
    if low > high then break end
    local limit = trial == 1 and low or (low + high) // 2
    local found = within_bytes(model, items, choices, limit, smallest)
    found.accuracy = accuracy_of(found)
    if found.accuracy >= wanted then
      if found.size <= best.size then best = found end
      high = math.min(limit, found.size) - 1
    else
      low = limit + 1
    end
    core.progress("accuracy", trial, MOST_TRIALS, "trials")
  end
  return best
end

--- { chosen = {index …}, size = bytes of the file, gap, accuracy }
function plan_search.search(model, items, budget)
  if budget.bytes then return by_bytes(model, items, budget) end
  if budget.kind == "multiply_adds" then return by_multiply_adds(model, items, budget) end
  return by_accuracy(model, items, budget)
end

return plan_search
