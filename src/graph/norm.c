/* batch_norm (Ioffe & Szegedy 2015) and layer_norm (Ba et al. 2016). In training, batch_norm takes the statistics of
 * the batch and moves the running ones towards them: running = momentum · running + (1 − momentum) · batch, with the
 * variance of the batch taken over n, as in ONNX. A batch of one value a channel has no statistics: see norm.h. */
#include <math.h>

#include "graph/norm.h"

#define LANES 8

double mcl_norm_sum(const float *x, int64_t n) {
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += x[i + k];
  for (; i < n; i++) sum += x[i];
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

double mcl_norm_squares(const float *x, float mean, int64_t n) {
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += (double)(x[i + k] - mean) * (double)(x[i + k] - mean);
  for (; i < n; i++) sum += (double)(x[i] - mean) * (double)(x[i] - mean);
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

/* ---- batch_norm ---- */

mcl_channels mcl_batch_norm_of(const mcl_op_call *call) {
  mcl_shape shape = call->in[MCL_NORM_X].shape;
  mcl_channels c = {
      .images = shape.dim[0], .channels = shape.dim[1], .plane = mcl_dims_count(shape, 2, shape.rank), .grain = 1};
  if (c.plane < MCL_CHANNEL_BLOCK) c.grain = MCL_CHANNEL_BLOCK; /* short planes: several, so that lines are shared */
  c.mean = call->workspace;
  c.inverse = c.mean ? c.mean + c.channels : NULL;
  return c;
}

bool mcl_batch_norm_takes_batch(const mcl_op_call *call) {
  mcl_channels c = mcl_batch_norm_of(call);
  return call->training && c.images * c.plane > 1;
}

static mcl_status shape_batch_norm(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  char x[MCL_SHAPE_TEXT], w[MCL_SHAPE_TEXT];
  if (in[0].rank < 2)
    return mcl_node_fail(ctx, node, "batch_norm wants an input [batch, channels, …], not %s", mcl_shape_text(in[0], x));
  for (int i = 1; i < 5; i++)
    if (in[i].rank != 1 || in[i].dim[0] != in[0].dim[1])
      return mcl_node_fail(ctx, node, "batch_norm of %s wants scale, bias, mean and variance of %lld elements, not %s",
                           mcl_shape_text(in[0], x), (long long)in[0].dim[1], mcl_shape_text(in[i], w));
  out[0] = in[0];
  return MCL_OK;
}

/* Statistics of channels first … of the batch, and the running ones. */
static mcl_status batch_statistics(const mcl_op_call *call, const mcl_channels *c, int64_t first, int64_t count) {
  double sum[MCL_CHANNEL_BLOCK] = {0}, squares[MCL_CHANNEL_BLOCK] = {0};
  const float *x = call->in[MCL_NORM_X].data;
  double n = (double)(c->images * c->plane);
  int64_t work = 0;
  for (int64_t image = 0; image < c->images; image++) {
    MCL_TRY(mcl_worked(call->ctx, &work, count * c->plane));
    for (int64_t k = 0; k < count; k++)
      sum[k] += mcl_norm_sum(x + (image * c->channels + first + k) * c->plane, c->plane);
  }
  for (int64_t k = 0; k < count; k++) c->mean[first + k] = (float)(sum[k] / n);
  for (int64_t image = 0; image < c->images; image++) {
    MCL_TRY(mcl_worked(call->ctx, &work, count * c->plane));
    for (int64_t k = 0; k < count; k++)
      squares[k] += mcl_norm_squares(x + (image * c->channels + first + k) * c->plane, c->mean[first + k], c->plane);
  }
  double epsilon = call->node->attribute[0].number;
  float momentum = mcl_node_float(call->node, 1);
  for (int64_t k = 0; k < count; k++) {
    float variance = (float)(squares[k] / n);
    float *mean = &call->in[MCL_NORM_MEAN].data[first + k], *running = &call->in[MCL_NORM_VARIANCE].data[first + k];
    c->inverse[first + k] = (float)(1 / sqrt(squares[k] / n + epsilon));
    *mean = momentum * *mean + (1 - momentum) * c->mean[first + k];
    *running = momentum * *running + (1 - momentum) * variance;
  }
  return MCL_OK;
}

static mcl_status batch_norm_channels(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_channels c = mcl_batch_norm_of(call);
  double epsilon = call->node->attribute[0].number;
  if (mcl_batch_norm_takes_batch(call)) {
    MCL_TRY(batch_statistics(call, &c, first, count));
  } else {
    for (int64_t k = first; k < first + count; k++) {
      c.mean[k] = call->in[MCL_NORM_MEAN].data[k];
      c.inverse[k] = (float)(1 / sqrt((double)call->in[MCL_NORM_VARIANCE].data[k] + epsilon));
    }
  }
  int64_t work = 0;
  for (int64_t image = 0; image < c.images; image++)
    for (int64_t k = first; k < first + count; k++) {
      MCL_TRY(mcl_worked(call->ctx, &work, c.plane));
      float factor = call->in[MCL_NORM_SCALE].data[k] * c.inverse[k];
      float shift = call->in[MCL_NORM_BIAS].data[k] - c.mean[k] * factor;
      const float *x = call->in[MCL_NORM_X].data + (image * c.channels + k) * c.plane;
      float *y = call->out[0].data + (image * c.channels + k) * c.plane;
      for (int64_t i = 0; i < c.plane; i++) y[i] = x[i] * factor + shift;
    }
  return MCL_OK;
}

static mcl_status run_batch_norm(const mcl_op_call *call) {
  mcl_channels c = mcl_batch_norm_of(call);
  return mcl_parallel_ranges(call->ctx, c.channels, c.grain, batch_norm_channels, (void *)call);
}

static size_t workspace_batch_norm(const mcl_op_call *call) {
  return (size_t)call->in[0].shape.dim[1] * 2 * sizeof(float);
}

static const mcl_attribute_spec batch_norm_attributes[] = {MCL_FLOAT("epsilon", 1e-5, 0, 1e6),
                                                           MCL_FLOAT("momentum", 0.9, 0, 1), MCL_END_OF_ATTRIBUTES};
const mcl_op mcl_op_batch_norm = {.id = 16,
                                  .name = "batch_norm",
                                  .least_inputs = 5,
                                  .most_inputs = 5,
                                  .outputs = 1,
                                  .state_inputs = 1u << MCL_NORM_MEAN | 1u << MCL_NORM_VARIANCE,
                                  .in_place = true,
                                  .keeps_workspace = true,
                                  .attributes = batch_norm_attributes,
                                  .shape = shape_batch_norm,
                                  .workspace = workspace_batch_norm,
                                  .forward = run_batch_norm};

/* ---- layer_norm ---- */

mcl_norm_rows mcl_layer_norm_of(const mcl_op_call *call) {
  mcl_shape shape = call->in[MCL_NORM_X].shape;
  int64_t axis = mcl_node_int(call->node, 0);
  int at = (int)(axis < 0 ? axis + shape.rank : axis);
  mcl_norm_rows rows = {.rows = mcl_dims_count(shape, 0, at), .width = mcl_dims_count(shape, at, shape.rank)};
  rows.grain = mcl_max_i64(1, MCL_ELEMENT_CHUNK / rows.width);
  rows.mean = call->workspace;
  rows.inverse = rows.mean ? rows.mean + rows.rows : NULL;
  return rows;
}

/* Of the dimensions of `whole` from the axis on, but for ones before them. */
static bool are_last_dimensions(mcl_shape shape, mcl_shape whole, int axis) {
  int ahead = shape.rank - (whole.rank - axis);
  for (int i = 0; i < shape.rank; i++)
    if (shape.dim[i] != (i < ahead ? 1 : whole.dim[axis + i - ahead])) return false;
  return ahead >= 0;
}

static mcl_status shape_layer_norm(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  int axis;
  char x[MCL_SHAPE_TEXT], w[MCL_SHAPE_TEXT];
  MCL_TRY(mcl_node_axis(ctx, node, mcl_node_int(node, 0), in[0].rank, in[0].rank - 1, &axis));
  if (in[0].dim[axis] < 0)
    return mcl_node_fail(ctx, node, "layer_norm from axis %d, the batch; use another axis", axis);
  for (int i = 1; i < node->inputs; i++)
    if (node->input[i] >= 0 && !are_last_dimensions(in[i], in[0], axis))
      return mcl_node_fail(ctx, node, "layer_norm of %s from axis %d wants scale and bias of these dimensions, not %s",
                           mcl_shape_text(in[0], x), axis, mcl_shape_text(in[i], w));
  out[0] = in[0];
  return MCL_OK;
}

static mcl_status layer_norm_rows(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_norm_rows rows = mcl_layer_norm_of(call);
  double epsilon = call->node->attribute[1].number;
  const float *scale = call->in[MCL_NORM_SCALE].data, *bias = call->in[MCL_NORM_BIAS].data;
  for (int64_t row = first; row < first + count; row++) {
    const float *x = call->in[MCL_NORM_X].data + row * rows.width;
    float *y = call->out[0].data + row * rows.width;
    float mean = (float)(mcl_norm_sum(x, rows.width) / (double)rows.width);
    float inverse = (float)(1 / sqrt(mcl_norm_squares(x, mean, rows.width) / (double)rows.width + epsilon));
    rows.mean[row] = mean, rows.inverse[row] = inverse;
    for (int64_t i = 0; i < rows.width; i++) y[i] = (x[i] - mean) * inverse * scale[i] + (bias ? bias[i] : 0);
  }
  return MCL_OK;
}

static mcl_status run_layer_norm(const mcl_op_call *call) {
  mcl_norm_rows rows = mcl_layer_norm_of(call);
  return mcl_parallel_ranges(call->ctx, rows.rows, rows.grain, layer_norm_rows, (void *)call);
}

static size_t workspace_layer_norm(const mcl_op_call *call) {
  return (size_t)mcl_layer_norm_of(call).rows * 2 * sizeof(float);
}

static const mcl_attribute_spec layer_norm_attributes[] = {MCL_INT("axis", -1, -MCL_MAX_RANK, MCL_MAX_RANK - 1),
                                                           MCL_FLOAT("epsilon", 1e-5, 0, 1e6), MCL_END_OF_ATTRIBUTES};
const mcl_op mcl_op_layer_norm = {.id = 17,
                                  .name = "layer_norm",
                                  .least_inputs = 2,
                                  .most_inputs = 3,
                                  .outputs = 1,
                                  .in_place = true,
                                  .keeps_workspace = true,
                                  .attributes = layer_norm_attributes,
                                  .shape = shape_layer_norm,
                                  .workspace = workspace_layer_norm,
                                  .forward = run_layer_norm};
