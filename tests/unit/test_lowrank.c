/* Low rank: the error of a truncation is the tail of the singular values that NumPy finds; with a Gram matrix, that of
 * the whitened ones.
 *
 * singular and whitened are what this prints (NumPy 2.4):
 *   import numpy as np
 *   i, j, k = np.arange(12)[:, None], np.arange(20)[None, :], np.arange(30)[:, None]
 *   a = (np.sin(0.7 * (i + 1) * (j + 1)) / (1 + i) + 0.5 * np.cos(i - 2 * j)).astype(np.float32).astype(np.float64)
 *   x = (np.sin(1.3 * (k + 1) * (j + 1)) * (j != 7) * (1 + (j == 3) * 4)).astype(np.float32).astype(np.float64)
 *   e, v = np.linalg.eigh((x.T @ x / 30).astype(np.float32).astype(np.float64))
 *   print(np.linalg.svd(a, compute_uv=False), np.linalg.svd(a @ (v * np.sqrt(np.clip(e, 0, None))), compute_uv=False)) */
#include "unit/weights.h"

#include "compress/compress.h"

enum { ROWS = 12, COLS = 20 };

static const double singular[ROWS] = {4.42180621,  3.5330556,    2.73765611,   1.51180844,
                                      0.919773673, 0.617998094,  0.105950434,  0.0968574118,
                                      0.080160263, 0.0733663632, 0.0240740794, 0.00491005635};
static const double whitened[ROWS] = {6.01480562,   2.51889805,   1.93387007,   0.835503789,
                                      0.583397222,  0.491048722,  0.0891305923, 0.0379697043,
                                      0.0312606642, 0.0154898072, 0.0119617014, 0.0020230354};

static mcl_tensor *matrix(void) {
  mcl_tensor *a;
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_of(3, (int64_t[]){ROWS, 4, 5}), &a)); /* a matrix of 12 x 20 */
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLS; j++)
      mcl_tensor_f32(a)[i * COLS + j] = (float)(sin(0.7 * (i + 1) * (j + 1)) / (1 + i) + 0.5 * cos(i - 2 * j));
  return a;
}

static mcl_tensor *gram_matrix(void) { /* input 7 is always zero */
  mcl_tensor *gram;
  static float x[30][COLS];
  for (int k = 0; k < 30; k++)
    for (int j = 0; j < COLS; j++) x[k][j] = (float)(sin(1.3 * (k + 1) * (j + 1)) * (j != 7) * (1 + (j == 3) * 4));
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(COLS, COLS), &gram));
  for (int a = 0; a < COLS; a++)
    for (int b = 0; b < COLS; b++) {
      double sum = 0;
      for (int k = 0; k < 30; k++) sum += (double)x[k][a] * (double)x[k][b];
      mcl_tensor_f32(gram)[a * COLS + b] = (float)(sum / 30);
    }
  return gram;
}

static double tail(const double *s, int from) {
  double sum = 0;
  for (int i = from; i < ROWS; i++) sum += s[i] * s[i];
  return sum;
}

/* The error that mcl_distortion sees, with or without the Gram matrix. */
static double error_of(mcl_tensor *a, const mcl_repr *repr, mcl_tensor *gram) {
  mcl_statistics statistics = {.gram = gram};
  mcl_repr *whole;
  double error;
  assert_ok(mcl_dense_new(a, &whole));
  assert_ok(mcl_distortion(whole, repr, gram ? &statistics : NULL, &error));
  mcl_repr_release(whole);
  return error;
}

static void truncation_loses_the_tail_of_the_singular_values(void **state) {
  (void)state;
  mcl_tensor *a = matrix();
  for (int rank = 1; rank <= ROWS; rank++) {
    mcl_repr *repr;
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = rank}, &repr));
    assert_int_equal(((mcl_lowrank *)repr)->rank, rank);
    assert_true(mcl_shape_equal(repr->shape, a->shape));
    double wanted = tail(singular, rank);
    assert_true(fabs(error_of(a, repr, NULL) - wanted) < 1e-4 * wanted + 1e-9);
    mcl_repr_release(repr);
  }
  mcl_tensor_release(a);
}

