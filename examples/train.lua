--- train.lua: mcl as a library of a stock Lua. A network learns a spiral by a loss written here, is compressed to fit a
-- budget of bytes, and read back from its file.
--
--     LUA_CPATH="build/release/lua/?.so;;" lua5.4 examples/train.lua [FOLDER]
local mcl = require "mcl"
local nn = mcl.nn

local folder = arg[1] or "."

-- Points on three arms of a spiral; a class an arm, as a row of zeros and a one.
local function spiral(rows, seed)
  local noise = mcl.random({ rows }, { seed = seed, kind = "normal", scale = 0.1 })
  local x, target, label = mcl.zeros { rows, 2 }, mcl.zeros { rows, 3 }, mcl.zeros({ rows }, "i64")
  for i = 1, rows do
    local along = (i // 3) / (rows // 3)
    local angle = 2 * math.pi * i / 3 + 4 * along + noise[i]
    x[i][1], x[i][2] = along * math.cos(angle), along * math.sin(angle)
    target[i][i % 3 + 1], label[i] = 1, i % 3
  end
  return mcl.dataset(x, target), mcl.dataset(x, label)
end

local train = spiral(3000, 1)
local _, test = spiral(900, 2)

local model = nn.sequential {
  input = { 2 },
  nn.linear { out = 64 }, nn.relu(),
  nn.linear { out = 64 }, nn.relu(),
  nn.linear { out = 3 }, nn.sigmoid(),
}:build { seed = 1, name = "spiral" }

-- Cross-entropy of independent outputs; an expression, so its gradient comes by itself.
local function loss(output, target)
  local y = output:max(1e-6):min(1 - 1e-6)
  return -(target * y:log() + (1 - target) * (1 - y):log())
end

model:fit {
  train, loss = loss, epochs = 60, optimiser = "adam", rate = 3e-3, schedule = "cosine",
  epoch_end = function(report)
    if report.epoch % 20 == 0 then print(("epoch %d: loss %.4f"):format(report.epoch, report.loss)) end
  end,
}
local dense = model:evaluate(test).accuracy
print(("dense: accuracy %.3f"):format(dense))

local plan = mcl.plan {
  model, budget = { ratio = 8 },
  candidates = function()
    local list = {}
    for bits = 2, 8 do
      list[#list + 1] = mcl.share { bits = bits }
      list[#list + 1] = mcl.prune { density = 0.5 } .. mcl.share { bits = bits }
    end
    return list
  end,
}
print(plan)
model:compress(plan):fit { train, loss = loss, epochs = 10, optimiser = "adam", rate = 1e-3 }

local path = folder .. "/spiral.mcl"
model:save(path)
local accuracy = mcl.load(path):evaluate(test).accuracy
print(("%s: accuracy %.3f"):format(path, accuracy))
assert(accuracy > dense - 0.05 and plan.ratio >= 8)
