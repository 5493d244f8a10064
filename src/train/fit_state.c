/* The state of a fit: parameters gathered from all weights, and the optimiser's step over them. */
#include "train/fit_state.h"

#include <math.h>
#include <string.h>

#include "base/threads.h"

#define PIECE 16384 /* parameters a chunk: fixed, so sums do not depend on the threads */

/* ---- Making it ---- */

/* The representation gets a single owner and no cached values, so that the session may train it in place. */
static mcl_status prepare_weights(mcl_model *model) {
  for (int w = 0; w < model->weight_count; w++) {
    MCL_TRY(mcl_weight_load(model, w));
    mcl_repr *repr = mcl_repr_retain(model->weights[w].repr);
    mcl_status status = mcl_weight_set(model, w, repr); /* drops the cache */
    mcl_repr_release(repr);
    if (!status && !model->weights[w].is_state) status = mcl_repr_unshare(&model->weights[w].repr);
    MCL_TRY(status);
  }
  return MCL_OK;
}

static mcl_status add_weight(mcl_fit_state *s, int w, float *gradient) {
  mcl_weight *weight = &s->model->weights[w];
  mcl_fit_weight *fit = &s->weights[s->weight_count++];
  *fit = (mcl_fit_weight){.weight = w, .dense = mcl_training_session_weight(s->session, w), .gradient = gradient};
  MCL_TRY(mcl_trained_new(weight->repr, &fit->trained));
  MCL_TRY(mcl_trained_bind(fit->trained, fit->dense, fit->gradient));
  MCL_TRY(mcl_tensor_wrap(s->ctx, MCL_F32, weight->shape, fit->dense, &fit->values_of));
  return mcl_tensor_wrap(s->ctx, MCL_F32, weight->shape, fit->gradient, &fit->gradient_of);
}

static mcl_status collect_weights(mcl_fit_state *s) {
  mcl_model *model = s->model;
  size_t count = (size_t)model->weight_count;
  MCL_TRY(mcl_alloc_zero(s->ctx, (count + 1) * sizeof *s->weights, &s->weights));
  MCL_TRY(mcl_alloc_zero(s->ctx, (count + 1) * sizeof *s->statistics, &s->statistics));
  for (int w = 0; w < model->weight_count; w++) {
    float *gradient = mcl_training_session_weight_gradient(s->session, w);
    if (gradient) {
      MCL_TRY(add_weight(s, w, gradient));
    } else if (model->weights[w].is_state && mcl_training_session_weight(s->session, w)) {
      int64_t numbers;
      MCL_TRY(mcl_shape_count(s->ctx, model->weights[w].shape, &numbers));
      s->statistics[s->statistics_count++] =
          (mcl_fit_statistics){w, mcl_training_session_weight(s->session, w), numbers};
      s->saved_total += numbers;
    }
  }
  return MCL_OK;
}

static mcl_status collect_parameters(mcl_fit_state *s) {
  int64_t pieces = 0;
  mcl_parameter *list;
  for (int i = 0; i < s->weight_count; i++) s->parameter_count += mcl_trained_parameters(s->weights[i].trained, &list);
  MCL_TRY(mcl_alloc_array(s->ctx, (size_t)s->parameter_count + 1, sizeof *s->parameters, &s->parameters));
  for (int i = 0, at = 0; i < s->weight_count; i++) {
    int count = mcl_trained_parameters(s->weights[i].trained, &list);
    memcpy(s->parameters + at, list, (size_t)count * sizeof *list);
    at += count;
  }
  for (int i = 0; i < s->parameter_count; i++) pieces += (s->parameters[i].count + PIECE - 1) / PIECE;
  MCL_TRY(mcl_alloc_array(s->ctx, (size_t)pieces + 1, sizeof *s->pieces, &s->pieces));
  MCL_TRY(mcl_alloc_array(s->ctx, (size_t)pieces + 1, sizeof *s->norms, &s->norms));
  for (int i = 0; i < s->parameter_count; i++)
    for (int64_t begin = 0; begin < s->parameters[i].count; begin += PIECE) {
      int64_t rest = s->parameters[i].count - begin, count = rest < PIECE ? rest : PIECE;
      s->pieces[s->piece_count++] = (mcl_fit_piece){i, begin, count, s->total};
      s->total += count;
    }
  s->saved_total += s->total;
  for (int i = 0; i < s->weight_count; i++) s->saved_total += mcl_trained_memory(s->weights[i].trained, NULL);
  return MCL_OK;
}

