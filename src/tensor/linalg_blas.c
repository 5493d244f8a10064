/* Factorisations through LAPACKE. LAPACK's matrices are column-major: a row-major A is its Aᵀ, which is used where it
 * saves a transpose. Signs, which a factorisation leaves open, are fixed so that results do not depend on the library. */
#include "tensor/linalg.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "tensor/blas_lock.h"
#include "tensor/matmul.h"

/* A call of LAPACKE, alone in the process. */
static lapack_int unlocked(lapack_int info) {
  mcl_blas_unlock();
  return info;
}
#define ALONE(call) (mcl_blas_lock(), unlocked(call))

#define OVERSAMPLING 10
#define POWER_ITERATIONS 3
#define GRAM_FLOOR 1e-4 /* of the largest singular value: below it the Gram matrix has lost too many digits */

/* ---- Checked copies ---- */

/* A finite f32 copy of a matrix, to be overwritten by LAPACK. */
static mcl_status matrix_copy(mcl_tensor *a, const char *what, bool square, mcl_tensor **out) {
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

static mcl_status no_convergence(mcl_context *ctx, const char *what, lapack_int info) {
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return mcl_fail(ctx, MCL_ERROR_MEMORY, "%s: LAPACK could not get its workspace", what);
  return mcl_fail(ctx, MCL_ERROR_NUMERIC, "%s: LAPACK did not converge (info %d); check the matrix's scale", what,
                  (int)info);
}

static void release_three(mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor_release(*u);
  mcl_tensor_release(*s);
  mcl_tensor_release(*v);
  *u = *s = *v = NULL;
}

static mcl_status new_three(mcl_context *ctx, int64_t m, int64_t n, int64_t r, mcl_tensor **u, mcl_tensor **s,
                            mcl_tensor **v) {
  *u = *s = *v = NULL;
  mcl_status status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(m, r), u);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_1(r), s);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(r, n), v);
  if (status) release_three(u, s, v);
  return status;
}

/* In each column of u[m,r] the first entry of largest magnitude becomes positive; row i of v[r,n] follows column i. */
static void fix_signs(float *u, int64_t m, int64_t r, float *v, int64_t n) {
  for (int64_t j = 0; j < r; j++) {
    float top = 0;
    for (int64_t i = 0; i < m; i++)
      if (fabsf(u[i * r + j]) > fabsf(top)) top = u[i * r + j];
    if (!(top < 0)) continue;
    for (int64_t i = 0; i < m; i++) u[i * r + j] = -u[i * r + j];
    for (int64_t i = 0; v && i < n; i++) v[j * n + i] = -v[j * n + i];
  }
}

/* ---- Singular values ---- */

/* Overwrites a[m,n]. Divide and conquer; where that does not converge, QR iterations on a second copy. */
static mcl_status svd_of(mcl_tensor *a, mcl_tensor *spare, float *u, float *s, float *v) {
  lapack_int m = (lapack_int)a->shape.dim[0], n = (lapack_int)a->shape.dim[1], r = m < n ? m : n;
  /* Aᵀ = V S Uᵀ in column-major: LAPACK's U is our V, and its Vᵀ our U, each in the layout that we want */
  lapack_int info = ALONE(LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'S', n, m, mcl_tensor_f32(a), n, s, v, n, u, r));
  if (info > 0) {
    float *superb;
    MCL_TRY(mcl_alloc_array(a->ctx, (size_t)r, sizeof *superb, &superb));
    info = ALONE(LAPACKE_sgesvd(LAPACK_COL_MAJOR, 'S', 'S', n, m, mcl_tensor_f32(spare), n, s, v, n, u, r, superb));
    mcl_free(a->ctx, superb);
  }
  if (info) return no_convergence(a->ctx, "svd", info);
  fix_signs(u, m, r, v, n);
  return MCL_OK;
}

