/* The blocked factorisations: values against closed forms and against LAPACK in double, factors that multiply back, on
 * matrices that make divide and conquer set aside nothing, some and everything, at sizes around its leaves and panels. */
#include <lapacke.h>
#include <math.h>

#include "base/random.h"
#include "tensor/factor_blas.h"
#include "tensor/linalg.h"
#include "unit/check.h"

typedef double (*entry_fn)(mcl_random *random, int64_t i, int64_t j, int64_t n);

static double normal(mcl_random *random, int64_t i, int64_t j, int64_t n) {
  (void)i, (void)j, (void)n;
  return (double)mcl_random_normal(random);
}
static double rank_two(mcl_random *random, int64_t i, int64_t j, int64_t n) {
  (void)random, (void)n;
  return (double)(i % 7) * (double)(j % 5) - (double)(i % 3);
}
static double identity(mcl_random *random, int64_t i, int64_t j, int64_t n) {
  (void)random, (void)n;
  return i == j;
}
static double zero(mcl_random *random, int64_t i, int64_t j, int64_t n) {
  (void)random, (void)i, (void)j, (void)n;
  return 0;
}
static double graded(mcl_random *random, int64_t i, int64_t j, int64_t n) {
  return normal(random, i, j, n) * pow(10, -9.0 * (double)j / (double)n);
}
static double blocks(mcl_random *random, int64_t i, int64_t j,
                     int64_t n) { /* halves that have nothing to do with each other */
  double value = normal(random, i, j, n);
  return (i < n / 2) == (j < n / 2) ? value : 0;
}
static double tiny(mcl_random *random, int64_t i, int64_t j, int64_t n) { return 1e-30 * normal(random, i, j, n); }
static double vast(mcl_random *random, int64_t i, int64_t j, int64_t n) { return 1e30 * normal(random, i, j, n); }
static double repeated(mcl_random *random, int64_t i, int64_t j, int64_t n) { /* few values, each many times */
  (void)random, (void)n;
  return i == j ? 1 + (double)(i % 3) : i + j == n - 1 ? 0.5 : 0;
}

static const entry_fn entries[] = {normal, rank_two, identity, zero, graded, blocks, tiny, vast, repeated};
#define ENTRIES (sizeof entries / sizeof *entries)

static float *matrix(entry_fn entry, int64_t m, int64_t n, bool symmetric) {
  float *a = malloc((size_t)(m * n) * sizeof *a);
  mcl_random random = mcl_random_at(5, 1);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) a[i * n + j] = symmetric && j < i ? a[j * n + i] : (float)entry(&random, i, j, n);
  return a;
}

static double largest(const float *a, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; i++) most = fmax(most, fabs((double)a[i]));
  return most;
}

static double off_orthonormal_rows(const float *x, int64_t count, int64_t length) {
  double worst = 0;
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j <= i; j++) {
      double sum = i == j ? -1 : 0;
      for (int64_t l = 0; l < length; l++) sum += (double)x[i * length + l] * (double)x[j * length + l];
      worst = fmax(worst, fabs(sum));
    }
  return worst;
}

/* The largest entry of A − Xᵀ diag(d) Y, for rows of x[k, m] and y[k, n]. */
static double residual(const float *a, int64_t m, int64_t n, int64_t k, const float *x, const double *d,
                       const float *y) {
  double worst = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double left = (double)a[i * n + j];
      for (int64_t l = 0; l < k; l++) left -= (double)x[l * m + i] * d[l] * (double)y[l * n + j];
      worst = fmax(worst, fabs(left));
    }
  return worst;
}

static void check_svd(mcl_context *ctx, entry_fn entry, int64_t m, int64_t n) {
  size_t area = (size_t)(m * n), side = (size_t)n;
  float *a = matrix(entry, m, n, false), *work = malloc(area * sizeof *work);
  float *u = malloc(area * sizeof *u), *v = malloc(side * side * sizeof *v);
  double *s = malloc(side * sizeof *s), *wide = malloc(area * sizeof *wide), *expected = malloc(side * sizeof *s);
  memcpy(work, a, area * sizeof *work);
  for (size_t i = 0; i < area; i++) wide[i] = (double)a[i];
  assert_ok(ctx, mcl_svd_f32(ctx, m, n, work, u, s, v));
  lapack_int rows = (lapack_int)m, columns = (lapack_int)n;
  assert_int_equal(
      LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'N', rows, columns, wide, columns, expected, wide, rows, wide, columns), 0);
  double scale = expected[0] > 0 ? expected[0] : 1;
  for (int64_t i = 0; i < n; i++) {
    assert_close(s[i], expected[i], 3e-6 * scale);
    assert_true(s[i] >= 0 && (i == 0 || s[i] <= s[i - 1]));
  }
  assert_true(residual(a, m, n, n, u, s, v) <= 5e-6 * scale);
  assert_true(off_orthonormal_rows(u, n, m) < 1e-5);
  assert_true(off_orthonormal_rows(v, n, n) < 1e-5);
  free(a), free(work), free(u), free(v), free(s), free(wide), free(expected);
}

