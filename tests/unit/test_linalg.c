/* Factorisations: what they promise about their factors, and values worked out by hand. */
#include "unit/check.h"

#include <math.h>

#include "base/random.h"
#include "tensor/linalg.h"

static mcl_tensor *matrix(mcl_context *ctx, int64_t m, int64_t n, const float *values) {
  mcl_tensor *t;
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(m, n), &t));
  if (values) memcpy(t->data, values, (size_t)t->count * sizeof(float));
  return t;
}

static mcl_tensor *random_matrix(mcl_context *ctx, int64_t m, int64_t n, uint64_t seed) {
  mcl_tensor *t = matrix(ctx, m, n, NULL);
  mcl_random random = mcl_random_at(seed, 1);
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = mcl_random_normal(&random);
  return t;
}

static double entry(mcl_tensor *t, int64_t i, int64_t j) { return mcl_tensor_f32(t)[i * t->shape.dim[1] + j]; }

/* The largest entry of |XᵀX − I| for columns, or |XXᵀ − I| for rows. */
static double off_orthonormal(mcl_tensor *x, bool columns) {
  int64_t count = x->shape.dim[columns ? 1 : 0], length = x->shape.dim[columns ? 0 : 1];
  double worst = 0;
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j <= i; j++) {
      double sum = i == j ? -1 : 0;
      for (int64_t l = 0; l < length; l++)
        sum += columns ? entry(x, l, i) * entry(x, l, j) : entry(x, i, l) * entry(x, j, l);
      worst = fmax(worst, fabs(sum));
    }
  return worst;
}

/* ‖A − U diag(s) V‖ in Frobenius' norm. */
static double residual(mcl_tensor *a, mcl_tensor *u, mcl_tensor *s, mcl_tensor *v) {
  double total = 0;
  for (int64_t i = 0; i < a->shape.dim[0]; i++)
    for (int64_t j = 0; j < a->shape.dim[1]; j++) {
      double left = entry(a, i, j);
      for (int64_t l = 0; l < s->count; l++) left -= entry(u, i, l) * mcl_tensor_f32(s)[l] * entry(v, l, j);
      total += left * left;
    }
  return sqrt(total);
}

static void signs_are_fixed(mcl_tensor *u) {
  for (int64_t j = 0; j < u->shape.dim[1]; j++) {
    double top = 0;
    for (int64_t i = 0; i < u->shape.dim[0]; i++)
      if (fabs(entry(u, i, j)) > fabs(top)) top = entry(u, i, j);
    assert_true(top > 0);
  }
}

static void release(mcl_tensor *a, mcl_tensor *b, mcl_tensor *c, mcl_tensor *d) {
  mcl_tensor_release(a);
  mcl_tensor_release(b);
  mcl_tensor_release(c);
  mcl_tensor_release(d);
}

static void a_known_svd_is_found(void **state) {
  /* [[3,0],[4,5]] = (1/√10)[[1,3],[3,−1]] · diag(3√5, √5) · (1/√2)[[1,1],[1,−1]] (Strang) */
  mcl_tensor *a = matrix(*state, 2, 2, (float[]){3, 0, 4, 5}), *u, *s, *v;
  assert_ok(*state, mcl_linalg_svd(a, &u, &s, &v));
  assert_close(mcl_tensor_f32(s)[0], 3 * sqrt(5), 1e-5);
  assert_close(mcl_tensor_f32(s)[1], sqrt(5), 1e-5);
  assert_close(entry(u, 0, 0), 1 / sqrt(10), 1e-6);
  assert_close(entry(u, 1, 0), 3 / sqrt(10), 1e-6);
  assert_close(entry(u, 0, 1), 3 / sqrt(10), 1e-6);
  assert_close(entry(u, 1, 1), -1 / sqrt(10), 1e-6);
  assert_close(entry(v, 0, 0), sqrt(0.5), 1e-6);
  assert_close(entry(v, 1, 1), -sqrt(0.5), 1e-6);
  release(a, u, s, v);
}

