/* OpenBLAS behind the matrix product, where it was measured to be faster than the runtime's kernels (tests/bench/matmul.sh):
 * those for AVX2 and AVX-512 are as fast at every size, and run on all threads at once, which OpenBLAS's serial build
 * must not (blas_lock.h). */
#include <cblas.h>
#include <pthread.h>

#include "base/cpu.h"
#include "tensor/blas_lock.h"
#include "tensor/matmul.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mcl_blas_lock(void) { pthread_mutex_lock(&lock); }
void mcl_blas_unlock(void) { pthread_mutex_unlock(&lock); }

/* The least number of multiply-adds from which OpenBLAS is used, by what our kernels are made for. */
static const double least_work[] = {[MCL_ISA_PORTABLE] = 1e5, [MCL_ISA_AVX2] = 1e300, [MCL_ISA_AVX512] = 1e300};

void mcl_matmul_openblas(mcl_context *ctx, const mcl_matmul *p) {
  (void)ctx;
  mcl_blas_lock();
  cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
              (blasint)p->m, (blasint)p->n, (blasint)p->k, p->alpha, p->a, (blasint)p->lda, p->b, (blasint)p->ldb,
              p->beta, p->c, (blasint)p->ldc);
  mcl_blas_unlock();
}

void mcl_matmul_blas(mcl_context *ctx, const mcl_matmul *p) {
  double work = (double)p->m * (double)p->n * (double)p->k;
  (work >= least_work[mcl_cpu_isa()] ? mcl_matmul_openblas : mcl_matmul_own)(ctx, p);
}
