/* Factorisations: small ones by LAPACK, larger ones by blocks, so that a cancel is heard within milliseconds. LAPACK's
 * matrices are column-major: a row-major A is its Aᵀ, which is used where it saves a transpose. Signs, which a factorisation leaves
 * open, are fixed so that results do not depend on the library. */
#include "tensor/linalg_blas.h"

#include <math.h>
#include <string.h>

#include "tensor/factor_blas.h"
#include "tensor/matmul.h"

/* ---- What all share ---- */

mcl_status mcl_linalg_copy(mcl_tensor *a, const char *what, bool square, mcl_tensor **out) {
  char text[MCL_SHAPE_TEXT];
  *out = NULL;
  if (a->shape.rank != 2 || a->count == 0)
    return mcl_fail(a->ctx, MCL_ERROR_ARGUMENT, "%s: needs a matrix that is not empty, not a tensor of shape %s", what,
                    mcl_shape_text(a->shape, text));
  if (square && a->shape.dim[0] != a->shape.dim[1])
    return mcl_fail(a->ctx, MCL_ERROR_ARGUMENT, "%s: needs a square matrix, not one of shape %s", what,
                    mcl_shape_text(a->shape, text));
  if (a->shape.dim[0] > INT32_MAX || a->shape.dim[1] > INT32_MAX)
    return mcl_fail(a->ctx, MCL_ERROR_UNSUPPORTED, "%s: a matrix of shape %s is too large for LAPACK", what,
                    mcl_shape_text(a->shape, text));
  MCL_TRY(mcl_tensor_check_finite(a, what));
  mcl_tensor *copy;
  MCL_TRY(a->dtype == MCL_F32 ? mcl_tensor_copy(a, &copy) : mcl_tensor_convert(a, MCL_F32, &copy));
  *out = copy;
  return MCL_OK;
}

lapack_int mcl_linalg_unlock(lapack_int info) {
  mcl_blas_unlock();
  return info;
}

mcl_status mcl_linalg_no_convergence(mcl_context *ctx, const char *what, lapack_int info) {
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return mcl_fail(ctx, MCL_ERROR_MEMORY, "%s: LAPACK could not get its workspace", what);
  return mcl_fail(ctx, MCL_ERROR_NUMERIC, "%s: LAPACK did not converge (info %d); check the matrix's scale", what,
                  (int)info);
}

void mcl_linalg_release_three(mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor_release(*u);
  mcl_tensor_release(*s);
  mcl_tensor_release(*v);
  *u = *s = *v = NULL;
}

mcl_status mcl_linalg_new_three(mcl_context *ctx, int64_t m, int64_t n, int64_t r, mcl_tensor **u, mcl_tensor **s,
                                mcl_tensor **v) {
  *u = *s = *v = NULL;
  mcl_status status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(m, r), u);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_1(r), s);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(r, n), v);
  if (status) mcl_linalg_release_three(u, s, v);
  return status;
}

mcl_status mcl_linalg_fix_signs(mcl_context *ctx, float *u, int64_t m, int64_t r, float *v, int64_t n) {
  int64_t work = 0;
  for (int64_t j = 0; j < r; j++) {
    float top = 0;
    for (int64_t i = 0; i < m; i++)
      if (fabsf(u[i * r + j]) > fabsf(top)) top = u[i * r + j];
    MCL_TRY(mcl_worked(ctx, &work, 2 * m + n));
    if (!(top < 0)) continue;
    for (int64_t i = 0; i < m; i++) u[i * r + j] = -u[i * r + j];
    for (int64_t i = 0; v && i < n; i++) v[j * n + i] = -v[j * n + i];
  }
  return MCL_OK;
}

mcl_status mcl_linalg_product(mcl_context *ctx, bool transpose_a, int64_t m, int64_t n, int64_t k, const float *a,
                              int64_t lda, const float *b, int64_t ldb, float *c) {
  mcl_matmul p = {transpose_a, false, m, n, k, 1, a, lda, b, ldb, 0, c, n, NULL};
  return mcl_matmul_run(ctx, &p);
}

/* ---- Singular values ---- */

/* Overwrites a[m,n]. Divide and conquer; where that does not converge, QR iterations on a second copy. */
static mcl_status svd_small(mcl_tensor *a, float *u, float *s, float *v) {
  lapack_int m = (lapack_int)a->shape.dim[0], n = (lapack_int)a->shape.dim[1], r = m < n ? m : n;
  mcl_tensor *spare;
  float *superb = NULL;
  MCL_TRY(mcl_tensor_copy(a, &spare));
  mcl_status status = mcl_alloc_array(a->ctx, (size_t)r, sizeof *superb, &superb);
  if (!status) status = mcl_blas_enter(a->ctx);
  if (!status) { /* Aᵀ = V S Uᵀ in column-major: LAPACK's U is our V, and its Vᵀ our U, each in the layout that we want */
    lapack_int info = LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'S', n, m, mcl_tensor_f32(a), n, s, v, n, u, r);
    if (info > 0)
      info = LAPACKE_sgesvd(LAPACK_COL_MAJOR, 'S', 'S', n, m, mcl_tensor_f32(spare), n, s, v, n, u, r, superb);
    mcl_blas_unlock();
    if (info) status = mcl_linalg_no_convergence(a->ctx, "svd", info);
  }
  mcl_free(a->ctx, superb);
  mcl_tensor_release(spare);
  return status;
}

