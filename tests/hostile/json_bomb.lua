-- 60 MB of JSON that is all brackets.
-- ends: anyhow
local core = require "mcl.core"
local s = "[" .. ("[],"):rep(2e7) .. "[]]"
print(pcall(core.json_decode, s))
