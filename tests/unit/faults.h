/* Memory that is counted, and made to run out. */
#ifndef MCL_TESTS_FAULTS_H
#define MCL_TESTS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* An allocator that counts, and refuses one request, or all from one on. */
typedef struct counter {
  _Atomic size_t bytes;
  atomic_long calls, fail_at; /* the allocation that is refused; 0: none */
  bool for_good;              /* and all that come after it */
} counter;

/* The request of this number is refused, counted from 1 and from now on. */
static inline void refuse_request(counter *held, long number) {
  held->calls = 0;
  held->fail_at = number;
}

static inline bool is_refused(counter *held) {
  long call = atomic_fetch_add(&held->calls, 1) + 1;
  return held->fail_at && (held->for_good ? call >= held->fail_at : call == held->fail_at);
}

static inline void *counted_allocate(void *user, size_t size, size_t alignment) {
  counter *held = user;
  if (is_refused(held)) return NULL;
  void *memory; /* of just this size, so that sanitizers see what goes beyond */
  if (posix_memalign(&memory, alignment, size)) return NULL;
  held->bytes += size;
  return memory;
}

static inline void counted_release(void *user, void *memory, size_t size) {
  ((counter *)user)->bytes -= size;
  free(memory);
}

#endif
