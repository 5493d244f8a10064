---@meta mcl

--- Annotations of mcl's public Lua API for editors (LuaLS): put this folder into "Lua.workspace.library". Nothing loads
--- this file; docs/api-lua.md says it with examples. Indices, axes and positions count from 1.

---@class mcl
---@field version string
---@field linalg mcl.linalg
---@field nn mcl.nn
local mcl = {}

---@alias mcl.dtype "f32"|"f16"|"bf16"|"f64"|"i8"|"i16"|"i32"|"i64"|"u8"|"bool"
---@alias mcl.shape integer|integer[]
---@alias mcl.operand mcl.Expression|mcl.Tensor|number|boolean
---@alias mcl.statistic "input_norm"|"input_mean"|"input_square"|"gram"|"range"|"zero_rate"|"fisher"
---@alias mcl.statistics_by_index table<integer, mcl.Statistics> by layer.index

-- ---- Expressions and tensors -----------------------------------------------------------------------------------

--- Arithmetic that is not yet computed. It is run in one pass when numbers are wanted, and reads its tensors then.
---@class mcl.Expression
---@field shape integer[]
---@field dtype mcl.dtype
---@field count integer elements
---@field [integer] number|mcl.Tensor
---@operator add(mcl.operand): mcl.Expression
---@operator sub(mcl.operand): mcl.Expression
---@operator mul(mcl.operand): mcl.Expression
---@operator div(mcl.operand): mcl.Expression
---@operator pow(mcl.operand): mcl.Expression
---@operator unm: mcl.Expression
---@operator len: integer
local Expression = {}

