/* linear: y[…, out] = x[…, in] · weight[out, in]ᵀ + bias[out]. Leading dimensions are rows. A weight may be used
 * straight from its compressed form. */
#include <string.h>

#include "graph/ops.h"
#include "tensor/matmul.h"

#define COMPRESSED_ROWS 16 /* rows of x a chunk, where the weight is used from its compressed form */

static mcl_status shape_linear(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  char x[MCL_SHAPE_TEXT], w[MCL_SHAPE_TEXT];
  mcl_shape result = in[0];
  if (in[0].rank < 2)
    return mcl_node_fail(ctx, node, "linear wants an input [batch, …, in], not %s; reshape it",
                         mcl_shape_text(in[0], x));
  if (in[1].rank != 2)
    return mcl_node_fail(ctx, node, "linear wants a weight [out, in], not %s", mcl_shape_text(in[1], w));
  if (in[0].dim[in[0].rank - 1] != in[1].dim[1])
    return mcl_node_fail(ctx, node, "linear of an input %s with a weight %s: the last dimensions must be equal%s",
                         mcl_shape_text(in[0], x), mcl_shape_text(in[1], w),
                         in[0].rank > 2 && mcl_dims_count(in[0], 1, in[0].rank) == in[1].dim[1] ? "; flatten the input"
                                                                                                : "");
  if (node->inputs > 2 && node->input[2] >= 0 && (in[2].rank != 1 || in[2].dim[0] != in[1].dim[0]))
    return mcl_node_fail(ctx, node, "linear with a weight %s wants a bias of %lld elements, not %s",
                         mcl_shape_text(in[1], w), (long long)in[1].dim[0], mcl_shape_text(in[2], x));
  result.dim[result.rank - 1] = in[1].dim[0];
  out[0] = result;
  return MCL_OK;
}

static size_t compressed_scratch(const mcl_op_call *call) {
  const mcl_repr *repr = call->in[1].repr;
  return repr->kind->matmul_scratch ? mcl_align_64(repr->kind->matmul_scratch(repr, COMPRESSED_ROWS)) : 0;
}

static size_t workspace_linear(const mcl_op_call *call) {
  return call->in[1].repr ? compressed_scratch(call) * (size_t)mcl_context_threads(call->ctx) : 0;
}

static mcl_status compressed_rows(void *arg, int64_t first, int64_t count, int worker) {
  const mcl_op_call *call = arg;
  const mcl_repr *repr = call->in[1].repr;
  int64_t in = call->in[1].shape.dim[1], out = call->in[1].shape.dim[0];
  const float *bias = call->in[2].data;
  float *y = call->out[0].data + first * out;
  char *scratch = (char *)call->workspace + compressed_scratch(call) * (size_t)worker;
  MCL_TRY(repr->kind->matmul(repr, call->in[0].data + first * in, count, y, scratch));
  for (int64_t row = 0; bias && row < count; row++)
    for (int64_t i = 0; i < out; i++) y[row * out + i] += bias[i];
  return MCL_OK;
}

static mcl_status run_linear(const mcl_op_call *call) {
  int64_t in = call->in[1].shape.dim[1], out = call->in[1].shape.dim[0];
  int64_t rows = mcl_elements(call->out[0].shape) / out;
  if (call->in[1].repr) return mcl_parallel_ranges(call->ctx, rows, COMPRESSED_ROWS, compressed_rows, (void *)call);
  const float *bias = call->in[2].data;
  int64_t work = 0;
  for (int64_t row = 0; bias && row < rows; row++) {
    memcpy(call->out[0].data + row * out, bias, (size_t)out * sizeof(float));
    MCL_TRY(mcl_worked(call->ctx, &work, out));
  }
  mcl_matmul product = {.transpose_b = true,
                        .m = rows,
                        .n = out,
                        .k = in,
                        .alpha = 1,
                        .a = call->in[0].data,
                        .lda = in,
                        .b = call->in[1].data,
                        .ldb = in,
                        .beta = bias ? 1 : 0,
                        .c = call->out[0].data,
                        .ldc = out};
  return mcl_matmul_run(call->ctx, &product);
}

static int64_t linear_multiply_adds(const mcl_node *node, const mcl_shape *in, const mcl_shape *out) {
  (void)node;
  return mcl_product_or_most(mcl_elements(out[0]), in[1].dim[1]);
}

const mcl_op mcl_op_linear = {.id = 2,
                              .name = "linear",
                              .least_inputs = 2,
                              .most_inputs = 3,
                              .outputs = 1,
                              .weight_input = 1,
                              .takes_compressed = true,
                              .shape = shape_linear,
                              .workspace = workspace_linear,
                              .forward = run_linear,
                              .multiply_adds = linear_multiply_adds};
