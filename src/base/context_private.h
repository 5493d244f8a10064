/* The context's inside, for base alone. */
#ifndef MCL_BASE_CONTEXT_PRIVATE_H
#define MCL_BASE_CONTEXT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/context.h"

typedef struct mcl_pool mcl_pool;

struct mcl_context {
  mcl_options options;
  int threads;
  atomic_bool cancel, ended, shielded; /* ended: by mcl_cancel_work */
  void (*asked)(mcl_context *ctx); /* at every mcl_check_cancel, of any thread: for tests that count or cancel there */
  uint64_t next_ask_us;            /* when the host's cancelled callback is due again */
  uint64_t next_progress_us;
  pthread_t owner;
  atomic_size_t memory, memory_peak;
  pthread_mutex_t lock; /* of message */
  char message[1024];
  mcl_pool *pool; /* made when first needed */
  struct {
    _Atomic(void *) value;
    const mcl_keeper *keeper;
  } kept[MCL_SLOT_COUNT];
};

void mcl_pool_free(mcl_context *ctx); /* ends the threads */

#endif
