--- mcl convert IN OUT: another format, by extension.
local core = require "mcl.core"
local common = require "mcl.commands.common"
local shown = require "mcl.shown"

return function(arguments)
  local parser = common.parser("convert", "Writes a model in another format, by its extension.",
    "  mcl convert lenet5.mcl lenet5.onnx\n  mcl convert lenet5.onnx lenet5.bin")
  parser:argument "in":description(common.model_kinds())
  parser:argument "out":description(core.extensions "written")
  parser:option "--zstd":args(1):argname "LEVEL":description "wrap a .mcl in zstd (19 where no level is given)"
  parser:flag "--portable":description "a .mcl that a runtime built without zstd opens too, some bytes larger"
  local args = common.parse(parser, arguments)

  local level = common.zstd_level(args)
  common.check_output(args.out, args["in"])
  local model = common.model(args["in"])
  model:save(args.out, { zstd = level, portable = args.portable })
  local size = require("mcl.system").size
  local after, before = size(args.out), size(args["in"])
  shown.print(("%s: %s bytes, from %s"):format(args.out, shown.thousands(after), shown.thousands(before)))
end
