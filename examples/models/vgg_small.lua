--- A small VGG (Simonyan & Zisserman 2015): pairs of 3×3 convolutions with batch normalisation, halving the image and
-- doubling the channels. About 0.3 million parameters.
local nn = require("mcl").nn

local layers = {
  about = "small VGG with batch normalisation, for 28×28 grey images",
  input = { 1, 28, 28 },
  train = { epochs = 10, batch = 64, rate = 0.05, schedule = "cosine", weight_decay = 5e-4, shift = 2 },
}
for _, channels in ipairs { 32, 64, 128 } do
  for _ = 1, 2 do
    layers[#layers + 1] = nn.conv { out = channels, kernel = 3, pad = 1, bias = false }
    layers[#layers + 1] = nn.batch_norm()
    layers[#layers + 1] = nn.relu()
  end
  layers[#layers + 1] = nn.max_pool { kernel = 2 }
end
layers[#layers + 1] = nn.global_average_pool()
layers[#layers + 1] = nn.flatten()
layers[#layers + 1] = nn.dropout { rate = 0.3 }
layers[#layers + 1] = nn.linear { out = 10 }

return nn.sequential(layers)
