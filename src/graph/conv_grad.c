/* Gradient of conv. A chunk is a run of images: it makes their dX, and a partial dW and db of its own, which are then
 * added in the order of the chunks. Depthwise layers go channel by channel and need no partials. */
#include "graph/conv.h"
#include "graph/ops_grad.h"
#include "tensor/matmul.h"

typedef struct conv_back {
  const mcl_op_call *call;
  mcl_conv g;
  int64_t chunks, chunk_images;
  float *columns; /* a block's, a worker */
  float *partial; /* [chunks, outputs · depth + outputs]: dW and then db */
} conv_back;

static int64_t partial_size(const mcl_conv *g) { return g->outputs * (g->depth + 1); }

/* ---- One image's block of rows and group ---- */

typedef struct block_place {
  int64_t image, group, first, rows;
} block_place;

/* partial dW += dY · columnsᵀ */
static void weight_block(const conv_back *back, block_place at, float *columns, float *partial, bool begins) {
  const mcl_op_call *call = back->call;
  const mcl_conv *g = &back->g;
  int64_t output = at.group * g->group_out, pixels = at.rows * g->out_width, start = at.first * g->out_width;
  const float *x = call->in[0].data + (at.image * g->channels + at.group * g->group_in) * g->height * g->width;
  if (!g->is_pointwise) mcl_conv_gather(g, x, at.first, at.rows, columns);
  mcl_matmul product = {.transpose_b = true,
                        .m = g->group_out,
                        .n = g->depth,
                        .k = pixels,
                        .alpha = 1,
                        .a = call->out[0].gradient + (at.image * g->outputs + output) * g->pixels + start,
                        .lda = g->pixels,
                        .b = g->is_pointwise ? x + start : columns,
                        .ldb = g->is_pointwise ? g->pixels : pixels,
                        .beta = begins ? 0 : 1,
                        .c = partial + output * g->depth,
                        .ldc = g->depth};
  mcl_matmul_serial(call->ctx, &product);
}

/* dX += scatter(Wᵀ · dY) */
static void input_block(const conv_back *back, block_place at, float *columns) {
  const mcl_op_call *call = back->call;
  const mcl_conv *g = &back->g;
  int64_t output = at.group * g->group_out, pixels = at.rows * g->out_width, start = at.first * g->out_width;
  float *dx = call->in[0].gradient + (at.image * g->channels + at.group * g->group_in) * g->height * g->width;
  mcl_matmul product = {.transpose_a = true,
                        .m = g->depth,
                        .n = pixels,
                        .k = g->group_out,
                        .alpha = 1,
                        .a = call->in[1].data + output * g->depth,
                        .lda = g->depth,
                        .b = call->out[0].gradient + (at.image * g->outputs + output) * g->pixels + start,
                        .ldb = g->pixels,
                        .beta = g->is_pointwise && call->in[0].accumulate ? 1 : 0,
                        .c = g->is_pointwise ? dx + start : columns,
                        .ldc = g->is_pointwise ? g->pixels : pixels};
  mcl_matmul_serial(call->ctx, &product);
  if (!g->is_pointwise) mcl_conv_scatter(g, columns, at.first, at.rows, dx);
}

/* In sixteen chains, so that additions need not wait for each other. */
static float sum_run(const float *x, int64_t n) {
  float lane[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t j = 0; j < 16; j++) lane[j] += x[i + j];
  for (; i < n; i++) lane[i % 16] += x[i];
  for (int64_t half = 8; half > 0; half /= 2)
    for (int64_t j = 0; j < half; j++) lane[j] += lane[j + half];
  return lane[0];
}

static void bias_image(const conv_back *back, int64_t image, float *partial, bool begins) {
  const mcl_conv *g = &back->g;
  const float *dy = back->call->out[0].gradient + image * g->outputs * g->pixels;
  for (int64_t o = 0; o < g->outputs; o++, dy += g->pixels) {
    float sum = sum_run(dy, g->pixels);
    partial[o] = begins ? sum : partial[o] + sum;
  }
}

static mcl_status conv_chunk(void *arg, int64_t chunk, int worker) {
  const conv_back *back = arg;
  const mcl_conv *g = &back->g;
  const mcl_operand *x = &back->call->in[0];
  float *columns = back->columns + mcl_conv_columns(g) * worker;
  float *partial = back->partial + chunk * partial_size(g);
  int64_t first = chunk * back->chunk_images, end = mcl_min_i64(first + back->chunk_images, g->images);
  for (int64_t image = first; image < end; image++) {
    int64_t plane = g->channels * g->height * g->width;
    MCL_TRY(mcl_check_cancel(back->call->ctx));
    if (x->gradient && !x->accumulate && !g->is_pointwise)
      for (int64_t i = 0; i < plane; i++) x->gradient[image * plane + i] = 0;
    for (int64_t group = 0; group < g->groups; group++)
      for (int64_t row = 0; row < g->out_height; row += g->block_rows) {
        block_place at = {image, group, row, mcl_min_i64(g->block_rows, g->out_height - row)};
        if (back->call->in[1].gradient) weight_block(back, at, columns, partial, image == first && row == 0);
        if (x->gradient) input_block(back, at, columns);
      }
    if (back->call->in[2].gradient) bias_image(back, image, partial + g->outputs * g->depth, image == first);
  }
  return MCL_OK;
}