mcl_status mcl_fit_state_new(mcl_model *model, int64_t batch, const mcl_optimiser *optimiser, bool keeps_best,
                             mcl_fit_state *out) {
  mcl_fit_state *s = out;
  *s = (mcl_fit_state){.ctx = model->ctx, .model = model, .optimiser = optimiser};
  mcl_status status = prepare_weights(model);
  if (!status) status = mcl_training_session_new(model, batch, &s->session);
  if (!status) status = collect_weights(s);
  if (!status) status = collect_parameters(s);
  if (!status && s->total == 0)
    status = mcl_fail(s->ctx, MCL_ERROR_ARGUMENT, "fit: %s has no weight that can be trained", model->name);
  size_t all = (size_t)s->saved_total;
  for (int slot = 0; slot < optimiser->slots && !status; slot++)
    status = mcl_alloc_zero(s->ctx, (size_t)s->total * sizeof(float), &s->memory[slot]);
  if (!status) status = mcl_alloc_array(s->ctx, all, sizeof(float), &s->saved);
  if (!status && keeps_best) status = mcl_alloc_array(s->ctx, all, sizeof(float), &s->best);
  if (status)
    mcl_fit_state_free(s);
  else
    mcl_fit_copy_out(s, s->saved);
  return status;
}

void mcl_fit_state_free(mcl_fit_state *s) {
  for (int i = 0; i < s->weight_count; i++) {
    mcl_trained_free(s->weights[i].trained);
    mcl_tensor_release(s->weights[i].values_of);
    mcl_tensor_release(s->weights[i].gradient_of);
  }
  mcl_training_session_free(s->session);
  mcl_free(s->ctx, s->weights);
  mcl_free(s->ctx, s->statistics);
  mcl_free(s->ctx, s->parameters);
  mcl_free(s->ctx, s->pieces);
  mcl_free(s->ctx, s->norms);
  for (int slot = 0; slot < MCL_OPTIMISER_SLOTS; slot++) mcl_free(s->ctx, s->memory[slot]);
  mcl_free(s->ctx, s->saved);
  mcl_free(s->ctx, s->best);
  *s = (mcl_fit_state){.ctx = s->ctx};
}

/* ---- A step ---- */

mcl_status mcl_fit_pull(mcl_fit_state *s) {
  for (int i = 0; i < s->weight_count; i++) MCL_TRY(mcl_trained_pull(s->weights[i].trained, s->weights[i].gradient));
  return MCL_OK;
}

mcl_status mcl_fit_push(mcl_fit_state *s) {
  for (int i = 0; i < s->weight_count; i++) MCL_TRY(mcl_trained_push(s->weights[i].trained, s->weights[i].dense));
  return MCL_OK;
}

static mcl_status norm_of_piece(void *arg, int64_t chunk, int worker) {
  (void)worker;
  mcl_fit_state *s = arg;
  const mcl_fit_piece *piece = &s->pieces[chunk];
  const float *gradient = s->parameters[piece->parameter].gradient + piece->begin;
  double sum = 0;
  for (int64_t i = 0; i < piece->count; i++) sum += (double)gradient[i] * (double)gradient[i];
  s->norms[chunk] = sum;
  return MCL_OK;
}

mcl_status mcl_fit_gradient_norm(mcl_fit_state *s, double *out) {
  MCL_TRY(mcl_parallel(s->ctx, s->piece_count, norm_of_piece, s));
  double sum = 0;
  for (int i = 0; i < s->piece_count; i++) sum += s->norms[i];
  *out = sqrt(sum);
  return MCL_OK;
}

typedef struct step_work {
  mcl_fit_state *s;
  const mcl_update *update;
} step_work;

