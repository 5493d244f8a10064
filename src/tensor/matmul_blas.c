/* OpenBLAS behind the matrix product, where it was measured to be faster than the runtime's kernels. */
#include <cblas.h>

#include "tensor/matmul.h"

void mcl_matmul_blas(mcl_context *ctx, const mcl_matmul *p) {
  (void)ctx;
  cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
              (blasint)p->m, (blasint)p->n, (blasint)p->k, p->alpha, p->a, (blasint)p->lda, p->b, (blasint)p->ldb,
              p->beta, p->c, (blasint)p->ldc);
}
