/* The top of the spectrum: by the Gram matrix of the shorter side, randomised, or cut from the whole. */
#define FACTOR_F64
#include "base/random.h"
#include "tensor/factor_blas.h"
#include "tensor/factor_body.h"
#include "tensor/linalg_blas.h"

#define OVERSAMPLING 10
#define POWER_ITERATIONS 3
#define GRAM_FLOOR 1e-4 /* of the largest singular value: below it the Gram matrix has lost too many digits */
#define BAND 512        /* rows of a Gram matrix that are made at once; smaller ones whole */
#define SLICE 50000000  /* multiply-adds of one slice of it */
#define SLICE_LEAST 256

/* The first `rank` of a full one. */
static mcl_status svd_cut(mcl_tensor *a, int64_t rank, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v) {
  mcl_tensor *full_u, *full_s, *full_v;
  MCL_TRY(mcl_linalg_svd(a, &full_u, &full_s, &full_v));
  int64_t m = full_u->shape.dim[0], r = full_s->count, n = full_v->shape.dim[1];
  mcl_status status = mcl_linalg_new_three(a->ctx, m, n, rank, u, s, v);
  if (!status) {
    for (int64_t i = 0; i < m; i++)
      memcpy(mcl_tensor_f32(*u) + i * rank, mcl_tensor_f32(full_u) + i * r, (size_t)rank * sizeof(float));
    memcpy(mcl_tensor_f32(*s), mcl_tensor_f32(full_s), (size_t)rank * sizeof(float));
    status = mcl_copy(a->ctx, mcl_tensor_f32(*v), mcl_tensor_f32(full_v), (size_t)(rank * n) * sizeof(float));
  }
  mcl_linalg_release_three(&full_u, &full_s, &full_v);
  return status;
}

/* What the Gram route works on, in double precision: a, its Gram matrix, eigenvectors, and the other side's vectors. */
typedef struct gram_work {
  mcl_context *ctx;
  int m, n, side, rank; /* side: the shorter of both */
  mcl_tensor *a;
  double *gram, *values, *vectors, *others;
  lapack_int *support;
} gram_work;

static mcl_status gram_work_new(mcl_tensor *a, int64_t rank, gram_work *w) {
  mcl_context *ctx = a->ctx;
  int64_t m = a->shape.dim[0], n = a->shape.dim[1], side = m < n ? m : n;
  *w = (gram_work){.ctx = ctx, .m = (int)m, .n = (int)n, .side = (int)side, .rank = (int)rank};
  MCL_TRY(mcl_tensor_convert(a, MCL_F64, &w->a));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, (size_t)side * sizeof(double), &w->gram));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, sizeof(double), &w->values));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)side, (size_t)rank * sizeof(double), &w->vectors));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)(m + n - side), (size_t)rank * sizeof(double), &w->others));
  return mcl_alloc_array(ctx, 2 * (size_t)rank, sizeof(lapack_int), &w->support);
}

static void gram_work_free(gram_work *w) {
  mcl_tensor_release(w->a);
  mcl_free(w->ctx, w->gram);
  mcl_free(w->ctx, w->values);
  mcl_free(w->ctx, w->vectors);
  mcl_free(w->ctx, w->others);
  mcl_free(w->ctx, w->support);
}

