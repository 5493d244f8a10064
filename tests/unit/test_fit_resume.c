/* The fit loop, interrupted: the same bits on any threads and after any interruption, the last whole epoch after a cancel
 * or a failure. */
#include "unit/fit_fixture.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- The same bits ---- */

typedef struct interruption {
  int stop_after; /* epochs, then fail; 0: never */
  int epochs_seen;
  mcl_context *cancel; /* asked to cancel within the next epoch, or NULL */
} interruption;

static mcl_status interrupting(void *user, const mcl_epoch_report *report, bool *stop) {
  interruption *i = user;
  (void)report, (void)stop;
  i->epochs_seen++;
  if (i->stop_after == i->epochs_seen && i->cancel) mcl_context_cancel(i->cancel);
  return MCL_OK;
}

static mcl_fit_options hard_options(mcl_dataset *train, mcl_dataset *validation) {
  return (mcl_fit_options){.train = train,
                           .validation = validation,
                           .epochs = 4,
                           .batch = 48, /* 200 rows: a short batch at the end */
                           .optimiser = {.name = "adamw", .rate = 0.01, .weight_decay = 0.01},
                           .schedule = {.name = "one_cycle"},
                           .augment = {.shift = 1, .rotate = 5},
                           .seed = 7,
                           .keep_best = true,
                           .clip_norm = 1};
}

static void threads_do_not_change_a_bit(void **state) {
  float first[HARD_WEIGHTS], now[HARD_WEIGHTS];
  for (int threads = 1; threads <= 4; threads *= 2) {
    mcl_context *ctx;
    mcl_options wishes = {.threads = threads};
    assert_int_equal(mcl_context_new(&wishes, &ctx), MCL_OK);
    mcl_model *model = network(ctx, 64, 16, 3, true);
    mcl_dataset *train = blobs(ctx, 200, 1), *validation = blobs(ctx, 60, 2);
    mcl_fit_options options = hard_options(train, validation);
    assert_ok(ctx, mcl_fit(model, &options, NULL));
    copy_weights(model, threads == 1 ? first : now);
    if (threads > 1) assert_memory_equal(first, now, sizeof first);
    mcl_model_free(model);
    mcl_dataset_release(train);
    mcl_dataset_release(validation);
    mcl_context_free(ctx);
  }
  (void)state;
}

static void a_resumed_fit_gives_the_bits_of_one_that_was_not_stopped(void **state) {
  char stem[] = "/tmp/mcl_test_fit_XXXXXX", file[64];
  int handle = mkstemp(stem);
  assert_true(handle >= 0);
  close(handle);
  snprintf(file, sizeof file, "%s.fit", stem);
  for (under kind = 0; kind < UNDER_COUNT; kind++) {
    float whole[HARD_WEIGHTS], resumed[HARD_WEIGHTS];
    mcl_dataset *train = blobs(*state, 200, 1), *validation = blobs(*state, 60, 2);
    mcl_fit_options options = hard_options(train, validation);
    mcl_epoch_report last, last_resumed;
    mcl_model *model = network(*state, 64, 16, 3, true);
    represent(model, kind);
    assert_ok(*state, mcl_fit(model, &options, &last));
    copy_weights(model, whole);
    mcl_model_free(model);

    interruption stop = {.stop_after = 2, .cancel = *state};
    options.checkpoint = stem;
    options.epoch_end = interrupting;
    options.user = &stop;
    model = network(*state, 64, 16, 3, true);
    represent(model, kind);
    assert_fails(*state, MCL_ERROR_CANCELLED, "cancelled", mcl_fit(model, &options, NULL));
    mcl_model_free(model);
    mcl_context_resume(*state);
    assert_int_equal(access(file, F_OK), 0);

    stop = (interruption){0};
    model = network(*state, 64, 16, 3, true); /* a new process begins from the same model */
    represent(model, kind);
    assert_ok(*state, mcl_fit(model, &options, &last_resumed));
    assert_int_equal(stop.epochs_seen, 2);
    copy_weights(model, resumed);
    assert_memory_equal(whole, resumed, sizeof whole);
    assert_true(last.loss == last_resumed.loss && last.validation_loss == last_resumed.validation_loss);
    assert_int_equal(access(file, F_OK), -1); /* a fit that is done leaves none */
    mcl_model_free(model);
    mcl_dataset_release(train);
    mcl_dataset_release(validation);
  }
  unlink(stem);
}