/* Elements first … of all the partials, added in order into the gradient of weight or bias. */
typedef struct sum_work {
  const conv_back *back;
  const mcl_operand *to;
  int64_t offset;
} sum_work;

static mcl_status sum_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const sum_work *work = arg;
  int64_t size = partial_size(&work->back->g);
  for (int64_t chunk = 0; chunk < work->back->chunks; chunk++)
    mcl_gradient_put(work->to->gradient + first, work->back->partial + chunk * size + work->offset + first, count,
                     chunk > 0 || work->to->accumulate);
  return MCL_OK;
}

static mcl_status sum_partials(const conv_back *back, int input, int64_t offset, int64_t count) {
  if (!back->call->in[input].gradient) return MCL_OK;
  sum_work work = {back, &back->call->in[input], offset};
  return mcl_parallel_ranges(back->call->ctx, count, MCL_ELEMENT_CHUNK, sum_range, &work);
}

/* ---- Depthwise ---- */

/* One kernel entry of one output plane of one image. Returns Σ dY · X; adds factor · dY to dX where there is one. */
static double depthwise_entry(const mcl_conv *g, int64_t kh, int64_t kw, float factor, const float *x, const float *dy,
                              float *dx) {
  int64_t top, bottom, lo, hi, stride = g->stride[1];
  mcl_conv_inside(g, 0, kh, &top, &bottom);
  mcl_conv_inside(g, 1, kw, &lo, &hi);
  double total = 0;
  for (int64_t row = top; row < bottom; row++) {
    int64_t line = row * g->stride[0] - g->pad[0] + kh * g->dilation[0];
    int64_t at = line * g->width + lo * stride - g->pad[1] + kw * g->dilation[1];
    const float *from = dy + row * g->out_width + lo;
    float sum = 0;
    for (int64_t i = 0; i < hi - lo; i++) sum += from[i] * x[at + i * stride];
    total += sum;
    if (dx)
      for (int64_t i = 0; i < hi - lo; i++) dx[at + i * stride] += factor * from[i];
  }
  return total;
}

/* All images of one input channel, and the outputs made from it. */
static mcl_status depthwise_channel(void *arg, int64_t channel, int worker) {
  (void)worker;
  const conv_back *back = arg;
  const mcl_conv *g = &back->g;
  const mcl_op_call *call = back->call;
  const mcl_operand *in = call->in;
  int64_t plane = g->height * g->width, work = 0;
  if (in[0].gradient && !in[0].accumulate)
    for (int64_t image = 0; image < g->images; image++)
      for (int64_t i = 0; i < plane; i++) in[0].gradient[(image * g->channels + channel) * plane + i] = 0;
  for (int64_t output = channel * g->group_out; output < (channel + 1) * g->group_out; output++) {
    double bias = 0;
    for (int64_t entry = 0; entry < g->depth; entry++) {
      double sum = 0;
      for (int64_t image = 0; image < g->images; image++) {
        int64_t at = (image * g->channels + channel) * plane;
        sum += depthwise_entry(g, entry / g->kernel[1], entry % g->kernel[1], in[1].data[output * g->depth + entry],
                               in[0].data + at, call->out[0].gradient + (image * g->outputs + output) * g->pixels,
                               in[0].gradient ? in[0].gradient + at : NULL);
        MCL_TRY(mcl_worked(call->ctx, &work, 2 * plane));
      }
      float gradient = (float)sum;
      if (in[1].gradient) mcl_gradient_put(in[1].gradient + output * g->depth + entry, &gradient, 1, in[1].accumulate);
    }
    if (!in[2].gradient) continue;
    for (int64_t image = 0; image < g->images; image++) {
      const float *dy = call->out[0].gradient + (image * g->outputs + output) * g->pixels;
      for (int64_t i = 0; i < g->pixels; i++) bias += dy[i];
    }
    float gradient = (float)bias;
    mcl_gradient_put(in[2].gradient + output, &gradient, 1, in[2].accumulate);
  }
  return MCL_OK;
}

mcl_status mcl_conv_backward(const mcl_op_call *call) {
  conv_back back = {call, mcl_conv_of(call->node, call->in[0].shape, call->in[1].shape, call->out[0].shape), 0, 0, 0,
                    0};
  const mcl_conv *g = &back.g;
  if (g->is_depthwise) return mcl_parallel(call->ctx, g->channels, depthwise_channel, &back);
  back.chunk_images = mcl_ceil_div(g->images, mcl_conv_most_chunks(g));
  back.chunks = mcl_ceil_div(g->images, back.chunk_images);
  back.columns = call->workspace;
  back.partial = back.columns + mcl_conv_columns(g) * mcl_context_threads(call->ctx);
  MCL_TRY(mcl_parallel(call->ctx, back.chunks, conv_chunk, &back));
  MCL_TRY(sum_partials(&back, 1, 0, g->outputs * g->depth));
  return sum_partials(&back, 2, g->outputs * g->depth, g->outputs);
}
