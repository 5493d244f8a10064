/* Factorisations (the engine's): small ones through LAPACKE, those that would keep a cancel waiting by blocks
 * (factor_blas.h). f32 in and out, row-major. */
#ifndef MCL_TENSOR_LINALG_H
#define MCL_TENSOR_LINALG_H

#include "tensor/tensor.h"

/* A[m,n] = U[m,r] · diag(s[r]) · V[r,n], r = min(m,n), s descending. Signs are fixed: in each column of U the entry of
 * largest magnitude is positive. MCL_ERROR_NUMERIC on NaN or where LAPACK does not converge. */
mcl_status mcl_linalg_svd(mcl_tensor *a, mcl_tensor **u, mcl_tensor **s, mcl_tensor **v);
/* The top `rank` only: by the Gram matrix of the shorter side, or randomised (Halko, Martinsson, Tropp 2011), whichever
 * is cheaper; `seed` feeds the latter. */
mcl_status mcl_linalg_svd_top(mcl_tensor *a, int64_t rank, uint64_t seed, mcl_tensor **u, mcl_tensor **s,
                              mcl_tensor **v);
mcl_status mcl_linalg_qr(mcl_tensor *a, mcl_tensor **q, mcl_tensor **r); /* thin */
mcl_status mcl_linalg_eigen(mcl_tensor *a, mcl_tensor **values,
                            mcl_tensor **vectors);                         /* symmetric; ascending; columns */
mcl_status mcl_linalg_cholesky(mcl_tensor *a, mcl_tensor **l);             /* lower; names the failing pivot */
mcl_status mcl_linalg_solve(mcl_tensor *l, mcl_tensor *b, mcl_tensor **x); /* L Lᵀ x = b, L from cholesky */

#endif
