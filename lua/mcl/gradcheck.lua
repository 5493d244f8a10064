--- mcl.gradcheck: analytic gradients against central differences, for models, and for losses and penalties written as
-- expressions. Returns the largest |numeric − analytic| / max(1, |numeric|, |analytic|), and where.
local core = require "mcl.core"
local check = require "mcl.check"

local gradcheck = {}

-- fn(t, …) → expression, at the tensors given: each entry is moved by a step to both sides.
local function check_function(fn, tensors, options)
  local function value()
    return fn(table.unpack(tensors)):sum()
  end
  local gradients = { fn(table.unpack(tensors)):gradient(table.unpack(tensors)) }
  local worst, where = 0, "nowhere"
  for n, t in ipairs(tensors) do
    local flat, slope = t:reshape { -1 }, gradients[n]:reshape { -1 }
    local stride = math.max(1, flat.count // (options.samples or flat.count))
    for i = 1, flat.count, stride do
      local kept = flat[i]
      local step = (options.step or 1e-3) * math.max(1, math.abs(kept))
      flat[i] = kept + step
      local up_at, up = flat[i], value()
      flat[i] = kept - step
      local down_at, down = flat[i], value()
      flat[i] = kept
      local numeric = (up - down) / (up_at - down_at) -- the step that f32 could take
      local apart = math.abs(numeric - slope[i]) / math.max(1, math.abs(numeric), math.abs(slope[i]))
      if apart > worst or apart ~= apart then
        worst, where = apart, ("argument %d, element %d: %g numeric, %g analytic"):format(n, i, numeric, slope[i])
      end
    end
  end
  return worst, where
end

--- mcl.gradcheck(model[, { batch =, samples =, seed = }]), or mcl.gradcheck(fn, { tensor, … }[, { samples =,
-- step = }]).
function gradcheck.check(subject, second, third)
  if type(subject) == "function" then
    check.type(second, "table", "gradcheck: the tensors")
    if third then check.keys(third, { "samples", "step" }, "gradcheck") end
    return check_function(subject, second, third or {})
  end
  local model = require "mcl.model"
  if not model.is(subject) then
    check.fail("gradcheck: a model or a function is wanted, got %s", core.type(subject))
  end
  if second then check.keys(second, { "batch", "samples", "seed" }, "gradcheck") end
  return subject.core:check_gradients(second or {})
end

return gradcheck
