/* Calibration: runs a model over data, as in inference, and sums what is seen at each layer (calibrate_layer.c).
 *
 * The Fisher diagonal comes from gradients of small batches: of B independent rows at a minimum of the loss, where the
 * mean gradient is zero, B · E[ḡ²] is E[g²] of one row. */
#include <string.h>

#include "compress/calibrate.h"
#include "graph/loss.h"

enum { WATCHED_BATCH = 64, FISHER_BATCH = 8 };

mcl_status mcl_statistics_new(mcl_context *ctx, mcl_statistics **out) { return mcl_alloc_zero(ctx, sizeof **out, out); }

void mcl_statistics_free(mcl_context *ctx, mcl_statistics *s) {
  if (!s) return;
  mcl_tensor *tensors[] = {s->input_norm, s->input_mean, s->input_square, s->gram, s->zero_rate, s->fisher};
  for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) mcl_tensor_release(tensors[i]);
  mcl_free(ctx, s);
}

typedef struct calibration {
  mcl_model *model;
  mcl_context *ctx;
  mcl_tensor *x, *labels; /* labels: i64, or NULL */
  mcl_layer *layers;      /* one a weight */
} calibration;

static mcl_status feed(const calibration *c, mcl_training_session *session, int64_t first, int64_t rows) {
  int64_t each = mcl_shape_cols(c->x->shape);
  MCL_TRY(mcl_check_cancel(c->ctx));
  mcl_progress(c->ctx, "calibrate", (double)first, (double)c->x->shape.dim[0], "rows");
  memcpy(mcl_training_session_input(session, 0), mcl_tensor_f32(c->x) + first * each,
         (size_t)(rows * each) * sizeof(float));
  return mcl_training_session_forward(session, rows, 0, false);
}

/* ---- Inputs and outputs of layers ---- */

static mcl_status see_inputs(const calibration *c) {
  mcl_training_session *session;
  int64_t count = c->x->shape.dim[0], batch = count < WATCHED_BATCH ? count : WATCHED_BATCH;
  MCL_TRY(mcl_training_session_new(c->model, batch, &session));
  mcl_status status = MCL_OK;
  for (int64_t first = 0; first < count && !status; first += batch) {
    int64_t rows = count - first < batch ? count - first : batch;
    status = feed(c, session, first, rows);
    for (int w = 0; w < c->model->weight_count && !status; w++) {
      mcl_layer *layer = &c->layers[w];
      if (layer->weight < 0) continue;
      int weight = layer->node->input[layer->node->op->weight_input];
      status = mcl_layer_add(layer, mcl_training_session_value(session, layer->input),
                             mcl_training_session_value(session, weight),
                             mcl_training_session_value(session, layer->node->output[0]),
                             mcl_training_session_value(session, layer->output));
    }
  }
  mcl_training_session_free(session);
  return status;
}

/* ---- The Fisher diagonal ---- */

/* Labels of rows from `first` as losses take them. */
static mcl_status take_labels(const calibration *c, int64_t first, int64_t rows, int64_t classes, int32_t *out) {
  const int64_t *labels = (const int64_t *)c->labels->data + first;
  for (int64_t r = 0; r < rows; r++) {
    if (labels[r] < 0 || labels[r] >= classes)
      return mcl_fail(c->ctx, MCL_ERROR_ARGUMENT, "calibrate: label %lld of row %lld is not one of %lld classes",
                      (long long)labels[r], (long long)(first + r), (long long)classes);
    out[r] = (int32_t)labels[r];
  }
  return MCL_OK;
}