static void a_checkpoint_of_another_fit_is_left_and_a_damaged_one_refused(void **state) {
  char stem[] = "/tmp/mcl_test_fit_XXXXXX", file[64];
  int handle = mkstemp(stem);
  assert_true(handle >= 0);
  close(handle);
  snprintf(file, sizeof file, "%s.fit", stem);
  mcl_dataset *train = blobs(*state, 100, 1);
  interruption stop = {.stop_after = 1, .cancel = *state};
  mcl_fit_options options = {.train = train, .epochs = 2, .checkpoint = stem, .epoch_end = interrupting, .user = &stop};
  mcl_model *model = network(*state, 64, 4, 3, false);
  assert_fails(*state, MCL_ERROR_CANCELLED, "", mcl_fit(model, &options, NULL));
  mcl_context_resume(*state);
  mcl_model_free(model);
  stop = (interruption){0};
  FILE *f = fopen(file, "r+b");
  assert_non_null(f);
  fseek(f, -20, SEEK_END);
  int byte = fgetc(f);
  fseek(f, -20, SEEK_END);
  fputc(byte ^ 1, f);
  fclose(f);
  model = network(*state, 64, 4, 3, false);
  assert_fails(*state, MCL_ERROR_FORMAT, "damaged", mcl_fit(model, &options, NULL));
  options.seed = 99; /* another fit: it begins anew */
  assert_ok(*state, mcl_fit(model, &options, NULL));
  assert_int_equal(stop.epochs_seen, 2);
  mcl_model_free(model);
  mcl_dataset_release(train);
  unlink(stem);
}

/* Stopped after an epoch under one set of options, how many epochs a fit under the others runs: 1 where it goes on. */
static int epochs_after(mcl_context *ctx, const char *stem, const mcl_fit_options *first, const mcl_fit_options *then) {
  interruption stop = {.stop_after = 1, .cancel = ctx}, seen = {0};
  mcl_fit_options a = *first, b = *then;
  a.epochs = b.epochs = 2;
  a.checkpoint = b.checkpoint = stem;
  a.epoch_end = b.epoch_end = interrupting;
  a.user = &stop;
  b.user = &seen;
  mcl_model *model = network(ctx, 64, 4, 3, false);
  assert_fails(ctx, MCL_ERROR_CANCELLED, "", mcl_fit(model, &a, NULL));
  mcl_context_resume(ctx);
  mcl_model_free(model);
  model = network(ctx, 64, 4, 3, false);
  assert_ok(ctx, mcl_fit(model, &b, NULL));
  mcl_model_free(model);
  return seen.epochs_seen;
}

static void a_checkpoint_is_of_these_data_and_these_functions_alone(void **state) {
  char stem[] = "/tmp/mcl_test_fit_XXXXXX";
  int handle = mkstemp(stem);
  assert_true(handle >= 0);
  close(handle);
  mcl_dataset *train = blobs(*state, 100, 1), *other = blobs(*state, 100, 1), *part, *held = blobs(*state, 40, 2);
  mcl_fit_options options = {.train = train}, then = options;
  then.train = other; /* equal row by row */
  assert_int_equal(epochs_after(*state, stem, &options, &then), 1);
  ((int64_t *)other->y->data)[50] = (((int64_t *)other->y->data)[50] + 1) % 3;
  assert_int_equal(epochs_after(*state, stem, &options, &then), 2);
  ((int64_t *)other->y->data)[50] = ((int64_t *)train->y->data)[50];
  ((uint8_t *)other->x->data)[99] ^= 1;
  assert_int_equal(epochs_after(*state, stem, &options, &then), 2);
  assert_ok(*state, mcl_dataset_part(train, 1, 0, 100, &part));
  then.train = part; /* the same rows in another order */
  assert_int_equal(epochs_after(*state, stem, &options, &then), 2);
  then = options;
  then.validation = held;
  assert_int_equal(epochs_after(*state, stem, &options, &then), 2);
  then = options;
  then.callbacks = 7;
  assert_int_equal(epochs_after(*state, stem, &options, &then), 2);
  mcl_dataset_release(train);
  mcl_dataset_release(other);
  mcl_dataset_release(part);
  mcl_dataset_release(held);
  unlink(stem);
}

