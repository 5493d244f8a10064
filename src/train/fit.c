/* The fit loop: batches in a shuffled order, a step of the optimiser each, validation and a checkpoint each epoch. What
 * is random depends on (seed, epoch) or (seed, step) alone, so a fit that goes on from a checkpoint gives the same bits
 * as one that was never stopped. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/context.h"
#include "base/random.h"
#include "repr/fit.h"
#include "train/augment.h"
#include "train/fit_state.h"
#include "train/task.h"

#define PRESET_BATCH 64

typedef struct fit {
  mcl_context *ctx;
  mcl_model *model;
  mcl_fit_options options; /* presets filled in */
  const mcl_optimiser *optimiser;
  mcl_task task;
  mcl_fit_state state;
  mcl_fit_place place;
  int64_t steps_per_epoch;
  uint32_t *order; /* [rows] of this epoch */
  int32_t *labels; /* [batch] */
  float *targets;  /* [batch, output_width]: targets, or one-hot labels for a loss of the user's */
  char *checkpoint;
  uint64_t fingerprint;
  char task_text[96]; /* for progress */
} fit;

typedef struct sums {
  double loss;
  int64_t correct;
} sums;

/* ---- Numbers that end a fit ---- */

static double without_sign(double value) { return isnan(value) ? (double)NAN : value; } /* no "-nan" */

static mcl_status bad_number(fit *f, const char *what, double value) {
  if (f->place.step == 0)
    return mcl_fail(f->ctx, MCL_ERROR_NUMERIC,
                    "fit: %s is %g before any step was taken: look at the data, the weights and what computes it", what,
                    without_sign(value));
  return mcl_fail(f->ctx, MCL_ERROR_NUMERIC,
                  "fit: %s is %g at epoch %lld, step %lld; lower the rate (%g) or clip the gradient", what,
                  without_sign(value), (long long)f->place.epochs_done + 1,
                  (long long)(f->place.step % f->steps_per_epoch) + 1, f->place.report.rate);
}

/* What a caller's own function gave: the rate is not to blame. */
static mcl_status bad_result(fit *f, const char *what, const char *weight, double value) {
  bool is_named = *weight != 0;
  return mcl_fail(f->ctx, MCL_ERROR_NUMERIC,
                  "fit: %s%s%s%s is %g at epoch %lld, step %lld; mend the function that gave it", what,
                  is_named ? " of \"" : "", weight, is_named ? "\"" : "", without_sign(value),
                  (long long)f->place.epochs_done + 1, (long long)(f->place.step % f->steps_per_epoch) + 1);
}

/* After an epoch: what is saved is what a fit goes back to. */
static mcl_status check_state(fit *f) {
  double value;
  const char *name;
  MCL_TRY(mcl_fit_not_finite(&f->state, &name, &value));
  if (!name) return MCL_OK;
  return mcl_fail(f->ctx, MCL_ERROR_NUMERIC,
                  "fit: weight \"%s\" holds %g after epoch %lld; lower the rate (%g) or clip the gradient. The weights "
                  "are those of %s",
                  name, without_sign(value), (long long)f->place.epochs_done + 1, f->place.report.rate,
                  f->place.epochs_done ? "the epoch before" : "before the fit");
}

/* Functions of the user's may look at the model; what they take of it is theirs, and they cannot change it. */
static void lend(fit *f, bool on) { f->model->lent = on ? mcl_repr_unshare : NULL; }

/* ---- One batch ---- */

