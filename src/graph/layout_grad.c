/* Gradients of the ops that move numbers: the numbers move back. */
#include "graph/ops_grad.h"

mcl_status mcl_copy_backward(const mcl_op_call *call) {
  if (call->in[0].gradient)
    mcl_gradient_put(call->in[0].gradient, call->out[0].gradient, mcl_elements(call->out[0].shape),
                     call->in[0].accumulate);
  return MCL_OK;
}

mcl_status mcl_concat_backward(const mcl_op_call *call) {
  mcl_shape shape = call->out[0].shape;
  int64_t axis = mcl_node_int(call->node, 0);
  int at = (int)(axis < 0 ? axis + shape.rank : axis);
  int64_t width = mcl_dims_count(shape, at, shape.rank), rows = mcl_dims_count(shape, 0, at), begin = 0, work = 0;
  for (int i = 0; i < call->node->inputs; i++) {
    const mcl_operand *in = &call->in[i];
    int64_t part = mcl_dims_count(in->shape, at, shape.rank);
    for (int64_t row = 0; in->gradient && row < rows; row++) {
      mcl_gradient_put(in->gradient + row * part, call->out[0].gradient + row * width + begin, part, in->accumulate);
      MCL_TRY(mcl_worked(call->ctx, &work, part));
    }
    begin += part;
  }
  return MCL_OK;
}

mcl_status mcl_transpose_backward(const mcl_op_call *call) {
  const mcl_operand *in = &call->in[0];
  if (!in->gradient) return MCL_OK;
  mcl_shape shape = call->out[0].shape;
  int rank = shape.rank, axes[MCL_MAX_RANK];
  mcl_transpose_axes(call->node, rank, axes);
  int64_t stride[MCL_MAX_RANK], index[MCL_MAX_RANK] = {0}, at = 0, n = mcl_elements(shape);
  for (int i = 0; i < rank; i++) stride[i] = mcl_dims_count(in->shape, axes[i] + 1, rank);
  for (int64_t k = 0; k < n; k++) {
    if (k % MCL_ASK_STEPS == 0) MCL_TRY(mcl_check_cancel(call->ctx));
    in->gradient[at] = (in->accumulate ? in->gradient[at] : 0) + call->out[0].gradient[k];
    for (int i = rank - 1; i >= 0; i--) {
      at += stride[i];
      if (++index[i] < shape.dim[i]) break;
      at -= stride[i] * shape.dim[i];
      index[i] = 0;
    }
  }
  return MCL_OK;
}
