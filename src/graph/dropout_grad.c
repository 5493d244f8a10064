/* Gradient of dropout: the same elements are dropped, the rest grow alike. */
#include "graph/dropout.h"
#include "graph/ops_grad.h"

static mcl_status dropout_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  float factor[MCL_DROPOUT_BLOCK];
  for (int64_t i = first; i < first + count; i += MCL_DROPOUT_BLOCK) {
    int64_t n = mcl_min_i64(MCL_DROPOUT_BLOCK, first + count - i);
    mcl_dropout_factors(call, i, n, factor);
    for (int64_t k = 0; k < n; k++) factor[k] *= call->out[0].gradient[i + k];
    mcl_gradient_put(call->in[0].gradient + i, factor, n, call->in[0].accumulate);
  }
  return MCL_OK;
}

mcl_status mcl_dropout_backward(const mcl_op_call *call) {
  if (!call->in[0].gradient) return MCL_OK;
  if (!call->training) return mcl_copy_backward(call);
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), MCL_ELEMENT_CHUNK, dropout_range,
                             (void *)call);
}