---@return mcl.Expression
function Expression:abs() end
---@return mcl.Expression
function Expression:sign() end
---@return mcl.Expression
function Expression:square() end
---@return mcl.Expression
function Expression:sqrt() end
---@return mcl.Expression
function Expression:reciprocal() end
---@return mcl.Expression
function Expression:exp() end
---@return mcl.Expression
function Expression:log() end
---@return mcl.Expression
function Expression:sin() end
---@return mcl.Expression
function Expression:cos() end
---@return mcl.Expression
function Expression:erf() end
---@return mcl.Expression
function Expression:tanh() end
---@return mcl.Expression
function Expression:sigmoid() end
---@return mcl.Expression
function Expression:relu() end
---@return mcl.Expression
function Expression:floor() end
--- To the nearest whole number, halves to even.
---@return mcl.Expression
function Expression:round() end
---@return mcl.Expression
function Expression:is_nan() end
---@param exponent mcl.operand
---@return mcl.Expression
function Expression:pow(exponent) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:minimum(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:maximum(other) end
---@param other mcl.operand
---@return mcl.Expression # 1 or 0
function Expression:lt(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:le(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:gt(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:ge(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:eq(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:ne(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:logical_and(other) end
---@param other mcl.operand
---@return mcl.Expression
function Expression:logical_or(other) end
---@return mcl.Expression
function Expression:logical_not() end
--- `yes` where this is not 0, else `no`.
---@param yes mcl.operand
---@param no mcl.operand
---@return mcl.Expression
function Expression:where(yes, no) end

--- Of all elements, or along an axis, which then leaves.
---@overload fun(self): number
---@param axis integer -1 is the last
---@return mcl.Tensor
function Expression:sum(axis) end
---@overload fun(self): number
---@param axis integer
---@return mcl.Tensor
function Expression:mean(axis) end
--- The Euclidean norm.
---@overload fun(self): number
---@param axis integer
---@return mcl.Tensor
function Expression:norm(axis) end
---@overload fun(self): integer
---@param axis integer
---@return mcl.Tensor
function Expression:count_nonzero(axis) end
--- min(): of all; min(nil, axis): along an axis; min(other): element by element.
---@overload fun(self): number
---@overload fun(self, other: mcl.operand): mcl.Expression
---@param other nil
---@param axis integer
---@return mcl.Tensor
function Expression:min(other, axis) end
---@overload fun(self): number
---@overload fun(self, other: mcl.operand): mcl.Expression
---@param other nil
---@param axis integer
---@return mcl.Tensor
function Expression:max(other, axis) end
--- Standard deviation of the population.
---@return number
function Expression:std() end
--- As numpy.quantile; found by histograms, never by sorting.
---@param q number 0 … 1
---@return number
function Expression:quantile(q) end
--- The score above which `keep` elements lie, and below which index (from 0) those equal to it are kept.
---@param keep integer
---@return number value
---@return integer tie_limit
function Expression:threshold(keep) end
--- True for the `keep` largest elements; ties go to the lower index.
---@param keep integer
---@return mcl.Tensor
function Expression:top(keep) end
--- d (sum of this) / d t for each tensor.
---@param ... mcl.Tensor
---@return mcl.Tensor ...
function Expression:gradient(...) end

--- Computes it: a tensor.
---@return mcl.Tensor
function Expression:eval() end
---@return mcl.Tensor
function Expression:copy() end
---@return number|boolean # of one element
function Expression:item() end
---@return table
function Expression:totable() end
--- A view; one dimension may be -1.
---@param shape mcl.shape
---@return mcl.Tensor
function Expression:reshape(shape) end
--- A view of leading rows.
---@param first integer
---@param count? integer all that are left
---@return mcl.Tensor
function Expression:rows(first, count) end
---@return mcl.Tensor
function Expression:transpose() end
---@param axes integer[]
---@return mcl.Tensor
function Expression:permute(axes) end
---@param dtype mcl.dtype
---@param what? string  a name for it: numbers that the dtype cannot hold are then told
---@return mcl.Tensor
function Expression:to(dtype, what) end
---@param other mcl.Expression|mcl.Tensor
---@return mcl.Tensor
function Expression:matmul(other) end
--- Along the last axis, the index of the largest, from 1.
---@return mcl.Tensor
function Expression:argmax() end
--- An error with the place of the first NaN or infinity; itself otherwise.
---@param name? string
---@return mcl.Tensor
function Expression:check_finite(name) end

--- An n-d array, row-major. `t[i]` is an element of a vector, else a row (a view); `t[i] = x` sets it.
---@class mcl.Tensor: mcl.Expression
local Tensor = {}

--- All elements from x, in place; x broadcasts.
---@param x mcl.operand
---@return mcl.Tensor
function Tensor:set(x) end

---@param values table|number|mcl.Tensor|mcl.Expression nested tables of numbers
---@param dtype? mcl.dtype
---@return mcl.Tensor
function mcl.tensor(values, dtype) end
---@param shape mcl.shape
---@param dtype? mcl.dtype
---@return mcl.Tensor
function mcl.zeros(shape, dtype) end
---@param shape mcl.shape
---@param dtype? mcl.dtype
---@return mcl.Tensor
function mcl.ones(shape, dtype) end
---@param shape mcl.shape
---@param value number
---@param dtype? mcl.dtype
---@return mcl.Tensor
function mcl.full(shape, value, dtype) end
--- 1 … last, or first … last by step; both ends included.
---@overload fun(last: number): mcl.Tensor
---@param first number
---@param last number
---@param step? number
---@return mcl.Tensor
function mcl.arange(first, last, step) end
---@param shape mcl.shape
---@param options? { kind?: "uniform"|"normal", seed?: integer, mean?: number, scale?: number }
---@return mcl.Tensor
function mcl.random(shape, options) end

---@class mcl.linalg
local linalg = {}
--- a ≈ u · diag(s) · v, s descending; with a rank the top alone.
---@param a mcl.Expression|mcl.Tensor
---@param rank? integer
---@param seed? integer
---@return mcl.Tensor u
---@return mcl.Tensor s
---@return mcl.Tensor v
function linalg.svd(a, rank, seed) end
---@param a mcl.Expression|mcl.Tensor
---@return mcl.Tensor q
---@return mcl.Tensor r
function linalg.qr(a) end
---@param a mcl.Expression|mcl.Tensor symmetric
---@return mcl.Tensor values ascending
---@return mcl.Tensor vectors columns
function linalg.eigen(a) end
---@param a mcl.Expression|mcl.Tensor
---@return mcl.Tensor l lower
function linalg.cholesky(a) end
--- x with l · lᵀ · x = b.
---@param l mcl.Expression|mcl.Tensor from cholesky
---@param b mcl.Expression|mcl.Tensor
---@return mcl.Tensor
function linalg.solve(l, b) end

-- ---- Schemes ---------------------------------------------------------------------------------------------------

--- A function from a weight to a representation. `a .. b` is a, then b; `a + b` is their sum, fitted by alternation.
---@class mcl.Scheme
---@operator concat(mcl.Scheme): mcl.Scheme
---@operator add(mcl.Scheme): mcl.Scheme
local Scheme = {}
---@param weight mcl.Tensor|mcl.Representation
---@param statistics? mcl.Statistics
---@return mcl.Representation
function Scheme:apply(weight, statistics) end
---@return mcl.statistic[]
function Scheme:needs() end

--- How a weight is held.
---@class mcl.Representation
---@field kind "dense"|"sparse"|"palette"|"affine"|"lowrank"|"sum"
---@field shape integer[]
---@field count integer
---@field bits integer of a stored value
---@field rank? integer
---@field codebook? mcl.Tensor
---@field parts mcl.Representation[]
local Representation = {}
--- Exact coded size of header and streams.
---@param coder? string
---@return integer
function Representation:bytes(coder) end
---@return mcl.Tensor
function Representation:values() end
---@return integer
function Representation:nonzeros() end
--- Multiplications of a product with a vector.
---@return number
function Representation:products() end

---@class mcl.Criterion
---@field name string
---@field statistics mcl.statistic[]
local Criterion = {}

--- mcl.criterion { "input_norm", function(w, s) return w:abs() * s.input_norm end }
---@param spec table names of statistics, then function(w, s) → scores; name =
---@return mcl.Criterion
function mcl.criterion(spec) end
---@param options { density?: number, threshold?: number, by?: "magnitude"|mcl.Criterion|fun(w: mcl.Tensor): mcl.Expression }
---@return mcl.Scheme
function mcl.prune(options) end
---@class mcl.share_options
---@field bits? integer 1 … 8
---@field entries? integer 1 … 256, instead of bits
---@field init? "exact"|"linear"|"density"|"random"
---@field iterations? integer
---@field seed? integer
---@field half? boolean entries in f16
---@field weighted? boolean errors count by E[x²]
---@param options mcl.share_options
---@return mcl.Scheme
function mcl.share(options) end
---@class mcl.quantize_options
---@field bits integer 1 … 8
---@field group? "tensor"|"channel"|integer values a scale
---@field asymmetric? boolean
---@field minimise? boolean search the clipping with the least error; true
---@field half? boolean
---@field weighted? boolean
---@param options mcl.quantize_options
---@return mcl.Scheme
function mcl.quantize(options) end
---@param options { rank?: integer, energy?: number, factors?: mcl.Scheme, whiten?: boolean }
---@return mcl.Scheme
function mcl.lowrank(options) end
---@param options? { dtype?: "f32"|"f16"|"bf16" }
---@return mcl.Scheme
function mcl.keep(options) end
---@param options { [1]: mcl.Scheme, [2]: mcl.Scheme, alternations?: integer }
---@return mcl.Scheme
function mcl.sum(options) end

-- ---- Data and statistics ---------------------------------------------------------------------------------------

---@class mcl.Dataset
---@field count integer
---@field has_labels boolean
local Dataset = {}
--- Rows first … (from 0) of a permutation by the seed; seed 0: as they stand.
---@param seed integer
---@param first integer
---@param count? integer
---@return mcl.Dataset
function Dataset:part(seed, first, count) end
---@return integer[]
function Dataset:x_shape() end
--- Copies of rows as a model sees them: scale and offset are in x already.
---@param first? integer from 1
---@param count? integer
---@return mcl.Tensor x
---@return mcl.Tensor y
function Dataset:rows(first, count) end

---@param x mcl.Tensor [n, …] u8 or f32
---@param y mcl.Tensor labels from 0, or f32 targets
---@param scale? number
---@param offset? number
---@return mcl.Dataset
function mcl.dataset(x, y, scale, offset) end

---@class mcl.Statistics
---@field input_norm? mcl.Tensor
---@field input_mean? mcl.Tensor
---@field input_square? mcl.Tensor
---@field gram? mcl.Tensor
---@field zero_rate? mcl.Tensor
---@field fisher? mcl.Tensor
---@field least number
---@field greatest number
---@field rows_seen integer

-- ---- Models ----------------------------------------------------------------------------------------------------

---@class mcl.Layer
---@field name string
---@field op string
---@field kind string what "@kind" selects by
---@field weight mcl.Tensor to be read; assigning another, or an expression, sets it, dense
---@field bias? mcl.Tensor
---@field weight_name string
---@field index integer of its statistics
---@field shape integer[]
---@field count integer
---@field output_shape integer[]
---@field attributes table
---@field multiply_adds integer of one example, dense
---@field representation mcl.Representation
---@field density number

---@class mcl.Report
---@field epoch integer
---@field epochs integer
---@field loss number
---@field accuracy? number
---@field validation_loss? number
---@field validation_accuracy? number
---@field rate number
---@field seconds number

---@class mcl.fit_options
---@field [1] mcl.Dataset
---@field epochs? integer
---@field batch? integer
---@field loss? "cross_entropy"|"mse"|fun(output: mcl.Tensor, target: mcl.Tensor): mcl.Expression|number, mcl.Tensor?
---@field penalty? fun(weight: mcl.Tensor, name: string): mcl.Expression?
---@field epoch_end? fun(report: mcl.Report): boolean? false ends the fit
---@field optimiser? "sgd"|"adam"|"adamw"
---@field rate? number
---@field momentum? number
---@field nesterov? boolean
---@field beta1? number
---@field beta2? number
---@field epsilon? number
---@field weight_decay? number
---@field clip_norm? number
---@field label_smoothing? number
---@field schedule? string|{ [1]: "constant"|"step"|"cosine"|"one_cycle", step_factor?: number, step_epochs?: number, final_factor?: number, warmup?: number }
---@field augment? { shift?: integer, flip?: number, rotate?: number, scale?: number }
---@field validation? mcl.Dataset|false
---@field keep_best? boolean
---@field within? integer bytes that the file may have after training; past them, the weights of before come back
---@field seed? integer
---@field checkpoint? string

---@class mcl.Model
---@field name string
---@field core userdata the C object
---@field calibration_data? mcl.Dataset|mcl.Tensor|fun(): mcl.Dataset
local Model = {}
---@return mcl.Layer[]
function Model:layers() end
---@param selector string
---@return mcl.Layer
function Model:layer(selector) end
--- A scheme for all layers, a plan, or { selector = scheme, [1] = scheme for the rest }.
---@param what mcl.Scheme|mcl.Plan|table<string|integer, mcl.Scheme|false>
---@param options? { statistics?: mcl.statistics_by_index }
---@return mcl.Model
function Model:compress(what, options) end
---@param options mcl.fit_options
---@return mcl.Report
function Model:fit(options) end
---@param dataset mcl.Dataset
---@param loss? "cross_entropy"|"mse"
---@return { loss: number, accuracy?: number, error?: number, explained?: number, count: integer, seconds: number }
function Model:evaluate(dataset, loss) end
---@param data mcl.Dataset|mcl.Tensor
---@param names mcl.statistic[]
---@param labels? mcl.Tensor
---@return mcl.statistics_by_index
function Model:calibrate(data, names, labels) end
---@param inputs mcl.Tensor|mcl.Expression|table<string, mcl.Tensor>
---@return mcl.Tensor ...
function Model:run(inputs) end
--- Exact bytes of the .mcl file.
---@param options? { zstd?: integer, coder?: string, portable?: boolean }
---@return integer
function Model:size(options) end
---@param path string
---@param options? { zstd?: integer, coder?: string, keep?: boolean, dense?: boolean, portable?: boolean }
---@return mcl.Model
function Model:save(path, options) end
---@return mcl.Model
function Model:copy() end
---@return integer
function Model:parameters() end
---@return integer
function Model:multiply_adds() end
---@return { name: string, shape: integer[] }[]
function Model:inputs() end
---@return { name: string, shape: integer[] }[]
function Model:outputs() end
---@return { name: string, shape: integer[], count: integer, is_state: boolean, representation: string, kind: string, nonzeros: integer, file_bytes: integer }[]
function Model:weights() end

---@param path string .mcl .bin .onnx; of weights alone .npz .safetensors .gguf
---@return mcl.Model
function mcl.load(path) end

--- Analytic gradients against central differences; the worst difference, and where.
---@overload fun(model: mcl.Model, options?: { batch?: integer, samples?: integer, seed?: integer }): number, string
---@param fn fun(...: mcl.Tensor): mcl.Expression
---@param tensors mcl.Tensor[]
---@param options? { samples?: integer, step?: number }
---@return number worst
---@return string where
function mcl.gradcheck(fn, tensors, options) end

-- ---- Plans -----------------------------------------------------------------------------------------------------

---@class mcl.Plan
---@field rows { layer: string, index: integer, scheme: mcl.Scheme, bytes: integer, dense_bytes: integer, distortion: number, multiply_adds: number, candidates: integer }[]
---@field bytes integer of the file
---@field dense_bytes integer
---@field ratio number
---@field distortion number
---@field gap? number
---@field accuracy? number
---@field budget string
---@field limit? integer bytes of the budget, its reserve included
local Plan = {}
--- Schemes by the position of the layer.
---@param layers mcl.Layer[]
---@return mcl.Scheme[]
function Plan:schemes(layers) end

---@class mcl.plan_options
---@field [1] mcl.Model
---@field candidates mcl.Scheme[]|fun(layer: mcl.Layer): mcl.Scheme[]
---@field budget { ratio?: number, bytes?: integer, bits?: number, multiply_adds?: number, accuracy_loss?: number, data?: mcl.Dataset, reserve?: number }
---@field layers? string|string[]
---@field statistics? mcl.statistics_by_index
---@field distortion? "relative"|"output"|fun(layer: mcl.Layer, before: mcl.Representation, after: mcl.Representation, statistics?: mcl.Statistics): number
---@param options mcl.plan_options
---@return mcl.Plan
function mcl.plan(options) end

-- ---- Recipes and architectures -----------------------------------------------------------------------------------

---@class mcl.Job
---@field data { train: mcl.Dataset, fit: mcl.Dataset, calibrate: mcl.Dataset, choose: mcl.Dataset }
---@field has_data boolean
---@field seed integer
local Job = {}
---@param ... mcl.statistic
---@return mcl.statistics_by_index
function Job:calibrate(...) end
--- Marks a step for the report.
---@param name string
---@return { name: string, bytes: integer, accuracy?: number, loss?: number, seconds: number }
function Job:step(name) end

---The options where the data are images; nil, with a line in the log, where they are none: augment = job:augment { shift = 1 }
---@param options { shift?: integer, flip?: number, rotate?: number, scale?: number }
---@return table?
function Job:augment(options) end
---@param format string
---@param ... any
function Job:log(format, ...) end
---@param task string
---@param done number
---@param total number
function Job:progress(task, done, total) end

---@class mcl.recipe_options
---@field about string
---@field options? table<string, { [1]: any, [2]: string, min?: number, max?: number, choices?: any[] }>
---@field run fun(model: mcl.Model, opt: table<string, any>, job: mcl.Job): mcl.Model? # nil: the model it was given
---@field candidates? fun(opt: table<string, any>): mcl.Scheme[]
---@field fits? fun(opt: table<string, any>): integer
---@class mcl.Recipe
---@param options mcl.recipe_options
---@return mcl.Recipe
function mcl.recipe(options) end

---@class mcl.nn.Layer
---@class mcl.nn.Architecture
local Architecture = {}
---@param options? { seed?: integer, input?: integer[], name?: string }
---@return mcl.Model
function Architecture:build(options) end

---@class mcl.nn
local nn = {}
---@param options table layers in order; input =, about =, train =, name =
---@return mcl.nn.Architecture
function nn.sequential(options) end
---@param options { out: integer, kernel: integer|integer[], stride?: integer|integer[], pad?: integer|integer[], dilation?: integer|integer[], groups?: integer, bias?: boolean, init?: string, name?: string }
---@return mcl.nn.Layer
function nn.conv(options) end
---@param options { out: integer, bias?: boolean, init?: string, name?: string }
---@return mcl.nn.Layer
function nn.linear(options) end
---@param options { kernel: integer|integer[], stride?: integer|integer[], pad?: integer|integer[], ceil?: boolean, name?: string }
---@return mcl.nn.Layer
function nn.max_pool(options) end
---@param options { kernel: integer|integer[], stride?: integer|integer[], pad?: integer|integer[], ceil?: boolean, name?: string }
---@return mcl.nn.Layer
function nn.average_pool(options) end
---@return mcl.nn.Layer
function nn.global_average_pool() end
---@param options? { epsilon?: number, momentum?: number, name?: string }
---@return mcl.nn.Layer
function nn.batch_norm(options) end
---@param options? { epsilon?: number, name?: string }
---@return mcl.nn.Layer
function nn.layer_norm(options) end
---@param options? { rate?: number, name?: string }
---@return mcl.nn.Layer
function nn.dropout(options) end
---@param options? { alpha?: number, name?: string }
---@return mcl.nn.Layer
function nn.leaky_relu(options) end
---@param options? { alpha?: number, name?: string }
---@return mcl.nn.Layer
function nn.elu(options) end
---@return mcl.nn.Layer
function nn.relu() end
---@return mcl.nn.Layer
function nn.sigmoid() end
---@return mcl.nn.Layer
function nn.tanh() end
---@return mcl.nn.Layer
function nn.gelu() end
---@return mcl.nn.Layer
function nn.silu() end
---@return mcl.nn.Layer
function nn.softmax() end
---@return mcl.nn.Layer
function nn.flatten() end
--- Adds its input, or the shortcut's output, to the output of its body.
---@param options table layers in order; shortcut =, name =
---@return mcl.nn.Layer
function nn.residual(options) end

-- ---- The rest --------------------------------------------------------------------------------------------------

--- .npy: a tensor; .npz: tensors by name; .idx, .idx.gz.
---@param path string
---@return mcl.Tensor|table<string, mcl.Tensor>
function mcl.load_arrays(path) end
---@param path string .npy or .npz
---@param what mcl.Tensor|mcl.Expression|table<string, mcl.Tensor>
---@param options? { compress?: boolean }
function mcl.save_arrays(path, what, options) end
--- A line to the host's log.
---@param level "error"|"warning"|"info"|"debug"
---@param line string
function mcl.log(level, line) end
--- How far a loop of your own is, to the host's progress callback.
---@param task string
---@param done number
---@param total number
---@param unit? string
function mcl.progress(task, done, total, unit) end
---@return integer
function mcl.threads() end
--- Sets, if given, and returns the seed of all random numbers.
---@param seed? integer
---@return integer
function mcl.seed(seed) end
---@return number # seconds, monotonic
function mcl.now() end
---@return string[]
function mcl.names() end

return mcl
