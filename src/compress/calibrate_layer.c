/* What calibration sees at one layer. A batch is cut into a few chunks, each summed by itself and added in order, so the
 * threads do not matter; moments are in f64, a batch's Gram matrix is an f32 product that is added to f64 sums. The rows of
 * a convolution are its patches, gathered image by image. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "compress/calibrate.h"
#include "tensor/matmul.h"

#define MOST_GRAM_VALUES 64000000 /* f64, of all chunks of a layer: half a gigabyte */

/* ---- The layer and what follows it ---- */

static const mcl_node *only_reader(const mcl_model *model, int value) {
  const mcl_node *reader = NULL;
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; i < model->nodes[n].inputs; i++) {
      if (model->nodes[n].input[i] != value) continue;
      if (reader) return NULL;
      reader = &model->nodes[n];
    }
  return reader;
}

/* The value after the layer's activation; normalisation may come in between. */
static int activated_value(const mcl_model *model, int value) {
  static const char *const activations[] = {"relu", "leaky_relu", "relu6",   "clip", "elu",
                                            "gelu", "silu",       "sigmoid", "tanh"};
  int at = value;
  for (;;) {
    const mcl_node *node = only_reader(model, at);
    if (!node) return value;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
      if (!strcmp(node->op->name, activations[i])) return node->output[0];
    if (strcmp(node->op->name, "batch_norm") != 0 && strcmp(node->op->name, "identity") != 0) return value;
    at = node->output[0];
  }
}

static bool is_conv(const mcl_layer *layer) { return !strcmp(layer->node->op->name, "conv"); }

static mcl_status allocate(mcl_layer *layer) {
  mcl_context *ctx = layer->ctx;
  size_t rows = (size_t)layer->rows, cols = (size_t)layer->cols;
  MCL_TRY(mcl_alloc_zero(ctx, cols * sizeof(double), &layer->sum));
  MCL_TRY(mcl_alloc_zero(ctx, cols * sizeof(double), &layer->square));
  if (layer->wanted & MCL_STAT_GRAM) MCL_TRY(mcl_alloc_zero(ctx, cols * cols * sizeof(double), &layer->gram));
  if (layer->wanted & MCL_STAT_ZERO_RATE) MCL_TRY(mcl_alloc_zero(ctx, rows * sizeof(double), &layer->zeros));
  if (layer->wanted & MCL_STAT_GRADIENT_SQUARE)
    MCL_TRY(mcl_alloc_zero(ctx, rows * cols * sizeof(double), &layer->fisher));
  for (int c = 0; c < layer->chunks; c++) {
    MCL_TRY(mcl_alloc(ctx, cols * sizeof(double), &layer->part[c].sum));
    MCL_TRY(mcl_alloc(ctx, cols * sizeof(double), &layer->part[c].square));
    if (layer->wanted & MCL_STAT_GRAM) MCL_TRY(mcl_alloc(ctx, cols * cols * sizeof(float), &layer->part[c].gram));
  }
  return MCL_OK;
}

mcl_status mcl_layer_new(const mcl_model *model, int weight, unsigned wanted, mcl_layer *out) {
  *out = (mcl_layer){.ctx = model->ctx, .weight = -1, .wanted = wanted, .least = INFINITY, .greatest = -INFINITY};
  int input, node = mcl_model_weight_node(model, weight, &input);
  if (node < 0 || model->nodes[node].op->weight_input == 0 || model->nodes[node].op->weight_input != input)
    return MCL_OK;
  out->node = &model->nodes[node];
  out->weight = weight;
  out->input = out->node->input[0];
  out->output = activated_value(model, out->node->output[0]);
  out->rows = mcl_shape_rows(model->weights[weight].shape);
  out->cols = mcl_shape_cols(model->weights[weight].shape);
  out->chunks = MCL_LAYER_CHUNKS; /* fewer where Gram matrices are large, so that they fit */
  while (out->chunks > 1 && wanted & MCL_STAT_GRAM && out->chunks * out->cols > MOST_GRAM_VALUES / out->cols)
    out->chunks /= 2;
  return allocate(out);
}

