/* Cholesky's factorisation by panels of columns, and systems by its factor; LAPACK and BLAS see blocks alone. */
#include "tensor/factor_body.h"
#include "tensor/linalg_blas.h"

#define BLOCK 128  /* columns of a panel */
#define STRIP 4096 /* rows or columns that a triangular solve takes at once */

/* ---- L Lᵀ = A ---- */

static mcl_status not_positive(mcl_context *ctx, int64_t pivot, int64_t n) {
  return mcl_fail(ctx, MCL_ERROR_NUMERIC,
                  "cholesky: not positive definite at pivot %d of %d; add a small multiple of the identity", (int)pivot,
                  (int)n);
}

/* Columns j … of the lower triangle, those before being L's already. */
static mcl_status factor_panel(mcl_context *ctx, float *w, int64_t n, int64_t j) {
  int64_t count = n - j < BLOCK ? n - j : BLOCK, below = j + count;
  float *diagonal = w + j * n + j;
  if (j) MCL_TRY(multiply(ctx, false, true, n - j, count, j, -1, w + j * n, n, w + j * n, n, 1, diagonal, n));
  MCL_TRY(mcl_blas_enter(ctx));
  lapack_int info =
      mcl_linalg_unlock(LAPACKE_spotrf(LAPACK_COL_MAJOR, 'U', (lapack_int)count, diagonal, (lapack_int)n));
  if (info < 0) return mcl_linalg_no_convergence(ctx, "cholesky", info);
  if (info) return not_positive(ctx, j + info, n);
  for (int64_t i = below; i < n; i += STRIP) {
    MCL_TRY(mcl_blas_enter(ctx));
    cblas_strsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit,
                (blasint)(n - i < STRIP ? n - i : STRIP), (blasint)count, 1, diagonal, (blasint)n, w + i * n + j,
                (blasint)n);
    mcl_blas_unlock();
  }
  return MCL_OK;
}

mcl_status mcl_linalg_cholesky(mcl_tensor *a, mcl_tensor **l) {
  MCL_TRY(mcl_linalg_copy(a, "cholesky", true, l));
  mcl_context *ctx = a->ctx;
  int64_t n = a->shape.dim[0], work = 0;
  float *w = mcl_tensor_f32(*l);
  mcl_status status = MCL_OK;
  for (int64_t j = 0; j < n && !status; j += BLOCK) status = factor_panel(ctx, w, n, j);
  for (int64_t i = 0; i < n && !status; i++) {
    memset(w + i * n + i + 1, 0, (size_t)(n - i - 1) * sizeof *w);
    status = mcl_worked(ctx, &work, n - i);
  }
  if (!status) return MCL_OK;
  mcl_tensor_release(*l);
  *l = NULL;
  return status;
}

/* ---- L Lᵀ x = b ---- */

/* Rows i … of x, by the block of L on the diagonal or its transpose. */
static mcl_status solve_block(mcl_context *ctx, bool transpose, const float *l, int64_t n, int64_t i, float *x,
                              int64_t columns) {
  int64_t count = n - i < BLOCK ? n - i : BLOCK;
  for (int64_t c = 0; c < columns; c += STRIP) {
    MCL_TRY(mcl_blas_enter(ctx));
    cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, transpose ? CblasTrans : CblasNoTrans, CblasNonUnit,
                (blasint)count, (blasint)(columns - c < STRIP ? columns - c : STRIP), 1, l + i * n + i, (blasint)n,
                x + i * columns + c, (blasint)columns);
    mcl_blas_unlock();
  }
  return MCL_OK;
}

static mcl_status solve_both(mcl_context *ctx, const float *l, int64_t n, float *x, int64_t columns) {
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count = n - i < BLOCK ? n - i : BLOCK;
    if (i)
      MCL_TRY(
          multiply(ctx, false, false, count, columns, i, -1, l + i * n, n, x, columns, 1, x + i * columns, columns));
    MCL_TRY(solve_block(ctx, false, l, n, i, x, columns));
  }
  for (int64_t i = (n - 1) / BLOCK * BLOCK; i >= 0; i -= BLOCK) {
    int64_t count = n - i < BLOCK ? n - i : BLOCK, after = i + count;
    if (after < n)
      MCL_TRY(multiply(ctx, true, false, count, columns, n - after, -1, l + after * n + i, n, x + after * columns,
                       columns, 1, x + i * columns, columns));
    MCL_TRY(solve_block(ctx, true, l, n, i, x, columns));
  }
  return MCL_OK;
}

mcl_status mcl_linalg_solve(mcl_tensor *l, mcl_tensor *b, mcl_tensor **x) {
  mcl_tensor *factor, *copy = NULL;
  *x = NULL;
  MCL_TRY(mcl_linalg_copy(l, "solve", true, &factor));
  int64_t n = l->shape.dim[0];
  char text[MCL_SHAPE_TEXT];
  mcl_status status = MCL_OK;
  if (b->shape.rank < 1 || b->shape.rank > 2 || b->shape.dim[0] != n || b->count == 0)
    status = mcl_fail(l->ctx, MCL_ERROR_ARGUMENT, "solve: the right side has shape %s, and needs %lld rows",
                      mcl_shape_text(b->shape, text), (long long)n);
  if (!status) status = mcl_tensor_check_finite(b, "solve: the right side");
  if (!status) status = b->dtype == MCL_F32 ? mcl_tensor_copy(b, &copy) : mcl_tensor_convert(b, MCL_F32, &copy);
  if (!status) status = solve_both(l->ctx, mcl_tensor_f32(factor), n, mcl_tensor_f32(copy), b->count / n);
  mcl_tensor_release(factor);
  if (status)
    mcl_tensor_release(copy);
  else
    *x = copy;
  return status;
}