/* The user's loss sees the output and the target as tensors; labels as one-hot rows. */
static mcl_status own_loss(fit *f, int64_t rows, double *value, int64_t *correct) {
  int64_t width = f->task.output_width;
  mcl_tensor *output = NULL, *target = NULL, *gradient = NULL;
  float *y = (float *)(uintptr_t)mcl_training_session_output(f->state.session, 0); /* only read */
  int64_t work = 0;
  *correct = 0;
  for (int64_t i = 0; f->task.has_labels && i < rows; i++) {
    MCL_TRY(mcl_worked(f->ctx, &work, 2 * width));
    float *one_hot = f->targets + i * width;
    int64_t best = 0;
    for (int64_t j = 0; j < width; j++) {
      one_hot[j] = j == f->labels[i] ? 1 : 0;
      if (y[i * width + j] > y[i * width + best]) best = j;
    }
    *correct += best == f->labels[i];
  }
  mcl_shape shape = mcl_model_output_shape(f->model, 0);
  shape.dim[0] = rows;
  mcl_status status = mcl_tensor_wrap(f->ctx, MCL_F32, shape, y, &output);
  if (!status) status = mcl_tensor_wrap(f->ctx, MCL_F32, shape, f->targets, &target);
  if (!status)
    status =
        mcl_tensor_wrap(f->ctx, MCL_F32, shape, mcl_training_session_output_gradient(f->state.session, 0), &gradient);
  if (!status) {
    lend(f, true);
    status = f->options.custom_loss(f->options.user, output, target, gradient, value);
    lend(f, false);
  }
  double bad;
  bool is_bad = false;
  if (!status) status = mcl_find_not_finite(f->ctx, mcl_tensor_f32(gradient), gradient->count, &is_bad, &bad);
  if (is_bad && isfinite(*value)) status = bad_result(f, "the gradient of the loss", "", bad);
  mcl_tensor_release(output);
  mcl_tensor_release(target);
  mcl_tensor_release(gradient);
  return status;
}

static mcl_status forward(fit *f, mcl_dataset *data, const uint32_t *index, int64_t rows, bool training) {
  uint64_t step = (uint64_t)f->place.step;
  MCL_TRY(mcl_dataset_gather(data, index, rows, training ? &f->options.augment : NULL, f->options.seed, step,
                             mcl_training_session_input(f->state.session, 0), f->labels, f->targets));
  return mcl_training_session_forward(f->state.session, rows, step, training);
}

static mcl_status loss_of_batch(fit *f, int64_t rows, bool with_gradient, double *value, int64_t *correct) {
  if (!f->task.loss) return own_loss(f, rows, value, correct);
  float *gradient = with_gradient ? mcl_training_session_output_gradient(f->state.session, 0) : NULL;
  return f->task.loss->compute(f->ctx, mcl_training_session_output(f->state.session, 0), rows, f->task.output_width,
                               f->labels, f->targets, with_gradient ? f->options.label_smoothing : 0, gradient, value,
                               correct);
}

static mcl_status ask_penalties(fit *f, double *value) {
  for (int i = 0; f->options.penalty && i < f->state.weight_count; i++) {
    const mcl_fit_weight *w = &f->state.weights[i];
    const char *name = f->model->weights[w->weight].name;
    double penalty = 0;
    MCL_TRY(f->options.penalty(f->options.user, f->model, w->weight, w->values_of, w->gradient_of, &penalty));
    if (!isfinite(penalty)) return bad_result(f, "the penalty", name, penalty);
    double bad;
    bool is_bad = false;
    MCL_TRY(mcl_find_not_finite(f->ctx, w->gradient, w->gradient_of->count, &is_bad, &bad));
    if (is_bad) return bad_result(f, "the gradient, with its penalty,", name, bad);
    *value += penalty;
  }
  return MCL_OK;
}

static mcl_status add_penalties(fit *f, double *value) {
  lend(f, true);
  mcl_status status = ask_penalties(f, value);
  lend(f, false);
  return status;
}

static mcl_status choose_rate(fit *f) {
  int64_t steps = f->steps_per_epoch * f->options.epochs;
  return mcl_schedule_rate(f->ctx, &f->options.schedule, f->options.optimiser.rate, f->place.step, steps,
                           f->steps_per_epoch, &f->place.report.rate);
}

