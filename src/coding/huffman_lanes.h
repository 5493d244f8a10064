/* The loop that decodes Huffman lanes, compiled once as it is (huffman_lanes.c) and once with BMI2's shifts
 * (huffman_avx2.c). Each lane holds 56 bits or more in a word whose topmost set bit is a guard: counting the zeros above
 * it tells how many bits were taken, so that a step is a mask, a load, a store, a shift and an addition. Five steps of at
 * most 11 bits are made between refills. */
#ifndef MCL_CODING_HUFFMAN_LANES_H
#define MCL_CODING_HUFFMAN_LANES_H

#include "coding/huffman.h"

#define STEPS 5
#define ROUND_IN 7                                   /* bytes that a round takes, at most */
#define ROUND_OUT (STEPS * MCL_HUFFMAN_STEP_SYMBOLS) /* and gives */
#define GUARD ((uint64_t)1 << 63)

/* Rounds that all lanes can make without looking: each load stays within the lane's input, each store of eight bytes
 * within its output. */
static inline size_t safe_rounds(const mcl_huffman_lane *lanes, int count) {
  size_t least = SIZE_MAX;
  for (int i = 0; i < count; i++) {
    size_t in = (size_t)(lanes[i].in_end - lanes[i].in), out = (size_t)(lanes[i].out_end - lanes[i].out);
    size_t rounds_in = in < 8 + ROUND_IN ? 0 : (in - 8) / ROUND_IN;
    size_t rounds_out = out < 8 + ROUND_OUT ? 0 : (out - 8) / ROUND_OUT;
    if (rounds_in < least) least = rounds_in;
    if (rounds_out < least) least = rounds_out;
  }
  return least;
}

static inline __attribute__((always_inline)) void decode_lanes(const mcl_huffman_table *table, mcl_huffman_lane *lanes,
                                                               const int count) {
  const uint64_t *steps = table->step;
  const uint64_t mask = ((uint64_t)1 << MCL_HUFFMAN_MAX_BITS) - 1;
  const uint8_t *in[MCL_HUFFMAN_LANES];
  uint8_t *out[MCL_HUFFMAN_LANES];
  uint64_t bits[MCL_HUFFMAN_LANES];
  for (size_t rounds; (rounds = safe_rounds(lanes, count)) > 0;) {
    for (int i = 0; i < count; i++) {
      in[i] = lanes[i].in, out[i] = lanes[i].out;
      bits[i] = GUARD >> lanes[i].skip;
    }
    for (; rounds > 0; rounds--) {
#pragma GCC unroll 8
      for (int i = 0; i < count; i++) {
        uint64_t taken = (unsigned)__builtin_clzll(bits[i]);
        in[i] += taken >> 3;
        bits[i] = (mcl_load_word(in[i]) | GUARD) >> (taken & 7);
      }
#pragma GCC unroll 8
      for (int step = 0; step < STEPS; step++) {
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) {
          uint64_t entry = steps[bits[i] & mask];
          bits[i] >>= entry & 63;
          mcl_store_word(out[i], entry >> 16 | entry << 48); /* turned: one instruction */
          out[i] += (uint8_t)(entry >> 8);
        }
      }
    }
    for (int i = 0; i < count; i++) {
      uint64_t taken = (unsigned)__builtin_clzll(bits[i]);
      lanes[i].in = in[i] + (taken >> 3), lanes[i].skip = (int)(taken & 7);
      lanes[i].out = out[i];
    }
  }
}

#endif
