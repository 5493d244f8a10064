/* Philox4x32-10, and what is drawn from it. */
#include "base/random.h"

#include <math.h>

#include "base/whole.h"

void mcl_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

mcl_random mcl_random_at(uint64_t seed, uint64_t stream) { return (mcl_random){seed, stream, 0}; }

uint64_t mcl_random_stream(const char *name) { return mcl_name_hash(name); } /* has to tell a few dozen names apart */

uint32_t mcl_random_u32(mcl_random *random) {
  uint64_t block = random->counter >> 2;
  uint32_t key[2] = {(uint32_t)random->seed, (uint32_t)(random->seed >> 32)};
  uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)random->stream,
                         (uint32_t)(random->stream >> 32)};
  uint32_t out[4];
  mcl_philox(key, counter, out);
  return out[random->counter++ & 3];
}

uint64_t mcl_random_below(mcl_random *random, uint64_t bound) {
  uint64_t least = (0 - bound) % bound; /* 2^64 mod bound: values below it would favour small results */
  for (;;) {
    uint64_t high = mcl_random_u32(random);
    uint64_t value = high << 32 | mcl_random_u32(random);
    if (value >= least) return value % bound;
  }
}

float mcl_random_uniform(mcl_random *random) { return (float)(mcl_random_u32(random) >> 8) * 0x1p-24f; }

float mcl_random_normal(mcl_random *random) {
  double radius = sqrt(-2 * log((mcl_random_u32(random) + 1.0) * 0x1p-32));
  return (float)(radius * cos(6.283185307179586 * (mcl_random_u32(random) * 0x1p-32)));
}

void mcl_random_shuffle(mcl_random *random, uint32_t *items, size_t count) {
  for (size_t i = count; i > 1; i--) {
    size_t j = (size_t)mcl_random_below(random, i);
    uint32_t item = items[i - 1];
    items[i - 1] = items[j];
    items[j] = item;
  }
}
