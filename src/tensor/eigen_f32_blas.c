/* Symmetric eigenvalues in f32. */
#include "tensor/eigen_body.h"
#include "tensor/factor_blas.h"

mcl_status mcl_eigen_f32(mcl_context *ctx, int64_t n, float *a, int64_t wanted, double *values, float *vectors) {
  return eigen(ctx, n, a, wanted, values, vectors);
}
