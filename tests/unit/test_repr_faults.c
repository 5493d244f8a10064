/* Memory that runs out: whichever allocation fails, fitting, writing, reading, training and schemes do without it or
 * return MCL_ERROR_MEMORY, and nothing leaks. */
#include "unit/weights.h"

#include "compress/compress.h"
#include "unit/faults.h"

/* Each work is done on weights that were made before memory runs out. */
typedef mcl_status (*work_fn)(mcl_repr *weight);

static mcl_status apply(mcl_scheme *scheme, mcl_repr *weight) {
  mcl_repr *out = NULL;
  mcl_status status = scheme ? mcl_scheme_apply(scheme, weight, NULL, &out) : MCL_ERROR_MEMORY;
  mcl_repr_release(out);
  return status;
}

static mcl_status prune_and_share(mcl_repr *weight) {
  mcl_scheme *p = NULL, *s = NULL, *both = NULL;
  mcl_status status = mcl_scheme_prune(ctx, &(mcl_prune_options){.density = 0.2, .by_name = "magnitude"}, &p);
  if (!status) status = mcl_scheme_share(ctx, &(mcl_palette_options){.bits = 3, .half = true}, &s);
  if (!status) status = mcl_scheme_then(ctx, p, s, &both);
  if (!status) status = apply(both, weight);
  mcl_scheme_release(p);
  mcl_scheme_release(s);
  mcl_scheme_release(both);
  return status;
}

static mcl_status lowrank_plus_quantize(mcl_repr *weight) {
  mcl_scheme *q = NULL, *l = NULL, *both = NULL;
  mcl_affine_options options = {.bits = 3, .group = 7, .asymmetric = true, .minimise = true, .half = true};
  mcl_status status = mcl_scheme_quantize(ctx, &options, &q);
  if (!status) status = mcl_scheme_lowrank(ctx, 2, 0, false, q, &l);
  if (!status) status = mcl_scheme_sum(ctx, l, q, 2, &both);
  if (!status) status = apply(both, weight);
  mcl_scheme_release(q);
  mcl_scheme_release(l);
  mcl_scheme_release(both);
  return status;
}

static mcl_status write_and_read(mcl_repr *weight) {
  mcl_repr_writer writer;
  mcl_repr *again = NULL;
  size_t bytes;
  mcl_status status = mcl_repr_write_begin(ctx, NULL, false, &writer);
  if (!status) status = mcl_repr_write(weight, &writer);
  if (!status) status = read_back(&writer, weight->shape, &again);
  if (!status) status = mcl_repr_bytes(weight, NULL, &bytes);
  mcl_repr_release(again);
  mcl_repr_write_end(&writer);
  return status;
}

static mcl_status train(mcl_repr *weight) {
  mcl_trained_repr *t = NULL;
  float dense[240], gradient[240] = {1};
  mcl_repr *mine = mcl_repr_retain(weight);
  mcl_status status = mcl_repr_unshare(&mine);
  if (!status) status = mcl_trained_new(mine, &t);
  if (!status) status = mcl_trained_bind(t, dense, gradient);
  if (!status) status = mcl_trained_pull(t, gradient);
  if (!status) status = mcl_trained_push(t, dense);
  if (!status) status = mcl_trained_store(t);
  mcl_trained_free(t);
  mcl_repr_release(mine);
  return status;
}

static mcl_status multiply(mcl_repr *weight) {
  float x[48] = {1}, y[24];
  void *scratch;
  mcl_status status = mcl_alloc(ctx, mcl_repr_matmul_scratch(weight, 2), &scratch);
  if (!status) status = mcl_repr_matmul(weight, x, 2, y, scratch);
  mcl_free(ctx, scratch);
  return status;
}

static mcl_status plan(mcl_repr *weight) {
  (void)weight;
  mcl_choice choice[] = {{1, 9}, {2, 5}, {4, 1}};
  const mcl_choice *list[] = {choice, choice};
  int counts[] = {3, 3}, chosen[2];
  return mcl_plan_solve(ctx, 2, list, counts, 5, chosen, NULL);
}

static mcl_repr *make_weight(int kind) {
  mcl_shape shape = mcl_shape_2(10, 24);
  if (kind == 0) return dense_of(random_tensor(shape, 1));
  mcl_repr *sparse = random_sparse(shape, 0.3, 0, 2);
  sparse = with_values(sparse, affine_of(mcl_shape_1(nonzeros_of(sparse)), (mcl_affine_options){.bits = 3}, 3));
  mcl_repr *right = random_sparse(mcl_shape_2(2, 24), 0.5, 0, 5);
  return sum_of(sparse, product_of(palette_of(mcl_shape_2(10, 2), 2, true, 4), right, shape));
}

static void no_failed_allocation_leaks_or_crashes(void **state) {
  (void)state;
  const work_fn works[] = {prune_and_share, lowrank_plus_quantize, write_and_read, train, multiply, plan};
  for (size_t w = 0; w < sizeof works / sizeof works[0]; w++)
    for (int kind = 0; kind < 2; kind++) {
      bool finished = false;
      for (long fail_at = 1; !finished; fail_at++) {
        counter held = {0};
        mcl_options options = {.user = &held, .allocate = counted_allocate, .release = counted_release, .threads = 1};
        assert_ok(mcl_context_new(&options, &ctx));
        mcl_repr *weight = make_weight(kind);
        refuse_request(&held, fail_at);
        mcl_status status = works[w](weight);
        finished = held.calls < fail_at; /* the failing call never came */
        if (finished)
          assert_ok(status);
        else if (status && status != MCL_ERROR_MEMORY) /* matrix products do without their buffer */
          fail_msg("work %zu, allocation %ld: %s: %s", w, fail_at, mcl_status_name(status), mcl_context_message(ctx));
        mcl_repr_release(weight);
        mcl_context_free(ctx);
        if (held.bytes) fail_msg("work %zu, allocation %ld: %zu bytes leak", w, fail_at, (size_t)held.bytes);
      }
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_failed_allocation_leaks_or_crashes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
