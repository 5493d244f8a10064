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
