-- The pages on the Lua API run: their blocks of Lua, one after the other, as one program.

local function blocks(path)
  local file = assert(io.open(path))
  local list, inside, line_number = {}, nil, 0
  for line in file:lines() do
    line_number = line_number + 1
    if line == "```lua" then
      inside = ("\n"):rep(line_number) -- so that errors point into the page
    elseif line == "```" and inside then
      list[#list + 1], inside = inside, nil
    elseif inside then
      inside = inside .. line .. "\n"
    end
  end
  file:close()
  return list
end

describe("docs/api-lua.md", function()
  it("runs from its first block to its last", function()
    local page = "docs/api-lua.md"
    local printed = {}
    local environment = setmetatable({ print = function(...) printed[#printed + 1] = select("#", ...) end },
      { __index = _G })
    local list = blocks(page)
    assert.is_true(#list >= 10)
    for _, text in ipairs(list) do
      -- what a block declares, the next ones see
      text = text:gsub("\nlocal function ", "\nfunction "):gsub("\nlocal ", "\n")
      assert(load(text, "@" .. page, "t", environment))()
    end
    assert.is_true(#printed > 5)
  end)
end)

describe("the presets of schemes in docs/api-lua.md", function()
  local mcl = require "mcl"
  local weight = mcl.random({ 12, 40 }, { seed = 1, kind = "normal" })
  local must = {
    prune = { density = 0.3 }, share = { bits = 3 }, quantize = { bits = 3 }, lowrank = { rank = 3 }, keep = {},
    sum = { mcl.lowrank { rank = 2 }, mcl.prune { density = 0.1 } },
  }
  local said = {} -- what a page cannot say as a value of Lua
  said["share iterations"], said["share seed"], said["lowrank factors"] = 0, 0, "none"

  local function values(kind, key, value)
    local options = {}
    for name, needed in pairs(must[kind]) do
      options[name] = needed
    end
    if key then options[key] = value end
    return mcl[kind](options):apply(weight):values():totable()
  end

  local found = 0
  for line in io.lines "docs/api-lua.md" do
    local kind, key, preset = line:match "^| `(%l+)` `(%l+)` | ([^;:|]+)"
    if must[kind] then
      found = found + 1
      it(("%s { %s = } is as if it were left out"):format(kind, key), function()
        local text = preset:match "^`(.*)`" or preset:match "^%d+"
        local value = said[kind .. " " .. key]
        if value == nil then value = load("return " .. text)() end
        if value == "none" then return assert.same(values(kind), values(kind, key, mcl.keep())) end
        assert.same(values(kind), values(kind, key, value))
      end)
    end
  end

  it("are all there", function()
    assert.equal(15, found)
  end)
end)
