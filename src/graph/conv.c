/* conv: 2-d convolution of images x[n, in, height, width] by weight[out, in / groups, kh, kw], and a bias[out]. Chunks
 * are blocks of output rows: gathered into columns, then one matrix product. Depthwise layers go plane by plane. */
#include <string.h>

#include "graph/conv.h"
#include "tensor/matmul.h"

/* ---- Shapes ---- */

static mcl_status check_channels(mcl_context *ctx, const mcl_node *node, const mcl_shape *in) {
  char x[MCL_SHAPE_TEXT], w[MCL_SHAPE_TEXT];
  int64_t groups = mcl_node_int(node, MCL_CONV_GROUPS);
  if (in[0].rank != 4 || in[1].rank != 4)
    return mcl_node_fail(ctx, node,
                         "conv wants an input [batch, channels, height, width] and a weight [out, in/groups, "
                         "kh, kw], not %s and %s; reshape them",
                         mcl_shape_text(in[0], x), mcl_shape_text(in[1], w));
  if (in[0].dim[1] != in[1].dim[1] * groups)
    return mcl_node_fail(ctx, node, "conv of an input %s with a weight %s in %lld groups wants %lld channels, not %lld",
                         mcl_shape_text(in[0], x), mcl_shape_text(in[1], w), (long long)groups,
                         (long long)(in[1].dim[1] * groups), (long long)in[0].dim[1]);
  if (in[1].dim[0] % groups)
    return mcl_node_fail(ctx, node, "conv: %lld outputs do not divide into %lld groups; change either",
                         (long long)in[1].dim[0], (long long)groups);
  if (node->inputs > 2 && node->input[2] >= 0 && (in[2].rank != 1 || in[2].dim[0] != in[1].dim[0]))
    return mcl_node_fail(ctx, node, "conv with a weight %s wants a bias of %lld elements, not %s",
                         mcl_shape_text(in[1], w), (long long)in[1].dim[0], mcl_shape_text(in[2], x));
  return MCL_OK;
}

static mcl_status shape_conv(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  MCL_TRY(check_channels(ctx, node, in));
  const int64_t *stride = mcl_node_ints(node, MCL_CONV_STRIDE), *pad = mcl_node_ints(node, MCL_CONV_PAD);
  const int64_t *dilation = mcl_node_ints(node, MCL_CONV_DILATION);
  int64_t padded[2], reach[2], row;
  for (int axis = 0; axis < 2; axis++) {
    padded[axis] = in[0].dim[2 + axis] + pad[axis] + pad[2 + axis];
    reach[axis] = (in[1].dim[2 + axis] - 1) * dilation[axis] + 1;
  }
  if (reach[0] > padded[0] || reach[1] > padded[1])
    return mcl_node_fail(ctx, node,
                         "kernel %lldx%lld is larger than its padded input %lldx%lld (conv); use a smaller "
                         "kernel or dilation, or more padding",
                         (long long)reach[0], (long long)reach[1], (long long)padded[0], (long long)padded[1]);
  out[0] = (mcl_shape){.rank = 4, .dim = {in[0].dim[0], in[1].dim[0]}};
  for (int axis = 0; axis < 2; axis++) out[0].dim[2 + axis] = (padded[axis] - reach[axis]) / stride[axis] + 1;
  if (__builtin_mul_overflow(mcl_dims_count(in[1], 1, 4), out[0].dim[3], &row) || row > MCL_MOST_ELEMENTS)
    return mcl_node_fail(ctx, node, "conv: a row of the output is made from more elements than can be held");
  return MCL_OK;
}

/* ---- The general case: columns and a product ---- */

typedef struct conv_work {
  const mcl_op_call *call;
  mcl_conv g;
  float *packed; /* the weight, packed once for all blocks: a group after the other */
} conv_work;

static int64_t packed_floats(const mcl_conv *g) {
  return g->is_depthwise ? 0 : g->groups * mcl_matmul_packed_floats(g->group_out, g->depth);
}

static void pack_weight(conv_work *work) {
  const mcl_conv *g = &work->g;
  work->packed = (float *)work->call->workspace + mcl_conv_columns(g) * mcl_context_threads(work->call->ctx);
  for (int64_t group = 0; group < g->groups; group++) {
    mcl_matmul weight = {.m = g->group_out, .k = g->depth, .lda = g->depth};
    weight.a = work->call->in[1].data + group * g->group_out * g->depth;
    mcl_matmul_pack_a(&weight, work->packed + group * mcl_matmul_packed_floats(g->group_out, g->depth));
  }
}

