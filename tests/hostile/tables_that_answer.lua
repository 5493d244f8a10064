-- Tables of options, inputs and weights whose metamethods run code: none is asked.
-- ends: well
local mcl = require "mcl"
local core = require "mcl.core"
local asked = 0
local function ask()
  asked = asked + 1
  return nil
end
local function answering(t)
  return setmetatable(t or {}, { __index = ask, __len = ask, __pairs = ask, __newindex = ask })
end
local model = mcl.nn.sequential { input = { 2 }, mcl.nn.linear { out = 2 } }:build {}
local object = model.core
local data = mcl.dataset(mcl.zeros { 4, 2 }, mcl.zeros(4, "i64"))
object:fit(data, answering { epochs = 1, schedule = answering { "cosine" } })
object:check_gradients(answering())
object:size(answering())
object:calibrate(data, answering { "gram" })
object:run(answering { [object:inputs()[1].name] = mcl.zeros { 1, 2 } })
core.prune(answering { density = 0.5, statistics = answering { "gram" } })
core.share(answering { bits = 2 })
core.quantize(answering { bits = 2 })
core.lowrank(answering { rank = 1 })
core.keep(answering())
core.plan_solve(answering { answering { answering { 1, 1 } } }, 1)
core.json_encode(answering { a = answering { 1 } })
mcl.tensor(answering { answering { 1, 2 } })
mcl.random(answering { 2 }, answering())
local other = core.model "other"
local x = other:add_input("x", answering { -1, 4 })
other:add_node("reshape", "r", answering { shape = answering { -1, 2, 2 } }, answering { x })
assert(asked == 0)
