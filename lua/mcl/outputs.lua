--- The files that a command is to write. All are claimed before the work begins, so that an hour's work is not begun
-- where its result cannot go; and none is a file that was read, or another output, under whatever name.
local commands = require "mcl.commands"
local reads = require "mcl.reads"
local system = require "mcl.system"

local outputs = {}

local claimed = {} -- paths, in order

local function check_place(path)
  local folder = path:match "^(.*)/[^/]*$"
  if folder and folder ~= "" and not system.is_folder(folder) then
    error(("%s: the folder %s is not there"):format(path, folder), 0)
  end
  if system.is_folder(path) then error(path .. ": is a folder; name a file in it", 0) end
end

-- Would the bytes of both end in one file? A file that is not there yet is told by its folder and its name.
local function same_place(a, b)
  if a == b or system.same_file(a, b) then return true end
  local folder_a, name_a = a:match "^(.-)([^/]*)$"
  local folder_b, name_b = b:match "^(.-)([^/]*)$"
  return name_a == name_b and system.same_file(folder_a == "" and "." or folder_a, folder_b == "" and "." or folder_b)
end

--- None of the outputs is a file that was read by now. To be asked again whenever more was read.
function outputs.check()
  for _, path in ipairs(claimed) do
    for _, source in ipairs(reads.list()) do
      if same_place(path, source) then
        commands.usage("%s is what it would be made from; name another file", path)
      end
    end
  end
end

--- Claims a file to be written.
function outputs.claim(path)
  if path == "" then commands.usage "the name of the file to write is empty" end
  check_place(path)
  for _, other in ipairs(claimed) do
    if same_place(path, other) and not system.is_stream(path) then
      commands.usage("%s is to be written twice; name another file", path)
    end
  end
  claimed[#claimed + 1] = path
  outputs.check()
end

return outputs
