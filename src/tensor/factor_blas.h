/* Blocked factorisations for sizes at which one call of LAPACK would keep a cancel waiting. Row-major; inputs are finite, and
 * overwritten. Results do not depend on the number of threads. */
#ifndef MCL_TENSOR_FACTOR_BLAS_H
#define MCL_TENSOR_FACTOR_BLAS_H

#include "base/context.h"

/* The `wanted` largest eigenvalues of the symmetric a[n, n] (its upper triangle is read), ascending, and their vectors as
 * rows of vectors[wanted, n]. */
mcl_status mcl_eigen_f32(mcl_context *ctx, int64_t n, float *a, int64_t wanted, double *values, float *vectors);
mcl_status mcl_eigen_f64(mcl_context *ctx, int64_t n, double *a, int64_t wanted, double *values, double *vectors);

/* a[m, n], m ≥ n, = Uᵀ · diag(s) · V: rows of u[n, m] and v[n, n] are the singular vectors, s descends. */
mcl_status mcl_svd_f32(mcl_context *ctx, int64_t m, int64_t n, float *a, float *u, double *s, float *v);

/* a[m, n] becomes its factors: R in the upper triangle; Q[m, k], k = min(m, n), goes to q. R's diagonal may be negative. */
mcl_status mcl_qr_f32(mcl_context *ctx, int64_t m, int64_t n, float *a, float *q);

#endif
