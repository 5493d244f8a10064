/* Gradients of batch_norm and layer_norm. With x̂ the normalised input and n the elements that share statistics:
 *   dx = scale · inverse · (dy − Σ dy / n − x̂ · Σ dy·x̂ / n)
 * where the statistics are those of the input (layer_norm puts scale within the sums); with running statistics the two
 * sums are left out. */
#include "graph/norm.h"
#include "graph/ops_grad.h"

#define COLUMNS 64 /* columns a chunk of layer_norm's gradients of scale and bias */

static void put_one(const mcl_operand *operand, int64_t at, double value) {
  if (!operand->gradient) return;
  float gradient = (float)value;
  mcl_gradient_put(operand->gradient + at, &gradient, 1, operand->accumulate);
}

/* ---- batch_norm ---- */

/* Σ dy and Σ dy·x̂ of each of `count` channels, over the images in their order. */
static mcl_status channel_sums(const mcl_op_call *call, const mcl_channels *c, int64_t first, int64_t count,
                               double *sum, double *product) {
  int64_t work = 0;
  for (int64_t image = 0; image < c->images; image++)
    for (int64_t k = 0; k < count; k++) {
      int64_t at = (image * c->channels + first + k) * c->plane;
      const float *dy = call->out[0].gradient + at, *x = call->in[MCL_NORM_X].data + at;
      float mean = c->mean[first + k];
      double s = 0, p = 0;
      for (int64_t i = 0; i < c->plane; i++) s += dy[i], p += (double)dy[i] * (double)(x[i] - mean);
      sum[k] += s, product[k] += p * c->inverse[first + k];
      MCL_TRY(mcl_worked(call->ctx, &work, 2 * c->plane));
    }
  return MCL_OK;
}

static mcl_status batch_norm_channels(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  const mcl_operand *in = call->in;
  mcl_channels c = mcl_batch_norm_of(call);
  double sum[MCL_CHANNEL_BLOCK] = {0}, product[MCL_CHANNEL_BLOCK] = {0}, n = (double)(c.images * c.plane);
  MCL_TRY(channel_sums(call, &c, first, count, sum, product));
  for (int64_t k = 0; k < count; k++) {
    put_one(&in[MCL_NORM_SCALE], first + k, product[k]);
    put_one(&in[MCL_NORM_BIAS], first + k, sum[k]);
  }
  if (!in[MCL_NORM_X].gradient) return MCL_OK;
  bool accumulate = in[MCL_NORM_X].accumulate, takes_batch = mcl_batch_norm_takes_batch(call);
  int64_t work = 0;
  for (int64_t image = 0; image < c.images; image++)
    for (int64_t k = 0; k < count; k++) {
      MCL_TRY(mcl_worked(call->ctx, &work, 2 * c.plane));
      int64_t channel = first + k, at = (image * c.channels + channel) * c.plane;
      const float *dy = call->out[0].gradient + at, *x = in[MCL_NORM_X].data + at;
      float *dx = in[MCL_NORM_X].gradient + at;
      float factor = in[MCL_NORM_SCALE].data[channel] * c.inverse[channel], mean = c.mean[channel];
      float shift = takes_batch ? (float)(sum[k] / n) : 0;
      float slope = takes_batch ? (float)(product[k] / n) * c.inverse[channel] : 0;
      for (int64_t i = 0; i < c.plane; i++) {
        float d = factor * (dy[i] - shift - (x[i] - mean) * slope);
        dx[i] = accumulate ? dx[i] + d : d;
      }
    }
  return MCL_OK;
}

mcl_status mcl_batch_norm_backward(const mcl_op_call *call) {
  mcl_channels c = mcl_batch_norm_of(call);
  return mcl_parallel_ranges(call->ctx, c.channels, c.grain, batch_norm_channels, (void *)call);
}

/* ---- layer_norm ---- */

static mcl_status layer_norm_rows(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  const mcl_operand *in = &call->in[MCL_NORM_X];
  mcl_norm_rows rows = mcl_layer_norm_of(call);
  const float *scale = call->in[MCL_NORM_SCALE].data;
  for (int64_t row = first; row < first + count; row++) {
    const float *x = in->data + row * rows.width, *dy = call->out[0].gradient + row * rows.width;
    float *dx = in->gradient + row * rows.width, mean = rows.mean[row], inverse = rows.inverse[row];
    double sum = 0, product = 0;
    for (int64_t i = 0; i < rows.width; i++) {
      double d = (double)dy[i] * (double)scale[i];
      sum += d, product += d * (double)(x[i] - mean);
    }
    float shift = (float)(sum / (double)rows.width);
    float slope = (float)(product / (double)rows.width) * inverse * inverse;
    for (int64_t i = 0; i < rows.width; i++) {
      float d = inverse * (dy[i] * scale[i] - shift - (x[i] - mean) * slope);
      dx[i] = in->accumulate ? dx[i] + d : d;
    }
  }
  return MCL_OK;
}

static mcl_status layer_norm_columns(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_norm_rows rows = mcl_layer_norm_of(call);
  double scale[COLUMNS] = {0}, bias[COLUMNS] = {0};
  int64_t work = 0;
  for (int64_t row = 0; row < rows.rows; row++) {
    MCL_TRY(mcl_worked(call->ctx, &work, 2 * count));
    const float *x = call->in[MCL_NORM_X].data + row * rows.width + first;
    const float *dy = call->out[0].gradient + row * rows.width + first;
    for (int64_t i = 0; i < count; i++) {
      bias[i] += dy[i];
      scale[i] += (double)(dy[i] * (x[i] - rows.mean[row]) * rows.inverse[row]);
    }
  }
  for (int64_t i = 0; i < count; i++) {
    put_one(&call->in[MCL_NORM_SCALE], first + i, scale[i]);
    put_one(&call->in[MCL_NORM_BIAS], first + i, bias[i]);
  }
  return MCL_OK;
}

mcl_status mcl_layer_norm_backward(const mcl_op_call *call) {
  mcl_norm_rows rows = mcl_layer_norm_of(call);
  MCL_TRY(mcl_parallel_ranges(call->ctx, rows.width, COLUMNS, layer_norm_columns, (void *)call));
  if (!call->in[MCL_NORM_X].gradient) return MCL_OK;
  return mcl_parallel_ranges(call->ctx, rows.rows, rows.grain, layer_norm_rows, (void *)call);
}