static mcl_status move_parameters(fit *f) {
  double scale = 1;
  MCL_TRY(mcl_fit_pull(&f->state));
  if (f->options.clip_norm > 0) {
    double norm;
    MCL_TRY(mcl_fit_gradient_norm(&f->state, &norm));
    if (norm > f->options.clip_norm) scale = f->options.clip_norm / norm;
  }
  mcl_update update = mcl_optimiser_update(&f->options.optimiser, f->place.report.rate, f->place.step, scale);
  MCL_TRY(mcl_fit_step(&f->state, &update));
  return mcl_fit_push(&f->state);
}

static mcl_status train_batch(fit *f, const uint32_t *index, int64_t rows, sums *epoch) {
  double value = 0;
  int64_t correct = 0;
  MCL_TRY(mcl_check_cancel(f->ctx));
  MCL_TRY(choose_rate(f));
  MCL_TRY(forward(f, f->options.train, index, rows, true));
  MCL_TRY(loss_of_batch(f, rows, true, &value, &correct));
  if (!isfinite(value)) return bad_number(f, "the loss", value);
  MCL_TRY(mcl_training_session_backward(f->state.session));
  MCL_TRY(add_penalties(f, &value));
  MCL_TRY(move_parameters(f));
  epoch->loss += value * (double)rows;
  epoch->correct += correct;
  f->place.step++;
  return MCL_OK;
}

/* ---- One epoch ---- */

static mcl_status train_epoch(fit *f, sums *epoch) {
  int64_t count = f->options.train->count, batch = f->options.batch;
  double all = (double)count * (double)f->options.epochs;
  for (int64_t i = 0; i < count; i++) f->order[i] = (uint32_t)i;
  mcl_random random = mcl_random_at(f->options.seed, mcl_random_stream("shuffle") + (uint64_t)f->place.epochs_done);
  mcl_random_shuffle(&random, f->order, (size_t)count);
  for (int64_t at = 0; at < count; at += batch) {
    int64_t rows = at + batch < count ? batch : count - at;
    MCL_TRY(train_batch(f, f->order + at, rows, epoch));
    mcl_progress(f->ctx, f->task_text, (double)count * (double)f->place.epochs_done + (double)(at + rows), all, "rows");
  }
  return MCL_OK;
}

static mcl_status validate(fit *f, sums *total) {
  mcl_dataset *data = f->options.validation;
  uint32_t *index = f->order; /* is filled anew by the next epoch; at least a batch long */
  for (int64_t at = 0; at < data->count; at += f->options.batch) {
    int64_t rows = at + f->options.batch < data->count ? f->options.batch : data->count - at, correct = 0;
    double value = 0;
    MCL_TRY(mcl_check_cancel(f->ctx));
    for (int64_t i = 0; i < rows; i++) index[i] = (uint32_t)(at + i);
    MCL_TRY(forward(f, data, index, rows, false));
    MCL_TRY(loss_of_batch(f, rows, false, &value, &correct));
    total->loss += value * (double)rows;
    total->correct += correct;
  }
  return MCL_OK;
}

static mcl_status validate_into(fit *f, double *loss, double *accuracy) {
  sums total = {0};
  double count = f->options.validation ? (double)f->options.validation->count : 0;
  *loss = *accuracy = NAN;
  if (!f->options.validation) return MCL_OK;
  MCL_TRY(validate(f, &total));
  *loss = total.loss / count;
  if (f->task.has_labels) *accuracy = (double)total.correct / count;
  return MCL_OK;
}

/* Labels are judged by accuracy, and among equals by the loss. */
static bool is_best(const fit *f) {
  const mcl_epoch_report *now = &f->place.report;
  if (f->place.best_epoch == 0) return true;
  if (f->task.has_labels && now->validation_accuracy != f->place.best_accuracy)
    return now->validation_accuracy > f->place.best_accuracy;
  return now->validation_loss < f->place.best_loss;
}

