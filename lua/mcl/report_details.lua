--- The report's sections on what was measured beside the sizes (measure.lua); each is left out where its record is.
local page = require "mcl.page"
local shown = require "mcl.shown"

local details = {}

local escape, percent = page.escape, page.percent

local function number(value)
  return value and ("%.4g"):format(value) or "–"
end

-- Loss and accuracy of each epoch, all fits in a row; a fit begins at a line.
local function training(epochs)
  local low, high, losses, accuracies, breaks = math.huge, -math.huge, {}, {}, {}
  for _, epoch in ipairs(epochs) do
    low, high = math.min(low, epoch.loss), math.max(high, epoch.loss)
  end
  if #epochs < 2 or low ~= low or high - low == math.huge then return "" end
  local function x(i) return 60 + (i - 1) * 740 / (#epochs - 1) end
  for i, epoch in ipairs(epochs) do
    losses[i] = ("%.1f,%.1f"):format(x(i), 180 - 160 * (epoch.loss - low) / math.max(high - low, 1e-12))
    local held = epoch.validation_accuracy
    if held then accuracies[#accuracies + 1] = ("%.1f,%.1f"):format(x(i), 180 - 160 * held) end
    if i > 1 and epoch.fit ~= epochs[i - 1].fit then
      breaks[#breaks + 1] = ('<line class="grid" x1="%.1f" x2="%.1f" y1="20" y2="180"/>'):format(x(i), x(i))
    end
  end
  return ([[<h2>Training</h2><figure style="margin:0"><svg viewBox="0 0 860 200" role="img" aria-label="loss by epoch">
<line class="grid" x1="60" x2="800" y1="180" y2="180"/>%s
<text class="small" x="54" y="24" text-anchor="end">%s</text>
<text class="small" x="54" y="184" text-anchor="end">%s</text>
<text class="small" x="806" y="24">100 %%</text><text class="small" x="806" y="184">0 %%</text>
<polyline class="path" points="%s"/><polyline class="path2" points="%s"/></svg>
<figcaption class="key"><span style="background:var(--a)"></span>loss in training (left)
<span style="background:var(--b)"></span>accuracy on the held-out part (right); a line where a fit begins</figcaption>
</figure>]]):format(table.concat(breaks), number(high), number(low), table.concat(losses, " "),
    table.concat(accuracies, " "))
end

-- Bars of a histogram, the codebook's entries as ticks below; zeros are told in the text beside.
local function histogram(weight)
  local most = 1
  for _, count in ipairs(weight.histogram) do
    most = math.max(most, count)
  end
  local width = 400 / #weight.histogram
  local out = { ('<svg viewBox="0 0 860 84" role="img" aria-label="weights of %s">'):format(escape(weight.name)) }
  for bin, count in ipairs(weight.histogram) do
    local height = 60 * count / most
    out[#out + 1] = ('<rect class="a" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>'):format(150 + (bin - 1) * width,
      64 - height, width - 1, height)
  end
  local range = math.max(weight.greatest - weight.least, 1e-30)
  for _, entry in ipairs(weight.codebook or {}) do
    local x = 150 + 400 * (entry - weight.least) / range
    out[#out + 1] = ('<rect class="b" x="%.1f" y="67" width="2" height="8"/>'):format(x - 1)
  end
  local shared = weight.codebook and (", a codebook of %d"):format(#weight.codebook) or ""
  out[#out + 1] = ('<text x="140" y="40" text-anchor="end">%s</text>'):format(escape(weight.name))
  out[#out + 1] = ('<text class="small" x="562" y="40">%s … %s, %s zeros%s</text></svg>'):format(number(weight.least),
    number(weight.greatest), shown.thousands(weight.zeros // 1 | 0), shared)
  return table.concat(out)
end

local function weights(list)
  local out = { "<h2>How weights are spread</h2>" }
  for _, weight in ipairs(list) do
    out[#out + 1] = histogram(weight)
  end
  out[#out + 1] = '<p class="faint">Bars: how many weights, zeros left out. Ticks below: entries of the codebook.</p>'
  return table.concat(out, "\n")
end

local function beside(record)
  local rows = { { "this file", shown.thousands(record.after.bytes), ("%.2f"):format(record.after.ratio) } }
  for _, other in ipairs(record.beside) do
    rows[#rows + 1] = {
      other.name, shown.thousands(other.bytes), ("%.2f"):format(record.dense_bytes / other.bytes),
    }
  end
  return "<h2>Beside plainer means</h2>"
    .. page.table({ "the model as", "bytes", "ratio" }, rows, { [2] = true, [3] = true })
    .. '<p class="faint">Sizes of the model of before; none of these was trained or judged.</p>'
end

local function classes(list)
  local rows = {}
  for i, one in ipairs(list) do
    rows[i] = { tostring(one.class), shown.thousands(one.count), percent(one.accuracy) }
  end
  return "<h2>Accuracy by class</h2>" .. page.table({ "class", "test examples", "accuracy" }, rows,
    { [1] = true, [2] = true, [3] = true })
end

local function graph(nodes)
  local rows = {}
  for i, node in ipairs(nodes) do
    rows[i] = {
      node.name, node.op, (table.concat(node.shape, "×"):gsub("^%-1", "n")), table.concat(node.inputs, ", "),
      shown.thousands(node.multiply_adds),
    }
  end
  return "<h2>Graph</h2>" .. page.table({ "node", "op", "output", "inputs", "multiply-adds" }, rows, { [5] = true })
end

--- Files that the run was made of, with their hashes.
function details.files(files)
  if not files then return "" end
  local rows = {}
  for i, file in ipairs(files) do
    rows[i] = { file.path, shown.thousands(file.bytes), file.hash }
  end
  return "<h2>Files</h2>" .. page.table({ "file", "bytes", "hash, XXH3" }, rows, { [2] = true })
end

--- All other sections.
function details.html(record)
  return table.concat({
    record.epochs and training(record.epochs) or "", record.classes and classes(record.classes) or "",
    record.beside and beside(record) or "", record.weights and weights(record.weights) or "",
    record.graph and graph(record.graph) or "",
  }, "\n")
end

return details
