/* Kernels of selection: counting around a band and collecting what lies in it; comparing into bits. Integer results, so
 * every table gives the same. */
#ifndef MCL_TENSOR_KERNELS_SELECT_H
#define MCL_TENSOR_KERNELS_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* Kernels write whole vectors: what they append to needs this much room beyond the last element. */
#define MCL_SELECT_ROOM 16

typedef struct mcl_band_count {
  int64_t above, at_high, inside, at_low,
      nans; /* x > high, x = high, low < x < high, x = low (unless low = high), x ≠ x */
} mcl_band_count;

typedef struct mcl_select_table {
  /* Adds to *count what x[n] holds, n ≤ 65536, and appends what lies inside, in order, to found[n + MCL_SELECT_ROOM]. */
  void (*band)(const float *x, size_t n, float low, float high, mcl_band_count *count, float *found);
  /* Bit i of words: x[i] > value, or with `ties` x[i] >= value. Writes (n + 63) / 64 words, unused bits zero. */
  void (*compare)(const float *x, size_t n, float value, bool ties, uint64_t *words);
} mcl_select_table;

extern const mcl_select_table mcl_select_portable, mcl_select_avx2, mcl_select_avx512;

const mcl_select_table *mcl_select_kernels(mcl_isa isa);

/* One element at a time: the portable table, and the ends of the others. Returns how many were found. */
static inline size_t mcl_band_scalar(const float *x, size_t n, float low, float high, mcl_band_count *count,
                                     float *found) {
  size_t inside = 0;
  for (size_t i = 0; i < n; i++) {
    count->above += x[i] > high;
    count->at_high += x[i] == high;
    count->at_low += (x[i] == low) & (low != high);
    count->nans += x[i] != x[i];
    found[inside] = x[i];
    inside += (size_t)((x[i] > low) & (x[i] < high));
  }
  count->inside += (int64_t)inside;
  return inside;
}

static inline uint64_t mcl_compare_scalar(const float *x, size_t n, float value, bool ties) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++) word |= (uint64_t)((x[i] > value) | (ties & (x[i] == value))) << i;
  return word;
}

#endif