static mcl_status see_gradients(const calibration *c) {
  mcl_training_session *session;
  int64_t count = c->x->shape.dim[0], batch = count < FISHER_BATCH ? count : FISHER_BATCH;
  const mcl_loss *loss = mcl_loss_for_model(c->model, "cross_entropy");
  int64_t classes = mcl_shape_cols(c->model->values[c->model->outputs[0]].shape);
  int32_t labels[FISHER_BATCH];
  double value;
  MCL_TRY(mcl_training_session_new(c->model, batch, &session));
  mcl_status status = MCL_OK;
  for (int64_t first = 0; first < count && !status; first += batch) {
    int64_t rows = count - first < batch ? count - first : batch;
    status = feed(c, session, first, rows);
    if (!status) status = take_labels(c, first, rows, classes, labels);
    if (!status)
      status = loss->compute(c->ctx, mcl_training_session_output(session, 0), rows, classes, labels, NULL, 0,
                             mcl_training_session_output_gradient(session, 0), &value, NULL);
    if (!status) status = mcl_training_session_backward(session);
    for (int w = 0; w < c->model->weight_count && !status; w++) {
      mcl_layer *layer = &c->layers[w];
      const float *gradient = mcl_training_session_weight_gradient(session, w);
      if (layer->weight < 0 || !gradient) continue;
      for (int64_t i = 0; i < layer->rows * layer->cols; i++)
        layer->fisher[i] += (double)rows * (double)gradient[i] * (double)gradient[i];
      layer->batches_seen++;
    }
  }
  mcl_training_session_free(session);
  return status;
}

/* ---- */

static mcl_status check(mcl_model *model, mcl_tensor *x, mcl_tensor *labels, unsigned wanted) {
  mcl_context *ctx = model->ctx;
  if (model->input_count != 1)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "calibrate: %s has %d inputs; it takes models of one", model->name,
                    model->input_count);
  mcl_shape input = model->values[model->inputs[0]].shape;
  char wants[MCL_SHAPE_TEXT], has[MCL_SHAPE_TEXT];
  if (x->count == 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "calibrate: the data have shape %s: there are no rows to learn from",
                    mcl_shape_text(x->shape, has));
  bool fits = x->shape.rank == input.rank && x->shape.rank > 0;
  for (int i = 1; fits && i < input.rank; i++) fits = x->shape.dim[i] == input.dim[i];
  if (x->dtype != MCL_F32 || !fits)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "calibrate: the data is %s of %s, the model's input is f32 of %s",
                    mcl_dtype_name(x->dtype), mcl_shape_text(x->shape, has), mcl_shape_text(input, wants));
  if (wanted & MCL_STAT_GRADIENT_SQUARE && (!labels || labels->count != x->shape.dim[0]))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "calibrate: the Fisher diagonal needs a label for each of the %lld rows",
                    (long long)x->shape.dim[0]);
  return mcl_tensor_check_finite(x, "calibration data");
}

static mcl_status collect(const calibration *c, mcl_statistics **statistics) {
  for (int w = 0; w < c->model->weight_count; w++) {
    if (c->layers[w].weight < 0) continue;
    MCL_TRY(mcl_statistics_new(c->ctx, &statistics[w]));
    MCL_TRY(mcl_layer_finish(&c->layers[w], statistics[w]));
  }
  return MCL_OK;
}

mcl_status mcl_calibrate(mcl_model *model, mcl_tensor *x, mcl_tensor *labels, unsigned wanted,
                         mcl_statistics **statistics) {
  MCL_TRY(check(model, x, labels, wanted));
  calibration c = {.model = model, .ctx = model->ctx, .x = x};
  size_t weights = (size_t)model->weight_count;
  memset(statistics, 0, weights * sizeof *statistics);
  MCL_TRY(mcl_alloc_zero(c.ctx, weights * sizeof *c.layers, &c.layers));
  mcl_status status = MCL_OK;
  int made = 0;
  while (made < model->weight_count && !status) {
    status = mcl_layer_new(model, made, wanted, &c.layers[made]);
    made++;
  }
  if (!status && labels) status = mcl_tensor_convert(labels, MCL_I64, &c.labels);
  if (!status) status = see_inputs(&c);
  if (!status && wanted & MCL_STAT_GRADIENT_SQUARE) status = see_gradients(&c);
  if (!status) status = collect(&c, statistics);
  for (int w = 0; status && w < model->weight_count; w++) {
    mcl_statistics_free(c.ctx, statistics[w]);
    statistics[w] = NULL;
  }
  for (int w = 0; w < made; w++) mcl_layer_free(&c.layers[w]);
  mcl_free(c.ctx, c.layers);
  mcl_tensor_release(c.labels);
  return status;
}
