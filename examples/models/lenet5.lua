--- LeNet-5 as Caffe has it: two convolutions of 20 and 50 5×5 filters, each followed by pooling, and 500 hidden units;
-- 431,080 parameters. The second net of Deep Compression's table.
local nn = require("mcl").nn

return nn.sequential {
  about = "LeNet-5 (Caffe's), for 28×28 grey images",
  input = { 1, 28, 28 },
  train = { epochs = 8, batch = 64, rate = 0.02, schedule = "cosine", weight_decay = 5e-4 },
  nn.conv { out = 20, kernel = 5 },
  nn.max_pool { kernel = 2 },
  nn.conv { out = 50, kernel = 5 },
  nn.max_pool { kernel = 2 },
  nn.flatten(),
  nn.linear { out = 500 },
  nn.relu(),
  nn.linear { out = 10 },
}
