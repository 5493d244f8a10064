-- The same, written with mcl.keep.
-- ends: "at most 200 can be put together"
local mcl = require "mcl"
local s = mcl.keep{}
for i = 1, 60 do s = s .. s end
print(#tostring(s))