mcl_status mcl_linalg_svd(mcl_tensor *a, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor *work, *spare = NULL;
  *u = *s = *v = NULL;
  MCL_TRY(matrix_copy(a, "svd", false, &work));
  int64_t m = a->shape.dim[0], n = a->shape.dim[1];
  mcl_status status = mcl_tensor_copy(work, &spare);
  if (!status) status = new_three(a->ctx, m, n, m < n ? m : n, u, s, v);
  if (!status) status = svd_of(work, spare, mcl_tensor_f32(*u), mcl_tensor_f32(*s), mcl_tensor_f32(*v));
  if (status) release_three(u, s, v);
  mcl_tensor_release(work);
  mcl_tensor_release(spare);
  return status;
}

/* The first `rank` of a full one. */
static mcl_status svd_cut(mcl_tensor *a, int64_t rank, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor *full_u, *full_s, *full_v;
  MCL_TRY(mcl_linalg_svd(a, &full_u, &full_s, &full_v));
  int64_t m = full_u->shape.dim[0], r = full_s->count, n = full_v->shape.dim[1];
  mcl_status status = new_three(a->ctx, m, n, rank, u, s, v);
  if (!status) {
    for (int64_t i = 0; i < m; i++)
      memcpy(mcl_tensor_f32(*u) + i * rank, mcl_tensor_f32(full_u) + i * r, (size_t)rank * sizeof(float));
    memcpy(mcl_tensor_f32(*s), mcl_tensor_f32(full_s), (size_t)rank * sizeof(float));
    memcpy(mcl_tensor_f32(*v), mcl_tensor_f32(full_v), (size_t)(rank * n) * sizeof(float));
  }
  release_three(&full_u, &full_s, &full_v);
  return status;
}

/* What the Gram route works on, in double precision: a, its Gram matrix, eigenvectors, and the other side's vectors. */
typedef struct gram_work {
  double *a, *gram, *values, *vectors, *others;
  lapack_int *support;
} gram_work;

static mcl_status gram_work_new(mcl_context *ctx, int64_t m, int64_t n, int64_t side, int64_t rank, gram_work *w) {
  memset(w, 0, sizeof *w);
  MCL_TRY(mcl_alloc_array(ctx, (size_t)m, (size_t)n * sizeof(double), &w->a));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, (size_t)side * sizeof(double), &w->gram));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, sizeof(double), &w->values));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, (size_t)rank * sizeof(double), &w->vectors));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)(m + n - side), (size_t)rank * sizeof(double), &w->others));
  return mcl_alloc_array(ctx, 2 * (size_t)rank, sizeof(lapack_int), &w->support);
}

static void gram_work_free(mcl_context *ctx, gram_work *w) {
  mcl_free(ctx, w->a);
  mcl_free(ctx, w->gram);
  mcl_free(ctx, w->values);
  mcl_free(ctx, w->vectors);
  mcl_free(ctx, w->others);
  mcl_free(ctx, w->support);
}

/* The top `rank` eigenvectors of A·Aᵀ or Aᵀ·A, whichever is smaller, in double; the other side by a product. *exact is
 * false where a singular value is too small for that. */
