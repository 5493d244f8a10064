-- A scheme whose text has 2^60 parts.
-- ends: "at most 200 can be put together"
local s = require"mcl".keep{} for i = 1, 60 do s = s .. s end tostring(s)