void mcl_layer_free(mcl_layer *layer) {
  for (int c = 0; c < MCL_LAYER_CHUNKS; c++) {
    mcl_free(layer->ctx, layer->part[c].sum);
    mcl_free(layer->ctx, layer->part[c].square);
    mcl_free(layer->ctx, layer->part[c].gram);
    mcl_free(layer->ctx, layer->part[c].columns);
  }
  double *sums[] = {layer->sum, layer->square, layer->gram, layer->zeros, layer->fisher};
  for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) mcl_free(layer->ctx, sums[i]);
}

/* ---- One chunk of a batch ---- */

typedef struct pass {
  mcl_layer *layer;
  const float *x;
  mcl_conv conv;
  int64_t units; /* images of a convolution, else rows */
} pass;

static void see_range(mcl_layer_sums *part, const float *x, int64_t count) {
  float least = part->least, greatest = part->greatest;
  for (int64_t i = 0; i < count; i++) {
    least = x[i] < least ? x[i] : least;
    greatest = x[i] > greatest ? x[i] : greatest;
  }
  part->least = least;
  part->greatest = greatest;
}

static void add_rows(const mcl_layer *layer, mcl_layer_sums *part, const float *x, int64_t rows) {
  int64_t cols = layer->cols;
  see_range(part, x, rows * cols);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) {
      double value = (double)x[r * cols + c];
      part->sum[c] += value;
      part->square[c] += value * value;
    }
  part->rows += rows;
  if (!part->gram) return;
  mcl_matmul product = {.transpose_a = true,
                        .m = cols,
                        .n = cols,
                        .k = rows,
                        .alpha = 1,
                        .a = x,
                        .lda = cols,
                        .b = x,
                        .ldb = cols,
                        .beta = 1,
                        .c = part->gram,
                        .ldc = cols};
  mcl_matmul_serial(layer->ctx, &product);
}

/* columns[cols, pixels]: a patch is a column. */
static void add_patches(const mcl_layer *layer, mcl_layer_sums *part, const float *columns, int64_t pixels) {
  int64_t cols = layer->cols;
  for (int64_t c = 0; c < cols; c++) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < pixels; i++) {
      double value = (double)columns[c * pixels + i];
      sum += value;
      square += value * value;
    }
    part->sum[c] += sum;
    part->square[c] += square;
  }
  part->rows += pixels;
  if (!part->gram) return;
  mcl_matmul product = {.transpose_b = true,
                        .m = cols,
                        .n = cols,
                        .k = pixels,
                        .alpha = 1,
                        .a = columns,
                        .lda = pixels,
                        .b = columns,
                        .ldb = pixels,
                        .beta = 1,
                        .c = part->gram,
                        .ldc = cols};
  mcl_matmul_serial(layer->ctx, &product);
}

static void add_image(const pass *p, mcl_layer_sums *part, int64_t image) {
  const mcl_conv *g = &p->conv;
  int64_t plane = g->height * g->width;
  const float *x = p->x + image * g->channels * plane;
  see_range(part, x, g->channels * plane);
  for (int64_t group = 0; group < g->groups; group++) {
    mcl_conv_gather(g, x + group * g->group_in * plane, 0, g->out_height, part->columns);
    add_patches(p->layer, part, part->columns, g->pixels);
  }
}

static mcl_status add_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const pass *p = arg;
  mcl_layer *layer = p->layer;
  mcl_layer_sums *part = &layer->part[chunk];
  size_t cols = (size_t)layer->cols;
  int64_t first = p->units * chunk / layer->chunks, end = p->units * (chunk + 1) / layer->chunks;
  memset(part->sum, 0, cols * sizeof(double));
  memset(part->square, 0, cols * sizeof(double));
  if (part->gram) memset(part->gram, 0, cols * cols * sizeof(float));
  part->rows = 0;
  part->least = INFINITY;
  part->greatest = -INFINITY;
  if (!is_conv(layer)) add_rows(layer, part, p->x + first * layer->cols, end - first);
  for (int64_t image = first; is_conv(layer) && image < end; image++) {
    MCL_TRY(mcl_check_cancel(layer->ctx));
    add_image(p, part, image);
  }
  return MCL_OK;
}

/* ---- A batch ---- */

