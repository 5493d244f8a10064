/* The table of ops, and what their files share. A new op is a file (or a function in its family's) and a row here; its
 * gradient, a row of ops_grad.c. Ids are part of the file format and never change meaning. */
#include "graph/ops.h"
#include "tensor/kernels/elementwise.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const mcl_op *const mcl_ops[] = {
    &mcl_op_conv,       &mcl_op_linear,     &mcl_op_max_pool, &mcl_op_average_pool, &mcl_op_global_average_pool,
    &mcl_op_relu,       &mcl_op_leaky_relu, &mcl_op_elu,      &mcl_op_clip,         &mcl_op_sigmoid,
    &mcl_op_tanh,       &mcl_op_gelu,       &mcl_op_silu,     &mcl_op_softmax,      &mcl_op_log_softmax,
    &mcl_op_batch_norm, &mcl_op_layer_norm, &mcl_op_dropout,  &mcl_op_add,          &mcl_op_sub,
    &mcl_op_mul,        &mcl_op_div,        &mcl_op_concat,   &mcl_op_reshape,      &mcl_op_flatten,
    &mcl_op_transpose,  &mcl_op_identity,   &mcl_op_matmul,
};
const int mcl_op_count = sizeof mcl_ops / sizeof *mcl_ops;

const mcl_op *mcl_op_by_name(const char *name) {
  for (int i = 0; i < mcl_op_count; i++)
    if (strcmp(mcl_ops[i]->name, name) == 0) return mcl_ops[i];
  return NULL;
}

const mcl_op *mcl_op_by_id(uint8_t id) {
  for (int i = 0; i < mcl_op_count; i++)
    if (mcl_ops[i]->id == id) return mcl_ops[i];
  return NULL;
}

int mcl_op_attributes(const mcl_op *op) {
  int n = 0;
  if (op->attributes)
    while (op->attributes[n].name) n++;
  return n;
}

int mcl_op_find_attribute(const mcl_op *op, const char *name) {
  for (int i = 0, n = mcl_op_attributes(op); i < n; i++)
    if (strcmp(op->attributes[i].name, name) == 0) return i;
  return -1;
}

void mcl_attribute_presets(const mcl_op *op, mcl_attribute *attributes) {
  memset(attributes, 0, MCL_MAX_ATTRIBUTES * sizeof *attributes);
  for (int i = 0, n = mcl_op_attributes(op); i < n; i++) attributes[i] = op->attributes[i].preset;
}

mcl_status mcl_node_fail(mcl_context *ctx, const mcl_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "node \"%s\": %s", node->name, text);
}

int64_t mcl_dims_count(mcl_shape shape, int first, int end) {
  int64_t n = 1;
  for (int i = first; i < end; i++) n *= shape.dim[i] < 0 ? 1 : shape.dim[i];
  return n;
}

mcl_status mcl_node_axis(mcl_context *ctx, const mcl_node *node, int64_t axis, int rank, int most, int *out) {
  int64_t from_front = axis < 0 ? axis + rank : axis;
  if (from_front < 0 || from_front > most)
    return mcl_node_fail(ctx, node, "%s: axis %lld is outside an input of %d dimensions; use %d to %d", node->op->name,
                         (long long)axis, rank, -rank, most);
  *out = (int)from_front;
  return MCL_OK;
}

mcl_status mcl_node_broadcast(mcl_context *ctx, const mcl_node *node, mcl_shape a, mcl_shape b, mcl_shape *out) {
  int rank = a.rank > b.rank ? a.rank : b.rank;
  mcl_shape result = {.rank = rank};
  for (int i = 0; i < rank; i++) {
    int64_t x = i < rank - a.rank ? 1 : a.dim[i - (rank - a.rank)];
    int64_t y = i < rank - b.rank ? 1 : b.dim[i - (rank - b.rank)];
    /* A batch that is not leading in the result would be matched with another dimension. */
    if ((x != y && x != 1 && y != 1) || (i > 0 && (x < 0 || y < 0))) {
      char ta[MCL_SHAPE_TEXT], tb[MCL_SHAPE_TEXT];
      return mcl_node_fail(ctx, node,
                           "%s of %s and %s: the shapes do not broadcast; dimensions, from the last, must be "
                           "equal or 1 (-1 is the batch)",
                           node->op->name, mcl_shape_text(a, ta), mcl_shape_text(b, tb));
    }
    result.dim[i] = x == 1 ? y : x;
  }
  *out = result;
  return MCL_OK;
}

mcl_status mcl_shape_same(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  (void)ctx, (void)node;
  out[0] = in[0];
  return MCL_OK;
}

void mcl_apply(mcl_elementwise op, const float *x, float *y, size_t n) {
  const float *args[] = {x};
  mcl_elementwise_kernels(mcl_cpu_isa())->apply[op](y, args, n);
}
