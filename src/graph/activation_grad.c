/* Gradients of the element-wise functions: dx = dy · f'(x), from x or from y, whichever is cheaper. */
#include "graph/ops_grad.h"

#define BLOCK 512 /* elements whose gradient is made at once where it is to be added, or a kernel is called */

typedef void (*slope_fn)(const mcl_node *node, const float *x, const float *y, const float *dy, float *dx, int64_t n);

typedef struct slope_work {
  const mcl_op_call *call;
  slope_fn slope;
} slope_work;

static mcl_status slope_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const slope_work *work = arg;
  const mcl_op_call *call = work->call;
  const float *x = call->in[0].data + first, *y = call->out[0].data + first, *dy = call->out[0].gradient + first;
  float *dx = call->in[0].gradient + first;
  if (!call->in[0].accumulate) {
    work->slope(call->node, x, y, dy, dx, count);
    return MCL_OK;
  }
  float block[BLOCK];
  for (int64_t i = 0; i < count; i += BLOCK) {
    int64_t n = mcl_min_i64(BLOCK, count - i);
    work->slope(call->node, x + i, y + i, dy + i, block, n);
    mcl_gradient_put(dx + i, block, n, true);
  }
  return MCL_OK;
}

static mcl_status run_slope(const mcl_op_call *call, slope_fn slope) {
  if (!call->in[0].gradient) return MCL_OK;
  slope_work work = {call, slope};
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), MCL_ELEMENT_CHUNK, slope_range, &work);
}

#define SLOPE(word)                                                                                                    \
  static void slope_##word(const mcl_node *node, const float *x, const float *y, const float *dy, float *dx, int64_t n)

SLOPE(relu) {
  (void)node, (void)x;
  for (int64_t i = 0; i < n; i++) {
    float slope = dy[i]; /* read in any case, so that there is no branch */
    dx[i] = y[i] > 0 ? slope : 0;
  }
}

SLOPE(leaky_relu) {
  (void)y;
  float alpha = mcl_node_float(node, 0);
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] < 0 ? alpha * dy[i] : dy[i];
}

SLOPE(elu) {
  float alpha = mcl_node_float(node, 0);
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] < 0 ? dy[i] * (y[i] + alpha) : dy[i];
}

SLOPE(clip) {
  (void)y;
  float least = mcl_node_float(node, 0), most = mcl_node_float(node, 1);
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] >= least && x[i] <= most ? dy[i] : 0;
}

SLOPE(sigmoid) {
  (void)node, (void)x;
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1 - y[i]);
}

SLOPE(tanh) {
  (void)node, (void)x;
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

/* Φ(x) + x · φ(x), or the derivative of the approximation. n ≤ BLOCK. */
static void block_gelu(const mcl_node *node, const float *x, const float *dy, float *dx, int64_t n) {
  float from[BLOCK] = {0}, to[BLOCK], density[BLOCK];
  if (mcl_node_int(node, 0)) {
    for (int64_t i = 0; i < n; i++) from[i] = MCL_ROOT_2_PI * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    mcl_apply(MCL_E_TANH, from, to, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
      float inner = MCL_ROOT_2_PI * (1 + 3 * 0.044715f * x[i] * x[i]);
      dx[i] = dy[i] * (0.5f * (1 + to[i]) + 0.5f * x[i] * (1 - to[i] * to[i]) * inner);
    }
  } else {
    for (int64_t i = 0; i < n; i++) from[i] = -0.5f * x[i] * x[i];
    mcl_apply(MCL_E_EXP, from, density, (size_t)n);
    for (int64_t i = 0; i < n; i++) from[i] = x[i] * MCL_ROOT_HALF;
    mcl_apply(MCL_E_ERF, from, to, (size_t)n);
    for (int64_t i = 0; i < n; i++)
      dx[i] = dy[i] * (0.5f * (1 + to[i]) + x[i] * 0.39894228f * density[i]); /* 1/√(2π) */
  }
}

static void block_silu(const mcl_node *node, const float *x, const float *dy, float *dx, int64_t n) {
  (void)node;
  float s[BLOCK];
  mcl_apply(MCL_E_SIGMOID, x, s, (size_t)n);
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * s[i] * (1 + x[i] * (1 - s[i]));
}

SLOPE(gelu) {
  (void)y;
  for (int64_t i = 0; i < n; i += BLOCK) block_gelu(node, x + i, dy + i, dx + i, mcl_min_i64(BLOCK, n - i));
}

SLOPE(silu) {
  (void)y;
  for (int64_t i = 0; i < n; i += BLOCK) block_silu(node, x + i, dy + i, dx + i, mcl_min_i64(BLOCK, n - i));
}

mcl_status mcl_relu_backward(const mcl_op_call *call) { return run_slope(call, slope_relu); }
mcl_status mcl_leaky_relu_backward(const mcl_op_call *call) { return run_slope(call, slope_leaky_relu); }
mcl_status mcl_elu_backward(const mcl_op_call *call) { return run_slope(call, slope_elu); }
mcl_status mcl_clip_backward(const mcl_op_call *call) { return run_slope(call, slope_clip); }
mcl_status mcl_sigmoid_backward(const mcl_op_call *call) { return run_slope(call, slope_sigmoid); }
mcl_status mcl_tanh_backward(const mcl_op_call *call) { return run_slope(call, slope_tanh); }
mcl_status mcl_gelu_backward(const mcl_op_call *call) { return run_slope(call, slope_gelu); }
mcl_status mcl_silu_backward(const mcl_op_call *call) { return run_slope(call, slope_silu); }