static void an_svd_multiplies_back_from_orthonormal_factors(void **state) {
  static const int64_t sizes[][2] = {{1, 1}, {7, 7}, {40, 9}, {9, 40}, {1, 5}, {120, 75}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mcl_tensor *a = random_matrix(*state, sizes[i][0], sizes[i][1], i), *u, *s, *v;
    assert_ok(*state, mcl_linalg_svd(a, &u, &s, &v));
    assert_true(residual(a, u, s, v) < 1e-4 * sqrt((double)a->count));
    assert_true(off_orthonormal(u, true) < 1e-5);
    assert_true(off_orthonormal(v, false) < 1e-5);
    for (int64_t j = 1; j < s->count; j++) assert_true(mcl_tensor_f32(s)[j] <= mcl_tensor_f32(s)[j - 1]);
    signs_are_fixed(u);
    release(a, u, s, v);
  }
}

/* Eckart and Young: the best rank-r error is the root of the sum of the squares of the other singular values. */
static void top_is_best(mcl_context *ctx, mcl_tensor *a, int64_t rank, double slack, double first_slack) {
  mcl_tensor *u, *s, *v, *full_u, *full_s, *full_v;
  assert_ok(ctx, mcl_linalg_svd_top(a, rank, 3, &u, &s, &v));
  assert_ok(ctx, mcl_linalg_svd(a, &full_u, &full_s, &full_v));
  double tail = 0;
  for (int64_t i = rank; i < full_s->count; i++) tail += pow(mcl_tensor_f32(full_s)[i], 2);
  assert_true(residual(a, u, s, v) <= sqrt(tail) * (1 + slack) + 1e-3);
  assert_true(off_orthonormal(u, true) < 2e-5);
  assert_true(off_orthonormal(v, false) < 2e-5);
  assert_close(mcl_tensor_f32(s)[0], mcl_tensor_f32(full_s)[0], first_slack * mcl_tensor_f32(full_s)[0]);
  signs_are_fixed(u);
  release(u, s, v, full_u);
  release(full_s, full_v, NULL, NULL);
}

