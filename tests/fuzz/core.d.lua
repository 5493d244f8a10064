---@meta mcl.core
--- Types of what mcl.core has beyond lua/mcl.d.lua, so that the fuzzer of the Lua API gets past the checks of arguments.
--- What is missing here is called with arguments of any type.

---@alias fuzz.op "conv"|"linear"|"max_pool"|"average_pool"|"global_average_pool"|"relu"|"leaky_relu"|"elu"|"clip"|"sigmoid"|"tanh"|"gelu"|"silu"|"softmax"|"log_softmax"|"batch_norm"|"layer_norm"|"dropout"|"add"|"sub"|"mul"|"div"|"concat"|"reshape"|"flatten"|"transpose"|"identity"|"matmul"
---@class fuzz.attributes
---@field kernel? integer[]
---@field stride? integer[]
---@field pad? integer[]
---@field dilation? integer[]
---@field groups? integer
---@field axis? integer
---@field shape? integer[]
---@field perm? integer[]
---@field least? number
---@field most? number
---@field epsilon? number
---@field rate? number
---@field alpha? number
---@field keep_batch? integer

---@param name string
---@param shape integer[]
function core_model:add_input(name, shape) end
---@param name string
---@param values mcl.Tensor
---@param is_state? boolean
function core_model:add_weight(name, values, is_state) end
---@param op fuzz.op
---@param name string
---@param attributes? fuzz.attributes
---@param inputs integer[]
function core_model:add_node(op, name, attributes, inputs) end
---@param value integer
function core_model:add_output(value) end
---@param value integer
function core_model:value_shape(value) end
---@param weight integer|string
function core_model:values(weight) end
---@param weight integer|string
---@param values mcl.Tensor|mcl.Representation
function core_model:set_values(weight, values) end
---@param weight integer|string
function core_model:get(weight) end
---@param weight integer|string
---@param values mcl.Representation
function core_model:set(weight, values) end
---@param options mcl.fit_options
function core_model:fit(options) end
---@param inputs mcl.Tensor|mcl.Tensor[]
function core_model:run(inputs) end
---@param dataset mcl.Dataset
---@param loss? "cross_entropy"|"mse"
function core_model:evaluate(dataset, loss) end
---@param x mcl.Tensor
---@param names mcl.statistic[]
---@param labels? mcl.Tensor
function core_model:calibrate(x, names, labels) end
---@param batch integer
---@param samples? integer
---@param seed? integer
function core_model:check_gradients(batch, samples, seed) end
---@param options? { zstd?: integer, coder?: string, keep?: boolean, dense?: boolean }
function core_model:size(options) end

---@param before mcl.Representation
---@param after mcl.Representation
---@param statistics? mcl.Statistics
function core.distortion(before, after, statistics) end
---@param choices number[][][]
---@param budget number
function core.plan_solve(choices, budget) end
---@param options { density?: number, threshold?: number, by?: fun(): mcl.Expression, statistics?: mcl.statistic[], name?: string }
function core.prune(options) end
---@param a mcl.Scheme
---@param b mcl.Scheme
---@param alternations? integer
function core.sum(a, b, alternations) end
---@param name string
function core.model(name) end
---@param value any
---@param indent? integer
function core.json_encode(value, indent) end
---@param text string
function core.json_decode(text) end
---@param value table
function core.json_array(value) end
---@param value string|mcl.Tensor
function core.hash(value) end
---@param value any
function core.type(value) end