static mcl_status run_epoch(fit *f) {
  sums train = {0};
  uint64_t start = mcl_now_us();
  mcl_epoch_report *report = &f->place.report;
  double count = (double)f->options.train->count;
  snprintf(f->task_text, sizeof f->task_text, "epoch %lld of %lld", (long long)f->place.epochs_done + 1,
           (long long)f->options.epochs);
  if (f->place.epochs_done > 0) {
    size_t used = strlen(f->task_text);
    snprintf(f->task_text + used, sizeof f->task_text - used, ", loss %.4g", report->loss);
  }
  MCL_TRY(train_epoch(f, &train));
  MCL_TRY(check_state(f));
  report->epoch = f->place.epochs_done + 1;
  report->epochs = f->options.epochs;
  report->loss = train.loss / count;
  report->accuracy = f->task.has_labels ? (double)train.correct / count : NAN;
  MCL_TRY(validate_into(f, &report->validation_loss, &report->validation_accuracy));
  report->seconds = (double)(mcl_now_us() - start) * 1e-6;
  return MCL_OK;
}

/* The epoch counts from here on: saved, judged, told, written. */
static mcl_status finish_epoch(fit *f) {
  f->place.epochs_done++;
  mcl_fit_copy_out(&f->state, f->state.saved);
  if (f->state.best && is_best(f)) {
    mcl_fit_copy_out(&f->state, f->state.best);
    f->place.best_epoch = f->place.epochs_done;
    f->place.best_accuracy = f->place.report.validation_accuracy;
    f->place.best_loss = f->place.report.validation_loss;
  }
  MCL_TRY(mcl_fit_store(&f->state));
  if (f->options.epoch_end) {
    lend(f, true);
    mcl_status status = f->options.epoch_end(f->options.user, &f->place.report, &f->place.is_stopped);
    lend(f, false);
    MCL_TRY(status);
  }
  if (!f->checkpoint) return MCL_OK;
  return mcl_fit_checkpoint_save(&f->state, f->checkpoint, f->fingerprint, &f->place);
}

/* ---- The whole ---- */

static mcl_status check_options(fit *f) {
  mcl_fit_options *o = &f->options;
  double rate;
  if (o->epochs == 0) o->epochs = 1;
  if (o->batch == 0) o->batch = PRESET_BATCH;
  if (!o->train) return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: there are no data to train on");
  if (o->epochs < 0 || o->epochs > 1000000000 || o->batch < 0 || o->batch > INT32_MAX)
    return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: epochs and batch must be positive");
  if (o->batch > o->train->count) o->batch = o->train->count;
  if (!(o->label_smoothing >= 0 && o->label_smoothing < 1))
    return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: label_smoothing %g must be from 0 to below 1",
                    o->label_smoothing);
  if (!(o->clip_norm >= 0)) return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: clip_norm must not be negative");
  if (o->keep_best && !o->validation)
    return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: keep_best needs validation data to judge by");
  if (mcl_augment_is_any(&o->augment)) {
    mcl_image image;
    MCL_TRY(mcl_augment_check(f->ctx, &o->augment, o->train->x->shape, &image));
  }
  MCL_TRY(mcl_optimiser_choose(f->ctx, &o->optimiser, &o->optimiser, &f->optimiser));
  f->steps_per_epoch = (o->train->count + o->batch - 1) / o->batch;
  MCL_TRY(mcl_schedule_rate(f->ctx, &o->schedule, 1, 0, 1, 1, &rate));
  MCL_TRY(mcl_task_check(f->model, o->train, o->loss, o->custom_loss != NULL, &f->task));
  if (!o->validation) return MCL_OK;
  mcl_task validation;
  MCL_TRY(mcl_task_check(f->model, o->validation, o->loss, o->custom_loss != NULL, &validation));
  if (validation.has_labels == f->task.has_labels) return MCL_OK;
  return mcl_fail(f->ctx, MCL_ERROR_ARGUMENT, "fit: the validation data have %s, and the data to train by have %s",
                  validation.has_labels ? "labels" : "targets", f->task.has_labels ? "labels" : "targets");
}

