/* Thresholds, quantiles and masks: against sorting, on values of every kind of distribution, and with ties. */
#include "unit/tensor_fixture.h"

#include <stdlib.h>

#include "tensor/kernels/select.h"

/* Kinds of values: the sample and its band do well on some, and must not matter on any. */
typedef enum kind { NORMAL, FEW_VALUES, MOSTLY_ZERO, ROWS_OF_DIFFERENT_SCALE, ONE_ROW_HAS_ALL, ALL_EQUAL, KINDS } kind;

static mcl_tensor *tensor_of(kind what, mcl_shape shape) {
  mcl_tensor *t;
  OK(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  float *x = mcl_tensor_f32(t);
  int64_t cols = mcl_shape_cols(shape);
  mcl_random random = mcl_random_at(3, 1);
  for (int64_t i = 0; i < t->count; i++) {
    float normal = mcl_random_normal(&random);
    switch (what) {
    case FEW_VALUES:
      x[i] = floorf(normal * 2);
      break;
    case MOSTLY_ZERO:
      x[i] = i % 10 ? (i % 3 ? 0.0f : -0.0f) : normal;
      break;
    case ROWS_OF_DIFFERENT_SCALE:
      x[i] = normal * expf((float)(i / cols % 7));
      break;
    case ONE_ROW_HAS_ALL:
      x[i] = i / cols == 5 ? normal : 1e-30f * (float)(i % 1000);
      break;
    case ALL_EQUAL:
      x[i] = 0.5f;
      break;
    default:
      x[i] = normal;
      break;
    }
  }
  return t;
}

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

static float *sorted_copy(const mcl_tensor *t) {
  float *copy = malloc((size_t)t->count * sizeof *copy);
  memcpy(copy, t->data, (size_t)t->count * sizeof *copy);
  qsort(copy, (size_t)t->count, sizeof *copy, descending);
  return copy;
}

/* The threshold is the keep-th largest; exactly `keep` are chosen, by the rule, and the mask says the same. */
static void check_keep(mcl_tensor *t, const float *sorted, int64_t keep) {
  mcl_expression *e = leaf(t);
  const float *x = mcl_tensor_f32(t);
  float v;
  int64_t tie_limit, kept, chosen = 0, only_counted;
  uint64_t *mask = malloc((size_t)(t->count + 63) / 64 * sizeof *mask);
  OK(mcl_expression_threshold(e, keep, &v, &tie_limit));
  if (keep > 0) assert_true(v == sorted[keep - 1]);
  OK(mcl_expression_mask(e, v, tie_limit, mask, &kept));
  OK(mcl_expression_mask(e, v, tie_limit, NULL, &only_counted));
  mcl_tensor *top;
  OK(mcl_expression_top(e, keep, &top));
  assert_true(top->dtype == MCL_BOOL && mcl_shape_equal(top->shape, t->shape));
  const uint8_t *bools = top->data;
  int wrong = 0;
  for (int64_t i = 0; i < t->count; i++) {
    int is_chosen = x[i] > v || (x[i] == v && i < tie_limit);
    chosen += is_chosen;
    wrong |= (int)(mask[i / 64] >> (i % 64) & 1) != is_chosen || bools[i] != is_chosen;
  }
  assert_false(wrong);
  assert_int_equal(chosen, keep);
  assert_int_equal(kept, keep);
  assert_int_equal(only_counted, keep);
  if (t->count % 64) assert_true(mask[t->count / 64] >> (t->count % 64) == 0);
  free(mask);
  mcl_tensor_release(top);
  mcl_expression_release(e);
}

static void check_shape(kind what, mcl_shape shape) {
  mcl_tensor *t = tensor_of(what, shape);
  float *sorted = sorted_copy(t);
  int64_t n = t->count, keeps[] = {0, 1, 2, n / 1000 + 1, n / 10, n / 3, n / 2 + 1, n - n / 10, n - 1, n};
  for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) check_keep(t, sorted, keeps[i]);
  free(sorted);
  mcl_tensor_release(t);
}

static void exactly_the_asked_number_is_kept_of_few_values(void **state) {
  (void)state;
  for (int what = 0; what < KINDS; what++) check_shape((kind)what, mcl_shape_2(70, 1001));
}

/* More than 2^20 elements: by way of the sample. */
static void exactly_the_asked_number_is_kept_of_many_values(void **state) {
  (void)state;
  for (int what = 0; what < KINDS; what++) check_shape((kind)what, mcl_shape_2(1200, 1111));
}

/* abs(w) * s, rows that are no multiple of 64: blocks begin within words of the mask. */
static void scores_need_not_be_stored(void **state) {
  mcl_tensor *w = tensor_of(NORMAL, mcl_shape_2(1500, 1001)), *s = tensor_of(NORMAL, mcl_shape_1(1001)), *scores;
  mcl_expression *ew = leaf(w), *es = leaf(s), *size, *e;
  float v, stored_v;
  int64_t limit, stored_limit, kept, keep = 450000;
  (void)state;
  OK(mcl_expression_apply(ctx, MCL_E_ABS, &ew, &size));
  OK(mcl_expression_apply(ctx, MCL_E_MUL, (mcl_expression *const[]){size, es}, &e));
  OK(mcl_expression_evaluate(e, &scores));
  mcl_expression *stored = leaf(scores);
  OK(mcl_expression_threshold(e, keep, &v, &limit));
  OK(mcl_expression_threshold(stored, keep, &stored_v, &stored_limit));
  assert_true(v == stored_v);
  assert_int_equal(limit, stored_limit);
  size_t words = (size_t)(w->count + 63) / 64;
  uint64_t *mask = calloc(words, 8), *stored_mask = calloc(words, 8);
  OK(mcl_expression_mask(e, v, limit, mask, &kept));
  assert_int_equal(kept, keep);
  OK(mcl_expression_mask(stored, v, limit, stored_mask, &kept));
  assert_memory_equal(mask, stored_mask, words * 8);
  free(mask);
  free(stored_mask);
  mcl_expression_release(ew);
  mcl_expression_release(es);
  mcl_expression_release(size);
  mcl_expression_release(e);
  mcl_expression_release(stored);
  mcl_tensor_release(w);
  mcl_tensor_release(s);
  mcl_tensor_release(scores);
}

