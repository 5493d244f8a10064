--- mcl convert IN OUT: another format, by extension.
local commands = require "mcl.commands"
local common = require "mcl.commands.common"

return function(arguments)
  local parser = common.parser("convert", "Writes a model in another format, by its extension.",
    "  mcl convert lenet5.mcl lenet5.onnx\n  mcl convert lenet5.onnx lenet5.bin")
  parser:argument "in":description ".mcl .bin .onnx .safetensors .gguf, or an architecture in .lua"
  parser:argument "out":description ".mcl .bin .onnx .safetensors .gguf .npz .h"
  parser:option "--zstd":args(1):argname "LEVEL":description "wrap a .mcl in zstd (19 where no level is given)"
  local args = common.parse(parser, arguments)

  local level
  if args.zstd then
    level = common.whole(1)(args.zstd)
    if not level or level > 22 then commands.usage("--zstd=%s: a level from 1 to 22 is wanted", args.zstd) end
  end
  if args["in"] == args.out then commands.usage "IN and OUT are the same file" end
  local model = common.model(args["in"])
  model:save(args.out, { zstd = level })
  local size = require("mcl.system").size
  local after, before = size(args.out), size(args["in"])
  print(("%s: %s bytes, from %s"):format(args.out, common.thousands(after), common.thousands(before)))
end