static void the_top_of_a_spectrum_is_the_best_approximation(void **state) {
  static const int64_t sizes[][3] = {{60, 40, 10}, {40, 60, 10}, {30, 30, 25}, {50, 20, 20}, {9, 9, 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { /* Gram or full: exact */
    mcl_tensor *a = random_matrix(*state, sizes[i][0], sizes[i][1], 10 + i);
    top_is_best(*state, a, sizes[i][2], 1e-4, 1e-5);
    mcl_tensor_release(a);
  }
}

static void the_randomised_route_is_nearly_the_best(void **state) {
  mcl_tensor *a = random_matrix(*state, 400, 300, 20); /* a flat spectrum: the hardest */
  top_is_best(*state, a, 2, 0.02, 0.1);
  for (int64_t i = 0; i < a->count; i++) mcl_tensor_f32(a)[i] /= (float)(1 + i % 300); /* one that decays */
  top_is_best(*state, a, 2, 1e-4, 1e-5);
  mcl_tensor_release(a);
}

static void a_matrix_of_low_rank_still_gets_orthonormal_factors(void **state) {
  mcl_tensor *a = matrix(*state, 30, 20, NULL);
  for (int64_t i = 0; i < a->count; i++) mcl_tensor_f32(a)[i] = (float)((i / 20) * (i % 20)); /* rank 1 */
  top_is_best(*state, a, 6, 1e-3, 1e-5);
  mcl_tensor_release(a);
}

static void the_same_seed_gives_the_same_bits_on_any_threads(void **state) {
  (void)state;
  float first[3][600 * 3];
  for (int threads = 1; threads <= 4; threads *= 2) {
    mcl_context *ctx;
    mcl_options options = {.threads = threads};
    assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
    mcl_tensor *a = random_matrix(ctx, 600, 500, 7), *u, *s, *v;
    assert_ok(ctx, mcl_linalg_svd_top(a, 3, 11, &u, &s, &v));
    if (threads == 1) {
      memcpy(first[0], u->data, sizeof first[0]);
      memcpy(first[2], v->data, 500 * 3 * sizeof(float));
    }
    assert_memory_equal(first[0], u->data, sizeof first[0]);
    assert_memory_equal(first[2], v->data, 500 * 3 * sizeof(float));
    release(a, u, s, v);
    mcl_context_free(ctx);
  }
}

static void qr_is_thin_with_a_positive_diagonal(void **state) {
  static const int64_t sizes[][2] = {{6, 6}, {20, 5}, {5, 20}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mcl_tensor *a = random_matrix(*state, sizes[i][0], sizes[i][1], 30 + i), *q, *r;
    assert_ok(*state, mcl_linalg_qr(a, &q, &r));
    assert_true(off_orthonormal(q, true) < 1e-5);
    for (int64_t row = 0; row < a->shape.dim[0]; row++)
      for (int64_t column = 0; column < a->shape.dim[1]; column++) {
        double sum = 0;
        for (int64_t l = 0; l < r->shape.dim[0]; l++) sum += entry(q, row, l) * entry(r, l, column);
        assert_close(sum, entry(a, row, column), 1e-5);
      }
    for (int64_t d = 0; d < r->shape.dim[0]; d++) {
      assert_true(entry(r, d, d) >= 0);
      for (int64_t below = 0; below < d; below++) assert_true(entry(r, d, below) == 0);
    }
    release(a, q, r, NULL);
  }
}

static void eigenvalues_ascend_and_vectors_are_columns(void **state) {
  mcl_tensor *a = matrix(*state, 2, 2, (float[]){2, 1, 1, 2}), *values, *vectors; /* 1: (1,−1)/√2, 3: (1,1)/√2 */
  assert_ok(*state, mcl_linalg_eigen(a, &values, &vectors));
  assert_close(mcl_tensor_f32(values)[0], 1, 1e-6);
  assert_close(mcl_tensor_f32(values)[1], 3, 1e-6);
  assert_close(fabs(entry(vectors, 0, 0) - entry(vectors, 1, 0)), sqrt(2), 1e-6);
  assert_close(entry(vectors, 0, 1), sqrt(0.5), 1e-6);
  assert_close(entry(vectors, 1, 1), sqrt(0.5), 1e-6);
  release(a, values, vectors, NULL);
}

static void cholesky_and_its_solution_are_those_of_the_textbook(void **state) {
  mcl_tensor *a = matrix(*state, 3, 3, (float[]){4, 12, -16, 12, 37, -43, -16, -43, 98}), *l, *x;
  static const float expected[] = {2, 0, 0, 6, 1, 0, -8, 5, 3};
  assert_ok(*state, mcl_linalg_cholesky(a, &l));
  for (int i = 0; i < 9; i++) assert_close(mcl_tensor_f32(l)[i], expected[i], 1e-4);
  mcl_tensor *b = matrix(*state, 3, 2, (float[]){0, 4, 6, 12, 39, -16}); /* A·(1,1,1) and A's first column */
  assert_ok(*state, mcl_linalg_solve(l, b, &x));
  static const float solved[] = {1, 1, 1, 0, 1, 0};
  for (int i = 0; i < 6; i++) assert_close(mcl_tensor_f32(x)[i], solved[i], 2e-2);
  release(a, l, b, x);
}

static void what_cannot_be_factored_is_refused_with_the_place(void **state) {
  mcl_tensor *a = matrix(*state, 2, 2, (float[]){1, 2, 2, 1}), *b = matrix(*state, 2, 3, NULL), *u, *s, *v;
  assert_fails(*state, MCL_ERROR_NUMERIC, "pivot 2", mcl_linalg_cholesky(a, &u));
  assert_null(u);
  assert_fails(*state, MCL_ERROR_ARGUMENT, "square", mcl_linalg_cholesky(b, &u));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "square", mcl_linalg_eigen(b, &u, &s));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "rank 3", mcl_linalg_svd_top(b, 3, 0, &u, &s, &v));
  mcl_tensor_f32(a)[1] = NAN;
  assert_fails(*state, MCL_ERROR_NUMERIC, "svd", mcl_linalg_svd(a, &u, &s, &v));
  assert_null(u);
  release(a, b, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(a_known_svd_is_found),
      context_test(an_svd_multiplies_back_from_orthonormal_factors),
      context_test(the_top_of_a_spectrum_is_the_best_approximation),
      context_test(the_randomised_route_is_nearly_the_best),
      context_test(a_matrix_of_low_rank_still_gets_orthonormal_factors),
      context_test(the_same_seed_gives_the_same_bits_on_any_threads),
      context_test(qr_is_thin_with_a_positive_diagonal),
      context_test(eigenvalues_ascend_and_vectors_are_columns),
      context_test(cholesky_and_its_solution_are_those_of_the_textbook),
      context_test(what_cannot_be_factored_is_refused_with_the_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