static void with_a_gram_matrix_the_outputs_error_is_least(void **state) {
  (void)state;
  mcl_tensor *a = matrix(), *gram = gram_matrix();
  for (int rank = 1; rank <= ROWS; rank++) {
    mcl_repr *repr, *plain;
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = rank, .gram = gram}, &repr));
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = rank}, &plain));
    double wanted = tail(whitened, rank), error = error_of(a, repr, gram);
    assert_true(fabs(error - wanted) < 1e-3 * wanted + 1e-5);
    assert_true(error <= error_of(a, plain, gram) + 1e-6);
    assert_true(error_of(a, plain, NULL) <= error_of(a, repr, NULL) + 1e-6);
    mcl_repr_release(repr);
    mcl_repr_release(plain);
  }
  mcl_tensor_release(a);
  mcl_tensor_release(gram);
}

static void energy_takes_the_smallest_rank_that_keeps_it(void **state) {
  (void)state;
  mcl_tensor *a = matrix();
  double all = tail(singular, 0);
  for (int rank = 1; rank <= ROWS; rank++) {
    double below = 1 - tail(singular, rank - 1) / all, above = 1 - tail(singular, rank) / all;
    mcl_repr *repr;
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.energy = (below + above) / 2}, &repr));
    assert_int_equal(((mcl_lowrank *)repr)->rank, rank);
    mcl_repr_release(repr);
  }
  mcl_tensor_release(a);
}

static void factors_share_the_singular_values(void **state) {
  (void)state;
  mcl_tensor *a = matrix(), *gram = gram_matrix();
  for (int k = 0; k < 2; k++) {
    mcl_repr *repr;
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = 3, .gram = k ? gram : NULL}, &repr));
    mcl_tensor *left = values_of(((mcl_lowrank *)repr)->left);
    for (int r = 0; r < 3; r++) {
      double norm = 0;
      for (int i = 0; i < ROWS; i++) norm += pow((double)mcl_tensor_f32(left)[i * 3 + r], 2);
      assert_true(fabs(norm - (k ? whitened[r] : singular[r])) < 1e-3);
    }
    mcl_tensor_release(left);
    mcl_repr_release(repr);
  }
  mcl_tensor_release(a);
  mcl_tensor_release(gram);
}

static void a_weight_of_zeros_has_a_factorisation(void **state) {
  (void)state;
  mcl_tensor *a, *gram = gram_matrix();
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(ROWS, COLS), &a));
  for (int k = 0; k < 2; k++) {
    mcl_repr *repr;
    assert_ok(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = 2, .gram = k ? gram : NULL}, &repr));
    assert_true(error_of(a, repr, NULL) == 0);
    mcl_repr_release(repr);
  }
  mcl_tensor_release(a);
  mcl_tensor_release(gram);
}

static void bad_requests_say_what_is_wrong(void **state) {
  (void)state;
  mcl_tensor *a = matrix(), *gram = gram_matrix(), *small;
  mcl_repr *repr;
  assert_fails(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = 13}, &repr), MCL_ERROR_ARGUMENT,
               "rank = 13 is out of range: 1 to min(rows, cols) = min(12, 20)");
  assert_fails(mcl_lowrank_fit(a, &(mcl_lowrank_options){.energy = 1.5}, &repr), MCL_ERROR_ARGUMENT, "energy = 1.5");
  assert_ok(mcl_tensor_rows(gram, 0, 5, &small));
  assert_fails(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = 2, .gram = small}, &repr), MCL_ERROR_ARGUMENT,
               "20x20");
  mcl_tensor_f32(a)[5] = INFINITY;
  assert_fails(mcl_lowrank_fit(a, &(mcl_lowrank_options){.rank = 2}, &repr), MCL_ERROR_NUMERIC, "weights");
  mcl_repr *left = dense_of(random_tensor(mcl_shape_2(3, 2), 1)),
           *right = dense_of(random_tensor(mcl_shape_2(3, 4), 1));
  assert_fails(mcl_lowrank_new(left, right, mcl_shape_2(3, 4), &repr), MCL_ERROR_ARGUMENT, "factors 3x2 and 3x4");
  mcl_repr_release(left);
  mcl_repr_release(right);
  mcl_tensor_release(small);
  mcl_tensor_release(gram);
  mcl_tensor_release(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncation_loses_the_tail_of_the_singular_values),
      cmocka_unit_test(with_a_gram_matrix_the_outputs_error_is_least),
      cmocka_unit_test(energy_takes_the_smallest_rank_that_keeps_it),
      cmocka_unit_test(factors_share_the_singular_values),
      cmocka_unit_test(a_weight_of_zeros_has_a_factorisation),
      cmocka_unit_test(bad_requests_say_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
