--- LeNet-300-100: 784-300-100-10, 266,610 parameters (LeCun et al. 1998), the first net of Deep Compression's table.
local nn = require("mcl").nn

return nn.sequential {
  about = "LeNet-300-100, for 28×28 grey images",
  input = { 1, 28, 28 },
  train = { epochs = 20, batch = 64, rate = 0.05, schedule = "cosine", weight_decay = 5e-4, shift = 1 },
  nn.flatten(),
  nn.linear { out = 300 },
  nn.relu(),
  nn.linear { out = 100 },
  nn.relu(),
  nn.linear { out = 10 },
}
