/* The table of gradients: a row an op that has one. */
#include "graph/ops_grad.h"

static const mcl_op_grad gradients[] = {
    {1, mcl_conv_backward},
    {2, mcl_linear_backward},
    {3, mcl_max_pool_backward},
    {4, mcl_average_pool_backward},
    {5, mcl_global_average_pool_backward},
    {6, mcl_relu_backward},
    {7, mcl_leaky_relu_backward},
    {8, mcl_elu_backward},
    {9, mcl_clip_backward},
    {10, mcl_sigmoid_backward},
    {11, mcl_tanh_backward},
    {12, mcl_gelu_backward},
    {13, mcl_silu_backward},
    {14, mcl_softmax_backward},
    {15, mcl_log_softmax_backward},
    {16, mcl_batch_norm_backward},
    {17, mcl_layer_norm_backward},
    {18, mcl_dropout_backward},
    {19, mcl_add_backward},
    {20, mcl_sub_backward},
    {21, mcl_mul_backward},
    {22, mcl_div_backward},
    {23, mcl_concat_backward},
    {24, mcl_copy_backward}, /* reshape */
    {25, mcl_copy_backward}, /* flatten */
    {26, mcl_transpose_backward},
    {27, mcl_copy_backward}, /* identity */
    {28, mcl_matmul_backward},
};

mcl_backward_fn mcl_op_backward(const mcl_op *op) {
  if (op->backward) return op->backward;
  for (size_t i = 0; op->id && i < sizeof gradients / sizeof *gradients; i++)
    if (gradients[i].id == op->id) return gradients[i].backward;
  return NULL;
}
