-- A criterion over 100 million weights, from Lua: lua5.4 criterion.lua DIR ROUNDS THREADS; DIR has w.npy and s.npy.
-- Prints a line a round: seconds of the scores alone, of threshold and mask together (the scores are never stored), the
-- number of weights kept, and their sum as a check.
local mcl = require "mcl"

local dir, rounds = arg[1], tonumber(arg[2])
require("mcl.core").context { threads = tonumber(arg[3]) }
local w, s = mcl.load_arrays(dir .. "/w.npy"):copy(), mcl.load_arrays(dir .. "/s.npy"):copy()
local keep = w.count * 3 // 10
local out = mcl.zeros { #w, #s }

for _ = 1, rounds do
  local began = mcl.now()
  out:set(w:abs() * s)
  local scored = mcl.now()
  local mask = (w:abs() * s):top(keep)
  local ended = mcl.now()
  print(("%.6f %.6f %d %.9g"):format(scored - began, ended - scored, mask:count_nonzero(), (out * mask):sum()))
  mask = nil -- luacheck: ignore
  collectgarbage()
end
