--- LeNet-5 as Caffe has it: two convolutions of 20 and 50 5×5 filters, each followed by pooling, and 500 hidden units;
-- 431,080 parameters. The second net of Deep Compression's table. Its convolutions have no activation, so its weights
-- start smaller than He's.
local nn = require("mcl").nn

return nn.sequential {
  about = "LeNet-5 (Caffe's), for 28×28 grey images",
  input = { 1, 28, 28 },
  train = { epochs = 5, batch = 64, rate = 0.02, schedule = "cosine", warmup = 0.05, weight_decay = 5e-4, shift = 1 },
  nn.conv { out = 20, kernel = 5, init = "xavier" },
  nn.max_pool { kernel = 2 },
  nn.conv { out = 50, kernel = 5, init = "xavier" },
  nn.max_pool { kernel = 2 },
  nn.flatten(),
  nn.linear { out = 500, init = "xavier" },
  nn.relu(),
  nn.linear { out = 10, init = "xavier" },
}
