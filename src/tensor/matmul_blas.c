/* OpenBLAS behind the matrix product, where it was measured to be faster than the runtime's kernels (tests/bench/matmul.sh):
 * those for AVX2 and AVX-512 are as fast at every size, and run on all threads at once, which OpenBLAS's serial build
 * must not (blas_lock.h). */
#include <cblas.h>
#include <pthread.h>
#include <time.h>

#include "base/cpu.h"
#include "tensor/blas_lock.h"
#include "tensor/matmul.h"

#define WAIT_NS 10000000 /* between two questions whether to stop */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mcl_blas_lock(void) { pthread_mutex_lock(&lock); }
void mcl_blas_unlock(void) { pthread_mutex_unlock(&lock); }

mcl_status mcl_blas_enter(mcl_context *ctx) {
  for (;;) {
    MCL_TRY(mcl_check_cancel(ctx));
    if (!pthread_mutex_trylock(&lock)) return MCL_OK;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_NS;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    if (!pthread_mutex_timedlock(&lock, &until)) return MCL_OK;
  }
}

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