static void ties_go_to_the_lower_index(void **state) {
  float values[] = {1, 2, 2, 3, 2, 2, 0};
  mcl_tensor *t;
  float v;
  int64_t limit, kept;
  uint64_t mask;
  (void)state;
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(7), values, &t));
  mcl_expression *e = leaf(t);
  OK(mcl_expression_threshold(e, 3, &v, &limit));
  assert_true(v == 2);
  assert_int_equal(limit, 3);
  OK(mcl_expression_mask(e, v, limit, &mask, &kept));
  assert_int_equal(mask, 0x0e);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void infinities_have_their_order(void **state) {
  float values[] = {-INFINITY, INFINITY, 1, -INFINITY, INFINITY, -1};
  mcl_tensor *t;
  (void)state;
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(6), values, &t));
  float *sorted = sorted_copy(t);
  for (int64_t keep = 0; keep <= 6; keep++) check_keep(t, sorted, keep);
  free(sorted);
  mcl_tensor_release(t);
}

static void a_nan_is_refused_and_named(void **state) {
  mcl_tensor *t = tensor_of(NORMAL, mcl_shape_2(1200, 1111));
  mcl_expression *e = leaf(t);
  float v;
  int64_t limit;
  (void)state;
  mcl_tensor_f32(t)[1234567] = NAN;
  mcl_tensor_f32(t)[777777] = -NAN;
  assert_int_equal(mcl_expression_threshold(e, 1000, &v, &limit), MCL_ERROR_NUMERIC);
  assert_non_null(strstr(mcl_context_message(ctx), "element 777777 "));
  assert_int_equal(mcl_expression_threshold(e, 0, &v, &limit), MCL_ERROR_NUMERIC);
  assert_int_equal(mcl_expression_threshold(e, t->count + 1, &v, &limit), MCL_ERROR_ARGUMENT);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

/* numpy: np.quantile([3,-1,4,1,-5,9,2,-6,5,3,5], q) */
static void quantiles_are_numpys(void **state) {
  static const double expected[][2] = {{0, -6}, {0.1, -5}, {0.25, 0}, {0.5, 3}, {0.77, 4.7}, {0.9, 5}, {1, 9}};
  float values[] = {3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5};
  mcl_tensor *t;
  double value;
  (void)state;
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(11), values, &t));
  mcl_expression *e = leaf(t);
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    OK(mcl_expression_quantile(e, expected[i][0], &value));
    assert_true(fabs(value - expected[i][1]) < 1e-12);
  }
  assert_int_equal(mcl_expression_quantile(e, 1.5, &value), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_expression_quantile(e, NAN, &value), MCL_ERROR_ARGUMENT);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void every_instruction_set_selects_the_same(void **state) {
  enum { N = 1003 };
  float x[N], found[3][N + MCL_SELECT_ROOM];
  uint64_t words[3][(N + 63) / 64];
  int sets = (int)mcl_cpu_isa() + 1;
  mcl_random random = mcl_random_at(5, 1);
  const float bands[][2] = {{-0.5f, 0.25f}, {-INFINITY, INFINITY}, {1, 1}, {0, 2}, {5, 6}};
  (void)state;
  for (int i = 0; i < N; i++) x[i] = i % 3 ? mcl_random_normal(&random) : floorf(mcl_random_normal(&random));
  x[17] = NAN, x[101] = INFINITY, x[1001] = -INFINITY, x[500] = -0.0f;
  for (size_t b = 0; b < sizeof bands / sizeof bands[0]; b++) {
    mcl_band_count counts[3] = {{0}};
    for (int s = 0; s < sets; s++) {
      const mcl_select_table *kernels = mcl_select_kernels((mcl_isa)s);
      kernels->band(x, N, bands[b][0], bands[b][1], &counts[s], found[s]);
      assert_memory_equal(&counts[s], &counts[0], sizeof counts[0]);
      assert_memory_equal(found[s], found[0], (size_t)counts[0].inside * sizeof(float));
      for (int ties = 0; ties < 2; ties++) {
        kernels->compare(x, N, bands[b][1], ties, words[s]);
        mcl_select_kernels(MCL_ISA_PORTABLE)->compare(x, N, bands[b][1], ties, words[0]);
        assert_memory_equal(words[s], words[0], sizeof words[0]);
      }
    }
    int64_t above = 0;
    for (int i = 0; i < N; i++) above += x[i] > bands[b][1];
    assert_int_equal(counts[0].above, above);
    assert_int_equal(counts[0].nans, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(exactly_the_asked_number_is_kept_of_few_values, set_up, tear_down),
      cmocka_unit_test_setup_teardown(exactly_the_asked_number_is_kept_of_many_values, set_up, tear_down),
      cmocka_unit_test_setup_teardown(scores_need_not_be_stored, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ties_go_to_the_lower_index, set_up, tear_down),
      cmocka_unit_test_setup_teardown(infinities_have_their_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_nan_is_refused_and_named, set_up, tear_down),
      cmocka_unit_test_setup_teardown(quantiles_are_numpys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_instruction_set_selects_the_same, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
