--- mcl eval MODEL --data SPEC [--json]: loss and accuracy on the test set; of targets, how much of them is explained.
local common = require "mcl.commands.common"
local shown = require "mcl.shown"

local function evaluate(args)
  local model = common.model(args.model)
  local data = common.data(args.data, model)
  local result = model:evaluate(data:part "report")
  local record = {
    loss = result.loss, accuracy = result.accuracy, error = result.error, explained = result.explained,
    count = result.count, seconds = result.seconds,
  }
  if args.json then
    common.print_json(record)
  else
    local classes = record.accuracy and ("accuracy %.4f  error %.4f  "):format(record.accuracy, record.error) or ""
    shown.print(("%sloss %.4f  (%s examples, %.2f s)"):format(classes, record.loss, shown.thousands(record.count),
      record.seconds))
  end
end

return function(new)
  local parser = new("eval", "Loss and accuracy of a model on the test set.",
    "  mcl eval lenet5.mcl --data fashion-mnist\n  mcl eval lenet5.onnx --data mnist:data/mnist --json")
  parser:argument "model":description(common.model_kinds())
  parser:option "--data":count(1):argname "SPEC":description(require("mcl.data").specs)
  parser:flag "--json":description "keys: loss, accuracy and error, or explained, count, seconds"
  return parser, evaluate
end
