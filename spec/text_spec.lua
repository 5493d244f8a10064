-- Names from files, on their way to terminals, pages and other programs.
require "mcl"
local core = require "mcl.core"
local shown = require "mcl.shown"

describe("text from outside", function()
  it("is shown as it is where it is plain, in any writing", function()
    for _, text in ipairs { "conv1.weight", "größe", "層/0", "𝛼", "", "two\nlines\tand a tab" } do
      assert.equal(text, shown.printable(text))
    end
  end)

  it("has what a terminal would obey made visible", function()
    assert.equal([[\x1b[31mred]], shown.printable "\27[31mred")
    assert.equal([[\x0d\x07\x00\x7f]], shown.printable "\r\7\0\127")
    assert.equal([[\xc2\x9b31m]], shown.printable "\u{9b}31m") -- the same command in one character
    assert.equal([[\xe2\x80\xaetxt.exe]], shown.printable "\u{202e}txt.exe")
    assert.equal([[a\nb]], shown.cell "a\nb")
  end)

  it("has bytes that are no UTF-8 made visible", function()
    assert.equal([[\xff\xfe]], shown.printable "\xff\xfe")
    assert.equal([[a\xc3]], shown.printable "a\xc3") -- cut short
    assert.equal([[\xc0\xaf]], shown.printable "\xc0\xaf") -- longer than need be
    assert.equal([[\xed\xa0\x80]], shown.printable "\xed\xa0\x80") -- half a surrogate pair
    assert.equal([[\xf4\x90\x80\x80]], shown.printable "\xf4\x90\x80\x80") -- above U+10FFFF
  end)

  it("is valid JSON always", function()
    assert.equal([["\\xff\\xfe"]], core.json_encode "\xff\xfe")
    assert.equal([["\u001b[31m\u009b\"\\"]], core.json_encode "\27[31m\u{9b}\"\\")
    assert.equal('"größe"', core.json_encode "größe")
    for byte = 0, 255 do
      local text = string.char(byte) .. "x" .. string.char(byte)
      assert.equal("string", type(core.json_decode(core.json_encode { [text:gsub("%z", "")] = text, k = text }).k))
    end
  end)
end)

describe("counts", function()
  it("are grouped by thousands", function()
    local texts = { [0] = "0", [999] = "999", [1000] = "1,000", [1066440] = "1,066,440", [-123456] = "-123,456" }
    for count, text in pairs(texts) do
      assert.equal(text, shown.thousands(count))
    end
  end)
end)