static mcl_status svd_by_gram(mcl_tensor *a, int64_t rank, gram_work *w, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v,
                              bool *exact) {
  int m = (int)a->shape.dim[0], n = (int)a->shape.dim[1], r = (int)rank, side = m < n ? m : n, other = m + n - side;
  for (int64_t i = 0; i < a->count; i++) w->a[i] = (double)mcl_tensor_f32(a)[i];
  mcl_blas_lock();
  cblas_dsyrk(CblasRowMajor, CblasUpper, m < n ? CblasNoTrans : CblasTrans, side, other, 1, w->a, n, 0, w->gram, side);
  mcl_blas_unlock();
  lapack_int found = 0; /* the upper triangle of row-major is the lower one of column-major; row i of vectors is one */
  lapack_int info = ALONE(LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', side, w->gram, side, 0, 0, side - r + 1, side,
                                         0, &found, w->values, w->vectors, side, w->support));
  if (info) return no_convergence(a->ctx, "svd_top", info);
  double largest = sqrt(fmax(w->values[r - 1], 0));
  *exact = found == r && w->values[0] > 0 && sqrt(w->values[0]) > GRAM_FLOOR * largest;
  if (!*exact) return MCL_OK;
  /* others[rank, other] = vectors[rank, side] · (A or Aᵀ) */
  mcl_blas_lock();
  cblas_dgemm(CblasRowMajor, CblasNoTrans, m < n ? CblasNoTrans : CblasTrans, r, other, side, 1, w->vectors, side, w->a,
              n, 0, w->others, other);
  mcl_blas_unlock();
  MCL_TRY(new_three(a->ctx, m, n, rank, u, s, v));
  const double *left = m < n ? w->vectors : w->others, *right = m < n ? w->others : w->vectors;
  for (int j = 0; j < r; j++) { /* eigenvalues ascend */
    int from = r - 1 - j;
    double sigma = sqrt(w->values[from]), by_left = m < n ? 1 : 1 / sigma, by_right = m < n ? 1 / sigma : 1;
    mcl_tensor_f32(*s)[j] = (float)sigma;
    for (int i = 0; i < m; i++) mcl_tensor_f32(*u)[i * r + j] = (float)(left[from * m + i] * by_left);
    for (int i = 0; i < n; i++) mcl_tensor_f32(*v)[j * n + i] = (float)(right[from * n + i] * by_right);
  }
  fix_signs(mcl_tensor_f32(*u), m, rank, mcl_tensor_f32(*v), n);
  return MCL_OK;
}

/* ---- Randomised ---- */

/* Columns of y[m,l] are made orthonormal, in place. */
static mcl_status orthonormalise(mcl_context *ctx, float *y, int64_t m, int64_t l) {
  float *tau;
  MCL_TRY(mcl_alloc_array(ctx, (size_t)l, sizeof *tau, &tau));
  lapack_int info = ALONE(LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)l, y, (lapack_int)l, tau));
  if (!info)
    info = ALONE(LAPACKE_sorgqr(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)l, (lapack_int)l, y, (lapack_int)l, tau));
  mcl_free(ctx, tau);
  return info ? no_convergence(ctx, "svd_top", info) : MCL_OK;
}

static mcl_status product(mcl_context *ctx, bool ta, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float *c) {
  mcl_matmul p = {ta, false, m, n, k, 1, a, lda, b, ldb, 0, c, n, NULL};
  return mcl_matmul_run(ctx, &p);
}

/* Halko, Martinsson and Tropp's algorithm 4.4: y spans the range of (A Aᵀ)^q A Ω; then the SVD of the small yᵀA. */
static mcl_status svd_randomised(mcl_tensor *a, int64_t rank, uint64_t seed, mcl_tensor **u, mcl_tensor **s,
                                 mcl_tensor **v) {
  mcl_context *ctx = a->ctx;
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], l = rank + OVERSAMPLING;
  mcl_tensor *y = NULL, *z = NULL, *b = NULL, *bu = NULL, *bs = NULL, *bv = NULL;
  mcl_random random = mcl_random_at(seed, mcl_random_stream("svd_top"));
  mcl_status status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(m, l), &y);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(n, l), &z);
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(l, n), &b);
  if (status) goto done;
  float *data = mcl_tensor_f32(a), *range = mcl_tensor_f32(y), *domain = mcl_tensor_f32(z);
  for (int64_t i = 0; i < n * l; i++) domain[i] = mcl_random_normal(&random);
  for (int q = 0; !status; q++) {
    status = product(ctx, false, m, l, n, data, n, domain, l, range);
    if (!status) status = orthonormalise(ctx, range, m, l);
    if (status || q == POWER_ITERATIONS) break;
    status = product(ctx, true, n, l, m, data, n, range, l, domain);
    if (!status) status = orthonormalise(ctx, domain, n, l);
  }
  if (!status) status = product(ctx, true, l, n, m, range, l, data, n, mcl_tensor_f32(b));
  if (!status) status = svd_cut(b, rank, &bu, &bs, &bv); /* A ≈ y · bu · bs · bv */
  if (!status) status = new_three(ctx, m, n, rank, u, s, v);
  if (!status) status = product(ctx, false, m, rank, l, range, l, mcl_tensor_f32(bu), rank, mcl_tensor_f32(*u));
  if (!status) {
    memcpy(mcl_tensor_f32(*s), mcl_tensor_f32(bs), (size_t)rank * sizeof(float));
    memcpy(mcl_tensor_f32(*v), mcl_tensor_f32(bv), (size_t)(rank * n) * sizeof(float));
    fix_signs(mcl_tensor_f32(*u), m, rank, mcl_tensor_f32(*v), n);
  }
