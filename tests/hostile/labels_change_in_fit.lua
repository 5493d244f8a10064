-- Labels are set past the classes once a fit has checked them.
-- ends: well
local mcl = require "mcl"
local model = mcl.nn.sequential {
  input = { 8 }, mcl.nn.linear { out = 8 }, mcl.nn.relu(), mcl.nn.linear { out = 3 },
}:build { seed = 1 }
for _, dtype in ipairs { "i64", "u8" } do
  local y = mcl.zeros(64, dtype)
  local view = y:reshape { 8, 8 }
  local data = mcl.dataset(mcl.random({ 64, 8 }, { seed = 1 }), y)
  local function spoil()
    y:set(1000000)
    view:set(100)
    for _, field in ipairs { "x", "y" } do
      assert(not pcall(function() data[field]:set(100) end))
    end
  end
  local report = model:fit { data, epochs = 3, validation = data, epoch_end = spoil, penalty = function() spoil() end }
  assert(report.loss < 2)
  assert(model:evaluate(data).count == 64)
end
