/* Memory that runs out at every allocation of a fit, of an evaluation, of the factorisations: each ends in a status, the
 * weights are those of the last whole epoch, and nothing leaks (which the sanitizer build sees). */
#include "unit/fit_fixture.h"

#include "tensor/linalg.h"
#include "unit/faults.h"

static mcl_context *failing_context(counter *held) {
  mcl_context *ctx;
  mcl_options options = {.user = held, .allocate = counted_allocate, .release = counted_release, .threads = 1};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  return ctx;
}

/* What a fit of two epochs makes of the weights; status other than OK is handed out. */
static mcl_status fit_once(long fail, under kind, float *weights, bool *reached) {
  counter held = {0};
  mcl_context *ctx = failing_context(&held);
  mcl_model *model = network(ctx, 64, 16, 3, true);
  mcl_dataset *train = blobs(ctx, 40, 1), *validation = blobs(ctx, 20, 2);
  represent(model, kind);
  mcl_fit_options options = {.train = train,
                             .validation = validation,
                             .epochs = 2,
                             .batch = 16,
                             .optimiser = {.name = "adam"},
                             .augment = {.shift = 1},
                             .keep_best = true,
                             .clip_norm = 1};
  refuse_request(&held, fail);
  mcl_status status = mcl_fit(model, &options, NULL);
  mcl_evaluation evaluation;
  if (!status) status = mcl_evaluate(model, validation, NULL, &evaluation);
  *reached = held.calls >= fail;
  held.fail_at = 0;
  if (status && status != MCL_ERROR_MEMORY)
    fail_msg("allocation %ld: %s: %s", fail, mcl_status_name(status), mcl_context_message(ctx));
  copy_weights(model, weights); /* whatever happened, the model can be read */
  mcl_dataset_release(train);
  mcl_dataset_release(validation);
  mcl_model_free(model);
  mcl_context_free(ctx);
  return status;
}

static void every_allocation_of_a_fit_may_fail(void **state) {
  (void)state;
  for (under kind = 0; kind < UNDER_COUNT; kind++) {
    float expected[HARD_WEIGHTS], weights[HARD_WEIGHTS];
    bool reached;
    int failures = 0;
    assert_int_equal(fit_once(0, kind, expected, &reached), MCL_OK);
    for (long fail = 1;; fail++) {
      mcl_status status = fit_once(fail, kind, weights, &reached);
      failures += status != MCL_OK;
      if (!status) assert_memory_equal(expected, weights, sizeof expected); /* where it could do without */
      if (!reached) break;
    }
    assert_true(failures > 20);
  }
}

static mcl_status factor(mcl_context *ctx, mcl_tensor *a) {
  mcl_tensor *u = NULL, *s = NULL, *v = NULL;
  mcl_status status = mcl_linalg_svd(a, &u, &s, &v);
  for (int64_t rank = 1; rank < 12 && !status; rank += 5) { /* randomised, by Gram, cut from the full one */
    mcl_tensor_release(u);
    mcl_tensor_release(s);
    mcl_tensor_release(v);
    status = mcl_linalg_svd_top(a, rank, 1, &u, &s, &v);
  }
  mcl_tensor_release(u);
  mcl_tensor_release(s);
  mcl_tensor_release(v);
  u = s = NULL;
  if (!status) status = mcl_linalg_qr(a, &u, &s);
  mcl_tensor_release(u);
  mcl_tensor_release(s);
  u = s = NULL;
  mcl_tensor *square = NULL;
  if (!status) status = mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(2, 2), &square);
  if (status) return status;
  mcl_tensor_f32(square)[0] = mcl_tensor_f32(square)[3] = 2;
  status = mcl_linalg_eigen(square, &u, &s);
  mcl_tensor_release(u);
  mcl_tensor_release(s);
  u = s = NULL;
  if (!status) status = mcl_linalg_cholesky(square, &u);
  if (!status) status = mcl_linalg_solve(u, square, &s);
  mcl_tensor_release(u);
  mcl_tensor_release(s);
  mcl_tensor_release(square);
  return status;
}

static void every_allocation_of_a_factorisation_may_fail(void **state) {
  (void)state;
  for (long fail = 1;; fail++) {
    counter held = {0};
    mcl_context *ctx = failing_context(&held);
    mcl_tensor *a;
    assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(60, 40), &a));
    mcl_random random = mcl_random_at(1, 1);
    for (int64_t i = 0; i < a->count; i++) mcl_tensor_f32(a)[i] = mcl_random_normal(&random);
    refuse_request(&held, fail);
    mcl_status status = factor(ctx, a);
    bool reached = held.calls >= fail;
    held.fail_at = 0;
    if (status && status != MCL_ERROR_MEMORY)
      fail_msg("allocation %ld: %s: %s", fail, mcl_status_name(status), mcl_context_message(ctx));
    mcl_tensor_release(a);
    mcl_context_free(ctx);
    if (!reached) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_of_a_fit_may_fail),
      cmocka_unit_test(every_allocation_of_a_factorisation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
