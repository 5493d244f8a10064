--- Reports of a run: JSON, or one page of HTML that needs no network. The page: what came of it in figures, where the
-- bytes went (bars in SVG), how size and accuracy changed step by step, and what the run was made of.
local check = require "mcl.check"
local core = require "mcl.core"
local page = require "mcl.page"
local paths = require "mcl.path"
local progress = require "mcl.progress"
local recipe = require "mcl.recipe"
local details = require "mcl.report_details"
local shown = require "mcl.shown"

local report = {}

local escape, percent, html_table = page.escape, page.percent, page.table

-- ---- Pictures --------------------------------------------------------------------------------------------------

-- A bar a weight: coded streams, then the rest of its share of the file; all on one scale.
local function size_bars(layers)
  local most = 1
  for _, layer in ipairs(layers) do
    most = math.max(most, layer.bytes.file)
  end
  local step, left, width = 26, 150, 560
  local out = { ('<svg viewBox="0 0 860 %d" role="img" aria-label="bytes of each weight">'):format(#layers * step + 8) }
  for i, layer in ipairs(layers) do
    local y = (i - 1) * step + 4
    local coded = math.min(layer.bytes.coded, layer.bytes.file)
    local first, second = coded / most * width, (layer.bytes.file - coded) / most * width
    out[#out + 1] = ('<text x="%d" y="%d" text-anchor="end">%s</text>'):format(left - 10, y + 14, escape(layer.name))
    out[#out + 1] = ('<rect class="a" x="%d" y="%d" width="%.1f" height="18"/>'):format(left, y, first)
    out[#out + 1] = ('<rect class="b" x="%.1f" y="%d" width="%.1f" height="18"/>'):format(left + first, y, second)
    out[#out + 1] = ('<text class="small" x="%.1f" y="%d">%s of %s</text>'):format(left + first + second + 6, y + 13,
      progress.bytes(layer.bytes.file), progress.bytes(layer.bytes.dense))
  end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n")
end

-- Where the whole file goes, in one stacked bar beside the dense size.
local function whole_bar(record)
  local width = 860
  local scale = width / math.max(record.dense_bytes, record.after.bytes)
  local out = { '<svg viewBox="0 0 860 74" role="img" aria-label="size before and after">' }
  out[#out + 1] = ('<rect class="c" x="0" y="4" width="%.1f" height="22"/>'):format(record.dense_bytes * scale)
  local dense = progress.bytes(record.dense_bytes)
  out[#out + 1] = ('<text x="8" y="20">dense, 4 bytes a parameter: %s</text>'):format(dense)
  local at = 0
  for i, layer in ipairs(record.layers) do
    local size = layer.bytes.file * scale
    local rect = '<rect class="%s" x="%.2f" y="34" width="%.2f" height="22"><title>%s %s</title></rect>'
    local class = i % 2 == 1 and "a" or "b"
    out[#out + 1] = rect:format(class, at, size, escape(layer.name), progress.bytes(layer.bytes.file))
    at = at + size
  end
  local rest = math.max(0, record.after.bytes * scale - at)
  out[#out + 1] = ('<rect class="c" x="%.2f" y="34" width="%.2f" height="22"/>'):format(at, rest)
  out[#out + 1] = ('<text x="%.1f" y="50">%s</text></svg>'):format(at + rest + 8, progress.bytes(record.after.bytes))
  return table.concat(out, "\n")
end

-- What steps are judged by: accuracy, or the loss where there are no labels; and how it is written.
local function measure(steps)
  for _, step in ipairs(steps) do
    if step.accuracy then return "accuracy", percent end
  end
  return "loss", function(value) return value and ("%.4g"):format(value) or "–" end
end

-- Bytes (logarithmic) and what steps are judged by, on the held-out part, a point a step.
local function step_curve(steps)
  local points = {}
  local key, text = measure(steps)
  for _, step in ipairs(steps) do
    if step[key] then points[#points + 1] = step end
  end
  if #points < 2 then return "" end
  local least, most, low, high = math.huge, 0, math.huge, -math.huge
  for _, step in ipairs(points) do
    least, most = math.min(least, step.bytes), math.max(most, step.bytes)
    low, high = math.min(low, step[key]), math.max(high, step[key])
  end
  local gap = 1e-3 * math.max(1, math.abs(high))
  if high - low < gap then low, high = low - gap / 2, high + gap / 2 end
  local function x(i) return 60 + (i - 1) * 740 / (#points - 1) end
  local function y_bytes(bytes)
    if most == least then return 100 end
    return 180 - 160 * math.log(bytes / least) / math.log(most / least)
  end
  local bytes, judged = {}, {}
  for i, step in ipairs(points) do
    bytes[i] = ("%.1f,%.1f"):format(x(i), y_bytes(step.bytes))
    judged[i] = ("%.1f,%.1f"):format(x(i), 180 - 160 * (step[key] - low) / (high - low))
  end
  return ([[<figure style="margin:0"><svg viewBox="0 0 860 200" role="img" aria-label="bytes and %s by step">
<line class="grid" x1="60" x2="800" y1="20" y2="20"/><line class="grid" x1="60" x2="800" y1="180" y2="180"/>
<text class="small" x="54" y="24" text-anchor="end">%s</text>
<text class="small" x="54" y="184" text-anchor="end">%s</text>
<text class="small" x="806" y="24">%s</text><text class="small" x="806" y="184">%s</text>
<polyline class="path" points="%s"/><polyline class="path2" points="%s"/></svg>
<figcaption class="key"><span style="background:var(--a)"></span>bytes, logarithmic (left)
<span style="background:var(--b)"></span>%s on the held-out part (right)</figcaption></figure>]]):format(
    key, progress.bytes(most), progress.bytes(least), text(high), text(low), table.concat(bytes, " "),
    table.concat(judged, " "), key)
end

-- ---- Tables ----------------------------------------------------------------------------------------------------

local function layer_table(layers)
  local rows = {}
  for _, layer in ipairs(layers) do
    rows[#rows + 1] = {
      layer.name, table.concat(layer.shape, "×"), layer.representation, percent(layer.density), layer.coder or "",
      shown.thousands(layer.bytes.dense), shown.thousands(layer.bytes.packed), shown.thousands(layer.bytes.coded),
      shown.thousands(layer.bytes.file),
    }
  end
  local head = { "weight", "shape", "representation", "kept", "coder", "dense", "packed", "coded", "in file" }
  return html_table(head, rows, { [4] = true, [6] = true, [7] = true, [8] = true, [9] = true })
end

local function step_table(steps)
  local rows = {}
  local key, text = measure(steps)
  for i, step in ipairs(steps) do
    rows[i] = { step.name, shown.thousands(step.bytes), text(step[key]), progress.duration(step.seconds) }
  end
  return html_table({ "step", "bytes", key .. ", held out", "after" }, rows, { [2] = true, [3] = true, [4] = true })
end

local function figures(record)
  local before, after = record.before, record.after
  local list = {
    { shown.thousands(after.bytes), "bytes, the whole file" },
    { ("%.1f×"):format(after.ratio), "smaller than dense" },
  }
  if after.accuracy then
    list[#list + 1] = { percent(after.accuracy), "accuracy on the test set" }
    list[#list + 1] = { percent(before.accuracy), "before compression" }
  elseif after.loss then
    if after.explained then
      list[#list + 1] = { percent(after.explained), "of the test set's variance explained" }
      list[#list + 1] = { percent(before.explained), "before compression" }
    end
    list[#list + 1] = { ("%.4g"):format(after.loss), "loss on the test set" }
    list[#list + 1] = { ("%.4g"):format(before.loss), "loss before compression" }
  end
  list[#list + 1] = { progress.duration(record.seconds), "in all" }
  local out = {}
  for _, item in ipairs(list) do
    out[#out + 1] = ("<div><b>%s</b>%s</div>"):format(escape(item[1]), escape(item[2]))
  end
  return table.concat(out, "\n")
end

local function settings(record)
  local rows = {
    { "recipe", record.recipe }, { "model", record.model }, { "output", record.output },
    { "data", record.data or "none" }, { "seed", tostring(record.seed) }, { "mcl", record.version },
  }
  for _, name in ipairs(check.sorted_keys(record.options)) do
    rows[#rows + 1] = { "option " .. name, recipe.text_of(record.options[name]) }
  end
  return html_table({ "what", "value" }, rows, {})
end

--- The page of a record.
function report.html(record)
  local title = escape(record.output:match "[^/]*$")
  return table.concat({
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>" .. title .. "</title>\n<style>\n" .. page.STYLE .. "\n</style></head><body>",
    "<h1>" .. title .. "</h1>",
    '<p class="faint">' .. escape(record.about:match "[^\n]*") .. "</p>",
    '<div class="figures">' .. figures(record) .. "</div>",
    "<h2>Size</h2>" .. whole_bar(record),
    "<h2>Where the bytes are</h2>" .. size_bars(record.layers),
    '<p class="faint key"><span style="background:var(--a)"></span>coded streams'
      .. '<span style="background:var(--b)"></span>its part of the directory</p>',
    layer_table(record.layers),
    "<h2>Step by step</h2>" .. step_curve(record.steps) .. step_table(record.steps),
    details.html(record),
    "<h2>What the run was made of</h2>" .. settings(record) .. details.files(record.files),
    "<h2>Command</h2><pre>" .. escape(record.command) .. "</pre>",
    "</body></html>\n",
  }, "\n")
end

local function plain(options)
  local copy = {}
  for name, value in pairs(options) do
    copy[name] = value
  end
  return copy
end

--- The record as JSON.
function report.json(record)
  local copy = plain(record)
  copy.options = plain(record.options)
  return core.json_encode(copy, 2) .. "\n"
end

--- Writes FILE.html or FILE.json, whole or not at all.
function report.write(path, record)
  core.write_file(path, paths.extension(path) == "json" and report.json(record) or report.html(record))
end

return report
