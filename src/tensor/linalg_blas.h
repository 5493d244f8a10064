/* What the files of factorisations share: checks, results of three parts, fixed signs. The engine's. */
#ifndef MCL_TENSOR_LINALG_BLAS_H
#define MCL_TENSOR_LINALG_BLAS_H

#include <lapacke.h>

#include "tensor/blas_lock.h"
#include "tensor/linalg.h"

/* Up to this work LAPACK takes some 20 ms at most; beyond, the blocked factorisations of factor_blas.h do it, which can be
 * stopped. `side`: the shorter one. */
#define MCL_LAPACK_SVD_WORK 6e7     /* m · n · side */
#define MCL_LAPACK_EIGEN_WORK 1.5e8 /* n³ */
#define MCL_LAPACK_QR_WORK 2e8
#define MCL_LAPACK_ELEMENTS 4e6

static inline bool mcl_is_for_lapack(int64_t m, int64_t n, double most_work) {
  double elements = (double)m * (double)n;
  return elements <= MCL_LAPACK_ELEMENTS && elements * (double)(m < n ? m : n) <= most_work;
}

/* A finite f32 copy of a matrix, to be overwritten. */
mcl_status mcl_linalg_copy(mcl_tensor *a, const char *what, bool square, mcl_tensor **out);
/* Ends a call of LAPACK that began with mcl_blas_enter. */
lapack_int mcl_linalg_unlock(lapack_int info);
mcl_status mcl_linalg_no_convergence(mcl_context *ctx, const char *what, lapack_int info);

/* u[m, r], s[r], v[r, n] */
mcl_status mcl_linalg_new_three(mcl_context *ctx, int64_t m, int64_t n, int64_t r, mcl_tensor **u, mcl_tensor **s,
                                mcl_tensor **v);
void mcl_linalg_release_three(mcl_tensor **u, mcl_tensor **s, mcl_tensor **v);
/* In each column of u[m, r] the first entry of largest magnitude becomes positive; row i of v[r, n], if any, follows. */
mcl_status mcl_linalg_fix_signs(mcl_context *ctx, float *u, int64_t m, int64_t r, float *v, int64_t n);
mcl_status mcl_linalg_product(mcl_context *ctx, bool transpose_a, int64_t m, int64_t n, int64_t k, const float *a,
                              int64_t lda, const float *b, int64_t ldb, float *c);

#endif