/* By blocks, of a[m,n] with m ≥ n: rows of left[n,m] and right[n,n] are the vectors. A long matrix is first made square. */
static mcl_status svd_blocked(mcl_tensor *a, float *left, float *s, float *right) {
  mcl_context *ctx = a->ctx;
  int64_t m = a->shape.dim[0], n = a->shape.dim[1];
  bool is_long = 5 * m >= 8 * n;
  float *w = mcl_tensor_f32(a), *q = NULL, *square = NULL;
  double *values = NULL;
  mcl_status status = mcl_alloc_array(ctx, (size_t)n, sizeof *values, &values);
  if (!status && is_long) status = mcl_alloc_array(ctx, (size_t)m, (size_t)n * sizeof *q, &q);
  if (!status && is_long) status = mcl_alloc_array(ctx, (size_t)n, (size_t)n * sizeof *square, &square);
  if (!status && is_long) status = mcl_qr_f32(ctx, m, n, w, q);
  for (int64_t i = 0; !status && is_long && i < n; i++)
    for (int64_t j = 0; j < i; j++) w[i * n + j] = 0;
  if (!status) status = mcl_svd_f32(ctx, is_long ? n : m, n, w, is_long ? square : left, values, right);
  if (!status && is_long) { /* left = square · Qᵀ */
    mcl_matmul p = {false, true, n, m, n, 1, square, n, q, n, 0, left, m, NULL};
    status = mcl_matmul_run(ctx, &p);
  }
  for (int64_t i = 0; !status && i < n; i++) s[i] = (float)values[i];
  mcl_free(ctx, values);
  mcl_free(ctx, q);
  mcl_free(ctx, square);
  return status;
}

/* rows[r, n] into out[n, r]. */
static mcl_status transpose_into(mcl_context *ctx, float *rows, int64_t r, int64_t n, float *out) {
  mcl_tensor *view, *turned = NULL;
  MCL_TRY(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_2(r, n), rows, &view));
  mcl_status status = mcl_tensor_transpose(view, &turned);
  if (!status) status = mcl_copy(ctx, out, turned->data, (size_t)turned->count * sizeof *out);
  mcl_tensor_release(view);
  mcl_tensor_release(turned);
  return status;
}

static mcl_status svd_large(mcl_tensor *a, float *u, float *s, float *v) {
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], r = m < n ? m : n;
  mcl_context *ctx = a->ctx;
  mcl_tensor *tall = NULL;
  float *rows; /* the vectors that become u's columns */
  MCL_TRY(mcl_alloc_array(ctx, (size_t)r, (size_t)m * sizeof *rows, &rows));
  mcl_status status = MCL_OK;
  if (m >= n) {
    status = svd_blocked(a, rows, s, v);
  } else {
    status = mcl_tensor_transpose(a, &tall);
    if (!status) status = svd_blocked(tall, v, s, rows);
  }
  if (!status) status = transpose_into(ctx, rows, r, m, u);
  mcl_tensor_release(tall);
  mcl_free(ctx, rows);
  return status;
}

mcl_status mcl_linalg_svd(mcl_tensor *a, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor *work;
  *u = *s = *v = NULL;
  MCL_TRY(mcl_linalg_copy(a, "svd", false, &work));
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], r = m < n ? m : n;
  bool is_small = mcl_is_for_lapack(m, n, MCL_LAPACK_SVD_WORK);
  mcl_status status = mcl_linalg_new_three(a->ctx, m, n, r, u, s, v);
  if (!status)
    status = (is_small ? svd_small : svd_large)(work, mcl_tensor_f32(*u), mcl_tensor_f32(*s), mcl_tensor_f32(*v));
  if (!status) status = mcl_linalg_fix_signs(a->ctx, mcl_tensor_f32(*u), m, r, mcl_tensor_f32(*v), n);
  if (status) mcl_linalg_release_three(u, s, v);
  mcl_tensor_release(work);
  return status;
}

/* ---- QR, eigenvalues ---- */

/* w[m,n] becomes R in its upper triangle, q[m,k] the orthonormal columns. */
static mcl_status qr_small(mcl_context *ctx, int64_t m, int64_t n, float *w, float *q, float *r) {
  int64_t k = m < n ? m : n;
  float *tau;
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)k * sizeof *tau, &tau));
  mcl_status status = mcl_blas_enter(ctx);
  if (!status) {
    lapack_int info = LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)n, w, (lapack_int)n, tau);
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = i; j < n; j++) r[i * n + j] = w[i * n + j];
    if (!info)
      info = LAPACKE_sorgqr(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)k, (lapack_int)k, w, (lapack_int)n, tau);
    for (int64_t i = 0; i < m; i++) memcpy(q + i * k, w + i * n, (size_t)k * sizeof *q);
    mcl_blas_unlock();
    if (info) status = mcl_linalg_no_convergence(ctx, "qr", info);
  }
  mcl_free(ctx, tau);
  return status;
}

