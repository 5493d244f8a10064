/* Whole numbers: what C leaves out. */
#ifndef MCL_BASE_WHOLE_H
#define MCL_BASE_WHOLE_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t mcl_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t mcl_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t mcl_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline size_t mcl_align_64(size_t size) { return (size + 63) & ~(size_t)63; }

/* FNV-1a of a name. */
static inline uint64_t mcl_name_hash(const char *name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
  return hash;
}

#endif
