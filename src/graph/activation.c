/* Element-wise functions of one input: the ReLU family, sigmoid, tanh, GELU, SiLU. Each is a function over a run of
 * elements; the runs are fixed chunks over all threads. Exponentials are those of the tensor kernels, which give the
 * same bits on every machine. */
#include <float.h>
#include <string.h>

#include "graph/ops.h"
#include "tensor/kernels/functions.h"

#define BLOCK 512 /* elements a kernel is given at once */

typedef void (*map_fn)(const mcl_node *node, const float *x, float *y, int64_t n);

typedef struct map_work {
  const mcl_op_call *call;
  map_fn map;
} map_work;

static mcl_status map_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const map_work *work = arg;
  const mcl_op_call *call = work->call;
  work->map(call->node, call->in[0].data + first, call->out[0].data + first, count);
  return MCL_OK;
}

static mcl_status run_map(const mcl_op_call *call, map_fn map) {
  map_work work = {call, map};
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), MCL_ELEMENT_CHUNK, map_range, &work);
}

static void map_relu(const mcl_node *node, const float *x, float *y, int64_t n) {
  (void)node;
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays, to be found */
}

static void map_leaky_relu(const mcl_node *node, const float *x, float *y, int64_t n) {
  float alpha = mcl_node_float(node, 0);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? alpha * x[i] : x[i];
}

static void map_elu(const mcl_node *node, const float *x, float *y, int64_t n) {
  float alpha = mcl_node_float(node, 0);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? alpha * (float)(mcl_exp(x[i]) - 1.0) : x[i];
}

static void map_clip(const mcl_node *node, const float *x, float *y, int64_t n) {
  float least = mcl_node_float(node, 0), most = mcl_node_float(node, 1);
  for (int64_t i = 0; i < n; i++) {
    float v = x[i] < least ? least : x[i];
    y[i] = v > most ? most : v;
  }
}

/* Calls `block` for runs of at most BLOCK elements, with a buffer, since the kernels do not work in place. */
typedef void (*block_fn)(const mcl_node *node, const float *x, float *y, float *buffer, size_t n);
static void in_blocks(const mcl_node *node, const float *x, float *y, int64_t n, block_fn block) {
  float buffer[BLOCK];
  for (int64_t i = 0; i < n; i += BLOCK) block(node, x + i, y + i, buffer, (size_t)mcl_min_i64(BLOCK, n - i));
}

static void block_sigmoid(const mcl_node *node, const float *x, float *y, float *buffer, size_t n) {
  (void)node;
  mcl_apply(MCL_E_SIGMOID, x, buffer, n);
  memcpy(y, buffer, n * sizeof *y);
}

static void block_tanh(const mcl_node *node, const float *x, float *y, float *buffer, size_t n) {
  (void)node;
  mcl_apply(MCL_E_TANH, x, buffer, n);
  memcpy(y, buffer, n * sizeof *y);
}

/* Hendrycks & Gimpel 2016: x · Φ(x), or its approximation by tanh. */
static void block_gelu(const mcl_node *node, const float *x, float *y, float *buffer, size_t n) {
  float inner[BLOCK] = {0};
  bool by_tanh = mcl_node_int(node, 0) != 0;
  for (size_t i = 0; i < n; i++)
    inner[i] = by_tanh ? MCL_ROOT_2_PI * (x[i] + 0.044715f * x[i] * x[i] * x[i]) : x[i] * MCL_ROOT_HALF;
  mcl_apply(by_tanh ? MCL_E_TANH : MCL_E_ERF, inner, buffer, n);
  for (size_t i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1 + buffer[i]);
}

static void block_silu(const mcl_node *node, const float *x, float *y, float *buffer, size_t n) {
  (void)node;
  mcl_apply(MCL_E_SIGMOID, x, buffer, n);
  for (size_t i = 0; i < n; i++) y[i] = x[i] * buffer[i];
}

#define BLOCKED(word)                                                                                                  \
  static void map_##word(const mcl_node *node, const float *x, float *y, int64_t n) {                                  \
    in_blocks(node, x, y, n, block_##word);                                                                            \
  }
BLOCKED(sigmoid)
BLOCKED(tanh)
BLOCKED(gelu)
BLOCKED(silu)

static mcl_status run_relu(const mcl_op_call *call) { return run_map(call, map_relu); }
static mcl_status run_leaky_relu(const mcl_op_call *call) { return run_map(call, map_leaky_relu); }
static mcl_status run_elu(const mcl_op_call *call) { return run_map(call, map_elu); }
static mcl_status run_clip(const mcl_op_call *call) { return run_map(call, map_clip); }
static mcl_status run_sigmoid(const mcl_op_call *call) { return run_map(call, map_sigmoid); }
static mcl_status run_tanh(const mcl_op_call *call) { return run_map(call, map_tanh); }
static mcl_status run_gelu(const mcl_op_call *call) { return run_map(call, map_gelu); }
static mcl_status run_silu(const mcl_op_call *call) { return run_map(call, map_silu); }

static mcl_status shape_clip(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  double least = node->attribute[0].number, most = node->attribute[1].number;
  if (least > most) return mcl_node_fail(ctx, node, "clip: min %g is above max %g; exchange them", least, most);
  return mcl_shape_same(ctx, node, in, out);
}

static const mcl_attribute_spec leaky_relu_attributes[] = {MCL_FLOAT("alpha", 0.01, -1e6, 1e6), MCL_END_OF_ATTRIBUTES};
static const mcl_attribute_spec elu_attributes[] = {MCL_FLOAT("alpha", 1, 0, 1e6), MCL_END_OF_ATTRIBUTES};
static const mcl_attribute_spec clip_attributes[] = {
    MCL_FLOAT("min", -FLT_MAX, -FLT_MAX, FLT_MAX), MCL_FLOAT("max", FLT_MAX, -FLT_MAX, FLT_MAX), MCL_END_OF_ATTRIBUTES};
static const mcl_attribute_spec gelu_attributes[] = {MCL_INT("tanh", 0, 0, 1), MCL_END_OF_ATTRIBUTES};

#define ACTIVATION(number, word)                                                                                       \
  .id = number, .name = #word, .least_inputs = 1, .most_inputs = 1, .outputs = 1, .in_place = true,                    \
  .shape = mcl_shape_same, .forward = run_##word

const mcl_op mcl_op_relu = {ACTIVATION(6, relu)};
const mcl_op mcl_op_leaky_relu = {ACTIVATION(7, leaky_relu), .attributes = leaky_relu_attributes};
const mcl_op mcl_op_elu = {ACTIVATION(8, elu), .attributes = elu_attributes};
const mcl_op mcl_op_clip = {.id = 9,
                            .name = "clip",
                            .least_inputs = 1,
                            .most_inputs = 1,
                            .outputs = 1,
                            .in_place = true,
                            .attributes = clip_attributes,
                            .shape = shape_clip,
                            .forward = run_clip};
const mcl_op mcl_op_sigmoid = {ACTIVATION(10, sigmoid)};
const mcl_op mcl_op_tanh = {ACTIVATION(11, tanh)};
const mcl_op mcl_op_gelu = {ACTIVATION(12, gelu), .attributes = gelu_attributes};
const mcl_op mcl_op_silu = {ACTIVATION(13, silu)};
