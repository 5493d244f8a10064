--- mcl convert IN OUT: another format, by extension.
local core = require "mcl.core"
local common = require "mcl.commands.common"
local reads = require "mcl.reads"
local shown = require "mcl.shown"
local system = require "mcl.system"

local function convert(args)
  local level = common.zstd_level(args)
  reads.note(args["in"])
  common.claim_model(args.out)
  local model, before = common.model(args["in"])
  require("mcl.outputs").check()
  model:save(args.out, { zstd = level, portable = args.portable })
  if system.is_stream(args.out) then return end -- which may be stdout; and nothing is left there to be measured
  local from = before and (", from %s"):format(shown.thousands(before)) or ""
  shown.print(("%s: %s bytes%s"):format(args.out, shown.thousands(system.size(args.out)), from))
end

return function(new)
  local parser = new("convert", "Writes a model in another format, by its extension.",
    "  mcl convert lenet5.mcl lenet5.onnx\n  mcl convert lenet5.onnx lenet5.bin")
  parser:argument "in":description(common.model_kinds())
  parser:argument "out":description(core.extensions "written")
  parser:option "--zstd":args(1):argname "LEVEL":description "wrap a .mcl in zstd (19 where no level is given)"
  parser:flag "--portable":description "a .mcl that a runtime built without zstd opens too, some bytes larger"
  return parser, convert
end