/* The upper triangle of A·Aᵀ or Aᵀ·A, whichever is smaller: at once, or in slices of the other side and bands of rows. */
static mcl_status make_gram(gram_work *w) {
  int64_t side = w->side, other = (int64_t)w->m + w->n - side, slice = SLICE / (side * side) + SLICE_LEAST;
  bool rows = w->m < w->n;
  const double *a = w->a->data;
  for (int64_t l = 0; l < other; l += slice) {
    int64_t k = other - l < slice ? other - l : slice;
    for (int64_t i = 0; i < side; i += BAND) {
      int64_t band = side - i < BAND ? side - i : BAND;
      const double *from = rows ? a + i * w->n + l : a + l * w->n + i;
      double beta = l ? 1 : 0, *to = w->gram + i * side + i;
      MCL_TRY(mcl_blas_enter(w->ctx));
      cblas_dsyrk(CblasRowMajor, CblasUpper, rows ? CblasNoTrans : CblasTrans, (blasint)band, (blasint)k, 1, from, w->n,
                  beta, to, (blasint)side);
      mcl_blas_unlock();
      if (band == side - i) continue;
      const double *rest = rows ? from + band * w->n : from + band;
      MCL_TRY(
          multiply(w->ctx, !rows, rows, band, side - i - band, k, 1, from, w->n, rest, w->n, beta, to + band, side));
    }
  }
  return MCL_OK;
}

/* The top eigenvectors of the Gram matrix, in rows, their values ascending. */
static mcl_status gram_eigen(gram_work *w) {
  int side = w->side, r = w->rank;
  if (!mcl_is_for_lapack(side, side, MCL_LAPACK_EIGEN_WORK))
    return mcl_eigen_f64(w->ctx, side, w->gram, r, w->values, w->vectors);
  lapack_int found = 0; /* the upper triangle of row-major is the lower one of column-major; row i of vectors is one */
  MCL_TRY(mcl_blas_enter(w->ctx));
  lapack_int info =
      mcl_linalg_unlock(LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', side, w->gram, side, 0, 0, side - r + 1, side,
                                       0, &found, w->values, w->vectors, side, w->support));
  if (!info && found != r) w->values[0] = 0; /* some are missing */
  return info ? mcl_linalg_no_convergence(w->ctx, "svd_top", info) : MCL_OK;
}

/* Singular values and both sides' vectors, descending, from the ascending ones of the Gram matrix. */
static mcl_status take_vectors(const gram_work *w, float *u, float *s, float *v) {
  int m = w->m, n = w->n, r = w->rank;
  int64_t work = 0;
  const double *left = m < n ? w->vectors : w->others, *right = m < n ? w->others : w->vectors;
  for (int j = 0; j < r; j++) {
    int64_t from = r - 1 - j;
    double sigma = sqrt(w->values[from]), by_left = m < n ? 1 : 1 / sigma, by_right = m < n ? 1 / sigma : 1;
    s[j] = (float)sigma;
    for (int64_t i = 0; i < m; i++) u[i * r + j] = (float)(left[from * m + i] * by_left);
    for (int64_t i = 0; i < n; i++) v[(int64_t)j * n + i] = (float)(right[from * n + i] * by_right);
    MCL_TRY(mcl_worked(w->ctx, &work, (int64_t)m + n));
  }
  return mcl_linalg_fix_signs(w->ctx, u, m, r, v, n);
}

/* The top eigenvectors of A·Aᵀ or Aᵀ·A in double; the other side by a product. *exact is false where a singular value is too
 * small for that. */
static mcl_status svd_by_gram(gram_work *w, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v, bool *exact) {
  int m = w->m, n = w->n, side = w->side, other = m + n - side, r = w->rank;
  MCL_TRY(make_gram(w));
  MCL_TRY(gram_eigen(w));
  double largest = sqrt(fmax(w->values[r - 1], 0));
  *exact = w->values[0] > 0 && sqrt(w->values[0]) > GRAM_FLOOR * largest;
  if (!*exact) return MCL_OK;
  /* others[rank, other] = vectors[rank, side] · (A or Aᵀ) */
  MCL_TRY(multiply(w->ctx, false, m >= n, r, other, side, 1, w->vectors, side, w->a->data, n, 0, w->others, other));
  MCL_TRY(mcl_linalg_new_three(w->ctx, m, n, r, u, s, v));
  return take_vectors(w, mcl_tensor_f32(*u), mcl_tensor_f32(*s), mcl_tensor_f32(*v));
}

/* ---- Randomised ---- */

