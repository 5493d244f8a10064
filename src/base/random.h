/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A number is a function of (seed, stream, counter), so any part of a sequence can be computed by any thread. */
#ifndef MCL_BASE_RANDOM_H
#define MCL_BASE_RANDOM_H

#include "base/context.h"

void mcl_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* A place in a sequence; plain data, copied freely. */
typedef struct mcl_random {
  uint64_t seed, stream, counter;
} mcl_random;

mcl_random mcl_random_at(uint64_t seed, uint64_t stream); /* the sequence's beginning */
uint64_t mcl_random_stream(const char *name);             /* a stream number from a name, for readable call sites */

uint32_t mcl_random_u32(mcl_random *random);
uint64_t mcl_random_below(mcl_random *random, uint64_t bound);              /* 0 … bound-1, unbiased; bound > 0 */
float mcl_random_uniform(mcl_random *random);                               /* [0, 1) */
float mcl_random_normal(mcl_random *random);                                /* mean 0, deviation 1 (Box-Muller) */
void mcl_random_shuffle(mcl_random *random, uint32_t *items, size_t count); /* Fisher-Yates */

#endif
