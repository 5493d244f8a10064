--- A plan: one scheme per layer, chosen among candidates under a budget.
--
--     local plan = mcl.plan {
--       model, statistics = job:calibrate(),
--       candidates = function(layer) return { mcl.quantize { bits = 2 }, mcl.quantize { bits = 4 } } end,
--       budget = { ratio = 12 },
--     }
--     print(plan)  model:compress(plan)
--
-- A plan that training follows leaves a little of its budget, since training moves sizes by some bytes:
--
--     budget = { ratio = 12, reserve = 0.01 } …  model:fit { …, within = plan.limit }
--
-- Each candidate of each layer is applied once; what it takes in the file is counted exactly, coded, and what it loses
-- is its distortion. One solver chooses (mcl_plan_solve); the size of the whole file, directory and all, is then
-- computed, and the solver asked again with what is left, until the file fits (plan_search.lua).
local core = require "mcl.core"
local check = require "mcl.check"
local select_layers = require "mcl.select"
local shown = require "mcl.shown"

local plan = {}

local Plan = {}
Plan.__index = Plan
Plan.__name = "mcl.plan"

function plan.is(value)
  return getmetatable(value) == Plan
end

-- ---- Budgets -----------------------------------------------------------------------------------------------------

local budgets = {
  ratio = { 1e-6, 1e9 }, bytes = { 1, 2 ^ 53 }, bits = { 1e-6, 64 }, multiply_adds = { 1, 2 ^ 53 },
  accuracy_loss = { 0, 1 },
}

-- { kind, value, bytes = limit of the file or nil, data, text }
local function budget_of(model, spec)
  check.keys(spec, { "ratio", "bytes", "bits", "multiply_adds", "accuracy_loss", "data", "reserve" }, "plan: budget")
  local budget
  for _, kind in ipairs(check.sorted_keys(budgets)) do
    if spec[kind] ~= nil then
      if budget then check.fail("plan: budget: give one of %s and %s, not both", budget.kind, kind) end
      budget = { kind = kind, value = check.number(spec[kind], "plan: budget: " .. kind, budgets[kind]) }
    end
  end
  if not budget then
    check.fail("plan: budget: give ratio, bytes, bits (per weight), multiply_adds or accuracy_loss (with data)")
  end
  local dense = 4 * model:parameters()
  if budget.kind == "ratio" then
    budget.bytes = math.floor(dense / budget.value)
  elseif budget.kind == "bytes" then
    budget.bytes = math.floor(budget.value)
  elseif budget.kind == "bits" then
    budget.bytes = math.floor(budget.value * model:parameters() / 8)
  elseif budget.kind == "accuracy_loss" and core.type(spec.data) ~= "dataset" then
    check.fail("plan: budget: accuracy_loss needs data = a dataset to measure by, such as job.data.choose")
  end
  budget.limit = budget.bytes
  if spec.reserve ~= nil then
    if not budget.bytes then check.fail("plan: budget: reserve goes with ratio, bytes or bits") end
    local reserve = check.number(spec.reserve, "plan: budget: reserve", { 0, 0.5 })
    budget.bytes = math.floor(budget.bytes * (1 - reserve))
  end
  if spec.data ~= nil and budget.kind ~= "accuracy_loss" then
    check.fail("plan: budget: data goes with accuracy_loss; %s needs none", budget.kind)
  end
  budget.data = spec.data
  budget.text = ("%s %s"):format(budget.kind:gsub("_", " "), budget.value)
  return budget
end

-- ---- Candidates --------------------------------------------------------------------------------------------------

local KEPT_COUNT = 1 << 22 -- representations of weights up to this size are kept while searching; others made anew

-- How much is lost: relative to the layer's own output ("relative", the preset), in absolute terms ("output"), or by a
-- function(layer, before, after, statistics).
local function measure_of(how)
  if how == nil or how == "relative" then
    return function(layer, before, after, statistics)
      local nothing = core.dense(core.zeros(layer.shape))
      local energy = core.distortion(before, nothing, statistics)
      local lost = core.distortion(before, after, statistics)
      return energy > 0 and lost / energy or lost
    end
  elseif how == "output" then
    return function(_, before, after, statistics)
      return core.distortion(before, after, statistics)
    end
  elseif type(how) == "function" then
    return function(layer, before, after, statistics)
      local lost = how(layer, before, after, statistics)
      return check.number(lost, "plan: distortion of layer " .. layer.name, { 0, math.huge })
        or check.fail("plan: distortion of layer %s: a number is wanted, got nil", layer.name)
    end
  end
  check.fail('plan: distortion is "relative", "output" or a function, got %s', tostring(how))
end

