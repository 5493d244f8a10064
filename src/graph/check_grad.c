/* The gradient checker. For each entry it moves the value up and down, runs the model, and compares the slope of
 *   loss = Σ output · direction
 * with what backward says. Three steps are tried and the one that agrees best counts: a large one suffers from
 * curvature and kinks (ReLU), a small one from rounding, but none agrees with a gradient that is wrong. */
#include <math.h>
#include <stdio.h>

#include "base/random.h"
#include "graph/ops.h"

static const float steps[] = {0x1p-6f, 0x1p-8f, 0x1p-10f};

typedef struct check {
  mcl_model *model;
  mcl_training_session *session;
  int64_t batch;
  float **direction; /* of each output */
  bool training;
  int samples;
  uint64_t seed;
  double worst;
  char *where;
  size_t where_size;
} check;

static int64_t elements_of(const check *c, int value) {
  return mcl_elements(mcl_training_session_value(c->session, value)->shape);
}

static mcl_status run_loss(check *c, double *loss) {
  MCL_TRY(mcl_training_session_forward(c->session, c->batch, 1, c->training));
  *loss = 0;
  for (int i = 0; i < c->model->output_count; i++) {
    const float *y = mcl_training_session_output(c->session, i);
    for (int64_t k = 0, n = elements_of(c, c->model->outputs[i]); k < n; k++)
      *loss += (double)y[k] * (double)c->direction[i][k];
  }
  return MCL_OK;
}

static mcl_status check_entry(check *c, int value, int64_t entry) {
  const mcl_operand *operand = mcl_training_session_value(c->session, value);
  float *at = &operand->data[entry], kept = *at;
  double analytic = operand->gradient[entry], best = INFINITY, best_numeric = NAN;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    float step = steps[i] * fmaxf(1, fabsf(kept)), above = kept + step, below = kept - step;
    double loss_above, loss_below;
    *at = above;
    mcl_status status = run_loss(c, &loss_above);
    *at = below;
    if (!status) status = run_loss(c, &loss_below);
    *at = kept;
    MCL_TRY(status);
    double numeric = (loss_above - loss_below) / ((double)above - (double)below);
    double error = fabs(numeric - analytic) / fmax(1, fmax(fabs(numeric), fabs(analytic)));
    if (error < best) best = error, best_numeric = numeric;
  }
  if (best <= c->worst) return MCL_OK;
  c->worst = best; /* infinite where NaN came up */
  const mcl_value *named = &c->model->values[value];
  if (c->where && c->where_size)
    snprintf(c->where, c->where_size, "%s \"%s\", entry %lld, %s: numeric %g, analytic %g",
             named->weight >= 0 ? "weight" : "input", named->name, (long long)entry,
             c->training ? "in training" : "as in inference", best_numeric, analytic);
  return MCL_OK;
}

static mcl_status check_value(check *c, int value) {
  if (!mcl_training_session_value(c->session, value)->gradient) return MCL_OK;
  int64_t n = elements_of(c, value), count = c->samples && c->samples < n ? c->samples : n;
  mcl_random random = mcl_random_at(c->seed, mcl_random_stream(c->model->values[value].name));
  for (int64_t i = 0; i < count; i++) {
    int64_t entry = count < n ? (int64_t)mcl_random_below(&random, (uint64_t)n) : i;
    MCL_TRY(check_entry(c, value, entry));
  }
  return MCL_OK;
}

static mcl_status check_all(check *c) {
  for (int i = 0; i < c->model->output_count; i++) {
    int value = c->model->outputs[i];
    float *gradient = mcl_training_session_output_gradient(c->session, i);
    for (int64_t k = 0, n = elements_of(c, value); k < n; k++) gradient[k] = 0;
  }
  for (int i = 0; i < c->model->output_count; i++) { /* added, for an output may be listed twice */
    float *gradient = mcl_training_session_output_gradient(c->session, i);
    for (int64_t k = 0, n = elements_of(c, c->model->outputs[i]); k < n; k++) gradient[k] += c->direction[i][k];
  }
  double loss;
  MCL_TRY(run_loss(c, &loss));
  MCL_TRY(mcl_training_session_backward(c->session));
  for (int v = 0; v < c->model->value_count; v++)
    if (c->model->values[v].producer < 0) MCL_TRY(check_value(c, v));
  return MCL_OK;
}

static void fill_normal(float *to, int64_t n, mcl_random random) {
  for (int64_t i = 0; i < n; i++) to[i] = mcl_random_normal(&random);
}

mcl_status mcl_check_gradients(mcl_model *model, int64_t batch, int samples, uint64_t seed, double *worst, char *where,
                               size_t where_size) {
  mcl_context *ctx = model->ctx;
  check c = {.model = model, .batch = batch, .samples = samples, .seed = seed, .where = where};
  c.where_size = where_size;
  if (where && where_size) *where = 0;
  MCL_TRY(mcl_model_check_change(model)); /* weights are moved a little, and put back */
  mcl_status status = mcl_training_session_new_full(model, batch, &c.session);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)model->output_count * sizeof *c.direction, &c.direction);
  for (int i = 0; i < model->input_count && !status; i++)
    fill_normal(mcl_training_session_input(c.session, i), elements_of(&c, model->inputs[i]),
                mcl_random_at(seed, mcl_random_stream(mcl_model_input_name(model, i))));
  for (int i = 0; i < model->output_count && !status; i++) {
    int64_t n = elements_of(&c, model->outputs[i]);
    status = mcl_alloc_array(ctx, (size_t)n, sizeof(float), &c.direction[i]);
    if (!status) fill_normal(c.direction[i], n, mcl_random_at(seed, mcl_random_stream("direction") + (uint64_t)i));
  }
  for (int training = 1; training >= 0 && !status; training--) {
    c.training = training != 0;
    status = check_all(&c);
  }
  *worst = c.worst;
  for (int i = 0; c.direction && i < model->output_count; i++) mcl_free(ctx, c.direction[i]);
  mcl_free(ctx, c.direction);
  mcl_training_session_free(c.session);
  return status;
}
