/* The ops of the library: their rows, what their files share, and their gradients' names. Private to src/graph. */
#ifndef MCL_GRAPH_OPS_H
#define MCL_GRAPH_OPS_H

#include "base/threads.h"
#include "base/whole.h"
#include "graph/graph.h"
#include "tensor/expression.h"

extern const mcl_op mcl_op_conv, mcl_op_linear, mcl_op_max_pool, mcl_op_average_pool, mcl_op_global_average_pool,
    mcl_op_relu, mcl_op_leaky_relu, mcl_op_elu, mcl_op_clip, mcl_op_sigmoid, mcl_op_tanh, mcl_op_gelu, mcl_op_silu,
    mcl_op_softmax, mcl_op_log_softmax, mcl_op_batch_norm, mcl_op_layer_norm, mcl_op_dropout, mcl_op_add, mcl_op_sub,
    mcl_op_mul, mcl_op_div, mcl_op_concat, mcl_op_reshape, mcl_op_flatten, mcl_op_transpose, mcl_op_identity,
    mcl_op_matmul;

/* ---- Failures: `node "conv1": …`. ---- */

mcl_status mcl_node_fail(mcl_context *ctx, const mcl_node *node, const char *format, ...) MCL_PRINTF(3, 4);

/* ---- Attributes of a node, by their place in op->attributes ---- */

static inline int64_t mcl_node_int(const mcl_node *node, int attribute) { return node->attribute[attribute].ints[0]; }
static inline const int64_t *mcl_node_ints(const mcl_node *node, int attribute) {
  return node->attribute[attribute].ints;
}
static inline float mcl_node_float(const mcl_node *node, int attribute) {
  return (float)node->attribute[attribute].number;
}

/* Rows of a table of attributes. */
#define MCL_INT(name, preset, least, most)                                                                             \
  { name, MCL_ATTRIBUTE_INT, {1, {preset}, 0}, least, most }
#define MCL_FLOAT(name, preset, least, most)                                                                           \
  { name, MCL_ATTRIBUTE_FLOAT, {0, {0}, preset}, least, most }
#define MCL_INTS(name, count, a, b, c, d, least, most)                                                                 \
  { name, MCL_ATTRIBUTE_INTS, {count, {a, b, c, d}, 0}, least, most }
#define MCL_END_OF_ATTRIBUTES                                                                                          \
  { NULL, MCL_ATTRIBUTE_INT, {0, {0}, 0}, 0, 0 }

/* ---- Shapes ---- */

#define MCL_MOST_ELEMENTS ((int64_t)1 << 40) /* of a value or a weight: so sums and products of two stay in range */

/* a · b, or the most that there is. */
static inline int64_t mcl_product_or_most(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* Elements of concrete shapes and of their runs of dimensions first … end-1; a batch of -1 counts as 1. */
int64_t mcl_dims_count(mcl_shape shape, int first, int end);
static inline int64_t mcl_elements(mcl_shape shape) { return mcl_dims_count(shape, 0, shape.rank); }
/* An axis that may count from the end, made to count from the front; fails naming the node. `most`: rank - 1, or rank. */
mcl_status mcl_node_axis(mcl_context *ctx, const mcl_node *node, int64_t axis, int rank, int most, int *out);
/* NumPy's rule, with the batch of -1 matching itself and 1. */
mcl_status mcl_node_broadcast(mcl_context *ctx, const mcl_node *node, mcl_shape a, mcl_shape b, mcl_shape *out);
/* The shape function of ops that change no shape. */
mcl_status mcl_shape_same(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out);

/* Where each axis of a transpose's output comes from. */
void mcl_transpose_axes(const mcl_node *node, int rank, int *axes);

#define MCL_ELEMENT_CHUNK 16384 /* elements an element-wise chunk */

/* y[i] = MCL_E_EXP and its like of x[i], by the tensor kernels: the same bits on every machine. y is not x. */
void mcl_apply(mcl_elementwise op, const float *x, float *y, size_t n);
#define MCL_ROOT_2_PI 0.79788456f /* √(2/π) */
#define MCL_ROOT_HALF 0.70710678f

#endif
