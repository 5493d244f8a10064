--- Pieces of a page: its style, text that is safe in it, tables. Nothing in it comes from outside.
local shown = require "mcl.shown"

local page = {}

page.STYLE = [[
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1d1f21; --faint: #6a6f75; --line: #dedfdc; --a: #2f6f9f;
  --b: #d98a29; --c: #b9bdb8; }
@media (prefers-color-scheme: dark) { :root { --paper: #17191b; --ink: #e6e6e3; --faint: #9aa0a6; --line: #34383b;
  --a: #6fb1de; --b: #e8a74f; --c: #565b5e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 3rem 1.5rem 5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 "Source Sans 3", "Segoe UI", system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 650; }
h2 { font-size: 1.1rem; margin: 3rem 0 .8rem; font-weight: 650; }
p { margin: .3rem 0; max-width: 42rem; }
.faint, figcaption { color: var(--faint); }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; margin: 2rem 0 0; }
.figures div { min-width: 7rem; }
.figures b { display: block; font-size: 1.9rem; line-height: 1.2; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--faint); border-bottom: 1px solid var(--ink); }
th, td { padding: .32rem .9rem .32rem 0; vertical-align: top; }
td { border-bottom: 1px solid var(--line); }
.n { text-align: right; }
.wide { overflow-x: auto; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 13px "Source Sans 3", "Segoe UI", system-ui, sans-serif; fill: var(--ink); }
svg .small { font-size: 11px; fill: var(--faint); }
.a { fill: var(--a); } .b { fill: var(--b); } .c { fill: var(--c); }
.path { fill: none; stroke: var(--a); stroke-width: 2; } .path2 { fill: none; stroke: var(--b); stroke-width: 2; }
.grid { stroke: var(--line); }
code, pre { font: .88rem/1.5 ui-monospace, "JetBrains Mono", monospace; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; padding: .7rem 1rem; }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .4em 0 1.2em; vertical-align: -.05em; }]]

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Text as it may stand in a page, within quotes too.
function page.escape(text)
  return (shown.printable(text):gsub("[&<>\"']", entities))
end

--- 0.1234 as 12.34 %; a dash for nil.
function page.percent(value, digits)
  return value and ("%." .. (digits or 2) .. "f %%"):format(value * 100) or "–"
end

--- A table; right: columns of numbers, as a set.
function page.table(head, rows, right)
  local out = { '<div class="wide"><table><tr>' }
  for column, text in ipairs(head) do
    out[#out + 1] = ("<th%s>%s</th>"):format(right[column] and ' class="n"' or "", page.escape(text))
  end
  out[#out + 1] = "</tr>"
  for _, row in ipairs(rows) do
    out[#out + 1] = "<tr>"
    for column, text in ipairs(row) do
      out[#out + 1] = ("<td%s>%s</td>"):format(right[column] and ' class="n"' or "", page.escape(text))
    end
    out[#out + 1] = "</tr>"
  end
  out[#out + 1] = "</table></div>"
  return table.concat(out)
end

return page
