/* Ops that move numbers without changing them: concat, reshape, flatten, transpose, identity. */
#include <string.h>

#include "graph/ops.h"

/* ---- concat: attribute axis. Seen as [outer, axis · inner] matrices that are laid side by side. ---- */

static mcl_status shape_concat(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  int axis;
  MCL_TRY(mcl_node_axis(ctx, node, mcl_node_int(node, 0), in[0].rank, in[0].rank - 1, &axis));
  char first[MCL_SHAPE_TEXT], other[MCL_SHAPE_TEXT];
  mcl_shape result = in[0];
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i] < 0) return mcl_node_fail(ctx, node, "concat: input %d is left out; each must be given", i);
    mcl_shape rest = in[i];
    if (rest.rank == result.rank) rest.dim[axis] = in[0].dim[axis];
    if (!mcl_shape_equal(rest, in[0]))
      return mcl_node_fail(ctx, node, "concat of %s and %s along axis %d: all other dimensions must be equal",
                           mcl_shape_text(in[0], first), mcl_shape_text(in[i], other), axis);
    if (in[i].dim[axis] < 0)
      return mcl_node_fail(ctx, node, "concat along axis %d would join batches; use another axis", axis);
    if (i) result.dim[axis] += in[i].dim[axis];
  }
  out[0] = result;
  return MCL_OK;
}

static mcl_status concat_rows(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_shape shape = call->out[0].shape;
  int64_t axis = mcl_node_int(call->node, 0);
  int at = (int)(axis < 0 ? axis + shape.rank : axis);
  int64_t width = mcl_dims_count(shape, at, shape.rank);
  for (int64_t row = first; row < first + count; row++) {
    float *to = call->out[0].data + row * width;
    for (int i = 0; i < call->node->inputs; i++) {
      int64_t part = mcl_dims_count(call->in[i].shape, at, shape.rank);
      memcpy(to, call->in[i].data + row * part, (size_t)part * sizeof(float));
      to += part;
    }
  }
  return MCL_OK;
}

static mcl_status run_concat(const mcl_op_call *call) {
  mcl_shape shape = call->out[0].shape;
  int64_t axis = mcl_node_int(call->node, 0);
  int64_t rows = mcl_dims_count(shape, 0, (int)(axis < 0 ? axis + shape.rank : axis));
  int64_t grain = mcl_max_i64(1, MCL_ELEMENT_CHUNK * rows / mcl_elements(shape));
  return mcl_parallel_ranges(call->ctx, rows, grain, concat_rows, (void *)call);
}

static const mcl_attribute_spec concat_attributes[] = {MCL_INT("axis", 1, -MCL_MAX_RANK, MCL_MAX_RANK - 1),
                                                       MCL_END_OF_ATTRIBUTES};
const mcl_op mcl_op_concat = {.id = 23,
                              .name = "concat",
                              .least_inputs = 1,
                              .most_inputs = MCL_MAX_INPUTS,
                              .outputs = 1,
                              .attributes = concat_attributes,
                              .shape = shape_concat,
                              .forward = run_concat};

/* ---- reshape, flatten, identity: the numbers as they lie ---- */

static mcl_status run_copy(const mcl_op_call *call) {
  if (call->out[0].data != call->in[0].data)
    memcpy(call->out[0].data, call->in[0].data, (size_t)mcl_elements(call->out[0].shape) * sizeof(float));
  return MCL_OK;
}

static mcl_status fail_reshape(mcl_context *ctx, const mcl_node *node, mcl_shape in, const char *remedy) {
  mcl_shape asked = mcl_shape_of(node->attribute[0].count, mcl_node_ints(node, 0));
  char from[MCL_SHAPE_TEXT], to[MCL_SHAPE_TEXT];
  return mcl_node_fail(ctx, node, "reshape of %s to %s: %s", mcl_shape_text(in, from), mcl_shape_text(asked, to),
                       remedy);
}

/* As ONNX: 0 keeps the input's dimension, one -1 takes what is left. A batch must stay the first dimension. */
static mcl_status shape_reshape(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  const int64_t *asked = mcl_node_ints(node, 0);
  mcl_shape result = {.rank = node->attribute[0].count};
  bool has_batch = in[0].rank > 0 && in[0].dim[0] < 0;
  int64_t total = mcl_elements(in[0]), known = 1;
  int open = -1;
  for (int i = 0; i < result.rank; i++) {
    if (asked[i] == 0 && i >= in[0].rank)
      return fail_reshape(ctx, node, in[0], "0 keeps a dimension that the input does not have");
    result.dim[i] = asked[i] == 0 ? in[0].dim[i] : asked[i];
    if (i == 0 && has_batch && asked[i] == 0) continue; /* stays -1 */
    if (result.dim[i] > 0 && __builtin_mul_overflow(known, result.dim[i], &known))
      return fail_reshape(ctx, node, in[0], "more elements than can be counted");
    if (asked[i] == -1 && open >= 0) return fail_reshape(ctx, node, in[0], "only one dimension can be -1");
    if (asked[i] == -1) open = i;
  }
  bool batch_kept = has_batch && result.rank > 0 && (asked[0] == 0 || (open == 0 && known == total));
  if (has_batch && !batch_kept)
    return fail_reshape(ctx, node, in[0], "the batch must stay the first dimension; begin the shape with 0");
  if (open > 0 || (open == 0 && !has_batch)) {
    if (total % known) return fail_reshape(ctx, node, in[0], "the elements do not divide into it");
    result.dim[open] = total / known;
    known = total;
  }
  if (known != total) return fail_reshape(ctx, node, in[0], "the number of elements must stay");
  out[0] = result;
  return MCL_OK;
}

