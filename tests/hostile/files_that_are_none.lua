-- Folders, devices without end and pipes that nobody writes to, opened as models and arrays.
-- ends: well
local mcl = require "mcl"

for _, path in ipairs { "folder.mcl", "pipe.mcl", "/dev/zero", "/dev/full", "missing.mcl" } do
  assert(not pcall(mcl.load, path), path .. " was loaded")
  assert(not pcall(mcl.load_arrays, path), path .. " was loaded")
end
for _, path in ipairs { "folder.npz", "pipe.npz" } do
  assert(not pcall(mcl.load_arrays, path), path .. " was loaded")
end