static mcl_status qr_large(mcl_context *ctx, int64_t m, int64_t n, float *w, float *q, float *r) {
  int64_t k = m < n ? m : n;
  MCL_TRY(mcl_qr_f32(ctx, m, n, w, q));
  for (int64_t i = 0; i < k; i++) {
    MCL_TRY(mcl_check_cancel(ctx));
    memcpy(r + i * n + i, w + i * n + i, (size_t)(n - i) * sizeof *r);
  }
  return MCL_OK;
}

/* R's diagonal becomes not negative. */
static mcl_status fix_diagonal(mcl_context *ctx, int64_t m, int64_t n, float *q, float *r) {
  int64_t k = m < n ? m : n, work = 0;
  for (int64_t j = 0; j < k; j++) {
    MCL_TRY(mcl_worked(ctx, &work, m + n));
    if (!(r[j * n + j] < 0)) continue;
    for (int64_t i = 0; i < m; i++) q[i * k + j] = -q[i * k + j];
    for (int64_t i = j; i < n; i++) r[j * n + i] = -r[j * n + i];
  }
  return MCL_OK;
}

mcl_status mcl_linalg_qr(mcl_tensor *a, mcl_tensor **q, mcl_tensor **r) {
  mcl_tensor *work;
  *q = *r = NULL;
  MCL_TRY(mcl_linalg_copy(a, "qr", false, &work));
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], k = m < n ? m : n;
  bool is_small = mcl_is_for_lapack(m, n, MCL_LAPACK_QR_WORK);
  mcl_status status = mcl_tensor_new_raw(a->ctx, MCL_F32, mcl_shape_2(m, k), q);
  if (!status) status = mcl_tensor_new(a->ctx, MCL_F32, mcl_shape_2(k, n), r);
  if (!status)
    status =
        (is_small ? qr_small : qr_large)(a->ctx, m, n, mcl_tensor_f32(work), mcl_tensor_f32(*q), mcl_tensor_f32(*r));
  if (!status) status = fix_diagonal(a->ctx, m, n, mcl_tensor_f32(*q), mcl_tensor_f32(*r));
  if (status) {
    mcl_tensor_release(*q);
    mcl_tensor_release(*r);
    *q = *r = NULL;
  }
  mcl_tensor_release(work);
  return status;
}

/* w[n,n] becomes its eigenvectors, in rows. */
static mcl_status eigen_small(mcl_context *ctx, int64_t n, float *w, float *values) {
  MCL_TRY(mcl_blas_enter(ctx));
  lapack_int info =
      mcl_linalg_unlock(LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'V', 'L', (lapack_int)n, w, (lapack_int)n, values));
  return info ? mcl_linalg_no_convergence(ctx, "eigen", info) : MCL_OK;
}

static mcl_status eigen_large(mcl_context *ctx, int64_t n, float *w, float *values) {
  double *wide;
  float *rows = NULL;
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n, sizeof *wide, &wide));
  mcl_status status = mcl_alloc_array(ctx, (size_t)n, (size_t)n * sizeof *rows, &rows);
  if (!status) status = mcl_eigen_f32(ctx, n, w, n, wide, rows);
  if (!status) status = mcl_copy(ctx, w, rows, (size_t)(n * n) * sizeof *rows);
  for (int64_t i = 0; !status && i < n; i++) values[i] = (float)wide[i];
  mcl_free(ctx, wide);
  mcl_free(ctx, rows);
  return status;
}

mcl_status mcl_linalg_eigen(mcl_tensor *a, mcl_tensor **values, mcl_tensor **vectors) {
  mcl_tensor *work;
  *values = *vectors = NULL;
  MCL_TRY(mcl_linalg_copy(a, "eigen", true, &work));
  int64_t n = a->shape.dim[0];
  bool is_small = mcl_is_for_lapack(n, n, MCL_LAPACK_EIGEN_WORK);
  mcl_status status = mcl_tensor_new_raw(a->ctx, MCL_F32, mcl_shape_1(n), values);
  if (!status)
    status = (is_small ? eigen_small : eigen_large)(a->ctx, n, mcl_tensor_f32(work), mcl_tensor_f32(*values));
  if (!status) status = mcl_tensor_transpose(work, vectors);
  if (!status) status = mcl_linalg_fix_signs(a->ctx, mcl_tensor_f32(*vectors), n, n, NULL, 0);
  if (status) {
    mcl_tensor_release(*values);
    mcl_tensor_release(*vectors);
    *values = *vectors = NULL;
  }
  mcl_tensor_release(work);
  return status;
}
