/* Gradients of the library's ops, and what their files share. Private to src/graph, the engine's half. */
#ifndef MCL_GRAPH_OPS_GRAD_H
#define MCL_GRAPH_OPS_GRAD_H

#include "graph/ops.h"

mcl_status mcl_conv_backward(const mcl_op_call *call);
mcl_status mcl_linear_backward(const mcl_op_call *call);
mcl_status mcl_matmul_backward(const mcl_op_call *call);
mcl_status mcl_max_pool_backward(const mcl_op_call *call);
mcl_status mcl_average_pool_backward(const mcl_op_call *call);
mcl_status mcl_global_average_pool_backward(const mcl_op_call *call);
mcl_status mcl_relu_backward(const mcl_op_call *call);
mcl_status mcl_leaky_relu_backward(const mcl_op_call *call);
mcl_status mcl_elu_backward(const mcl_op_call *call);
mcl_status mcl_clip_backward(const mcl_op_call *call);
mcl_status mcl_sigmoid_backward(const mcl_op_call *call);
mcl_status mcl_tanh_backward(const mcl_op_call *call);
mcl_status mcl_gelu_backward(const mcl_op_call *call);
mcl_status mcl_silu_backward(const mcl_op_call *call);
mcl_status mcl_softmax_backward(const mcl_op_call *call);
mcl_status mcl_log_softmax_backward(const mcl_op_call *call);
mcl_status mcl_batch_norm_backward(const mcl_op_call *call);
mcl_status mcl_layer_norm_backward(const mcl_op_call *call);
mcl_status mcl_dropout_backward(const mcl_op_call *call);
mcl_status mcl_add_backward(const mcl_op_call *call);
mcl_status mcl_sub_backward(const mcl_op_call *call);
mcl_status mcl_mul_backward(const mcl_op_call *call);
mcl_status mcl_div_backward(const mcl_op_call *call);
mcl_status mcl_concat_backward(const mcl_op_call *call);
mcl_status mcl_copy_backward(const mcl_op_call *call); /* reshape, flatten, identity: the same numbers */
mcl_status mcl_transpose_backward(const mcl_op_call *call);

/* gradient = value, or gradient += value. */
static inline void mcl_gradient_put(float *gradient, const float *value, int64_t n, bool accumulate) {
  if (accumulate) {
    for (int64_t i = 0; i < n; i++) gradient[i] += value[i];
  } else {
    for (int64_t i = 0; i < n; i++) gradient[i] = value[i];
  }
}

/* Begins a gradient that is added to piece by piece. */
static inline void mcl_gradient_begin(const mcl_operand *operand) {
  if (operand->accumulate) return;
  int64_t n = mcl_elements(operand->shape);
  for (int64_t i = 0; i < n; i++) operand->gradient[i] = 0;
}

#endif