static mcl_status conv_block(void *arg, int64_t chunk, int worker) {
  const conv_work *work = arg;
  const mcl_op_call *call = work->call;
  const mcl_conv *g = &work->g;
  int64_t image = chunk / g->blocks, first = chunk % g->blocks * g->block_rows;
  int64_t rows = mcl_min_i64(g->block_rows, g->out_height - first), pixels = rows * g->out_width;
  float *columns = (float *)call->workspace + mcl_conv_columns(g) * worker;
  const float *bias = call->in[2].data;
  for (int64_t group = 0; group < g->groups; group++) {
    const float *x = call->in[0].data + (image * g->channels + group * g->group_in) * g->height * g->width;
    int64_t output = group * g->group_out;
    float *y = call->out[0].data + (image * g->outputs + output) * g->pixels + first * g->out_width;
    for (int64_t o = 0; bias && o < g->group_out; o++)
      for (int64_t i = 0; i < pixels; i++) y[o * g->pixels + i] = bias[output + o];
    if (!g->is_pointwise) mcl_conv_gather(g, x, first, rows, columns);
    mcl_matmul product = {.m = g->group_out,
                          .n = pixels,
                          .k = g->depth,
                          .alpha = 1,
                          .a = call->in[1].data + output * g->depth,
                          .lda = g->depth,
                          .b = g->is_pointwise ? x + first * g->out_width : columns,
                          .ldb = g->is_pointwise ? g->pixels : pixels,
                          .beta = bias ? 1 : 0,
                          .c = y,
                          .ldc = g->pixels,
                          .packed_a = work->packed + group * mcl_matmul_packed_floats(g->group_out, g->depth)};
    mcl_matmul_serial(call->ctx, &product);
  }
  return MCL_OK;
}

/* ---- Depthwise: each output plane is a weighted sum of shifted copies of one input plane ---- */

static mcl_status depthwise_plane(void *arg, int64_t plane, int worker) {
  (void)worker;
  const conv_work *work = arg;
  const mcl_op_call *call = work->call;
  const mcl_conv *g = &work->g;
  int64_t image = plane / g->outputs, output = plane % g->outputs;
  const float *x = call->in[0].data + (image * g->channels + output / g->group_out) * g->height * g->width;
  const float *weight = call->in[1].data + output * g->depth;
  float *y = call->out[0].data + plane * g->pixels;
  float bias = call->in[2].data ? call->in[2].data[output] : 0;
  for (int64_t i = 0; i < g->pixels; i++) y[i] = bias;
  for (int64_t kh = 0; kh < g->kernel[0]; kh++)
    for (int64_t kw = 0; kw < g->kernel[1]; kw++) {
      float factor = weight[kh * g->kernel[1] + kw];
      int64_t top, bottom, lo, hi, stride = g->stride[1];
      mcl_conv_inside(g, 0, kh, &top, &bottom);
      mcl_conv_inside(g, 1, kw, &lo, &hi);
      for (int64_t row = top; row < bottom; row++) {
        int64_t line = row * g->stride[0] - g->pad[0] + kh * g->dilation[0];
        int64_t column = lo * stride - g->pad[1] + kw * g->dilation[1];
        const float *from = x + line * g->width + column;
        float *to = y + row * g->out_width + lo;
        for (int64_t i = 0; i < hi - lo; i++) to[i] += factor * from[i * stride];
      }
    }
  return MCL_OK;
}

/* ---- The op ---- */

static size_t workspace_conv(const mcl_op_call *call) {
  mcl_conv g = mcl_conv_of(call->node, call->in[0].shape, call->in[1].shape, call->out[0].shape);
  int64_t columns = mcl_conv_columns(&g) * mcl_context_threads(call->ctx), beside = packed_floats(&g);
  if (call->for_backward && !g.is_depthwise) /* partial gradients of weight and bias, when forward is over */
    beside = mcl_max_i64(beside, mcl_conv_most_chunks(&g) * g.outputs * (g.depth + 1));
  return (size_t)(columns + beside) * sizeof(float);
}

static mcl_status run_conv(const mcl_op_call *call) {
  conv_work work = {call, mcl_conv_of(call->node, call->in[0].shape, call->in[1].shape, call->out[0].shape), NULL};
  if (work.g.is_depthwise) return mcl_parallel(call->ctx, work.g.images * work.g.outputs, depthwise_plane, &work);
  pack_weight(&work);
  return mcl_parallel(call->ctx, work.g.images * work.g.blocks, conv_block, &work);
}

static int64_t conv_multiply_adds(const mcl_node *node, const mcl_shape *in, const mcl_shape *out) {
  (void)node;
  return mcl_product_or_most(mcl_elements(out[0]), mcl_dims_count(in[1], 1, 4));
}

static const mcl_attribute_spec conv_attributes[] = {
    MCL_INTS("stride", 2, 1, 1, 0, 0, 1, 1e6), MCL_INTS("pad", 4, 0, 0, 0, 0, 0, 1e6),
    MCL_INTS("dilation", 2, 1, 1, 0, 0, 1, 1e6), MCL_INT("groups", 1, 1, 1e6), MCL_END_OF_ATTRIBUTES};

const mcl_op mcl_op_conv = {.id = 1,
                            .name = "conv",
                            .least_inputs = 2,
                            .most_inputs = 3,
                            .outputs = 1,
                            .weight_input = 1,
                            .attributes = conv_attributes,
                            .shape = shape_conv,
                            .workspace = workspace_conv,
                            .forward = run_conv,
                            .multiply_adds = conv_multiply_adds};
