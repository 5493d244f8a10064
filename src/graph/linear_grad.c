/* Gradient of linear: dX = dY · W, dW = dYᵀ · X, each one product over fixed tiles; db = Σ rows of dY. */
#include "graph/ops_grad.h"
#include "tensor/matmul.h"

#define BIAS_COLUMNS 64 /* columns of dY a chunk of the bias's gradient */

typedef struct bias_work {
  const mcl_op_call *call;
  int64_t rows, out;
} bias_work;

static mcl_status bias_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const bias_work *work = arg;
  const mcl_operand *bias = &work->call->in[2];
  const float *dy = work->call->out[0].gradient + first;
  float sum[BIAS_COLUMNS] = {0};
  int64_t steps = 0;
  for (int64_t row = 0; row < work->rows; row++, dy += work->out) {
    for (int64_t i = 0; i < count; i++) sum[i] += dy[i];
    MCL_TRY(mcl_worked(work->call->ctx, &steps, count));
  }
  mcl_gradient_put(bias->gradient + first, sum, count, bias->accumulate);
  return MCL_OK;
}

mcl_status mcl_linear_backward(const mcl_op_call *call) {
  const mcl_operand *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
  int64_t in = w->shape.dim[1], out = w->shape.dim[0], rows = mcl_elements(y->shape) / out;
  if (x->gradient) {
    mcl_matmul product = {.m = rows,
                          .n = in,
                          .k = out,
                          .alpha = 1,
                          .a = y->gradient,
                          .lda = out,
                          .b = w->data,
                          .ldb = in,
                          .beta = x->accumulate ? 1 : 0,
                          .c = x->gradient,
                          .ldc = in};
    MCL_TRY(mcl_matmul_run(call->ctx, &product));
  }
  if (w->gradient) {
    mcl_matmul product = {.transpose_a = true,
                          .m = out,
                          .n = in,
                          .k = rows,
                          .alpha = 1,
                          .a = y->gradient,
                          .lda = out,
                          .b = x->data,
                          .ldb = in,
                          .beta = w->accumulate ? 1 : 0,
                          .c = w->gradient,
                          .ldc = in};
    MCL_TRY(mcl_matmul_run(call->ctx, &product));
  }
  if (call->in[2].gradient) {
    bias_work work = {call, rows, out};
    MCL_TRY(mcl_parallel_ranges(call->ctx, out, BIAS_COLUMNS, bias_range, &work));
  }
  return MCL_OK;
}