static mcl_status shape_flatten(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  int axis;
  MCL_TRY(mcl_node_axis(ctx, node, mcl_node_int(node, 0), in[0].rank, in[0].rank, &axis));
  bool has_batch = in[0].rank > 0 && in[0].dim[0] < 0;
  if (has_batch && axis != 1)
    return mcl_node_fail(ctx, node, "flatten at axis %d would mix the batch with other dimensions; use 1", axis);
  int64_t rows = has_batch ? -1 : mcl_dims_count(in[0], 0, axis);
  out[0] = mcl_shape_2(rows, mcl_dims_count(in[0], axis, in[0].rank));
  return MCL_OK;
}

static const mcl_attribute_spec reshape_attributes[] = {MCL_INTS("shape", 0, 0, 0, 0, 0, -1, 1e15),
                                                        MCL_END_OF_ATTRIBUTES};
static const mcl_attribute_spec flatten_attributes[] = {MCL_INT("axis", 1, -MCL_MAX_RANK, MCL_MAX_RANK),
                                                        MCL_END_OF_ATTRIBUTES};

#define COPY(number, word)                                                                                             \
  .id = number, .name = #word, .least_inputs = 1, .most_inputs = 1, .outputs = 1, .in_place = true, .forward = run_copy

const mcl_op mcl_op_reshape = {COPY(24, reshape), .attributes = reshape_attributes, .shape = shape_reshape};
const mcl_op mcl_op_flatten = {COPY(25, flatten), .attributes = flatten_attributes, .shape = shape_flatten};
const mcl_op mcl_op_identity = {COPY(27, identity), .shape = mcl_shape_same};

/* ---- transpose: attribute perm; empty reverses the axes ---- */

void mcl_transpose_axes(const mcl_node *node, int rank, int *axes) {
  int given = node->attribute[0].count;
  for (int i = 0; i < rank; i++) axes[i] = given ? (int)mcl_node_ints(node, 0)[i] : rank - 1 - i;
}

static mcl_status shape_transpose(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  int rank = in[0].rank, given = node->attribute[0].count;
  char text[MCL_SHAPE_TEXT];
  unsigned seen = 0;
  for (int i = 0; i < given; i++) seen |= 1u << mcl_node_ints(node, 0)[i];
  if (given && (given != rank || seen != (1u << rank) - 1))
    return mcl_node_fail(ctx, node, "transpose of %s: perm must name each of its %d axes once",
                         mcl_shape_text(in[0], text), rank);
  int axes[MCL_MAX_RANK];
  mcl_transpose_axes(node, rank, axes);
  mcl_shape result = {.rank = rank};
  for (int i = 0; i < rank; i++) result.dim[i] = in[0].dim[axes[i]];
  if (rank > 0 && in[0].dim[0] < 0 && axes[0] != 0)
    return mcl_node_fail(ctx, node, "transpose of %s moves the batch; perm must begin with 0",
                         mcl_shape_text(in[0], text));
  out[0] = result;
  return MCL_OK;
}

/* Element `first` and on of the output, each fetched by the strides of the input. */
static mcl_status transpose_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_shape shape = call->out[0].shape, from = call->in[0].shape;
  int axes[MCL_MAX_RANK], rank = shape.rank;
  int64_t stride[MCL_MAX_RANK] = {0}, index[MCL_MAX_RANK] = {0};
  mcl_transpose_axes(call->node, rank, axes);
  int64_t at = 0, rest = first;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = mcl_dims_count(from, axes[i] + 1, rank);
    index[i] = rest % shape.dim[i];
    rest /= shape.dim[i];
    at += index[i] * stride[i];
  }
  for (int64_t k = first; k < first + count; k++) {
    call->out[0].data[k] = call->in[0].data[at];
    for (int i = rank - 1; i >= 0; i--) {
      at += stride[i];
      if (++index[i] < shape.dim[i]) break;
      at -= stride[i] * shape.dim[i];
      index[i] = 0;
    }
  }
  return MCL_OK;
}

static mcl_status run_transpose(const mcl_op_call *call) {
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), MCL_ELEMENT_CHUNK, transpose_range,
                             (void *)call);
}

static const mcl_attribute_spec transpose_attributes[] = {MCL_INTS("perm", 0, 0, 0, 0, 0, 0, MCL_MAX_RANK - 1),
                                                          MCL_END_OF_ATTRIBUTES};
const mcl_op mcl_op_transpose = {.id = 26,
                                 .name = "transpose",
                                 .least_inputs = 1,
                                 .most_inputs = 1,
                                 .outputs = 1,
                                 .attributes = transpose_attributes,
                                 .shape = shape_transpose,
                                 .forward = run_transpose};