static void singular_values_are_lapacks_and_factors_multiply_back(void **state) {
  static const int64_t sizes[][2] = {{1, 1}, {2, 1}, {24, 24}, {25, 25}, {40, 33}, {65, 64}, {131, 100}, {150, 150}};
  for (size_t e = 0; e < ENTRIES; e++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_svd(*state, entries[e], sizes[i][0], sizes[i][1]);
}

static void check_eigen(mcl_context *ctx, entry_fn entry, int64_t n) {
  size_t area = (size_t)(n * n), side = (size_t)n;
  float *a = matrix(entry, n, n, true), *work = malloc(area * sizeof *work), *vectors = malloc(area * sizeof *vectors);
  double *values = malloc(side * sizeof *values), *wide = malloc(area * sizeof *wide);
  double *expected = malloc(side * sizeof *expected), *others = malloc(area * sizeof *others);
  memcpy(work, a, area * sizeof *work);
  for (size_t i = 0; i < area; i++) wide[i] = others[i] = (double)a[i];
  assert_ok(ctx, mcl_eigen_f32(ctx, n, work, n, values, vectors));
  assert_int_equal(LAPACKE_dsyev(LAPACK_COL_MAJOR, 'N', 'L', (lapack_int)n, wide, (lapack_int)n, expected), 0);
  double scale = fmax(fabs(expected[0]), fabs(expected[n - 1]));
  if (scale == 0) scale = 1;
  for (int64_t i = 0; i < n; i++) assert_close(values[i], expected[i], 3e-6 * scale);
  assert_true(residual(a, n, n, n, vectors, values, vectors) <= 5e-6 * scale);
  assert_true(off_orthonormal_rows(vectors, n, n) < 1e-5);

  int64_t top = n / 3 + 1; /* in double, and the top alone */
  double *some = malloc((size_t)(top * n) * sizeof *some);
  assert_ok(ctx, mcl_eigen_f64(ctx, n, others, top, values, some));
  for (int64_t i = 0; i < top; i++) {
    assert_close(values[i], expected[n - top + i], 1e-13 * scale);
    for (int64_t r = 0; r < n; r++) {
      double left = -values[i] * some[i * n + r];
      for (int64_t c = 0; c < n; c++) left += (double)a[r * n + c] * some[i * n + c];
      assert_true(fabs(left) <= 1e-13 * scale);
    }
  }
  free(a), free(work), free(vectors), free(values), free(wide), free(expected), free(others), free(some);
}

static void eigenvalues_are_lapacks_and_vectors_multiply_back(void **state) {
  static const int64_t sizes[] = {1, 2, 32, 33, 64, 65, 100, 150};
  for (size_t e = 0; e < ENTRIES; e++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_eigen(*state, entries[e], sizes[i]);
}

static void values_are_those_of_closed_forms(void **state) {
  enum { N = 200 };
  static float a[N * N], u[N * N], v[N * N];
  double s[N];
  for (int i = 0; i < N; i++) a[i * N + i] = 1, a[i * N + (i + 1 < N ? i + 1 : i)] = 1;
  assert_ok(*state, mcl_svd_f32(*state, N, N, a, u, s, v)); /* ones on the diagonal and above it */
  for (int k = 1; k <= N; k++) assert_close(s[k - 1], 2 * cos(k * M_PI / (2 * N + 1)), 2e-6);
  memset(a, 0, sizeof a);
  for (int i = 0; i < N; i++) a[i * N + i] = 2, a[i * N + (i + 1 < N ? i + 1 : i)] += i + 1 < N ? -1 : 0;
  assert_ok(*state, mcl_eigen_f32(*state, N, a, N, s, v)); /* the second difference */
  for (int k = 1; k <= N; k++) assert_close(s[k - 1], 2 - 2 * cos(k * M_PI / (N + 1)), 4e-6);
}

static void check_qr(mcl_context *ctx, entry_fn entry, int64_t m, int64_t n) {
  int64_t k = m < n ? m : n;
  float *a = matrix(entry, m, n, false), *r = matrix(entry, m, n, false), *q = malloc((size_t)(m * k) * sizeof *q);
  assert_ok(ctx, mcl_qr_f32(ctx, m, n, r, q));
  double scale = largest(a, m * n) * sqrt((double)m) + 1e-38, worst = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double left = (double)a[i * n + j];
      for (int64_t l = 0; l <= j && l < k; l++) left -= (double)q[i * k + l] * (double)r[l * n + j];
      worst = fmax(worst, fabs(left));
    }
  assert_true(worst <= 2e-6 * scale);
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j <= i; j++) {
      double sum = i == j ? -1 : 0;
      for (int64_t l = 0; l < m; l++) sum += (double)q[l * k + i] * (double)q[l * k + j];
      assert_true(fabs(sum) < 5e-6);
    }
  free(a), free(r), free(q);
}

