/* Gradients of softmax, dx = y · (dy − Σ dy·y), and of log_softmax, dx = dy − exp(y) · Σ dy. */
#include "graph/ops_grad.h"
#include "graph/softmax.h"
#include "tensor/kernels/functions.h"

static mcl_status softmax_lines(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  bool is_log = call->node->op == &mcl_op_log_softmax, accumulate = call->in[0].accumulate;
  mcl_lines lines = mcl_softmax_lines(call->node, call->in[0].shape);
  for (int64_t line = first; line < first + count; line++) {
    int64_t at = mcl_softmax_line(&lines, line), step = lines.step, end = lines.length * step;
    const float *y = call->out[0].data + at, *dy = call->out[0].gradient + at;
    float *dx = call->in[0].gradient + at, sum = 0;
    for (int64_t i = 0; i < end; i += step) sum += is_log ? dy[i] : dy[i] * y[i];
    for (int64_t i = 0; i < end; i += step) {
      float d = is_log ? dy[i] - (float)mcl_exp(y[i]) * sum : y[i] * (dy[i] - sum);
      dx[i] = accumulate ? dx[i] + d : d;
    }
  }
  return MCL_OK;
}

static mcl_status run_lines(const mcl_op_call *call) {
  if (!call->in[0].gradient) return MCL_OK;
  mcl_lines lines = mcl_softmax_lines(call->node, call->in[0].shape);
  return mcl_parallel_ranges(call->ctx, lines.count, lines.grain, softmax_lines, (void *)call);
}

mcl_status mcl_softmax_backward(const mcl_op_call *call) { return run_lines(call); }
mcl_status mcl_log_softmax_backward(const mcl_op_call *call) { return run_lines(call); }