local function list_of(candidates, layer)
  local list = candidates
  if type(candidates) == "function" then list = candidates(layer) end
  if core.type(list) == "scheme" then list = { list } end
  if type(list) ~= "table" or #list == 0 then
    check.fail("plan: layer %s: a list of candidate schemes is wanted, got %s", layer.name,
      type(list) == "table" and "an empty one" or core.type(list))
  end
  for i, one in ipairs(list) do
    if core.type(one) ~= "scheme" then
      check.fail("plan: layer %s: candidate %d is a %s, not a scheme", layer.name, i, core.type(one))
    end
  end
  return list
end

-- An item a layer: { layer, before, statistics, choices = { {scheme, bytes, distortion, multiply_adds, make} … } }
local function items_of(model, layers, spec)
  local lists, all = {}, {}
  for i, layer in ipairs(layers) do
    lists[i] = list_of(spec.candidates, layer)
    table.move(lists[i], 1, #lists[i], #all + 1, all)
  end
  local statistics = model:statistics_for(all, spec.statistics, "plan")
  local measure = measure_of(spec.distortion)
  local items, done, total = {}, 0, #all
  for i, layer in ipairs(layers) do
    local before, seen = layer.representation, rawget(statistics, layer.index)
    local item = { layer = layer, choices = {} }
    for j, scheme in ipairs(lists[i]) do
      local function make()
        local ok, result = pcall(scheme.apply, scheme, before, seen)
        if not ok then error(require("mcl.model").at_layer(result, layer), 0) end
        return result
      end
      local after = make()
      item.choices[j] = {
        scheme = scheme, bytes = after:bytes(), distortion = measure(layer, before, after, seen),
        multiply_adds = layer.multiply_adds * after:products() / layer.count,
        make = layer.count <= KEPT_COUNT and function() return after end or make,
      }
      done = done + 1
      core.progress("candidates", done, total, "schemes")
    end
    items[i] = item
  end
  return items
end

-- ---- The object --------------------------------------------------------------------------------------------------

local plan_keys = { 1, "budget", "candidates", "distortion", "layers", "statistics" }

--- Makes a plan. layers: a selector, or a list of them, for which layers to plan; the others stay as they are.
function plan.new(spec)
  check.keys(spec, plan_keys, "plan")
  local model = spec[1]
  if not require("mcl.model").is(model) then
    check.fail("plan: the first item is the model: mcl.plan { model, … }; got %s", core.type(model))
  end
  if spec.candidates == nil then check.fail("plan: candidates is wanted: a list of schemes, or function(layer)") end
  if spec.budget == nil then check.fail("plan: budget is wanted, such as { ratio = 12 }") end
  local budget = budget_of(model, spec.budget)
  local layers = select_layers.matching(model:layers(), spec.layers)
  if #layers == 0 then check.fail("plan: the model has no layers with weights") end
  local items = items_of(model, layers, spec)
  local found = require("mcl.plan_search").search(model, items, budget)
  local self = { budget = budget.text, dense_bytes = 4 * model:parameters(), distortion = 0, rows = {} }
  for i, item in ipairs(items) do
    local choice = item.choices[found.chosen[i]]
    self.rows[i] = {
      layer = item.layer.name, index = item.layer.index, scheme = choice.scheme, bytes = choice.bytes,
      dense_bytes = 4 * item.layer.count, distortion = choice.distortion, multiply_adds = choice.multiply_adds,
      candidates = #item.choices,
    }
    self.distortion = self.distortion + choice.distortion
  end
  self.limit = budget.limit
  self.bytes, self.gap, self.accuracy = found.size, found.gap, found.accuracy
  self.ratio = self.dense_bytes / self.bytes
  return setmetatable(self, Plan)
end

--- Schemes by the position of the layer in `layers`: for model:compress.
function Plan:schemes(layers)
  local by_index, chosen, matched = {}, {}, 0
  for _, row in ipairs(self.rows) do
    by_index[row.index] = row
  end
  for i, layer in ipairs(layers) do
    local row = by_index[layer.index]
    if row and row.layer == layer.name then
      chosen[i] = row.scheme
      matched = matched + 1
    end
  end
  if matched ~= #self.rows then check.fail("compress: the plan was made for a model with other layers") end
  return chosen
end

--- A table: layer, choice, bytes, share of dense, distortion; the last row is the whole file.
function Plan:__tostring()
  local rows = { { "layer", "choice", "bytes", "of dense", "distortion" } }
  for _, row in ipairs(self.rows) do
    rows[#rows + 1] = {
      row.layer, tostring(row.scheme), shown.thousands(row.bytes),
      ("%.2f %%"):format(100 * row.bytes / row.dense_bytes),
      ("%.3g"):format(row.distortion),
    }
  end
  rows[#rows + 1] = {
    "file", ("budget: %s; %.2fx smaller"):format(self.budget, self.ratio), shown.thousands(self.bytes),
    ("%.2f %%"):format(100 * self.bytes / self.dense_bytes), ("%.3g"):format(self.distortion),
  }
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, utf8.len(cell))
    end
  end
  local lines = {}
  for n, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - utf8.len(cell))
      cells[i] = i > 2 and space .. cell or cell .. space
    end
    lines[n] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

return plan