static mcl_status step_of_piece(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const step_work *work = arg;
  const mcl_fit_state *s = work->s;
  const mcl_fit_piece *piece = &s->pieces[chunk];
  const mcl_parameter *parameter = &s->parameters[piece->parameter];
  float *slot[MCL_OPTIMISER_SLOTS];
  for (int i = 0; i < MCL_OPTIMISER_SLOTS; i++) slot[i] = s->memory[i] ? s->memory[i] + piece->offset : NULL;
  s->optimiser->step(work->update, piece->count, parameter->values + piece->begin, parameter->gradient + piece->begin,
                     slot[0], slot[1]);
  return MCL_OK;
}

mcl_status mcl_fit_step(mcl_fit_state *s, const mcl_update *update) {
  step_work work = {s, update};
  return mcl_parallel(s->ctx, s->piece_count, step_of_piece, &work);
}

/* ---- Looking ---- */

mcl_status mcl_find_not_finite(mcl_context *ctx, const float *values, int64_t count, bool *found, double *value) {
  for (int64_t i = 0; i < count && !*found; i++) {
    if (i % MCL_ASK_STEPS == 0) MCL_TRY(mcl_check_cancel(ctx));
    if (!isfinite(values[i])) *value = (double)values[i], *found = true;
  }
  return MCL_OK;
}

mcl_status mcl_fit_not_finite(const mcl_fit_state *s, const char **name, double *value) {
  bool is_bad = false;
  *name = NULL;
  for (int i = 0; i < s->weight_count; i++) {
    const mcl_fit_weight *w = &s->weights[i];
    mcl_parameter *list;
    int count = mcl_trained_parameters(w->trained, &list);
    /* of the dense values, too: a product of finite parts may not be finite */
    MCL_TRY(mcl_find_not_finite(s->ctx, w->dense, w->values_of->count, &is_bad, value));
    for (int k = 0; k < count; k++) MCL_TRY(mcl_find_not_finite(s->ctx, list[k].values, list[k].count, &is_bad, value));
    if (is_bad) return *name = s->model->weights[w->weight].name, MCL_OK;
  }
  for (int i = 0; i < s->statistics_count; i++) {
    MCL_TRY(mcl_find_not_finite(s->ctx, s->statistics[i].values, s->statistics[i].count, &is_bad, value));
    if (is_bad) return *name = s->model->weights[s->statistics[i].weight].name, MCL_OK;
  }
  return MCL_OK;
}

/* ---- Saving and restoring ---- */

void mcl_fit_copy_out(const mcl_fit_state *s, float *to) {
  for (int i = 0; i < s->parameter_count; to += s->parameters[i++].count)
    memcpy(to, s->parameters[i].values, (size_t)s->parameters[i].count * sizeof *to);
  for (int i = 0; i < s->statistics_count; to += s->statistics[i++].count)
    memcpy(to, s->statistics[i].values, (size_t)s->statistics[i].count * sizeof *to);
  for (int i = 0; i < s->weight_count; i++) to += mcl_trained_memory(s->weights[i].trained, to);
}

mcl_status mcl_fit_copy_in(mcl_fit_state *s, const float *from) {
  for (int i = 0; i < s->parameter_count; from += s->parameters[i++].count)
    memcpy(s->parameters[i].values, from, (size_t)s->parameters[i].count * sizeof *from);
  for (int i = 0; i < s->statistics_count; from += s->statistics[i++].count)
    memcpy(s->statistics[i].values, from, (size_t)s->statistics[i].count * sizeof *from);
  for (int i = 0; i < s->weight_count; i++) {
    MCL_TRY(mcl_trained_recall(s->weights[i].trained, from, s->weights[i].dense));
    from += mcl_trained_memory(s->weights[i].trained, NULL);
  }
  return MCL_OK;
}

mcl_status mcl_fit_store(mcl_fit_state *s) {
  for (int i = 0; i < s->weight_count; i++) {
    mcl_repr *repr = mcl_repr_retain(s->model->weights[s->weights[i].weight].repr);
    mcl_status status = mcl_trained_store(s->weights[i].trained);
    if (!status) status = mcl_weight_set(s->model, s->weights[i].weight, repr); /* drops cached values */
    mcl_repr_release(repr);
    MCL_TRY(status);
  }
  return mcl_training_session_store_states(s->session);
}