static uint64_t mix(const void *data, size_t size, uint64_t hash) { return XXH3_64bits_withSeed(data, size, hash); }

static mcl_status hash_tensor(const mcl_tensor *t, uint64_t *hash) {
  uint64_t values;
  MCL_TRY(mcl_hash_long(t->ctx, t->data, (size_t)t->count * mcl_dtype_size(t->dtype), &values));
  const int64_t about[2] = {t->dtype, t->shape.rank};
  *hash = mix(t->shape.dim, (size_t)t->shape.rank * sizeof *t->shape.dim, mix(about, sizeof about, *hash ^ values));
  return MCL_OK;
}

/* Every row, its label, and what is made of it; as long as reading them takes. */
static mcl_status hash_data(const mcl_dataset *d, uint64_t *hash) {
  if (!d) return MCL_OK;
  const double about[2] = {d->scale, d->offset};
  uint64_t order = 0;
  MCL_TRY(hash_tensor(d->x, hash));
  if (d->y) MCL_TRY(hash_tensor(d->y, hash));
  if (d->order) MCL_TRY(mcl_hash_long(d->ctx, d->order, (size_t)d->count * sizeof *d->order, &order));
  *hash = mix(about, sizeof about, *hash ^ order);
  return MCL_OK;
}

/* All that makes a fit what it is, but for the model. */
static mcl_status hash_options(const fit *f, uint64_t *hash) {
  const mcl_fit_options *o = &f->options;
  char text[1024];
  int length =
      snprintf(text, sizeof text,
               "%lld %lld %lld %lld %s %s %s %a %a %a %a %a %a %a %d %a %a %a %a %d %a %a %a %llu %d %a %d %d %llx",
               (long long)o->train->count, o->validation ? (long long)o->validation->count : 0, (long long)o->epochs,
               (long long)o->batch, f->task.loss ? f->task.loss->name : "own", o->optimiser.name,
               o->schedule.name ? o->schedule.name : "", o->label_smoothing, o->optimiser.rate, o->optimiser.momentum,
               o->optimiser.beta1, o->optimiser.beta2, o->optimiser.epsilon, o->optimiser.weight_decay,
               2 * o->optimiser.nesterov + o->optimiser.no_momentum, o->schedule.step_factor, o->schedule.step_epochs,
               o->schedule.final_factor, o->schedule.warmup, o->augment.shift, o->augment.flip, o->augment.rotate,
               o->augment.scale, (unsigned long long)o->seed, o->keep_best, o->clip_norm, o->penalty != NULL,
               o->custom_loss != NULL, (unsigned long long)o->callbacks);
  *hash = XXH3_64bits(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
  MCL_TRY(hash_data(o->train, hash));
  return hash_data(o->validation, hash);
}

static mcl_status take_buffers(fit *f) {
  const mcl_fit_options *o = &f->options;
  size_t batch = (size_t)o->batch, rows = (size_t)o->train->count;
  MCL_TRY(mcl_alloc_array(f->ctx, rows > batch ? rows : batch, sizeof *f->order, &f->order));
  MCL_TRY(mcl_alloc_array(f->ctx, batch, sizeof *f->labels, &f->labels));
  if (!f->task.has_labels || !f->task.loss)
    MCL_TRY(mcl_alloc_array(f->ctx, batch, (size_t)f->task.output_width * sizeof(float), &f->targets));
  return MCL_OK;
}

static mcl_status find_checkpoint(fit *f) {
  if (!f->options.checkpoint) return MCL_OK;
  size_t size = strlen(f->options.checkpoint) + sizeof ".fit";
  bool found;
  MCL_TRY(mcl_alloc(f->ctx, size, &f->checkpoint));
  snprintf(f->checkpoint, size, "%s.fit", f->options.checkpoint);
  uint64_t options;
  MCL_TRY(hash_options(f, &options));
  f->fingerprint = mcl_fit_fingerprint(&f->state, options);
  MCL_TRY(mcl_fit_checkpoint_load(&f->state, f->checkpoint, f->fingerprint, &f->place, &found));
  if (!found) return MCL_OK;
  mcl_log(f->ctx, MCL_LOG_INFO, "%s: going on after epoch %lld of %lld", f->checkpoint, (long long)f->place.epochs_done,
          (long long)f->options.epochs);
  return mcl_fit_store(&f->state);
}

/* Held-out data know better than the loss of training, which falls though a net is being ruined for anything else. What
 * chance explains, two standard deviations of the accuracy, is not told. */
static void tell_if_worse(const fit *f) {
  const mcl_fit_place *p = &f->place;
  bool is_best = f->state.best && p->best_epoch > 0;
  double loss = is_best ? p->best_loss : p->report.validation_loss;
  double accuracy = is_best ? p->best_accuracy : p->report.validation_accuracy, from = p->first_accuracy;
  if (!f->options.validation || p->epochs_done == 0) return;
  if (f->task.has_labels && from - accuracy > 2 * sqrt(from * (1 - from) / (double)f->options.validation->count))
    mcl_log(f->ctx, MCL_LOG_WARNING, "fit: on held-out data the accuracy fell from %.4f to %.4f; lower the rate (%g)%s",
            from, accuracy, f->options.optimiser.rate, is_best ? "" : ", or keep_best");
  if (!f->task.has_labels && !(loss <= 1.01 * p->first_loss))
    mcl_log(f->ctx, MCL_LOG_WARNING, "fit: on held-out data the loss rose from %.4g to %.4g; lower the rate (%g)%s",
            p->first_loss, loss, f->options.optimiser.rate, is_best ? "" : ", or keep_best");
}

static mcl_status run(fit *f) {
  if (f->place.epochs_done == 0 && f->options.epochs > 0)
    MCL_TRY(validate_into(f, &f->place.first_loss, &f->place.first_accuracy));
  while (f->place.epochs_done < f->options.epochs && !f->place.is_stopped) {
    MCL_TRY(run_epoch(f));
    MCL_TRY(finish_epoch(f));
  }
  if (f->state.best && f->place.best_epoch > 0) {
    MCL_TRY(mcl_fit_copy_in(&f->state, f->state.best));
    MCL_TRY(mcl_fit_store(&f->state));
  }
  tell_if_worse(f);
  if (f->checkpoint) unlink(f->checkpoint); /* a fit that is done needs none; one that is left behind does no harm */
  return MCL_OK;
}

/* Back to the last whole epoch. The message of the failure is kept. */
static void restore(fit *f) {
  mcl_cancel_shield(f->ctx, true);
  mcl_status status = mcl_fit_copy_in(&f->state, f->state.saved);
  if (!status) mcl_fit_store(&f->state);
  mcl_cancel_shield(f->ctx, false);
}

mcl_status mcl_fit(mcl_model *model, const mcl_fit_options *options, mcl_epoch_report *last) {
  fit *f;
  MCL_TRY(mcl_model_check_change(model));
  MCL_TRY(mcl_alloc_zero(model->ctx, sizeof *f, &f));
  f->ctx = f->state.ctx = model->ctx;
  f->model = model;
  f->options = *options;
  mcl_status status = check_options(f);
  if (!status) status = take_buffers(f);
  if (!status) status = mcl_fit_state_new(model, f->options.batch, f->optimiser, f->options.keep_best, &f->state);
  if (!status) mcl_training_session_set_seed(f->state.session, f->options.seed);
  if (!status) status = find_checkpoint(f);
  if (!status) {
    status = run(f);
    if (status) restore(f);
  }
  if (!status && last) *last = f->place.report;
  mcl_fit_state_free(&f->state);
  mcl_free(f->ctx, f->order);
  mcl_free(f->ctx, f->labels);
  mcl_free(f->ctx, f->targets);
  mcl_free(f->ctx, f->checkpoint);
  mcl_free(f->ctx, f);
  return status;
}
