-- A scheme whose text has 2^60 parts.
-- ends: anyhow
local s = require"mcl".keep{} for i = 1, 60 do s = s .. s end tostring(s)