static void q_is_orthonormal_and_r_multiplies_back(void **state) {
  static const int64_t sizes[][2] = {{1, 1}, {32, 32}, {33, 33}, {100, 40}, {40, 100}, {150, 131}};
  for (size_t e = 0; e < ENTRIES; e++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_qr(*state, entries[e], sizes[i][0], sizes[i][1]);
}

static mcl_tensor *tensor(mcl_context *ctx, int64_t m, int64_t n) {
  mcl_tensor *t;
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(m, n), &t));
  return t;
}

/* A = L₀ L₀ᵀ of a lower triangle that is known, so Cholesky must give it back, and A·x is solved by x. */
static void cholesky_gives_the_factor_back_over_several_panels(void **state) {
  enum { N = 300 };
  mcl_tensor *a = tensor(*state, N, N), *b = tensor(*state, N, 2), *l, *x;
  static double lower[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j <= i; j++) lower[i][j] = i == j ? 4 : ((i + j) % 3 - 1.0) / (1 + (i - j) * (i - j));
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      double sum = 0;
      for (int k = 0; k <= (i < j ? i : j); k++) sum += lower[i][k] * lower[j][k];
      mcl_tensor_f32(a)[i * N + j] = (float)sum;
    }
  assert_ok(*state, mcl_linalg_cholesky(a, &l));
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) assert_close(mcl_tensor_f32(l)[i * N + j], lower[i][j], 1e-4);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      mcl_tensor_f32(b)[i * 2] += mcl_tensor_f32(a)[i * N + j];
      mcl_tensor_f32(b)[i * 2 + 1] += mcl_tensor_f32(a)[i * N + j] * (float)(j % 2);
    }
  assert_ok(*state, mcl_linalg_solve(l, b, &x));
  for (int i = 0; i < N; i++) {
    assert_close(mcl_tensor_f32(x)[i * 2], 1, 1e-4);
    assert_close(mcl_tensor_f32(x)[i * 2 + 1], i % 2, 1e-4);
  }
  mcl_tensor_f32(a)[200 * N + 200] = -1;
  mcl_tensor *none;
  assert_fails(*state, MCL_ERROR_NUMERIC, "pivot 201 of 300", mcl_linalg_cholesky(a, &none));
  mcl_tensor_release(a);
  mcl_tensor_release(b);
  mcl_tensor_release(l);
  mcl_tensor_release(x);
}

/* Sizes past LAPACK's, by the doors that users have: wide, tall, square. */
static void large_matrices_go_by_blocks_with_the_same_bits_on_any_threads(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{420, 420}, {900, 300}, {300, 900}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mcl_tensor *first = NULL;
    mcl_context *contexts[2];
    for (int t = 0; t < 2; t++) {
      mcl_options options = {.threads = 1 + 2 * t};
      assert_int_equal(mcl_context_new(&options, &contexts[t]), MCL_OK);
      mcl_tensor *a = tensor(contexts[t], sizes[i][0], sizes[i][1]), *u, *s, *v;
      mcl_random random = mcl_random_at(9, i);
      for (int64_t k = 0; k < a->count; k++) mcl_tensor_f32(a)[k] = mcl_random_normal(&random);
      assert_ok(contexts[t], mcl_linalg_svd(a, &u, &s, &v));
      double all = 0, squares = 0; /* ‖A‖² = Σ s² */
      for (int64_t k = 0; k < a->count; k++) all += pow((double)mcl_tensor_f32(a)[k], 2);
      for (int64_t k = 0; k < s->count; k++) squares += pow((double)mcl_tensor_f32(s)[k], 2);
      assert_close(squares / all, 1, 1e-5);
      if (first)
        assert_memory_equal(first->data, v->data, (size_t)v->count * sizeof(float));
      else
        first = mcl_tensor_retain(v);
      mcl_tensor_release(a);
      mcl_tensor_release(u);
      mcl_tensor_release(s);
      mcl_tensor_release(v);
    }
    mcl_tensor_release(first);
    for (int t = 0; t < 2; t++) mcl_context_free(contexts[t]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(singular_values_are_lapacks_and_factors_multiply_back),
      context_test(eigenvalues_are_lapacks_and_vectors_multiply_back),
      context_test(values_are_those_of_closed_forms),
      context_test(q_is_orthonormal_and_r_multiplies_back),
      context_test(cholesky_gives_the_factor_back_over_several_panels),
      context_test(large_matrices_go_by_blocks_with_the_same_bits_on_any_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
