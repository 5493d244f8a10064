/* The lock around OpenBLAS and LAPACK. */
#include "tensor/blas_lock.h"

#include <pthread.h>
#include <time.h>

#define WAIT_NS 10000000 /* between two questions whether to stop */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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

void mcl_blas_unlock(void) { pthread_mutex_unlock(&lock); }