done:
  if (status) release_three(u, s, v);
  mcl_tensor_release(y);
  mcl_tensor_release(z);
  mcl_tensor_release(b);
  release_three(&bu, &bs, &bv);
  return status;
}

mcl_status mcl_linalg_svd_top(mcl_tensor *a, int64_t rank, uint64_t seed, mcl_tensor **u, mcl_tensor **s,
                              mcl_tensor **v) {
  mcl_tensor *copy;
  *u = *s = *v = NULL;
  MCL_TRY(matrix_copy(a, "svd_top", false, &copy));
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], side = m < n ? m : n;
  mcl_status status = MCL_OK;
  bool done = false;
  if (rank < 1 || rank > side)
    status = mcl_fail(a->ctx, MCL_ERROR_ARGUMENT, "svd_top: rank %lld is not within 1 … %lld", (long long)rank,
                      (long long)side);
  /* costs in multiply-adds, those in double twice */
  double area = (double)m * (double)n, sampled = (double)(rank + OVERSAMPLING) * (2 * POWER_ITERATIONS + 2);
  double by_gram = area * (double)(side + 2 * rank) + 5 * (double)side * (double)side * (double)side;
  if (!status && 2 * sampled * area < by_gram && rank + OVERSAMPLING < side) {
    status = svd_randomised(copy, rank, seed, u, s, v);
    done = true;
  } else if (!status && 2 * rank <= side) {
    gram_work work;
    status = gram_work_new(a->ctx, m, n, side, rank, &work);
    if (!status) status = svd_by_gram(copy, rank, &work, u, s, v, &done);
    gram_work_free(a->ctx, &work);
  }
  if (!status && !done) status = svd_cut(copy, rank, u, s, v);
  mcl_tensor_release(copy);
  return status;
}

/* ---- QR, eigenvalues, Cholesky ---- */

mcl_status mcl_linalg_qr(mcl_tensor *a, mcl_tensor **q, mcl_tensor **r) {
  mcl_tensor *work, *tau = NULL;
  *q = *r = NULL;
  MCL_TRY(matrix_copy(a, "qr", false, &work));
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], k = m < n ? m : n;
  float *w = mcl_tensor_f32(work);
  mcl_status status = mcl_tensor_new(a->ctx, MCL_F32, mcl_shape_1(k), &tau);
  if (!status) status = mcl_tensor_new_raw(a->ctx, MCL_F32, mcl_shape_2(m, k), q);
  if (!status) status = mcl_tensor_new(a->ctx, MCL_F32, mcl_shape_2(k, n), r);
  if (status) goto done;
  lapack_int info =
      ALONE(LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)n, w, (lapack_int)n, mcl_tensor_f32(tau)));
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = i; j < n; j++) mcl_tensor_f32(*r)[i * n + j] = w[i * n + j];
  if (!info)
    info = ALONE(LAPACKE_sorgqr(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)k, (lapack_int)k, w, (lapack_int)n,
                                mcl_tensor_f32(tau)));
  if (info) {
    status = no_convergence(a->ctx, "qr", info);
    goto done;
  }
  for (int64_t j = 0; j < k; j++) { /* R's diagonal is not negative */
    float sign = mcl_tensor_f32(*r)[j * n + j] < 0 ? -1.0f : 1.0f;
    for (int64_t i = 0; i < m; i++) mcl_tensor_f32(*q)[i * k + j] = sign * w[i * n + j];
    for (int64_t i = j; i < n; i++) mcl_tensor_f32(*r)[j * n + i] *= sign;
  }