/* ---- Stopping ---- */

static int asked;
static bool cancel_after_a_while(void *user) {
  (void)user;
  return ++asked > 2;
}

static void a_cancelled_fit_keeps_the_last_whole_epoch(void **state) {
  for (under kind = 0; kind < UNDER_COUNT; kind++) {
    float one_epoch[HARD_WEIGHTS], cancelled[HARD_WEIGHTS];
    mcl_dataset *train = blobs(*state, 200, 1);
    mcl_fit_options options = {.train = train, .epochs = 1, .batch = 16, .seed = 1};
    mcl_model *model = network(*state, 64, 16, 3, false);
    represent(model, kind);
    assert_ok(*state, mcl_fit(model, &options, NULL));
    copy_weights(model, one_epoch);
    mcl_model_free(model);
    interruption stop = {.stop_after = 1, .cancel = *state};
    options.epochs = 3;
    options.epoch_end = interrupting;
    options.user = &stop;
    model = network(*state, 64, 16, 3, false);
    represent(model, kind);
    assert_fails(*state, MCL_ERROR_CANCELLED, "cancelled", mcl_fit(model, &options, NULL));
    mcl_context_resume(*state);
    copy_weights(model, cancelled);
    assert_memory_equal(one_epoch, cancelled, sizeof one_epoch);
    mcl_model_free(model);
    mcl_dataset_release(train);
  }
}

static void a_host_that_wants_to_stop_is_heard_within_a_fit(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options wishes = {.threads = 2, .cancelled = cancel_after_a_while};
  assert_int_equal(mcl_context_new(&wishes, &ctx), MCL_OK);
  mcl_model *model = network(ctx, 64, 16, 3, false);
  mcl_dataset *train = blobs(ctx, 200, 1);
  float before[HARD_WEIGHTS], after[HARD_WEIGHTS];
  copy_weights(model, before);
  mcl_fit_options options = {.train = train, .epochs = 1000000, .batch = 200};
  assert_fails(ctx, MCL_ERROR_CANCELLED, "cancelled", mcl_fit(model, &options, NULL));
  copy_weights(model, after);
  assert_memory_not_equal(before, after, sizeof before); /* whole epochs were kept */
  mcl_model_free(model);
  mcl_dataset_release(train);
  mcl_context_free(ctx);
}

static mcl_status stop_at_two(void *user, const mcl_epoch_report *report, bool *stop) {
  (void)user;
  *stop = report->epoch == 2;
  return MCL_OK;
}

static void epoch_end_can_stop_early(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false);
  mcl_dataset *train = blobs(*state, 50, 1);
  mcl_epoch_report report;
  mcl_fit_options options = {.train = train, .epochs = 9, .epoch_end = stop_at_two};
  assert_ok(*state, mcl_fit(model, &options, &report));
  assert_int_equal(report.epoch, 2);
  mcl_model_free(model);
  mcl_dataset_release(train);
}

static void a_loss_that_is_not_a_number_names_the_step_and_keeps_the_weights(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false);
  mcl_dataset *train = blobs(*state, 50, 1);
  float before[HARD_WEIGHTS], after[HARD_WEIGHTS];
  copy_weights(model, before);
  mcl_fit_options options = {
      .train = train, .epochs = 9, .batch = 10, .optimiser = {.rate = 1e38, .no_momentum = true}};
  assert_fails(*state, MCL_ERROR_NUMERIC, "epoch 1, step", mcl_fit(model, &options, NULL));
  copy_weights(model, after);
  assert_memory_equal(before, after, sizeof before);
  mcl_model_free(model);
  mcl_dataset_release(train);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(threads_do_not_change_a_bit),
      context_test(a_resumed_fit_gives_the_bits_of_one_that_was_not_stopped),
      context_test(a_checkpoint_of_another_fit_is_left_and_a_damaged_one_refused),
      context_test(a_checkpoint_is_of_these_data_and_these_functions_alone),
      context_test(a_cancelled_fit_keeps_the_last_whole_epoch),
      context_test(a_host_that_wants_to_stop_is_heard_within_a_fit),
      context_test(epoch_end_can_stop_early),
      context_test(a_loss_that_is_not_a_number_names_the_step_and_keeps_the_weights),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
