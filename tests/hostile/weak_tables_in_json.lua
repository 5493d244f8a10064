-- Tables whose entries are collected while they are written as JSON.
-- ends: well
local core = require "mcl.core"
for round = 1, 40 do
  for _, mode in ipairs { "v", "k", "kv" } do
    local t = setmetatable({}, { __mode = mode })
    for i = 1, 200 do
      t[("a key that is longer than forty characters, number %d of round %d"):format(i, round)] = { i, { i, i }, "x" }
    end
    pcall(core.json_encode, t)
    local list = setmetatable({}, { __mode = mode })
    for i = 1, 200 do
      list[i] = { i, { ("y"):rep(i) } }
    end
    pcall(core.json_encode, core.json_array { list, { list } })
    pcall(core.json_encode, { a = t, b = list })
  end
end
assert(core.json_encode { ["a\0b"] = 1, a = 2 } == [[{"a":2,"a\u0000b":1}]])
