--- mcl verify FILE: every checksum, every stream decoded.
local core = require "mcl.core"
local shown = require "mcl.shown"

local function verify(args)
  local name, is_container = core.format_of(args.file, "read")
  if not is_container then
    error(("%s: %s has no checksums to verify; a .mcl or .bin has"):format(args.file, name), 0)
  end
  core.verify(args.file)
  shown.print(args.file .. ": whole")
end

return function(new)
  local parser = new("verify", "Checks a .mcl or .bin file: every checksum, every stream decoded.",
    "  mcl verify lenet5.mcl")
  parser:argument "file"
  return parser, verify
end
