/* What the blocked factorisations share, in f32, or in f64 where FACTOR_F64 is defined: products and reflections that are
 * cut into pieces of some milliseconds, asking between them whether to stop. Row-major. To be included by one .c each. */
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "tensor/blas_lock.h"
#include "tensor/matmul.h"

#ifdef FACTOR_F64
typedef double real;
#define BLAS(name) cblas_d##name
#define REAL_EPSILON 2.220446049250313e-16
#define TILE_ROWS 256 /* of a product: some 10 ms a call */
#define TILE_COLUMNS 512
#define TILE_DEPTH 1024
#else
typedef float real;
#define BLAS(name) cblas_s##name
#define REAL_EPSILON 1.1920928955078125e-07
#endif

#define PIECE ((int64_t)1 << 21) /* elements that one call of level 2 reads: 1 to 2 ms */
#define PANEL 32                 /* reflections that are gathered before they are applied */

/* C[m,n] = alpha · op(A) · op(B) + beta · C */
static inline mcl_status multiply(mcl_context *ctx, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha,
                                  const real *a, int64_t lda, const real *b, int64_t ldb, double beta, real *c,
                                  int64_t ldc) {
  if (m == 0 || n == 0) return MCL_OK;
#ifdef FACTOR_F64
  for (int64_t i = 0; k == 0 && beta == 0 && i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
  for (int64_t l = 0; l < k; l += TILE_DEPTH)
    for (int64_t i = 0; i < m; i += TILE_ROWS)
      for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
        int64_t depth = k - l < TILE_DEPTH ? k - l : TILE_DEPTH, rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
        int64_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
        MCL_TRY(mcl_blas_enter(ctx));
        cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)rows,
                    (blasint)columns, (blasint)depth, alpha, ta ? a + l * lda + i : a + i * lda + l, (blasint)lda,
                    tb ? b + j * ldb + l : b + l * ldb + j, (blasint)ldb, l ? 1 : beta, c + i * ldc + j, (blasint)ldc);
        mcl_blas_unlock();
      }
  return MCL_OK;
#else
  mcl_matmul p = {.transpose_a = ta,
                  .transpose_b = tb,
                  .m = m,
                  .n = n,
                  .k = k,
                  .alpha = (float)alpha,
                  .a = a,
                  .lda = lda,
                  .b = b,
                  .ldb = ldb,
                  .beta = (float)beta,
                  .c = c,
                  .ldc = ldc};
  return mcl_matmul_run(ctx, &p);
#endif
}

/* y = alpha · op(A[m,n]) · x + beta · y */
static inline mcl_status times_vector(mcl_context *ctx, bool transpose, int64_t m, int64_t n, double alpha,
                                      const real *a, int64_t lda, const real *x, int64_t x_step, double beta, real *y,
                                      int64_t y_step) {
  if (m == 0 || n == 0) {
    for (int64_t i = 0; beta == 0 && i < (transpose ? n : m); i++) y[i * y_step] = 0;
    return MCL_OK;
  }
  int64_t rows = PIECE / n + 1;
  for (int64_t i = 0; i < m; i += rows) {
    MCL_TRY(mcl_blas_enter(ctx));
    BLAS(gemv)
    (CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, (blasint)(m - i < rows ? m - i : rows), (blasint)n,
     (real)alpha, a + i * lda, (blasint)lda, transpose ? x + i * x_step : x, (blasint)x_step,
     (real)(transpose && i > 0 ? 1 : beta), transpose ? y : y + i * y_step, (blasint)y_step);
    mcl_blas_unlock();
  }
  return MCL_OK;
}

/* Makes of x[n] a reflection I − tau · v vᵀ, v[0] = 1, that turns it into (result, 0, …); v takes its place. */
static inline mcl_status reflect(mcl_context *ctx, int64_t n, real *x, int64_t step, real *tau, double *result) {
  double sum = 0, first = (double)x[0];
  int64_t work = 0;
  for (int64_t i = 1; i < n; i++) {
    sum += (double)x[i * step] * (double)x[i * step];
    if (i % 4096 == 0) MCL_TRY(mcl_worked(ctx, &work, 4096));
  }
  *tau = 0;
  *result = first;
  x[0] = 1;
  if (sum == 0) return MCL_OK;
  *result = -copysign(sqrt(first * first + sum), first);
  *tau = (real)((*result - first) / *result);
  double scale = 1 / (first - *result);
  for (int64_t i = 1; i < n; i++) {
    x[i * step] = (real)((double)x[i * step] * scale);
    if (i % 4096 == 0) MCL_TRY(mcl_worked(ctx, &work, 4096));
  }
  return MCL_OK;
}

/* Of `count` reflections, rows of v[count, n]: t such that their product, first to last, is I − Vᵀ T V. */
static inline mcl_status compact(mcl_context *ctx, int64_t count, int64_t n, const real *v, int64_t ldv,
                                 const real *tau, real *t /* [PANEL, PANEL] */) {
  real gram[PANEL * PANEL];
  MCL_TRY(multiply(ctx, false, true, count, count, n, 1, v, ldv, v, ldv, 0, gram, PANEL));
  memset(t, 0, PANEL * PANEL * sizeof *t);
  for (int64_t i = 0; i < count; i++) {
    for (int64_t r = 0; r < i; r++) {
      double sum = 0;
      for (int64_t l = r; l < i; l++) sum += (double)t[r * PANEL + l] * (double)gram[l * PANEL + i];
      t[r * PANEL + i] = (real)(-(double)tau[i] * sum);
    }
    t[i * PANEL + i] = tau[i];
  }
  return MCL_OK;
}

/* Each row of z[rows, n] is a vector that the product of reflections is applied to. work: 2 · rows · PANEL. */
static inline mcl_status reflect_rows(mcl_context *ctx, int64_t count, int64_t n, const real *v, int64_t ldv,
                                      const real *t, int64_t rows, real *z, int64_t ldz, real *work) {
  real *y = work, *w = work + rows * PANEL;
  MCL_TRY(multiply(ctx, false, true, rows, count, n, 1, z, ldz, v, ldv, 0, y, PANEL));
  MCL_TRY(multiply(ctx, false, true, rows, count, count, 1, y, PANEL, t, PANEL, 0, w, PANEL));
  return multiply(ctx, false, false, rows, n, count, -1, w, PANEL, v, ldv, 1, z, ldz);
}

/* Two rows turned by the angle of cosine c and sine s. */
static inline void rotate(real *x, real *y, int64_t n, double c, double s) {
  for (int64_t i = 0; i < n; i++) {
    double a = (double)x[i], b = (double)y[i];
    x[i] = (real)(c * a + s * b);
    y[i] = (real)(c * b - s * a);
  }
}
