--- A small residual network (He et al. 2016): a 3×3 stem, three stages of two blocks; the first block of the later
-- stages halves the image, its shortcut a 1×1 convolution. About 0.18 million parameters.
local nn = require("mcl").nn

local function block(channels, stride, widens)
  return nn.residual {
    nn.conv { out = channels, kernel = 3, stride = stride, pad = 1, bias = false },
    nn.batch_norm(),
    nn.relu(),
    nn.conv { out = channels, kernel = 3, pad = 1, bias = false },
    nn.batch_norm(),
    shortcut = widens and {
      nn.conv { out = channels, kernel = 1, stride = stride, bias = false },
      nn.batch_norm(),
    } or nil,
  }
end

local layers = {
  about = "small residual network, for 28×28 grey images",
  input = { 1, 28, 28 },
  train = { epochs = 10, batch = 64, rate = 0.05, schedule = "cosine", weight_decay = 5e-4, shift = 2 },
  nn.conv { out = 16, kernel = 3, pad = 1, bias = false },
  nn.batch_norm(),
  nn.relu(),
}
for stage, channels in ipairs { 16, 32, 64 } do
  for depth = 1, 2 do
    local first = stage > 1 and depth == 1
    layers[#layers + 1] = block(channels, first and 2 or 1, first)
    layers[#layers + 1] = nn.relu()
  end
end
layers[#layers + 1] = nn.global_average_pool()
layers[#layers + 1] = nn.flatten()
layers[#layers + 1] = nn.linear { out = 10 }

return nn.sequential(layers)
