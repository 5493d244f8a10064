/* One call of OpenBLAS or LAPACK at a time in the whole process: Debian's serial build keeps its work buffers in a table
 * without a lock, so calls from two threads corrupt each other. The engine's. */
#ifndef MCL_TENSOR_BLAS_LOCK_H
#define MCL_TENSOR_BLAS_LOCK_H

#include "base/context.h"

/* Takes the lock, unless a cancel comes first, also while another thread has it. */
mcl_status mcl_blas_enter(mcl_context *ctx);
void mcl_blas_unlock(void);

#endif
