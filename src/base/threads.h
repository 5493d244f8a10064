/* The thread pool. Work is cut into chunks that do not depend on the number of threads, so results do not either:
 * a caller that reduces keeps one partial result a chunk and adds them in order. */
#ifndef MCL_BASE_THREADS_H
#define MCL_BASE_THREADS_H

#include "base/context.h"

/* Computes chunk number `chunk`. `worker` is below mcl_context_threads and picks scratch memory. */
typedef mcl_status (*mcl_chunk_fn)(void *arg, int64_t chunk, int worker);

/* Runs fn for chunks 0 … chunks-1, each once, in any order, on all threads; the caller is one of them. Returns
 * after all have ended; after a failure or a cancel, chunks that have not begun are left out, and the failure of the
 * lowest chunk number seen is returned. Calls from within a chunk of the same context run in that thread, as its worker;
 * a child of fork gets threads of its own. Waking the pool costs a few
 * microseconds: below some 20 µs of work, call the function directly. fn may use mcl_fail and mcl_alloc. */
mcl_status mcl_parallel(mcl_context *ctx, int64_t chunks, mcl_chunk_fn fn, void *arg);

/* The same over 0 … n-1 in chunks of `grain`: computes `count` from `first`. What fits one chunk wakes nobody. */
typedef mcl_status (*mcl_range_fn)(void *arg, int64_t first, int64_t count, int worker);
mcl_status mcl_parallel_ranges(mcl_context *ctx, int64_t n, int64_t grain, mcl_range_fn fn, void *arg);

#endif