/* Columns of y[m,l] are made orthonormal, in place. */
static mcl_status orthonormalise(mcl_context *ctx, float *y, int64_t m, int64_t l) {
  float *tau = NULL, *q = NULL;
  if (!mcl_is_for_lapack(m, l, MCL_LAPACK_QR_WORK)) {
    MCL_TRY(mcl_alloc_array(ctx, (size_t)m, (size_t)l * sizeof *q, &q));
    mcl_status status = mcl_qr_f32(ctx, m, l, y, q);
    if (!status) status = mcl_copy(ctx, y, q, (size_t)(m * l) * sizeof *q);
    mcl_free(ctx, q);
    return status;
  }
  MCL_TRY(mcl_alloc_array(ctx, (size_t)l, sizeof *tau, &tau));
  mcl_status status = mcl_blas_enter(ctx);
  if (!status) {
    lapack_int info = LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)l, y, (lapack_int)l, tau);
    if (!info)
      info = LAPACKE_sorgqr(LAPACK_ROW_MAJOR, (lapack_int)m, (lapack_int)l, (lapack_int)l, y, (lapack_int)l, tau);
    mcl_blas_unlock();
    if (info) status = mcl_linalg_no_convergence(ctx, "svd_top", info);
  }
  mcl_free(ctx, tau);
  return status;
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
  int64_t work = 0;
  for (int64_t i = 0; i < n * l && !status; i++) {
    domain[i] = mcl_random_normal(&random);
    status = mcl_worked(ctx, &work, 16);
  }
  for (int q = 0; !status; q++) {
    status = mcl_linalg_product(ctx, false, m, l, n, data, n, domain, l, range);
    if (!status) status = orthonormalise(ctx, range, m, l);
    if (status || q == POWER_ITERATIONS) break;
    status = mcl_linalg_product(ctx, true, n, l, m, data, n, range, l, domain);
    if (!status) status = orthonormalise(ctx, domain, n, l);
  }
  if (!status) status = mcl_linalg_product(ctx, true, l, n, m, range, l, data, n, mcl_tensor_f32(b));
  if (!status) status = svd_cut(b, rank, &bu, &bs, &bv); /* A ≈ y · bu · bs · bv */
  if (!status) status = mcl_linalg_new_three(ctx, m, n, rank, u, s, v);
  if (!status)
    status = mcl_linalg_product(ctx, false, m, rank, l, range, l, mcl_tensor_f32(bu), rank, mcl_tensor_f32(*u));
  if (!status) {
    memcpy(mcl_tensor_f32(*s), mcl_tensor_f32(bs), (size_t)rank * sizeof(float));
    status = mcl_copy(ctx, mcl_tensor_f32(*v), mcl_tensor_f32(bv), (size_t)(rank * n) * sizeof(float));
    if (!status) status = mcl_linalg_fix_signs(ctx, mcl_tensor_f32(*u), m, rank, mcl_tensor_f32(*v), n);
  }
done:
  if (status) mcl_linalg_release_three(u, s, v);
  mcl_tensor_release(y);
  mcl_tensor_release(z);
  mcl_tensor_release(b);
  mcl_linalg_release_three(&bu, &bs, &bv);
  return status;
}

mcl_status mcl_linalg_svd_top(mcl_tensor *a, int64_t rank, uint64_t seed, mcl_tensor **u, mcl_tensor **s,
                              mcl_tensor **v) {
  mcl_tensor *copy;
  *u = *s = *v = NULL;
  MCL_TRY(mcl_linalg_copy(a, "svd_top", false, &copy));
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
    status = gram_work_new(copy, rank, &work);
    if (!status) status = svd_by_gram(&work, u, s, v, &done);
    gram_work_free(&work);
    if (status) mcl_linalg_release_three(u, s, v);
  }
  if (!status && !done) status = svd_cut(copy, rank, u, s, v);
  mcl_tensor_release(copy);
  return status;
}