static void add_parts(mcl_layer *layer) {
  for (int c = 0; c < layer->chunks; c++) {
    const mcl_layer_sums *part = &layer->part[c];
    for (int64_t i = 0; i < layer->cols; i++) {
      layer->sum[i] += part->sum[i];
      layer->square[i] += part->square[i];
    }
    for (int64_t i = 0; layer->gram && i < layer->cols * layer->cols; i++) layer->gram[i] += (double)part->gram[i];
    layer->rows_seen += part->rows;
    layer->least = part->least < layer->least ? part->least : layer->least;
    layer->greatest = part->greatest > layer->greatest ? part->greatest : layer->greatest;
  }
}

/* Zeros of each output row: a channel of images [n, rows, …], the last dimension of others. */
static void count_zeros(mcl_layer *layer, const mcl_operand *y, bool channels_first) {
  int64_t count = 1;
  for (int i = 0; i < y->shape.rank; i++) count *= y->shape.dim[i];
  int64_t plane = 1;
  for (int i = 2; channels_first && i < y->shape.rank; i++) plane *= y->shape.dim[i];
  for (int64_t i = 0; i < count; i++) layer->zeros[i / plane % layer->rows] += y->data[i] == 0;
  layer->outputs_seen += (double)(count / layer->rows);
}

mcl_status mcl_layer_add(mcl_layer *layer, const mcl_operand *x, const mcl_operand *weight, const mcl_operand *own,
                         const mcl_operand *activated) {
  pass p = {.layer = layer, .x = x->data, .units = 1};
  if (is_conv(layer)) {
    p.conv = mcl_conv_of(layer->node, x->shape, weight->shape, own->shape);
    p.units = p.conv.images;
    for (int c = 0; c < layer->chunks; c++)
      if (!layer->part[c].columns)
        MCL_TRY(mcl_alloc_array(layer->ctx, (size_t)(p.conv.depth * p.conv.pixels), sizeof(float),
                                &layer->part[c].columns));
  } else {
    for (int i = 0; i < x->shape.rank - 1; i++) p.units *= x->shape.dim[i];
  }
  MCL_TRY(mcl_parallel(layer->ctx, layer->chunks, add_chunk, &p));
  add_parts(layer);
  if (layer->zeros) count_zeros(layer, activated, is_conv(layer));
  return MCL_OK;
}

/* ---- Results ---- */

static mcl_status scaled(const mcl_layer *layer, const double *sums, mcl_shape shape, double divisor, bool root,
                         mcl_tensor **out) {
  MCL_TRY(mcl_tensor_new_raw(layer->ctx, MCL_F32, shape, out));
  for (int64_t i = 0; i < (*out)->count; i++) {
    double value = sums[i] / divisor;
    mcl_tensor_f32(*out)[i] = (float)(root ? sqrt(value) : value);
  }
  return MCL_OK;
}

mcl_status mcl_layer_finish(const mcl_layer *layer, mcl_statistics *out) {
  mcl_shape cols = mcl_shape_1(layer->cols);
  double seen = layer->rows_seen ? (double)layer->rows_seen : 1;
  unsigned wanted = layer->wanted;
  out->rows_seen = layer->rows_seen;
  if (wanted & MCL_STAT_RANGE) out->least = layer->least, out->greatest = layer->greatest;
  if (wanted & MCL_STAT_INPUT_NORM) MCL_TRY(scaled(layer, layer->square, cols, 1, true, &out->input_norm));
  if (wanted & MCL_STAT_INPUT_MEAN) MCL_TRY(scaled(layer, layer->sum, cols, seen, false, &out->input_mean));
  if (wanted & MCL_STAT_INPUT_SQUARE) MCL_TRY(scaled(layer, layer->square, cols, seen, false, &out->input_square));
  if (wanted & MCL_STAT_GRAM)
    MCL_TRY(scaled(layer, layer->gram, mcl_shape_2(layer->cols, layer->cols), seen, false, &out->gram));
  if (wanted & MCL_STAT_ZERO_RATE)
    MCL_TRY(scaled(layer, layer->zeros, mcl_shape_1(layer->rows), layer->outputs_seen, false, &out->zero_rate));
  if (wanted & MCL_STAT_GRADIENT_SQUARE)
    MCL_TRY(scaled(layer, layer->fisher, mcl_shape_2(layer->rows, layer->cols),
                   layer->batches_seen ? (double)layer->batches_seen : 1, false, &out->fisher));
  return MCL_OK;
}