done:
  if (status) {
    mcl_tensor_release(*q);
    mcl_tensor_release(*r);
    *q = *r = NULL;
  }
  mcl_tensor_release(tau);
  mcl_tensor_release(work);
  return status;
}

mcl_status mcl_linalg_eigen(mcl_tensor *a, mcl_tensor **values, mcl_tensor **vectors) {
  mcl_tensor *work;
  *values = *vectors = NULL;
  MCL_TRY(matrix_copy(a, "eigen", true, &work));
  int64_t n = a->shape.dim[0];
  mcl_status status = mcl_tensor_new_raw(a->ctx, MCL_F32, mcl_shape_1(n), values);
  if (!status) {
    lapack_int info = ALONE(LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'V', 'L', (lapack_int)n, mcl_tensor_f32(work),
                                           (lapack_int)n, mcl_tensor_f32(*values)));
    status = info ? no_convergence(a->ctx, "eigen", info) : mcl_tensor_transpose(work, vectors);
  }
  if (status) {
    mcl_tensor_release(*values);
    *values = NULL;
  } else {
    fix_signs(mcl_tensor_f32(*vectors), n, n, NULL, 0);
  }
  mcl_tensor_release(work);
  return status;
}

mcl_status mcl_linalg_cholesky(mcl_tensor *a, mcl_tensor **l) {
  MCL_TRY(matrix_copy(a, "cholesky", true, l));
  lapack_int n = (lapack_int)a->shape.dim[0];
  float *w = mcl_tensor_f32(*l);
  lapack_int info = ALONE(LAPACKE_spotrf(LAPACK_COL_MAJOR, 'U', n, w, n)); /* the row-major lower triangle */
  if (info) {
    mcl_tensor_release(*l);
    *l = NULL;
    if (info < 0) return no_convergence(a->ctx, "cholesky", info);
    return mcl_fail(a->ctx, MCL_ERROR_NUMERIC,
                    "cholesky: not positive definite at pivot %d of %d; add a small multiple of the identity",
                    (int)info, (int)n);
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) w[i * n + j] = 0;
  return MCL_OK;
}

mcl_status mcl_linalg_solve(mcl_tensor *l, mcl_tensor *b, mcl_tensor **x) {
  mcl_tensor *factor, *copy = NULL;
  *x = NULL;
  MCL_TRY(matrix_copy(l, "solve", true, &factor));
  int64_t n = l->shape.dim[0];
  char text[MCL_SHAPE_TEXT];
  mcl_status status = MCL_OK;
  if (b->shape.rank < 1 || b->shape.rank > 2 || b->shape.dim[0] != n || b->count == 0)
    status = mcl_fail(l->ctx, MCL_ERROR_ARGUMENT, "solve: the right side has shape %s, and needs %lld rows",
                      mcl_shape_text(b->shape, text), (long long)n);
  if (!status) status = mcl_tensor_check_finite(b, "solve: the right side");
  if (!status) status = b->dtype == MCL_F32 ? mcl_tensor_copy(b, &copy) : mcl_tensor_convert(b, MCL_F32, &copy);
  if (!status) {
    lapack_int columns = (lapack_int)(b->count / n);
    lapack_int info = ALONE(LAPACKE_spotrs(LAPACK_ROW_MAJOR, 'L', (lapack_int)n, columns, mcl_tensor_f32(factor),
                                           (lapack_int)n, mcl_tensor_f32(copy), columns));
    if (info) status = no_convergence(l->ctx, "solve", info);
  }
  mcl_tensor_release(factor);
  if (status)
    mcl_tensor_release(copy);
  else
    *x = copy;
  return status;
}
