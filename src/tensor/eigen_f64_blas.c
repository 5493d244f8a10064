/* Symmetric eigenvalues in f64. */
#define FACTOR_F64
#include "tensor/eigen_body.h"
#include "tensor/factor_blas.h"

mcl_status mcl_eigen_f64(mcl_context *ctx, int64_t n, double *a, int64_t wanted, double *values, double *vectors) {
  return eigen(ctx, n, a, wanted, values, vectors);
}
