/* Huffman: codes are optimal under the limit, blocks are as short as they should be, twins agree, and a decoder refuses
 * everything that no encoder writes. */
#include "unit/streams.h"

#include "base/cpu.h"
#include "coding/coders.h"
#include "coding/huffman.h"

/* ---- Sizes ---- */

static size_t coded_bits(mcl_context *ctx, const uint8_t *symbols, size_t count, uint32_t alphabet) {
  size_t size;
  assert_ok(ctx, mcl_stream_size(ctx, &(mcl_stream){symbols, count, 1, alphabet}, mcl_coder_by_name("huffman"), &size));
  return 8 * size;
}

static void one_symbol_over_and_over_takes_two_bytes(void **state) {
  uint8_t *symbols = malloc(MCL_STREAM_BLOCK);
  memset(symbols, 3, MCL_STREAM_BLOCK);
  assert_int_equal(round_trip(*state, &(mcl_stream){symbols, 5, 1, 32}, NULL), 2); /* the coder, and 6 bits */
  assert_int_equal(round_trip(*state, &(mcl_stream){symbols, MCL_STREAM_BLOCK, 1, 256}, NULL), 3);
  free(symbols);
}

/* Frequencies 1, 1, 2, 4, 8: Huffman's code has lengths 4, 4, 3, 2, 1, so 30 bits for 16 symbols. */
static void small_streams_are_small(void **state) {
  const uint8_t symbols[16] = {0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4};
  /* last: 3 bits; single: 1; lengths from 3: 4 (3 bits), 4 (1), 3 (3), 2 (3), 1 (3); 30 of codes: 47 bits. */
  assert_int_equal(coded_bits(*state, symbols, 16, 5), 8 + 48);
  round_trip(*state, &(mcl_stream){symbols, 16, 1, 5}, mcl_coder_by_name("huffman"));
}

/* Fibonacci frequencies make Huffman's own code as deep as there are symbols. The least cost under a limit is found here by
 * another way: dynamic programming over how many codes there are of each length, rarest symbols deepest. */
static uint64_t best_cost(const uint32_t *count, int symbols) { /* ascending counts */
  enum { SLOTS = 1 << MCL_HUFFMAN_MAX_BITS };
  static uint64_t cost[64][SLOTS + 1]; /* the rarest i symbols, with Kraft sum k / 2^11 */
  memset(cost, 0xff, sizeof cost);
  cost[0][0] = 0;
  for (int i = 0; i < symbols; i++)
    for (int k = 0; k <= SLOTS; k++) {
      if (cost[i][k] == UINT64_MAX) continue;
      for (int l = 1; l <= MCL_HUFFMAN_MAX_BITS; l++) {
        int next = k + (SLOTS >> l);
        uint64_t sum = cost[i][k] + (uint64_t)count[i] * (uint64_t)l;
        if (next <= SLOTS && sum < cost[i + 1][next]) cost[i + 1][next] = sum;
      }
    }
  return cost[symbols][SLOTS];
}

static void limited_codes_are_the_best_there_are(void **state) {
  uint32_t count[20] = {1, 1};
  size_t total = 2;
  for (int i = 2; i < 20; i++) total += count[i] = count[i - 1] + count[i - 2];
  uint8_t *symbols = malloc(total);
  size_t at = 0;
  for (int i = 0; i < 20; i++)
    for (uint32_t j = 0; j < count[i]; j++) symbols[at++] = (uint8_t)i;
  assert_true(total < MCL_STREAM_BLOCK);
  size_t bits = coded_bits(*state, symbols, total, 20);
  uint64_t best = best_cost(count, 20);
  /* Beyond the codes: the coder's byte, a head, sizes of lanes and their last bits. */
  assert_in_range(bits, best, best + 8 + 8 * 40);
  round_trip(*state, &(mcl_stream){symbols, total, 1, 20}, mcl_coder_by_name("huffman"));
  round_trip(*state, &(mcl_stream){symbols, 2000, 1, 20}, mcl_coder_by_name("huffman"));
  free(symbols);
}

static void codes_come_near_the_entropy(void **state) {
  size_t count = 200000;
  uint8_t *symbols = random_symbols(count, 32, 1, 4);
  double histogram[32] = {0}, entropy = 0;
  for (size_t i = 0; i < count; i++) histogram[symbols[i]]++;
  for (int s = 0; s < 32; s++)
    if (histogram[s] > 0) entropy -= histogram[s] * log2(histogram[s] / (double)count);
  double bits = (double)coded_bits(*state, symbols, count, 32);
  assert_true(bits > entropy && bits < 1.02 * entropy);
  free(symbols);
}

static void many_random_streams_take_the_size_foretold(void **state) {
  mcl_random random = mcl_random_at(11, 0);
  for (int i = 0; i < 400; i++) {
    uint32_t alphabet = (uint32_t)mcl_random_below(&random, 256) + 1;
    size_t count = (size_t)mcl_random_below(&random, i % 8 ? 600 : 40000) + 1;
    uint8_t *symbols = random_symbols(count, alphabet, i % 3, (uint64_t)i);
    round_trip(*state, &(mcl_stream){symbols, count, 1, alphabet}, mcl_coder_by_name("huffman"));
    free(symbols);
  }
}

/* ---- Twins ---- */

static void the_fast_loops_agree_with_the_portable_ones(void **state) {
  (void)state;
  mcl_huffman_table *table = malloc(sizeof *table);
  uint8_t in[3000], out[2][8000];
  mcl_random random = mcl_random_at(1, 1);
  if (mcl_cpu_isa() < MCL_ISA_AVX2) skip();
  table->bits = MCL_HUFFMAN_MAX_BITS;
  for (int i = 0; i < 1 << MCL_HUFFMAN_MAX_BITS; i++) { /* any table that is well formed: no code is looked at */
    uint64_t taken = 1 + mcl_random_below(&random, 11), symbols = 1 + mcl_random_below(&random, 6);
    table->step[i] = taken | symbols << 8 | mcl_random_below(&random, (uint64_t)1 << 48) << 16;
  }
  for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)mcl_random_u32(&random);
  mcl_huffman_lane lanes[2][MCL_HUFFMAN_LANES];
  for (int twin = 0; twin < 2; twin++)
    for (int i = 0; i < MCL_HUFFMAN_LANES; i++)
      lanes[twin][i] = (mcl_huffman_lane){in + 500 * i, in + 500 * i + 300 + 30 * i, i, out[twin] + 1300 * i,
                                          out[twin] + 1300 * i + 1300};
  mcl_huffman_lanes_portable(table, lanes[0]);
  mcl_huffman_lanes_avx2(table, lanes[1]);
  for (int i = 0; i < MCL_HUFFMAN_LANES; i++) {
    mcl_huffman_lane_portable(table, &lanes[0][i]);
    mcl_huffman_lane_avx2(table, &lanes[1][i]);
    size_t written = (size_t)(lanes[0][i].out - (out[0] + 1300 * i));
    assert_true(written > 100);
    assert_int_equal(lanes[1][i].out - out[1], lanes[0][i].out - out[0]);
    assert_ptr_equal(lanes[1][i].in, lanes[0][i].in);
    assert_int_equal(lanes[1][i].skip, lanes[0][i].skip);
    assert_memory_equal(out[0] + 1300 * i, out[1] + 1300 * i, written);
  }
  free(table);
}

/* ---- Lies ---- */

typedef struct bits {
  uint8_t data[64];
  size_t at;
} bits;

static void put(bits *to, uint32_t value, int count) {
  for (int i = 0; i < count; i++, to->at++) to->data[to->at / 8] |= (uint8_t)((value >> i & 1) << to->at % 8);
}

/* A head for an alphabet of 4 whose code lengths are these (0: absent), told in full. */
static bits head(uint32_t last, const int *lengths) {
  bits to = {{2}, 8};
  put(&to, last, 2);
  put(&to, 0, 1);
  for (uint32_t s = 0; s <= last; s++) {
    if (lengths[s] == 0) {
      put(&to, 3, 3);
      put(&to, 0, 1);
    } else {
      put(&to, 7, 3);
      put(&to, (uint32_t)lengths[s], 4);
    }
  }
  return to;
}

static void refuse(mcl_context *ctx, const char *what, const bits *from, size_t extra, size_t count) {
  size_t size = (from->at + 7) / 8 + extra;
  uint8_t *exact = malloc(size), *out = malloc(count);
  memcpy(exact, from->data, size);
  assert_fails(ctx, MCL_ERROR_FORMAT, what, mcl_stream_decode(ctx, exact, size, 4, 1, out, count));
  free(exact);
  free(out);
}

static void heads_that_lie_are_refused(void **state) {
  bits b = head(3, (int[]){1, 1, 1, 1});
  refuse(*state, "over-subscribed", &b, 4, 9);
  b = head(3, (int[]){2, 2, 2, 3});
  refuse(*state, "incomplete", &b, 4, 9);
  b = head(1, (int[]){0, 1});
  refuse(*state, "incomplete", &b, 4, 9); /* one symbol alone has a form of its own */
  b = head(1, (int[]){12, 12});
  refuse(*state, "not 1 to 11 bits", &b, 4, 9);
  b = head(1, (int[]){15, 1});
  refuse(*state, "not 1 to 11 bits", &b, 4, 9);
  b = head(1, (int[]){1, 0});
  refuse(*state, "a run of absent symbols passes the last symbol", &b, 4, 9);
  b = (bits){{2}, 8};
  put(&b, 2, 2);
  put(&b, 0, 1);
  put(&b, 1, 2), put(&b, 1, 1); /* from 2 down to 1, to 0 */
  put(&b, 1, 2), put(&b, 1, 1);
  refuse(*state, "not 1 to 11 bits", &b, 4, 9);
}

static void bytes_and_bits_left_over_are_refused(void **state) {
  uint8_t out[9];
  bits b = head(1, (int[]){1, 1});
  size_t start = b.at;
  put(&b, 0x155, 9);
  assert_ok(*state, mcl_stream_decode(*state, b.data, (b.at + 7) / 8, 4, 1, out, 9));
  assert_memory_equal(out, ((uint8_t[]){1, 0, 1, 0, 1, 0, 1, 0, 1}), 9);
  refuse(*state, "after the last symbol", &b, 1, 9);
  refuse(*state, "after the last symbol", &b, 0, 1);
  refuse(*state, "end before the last symbol", &b, 0, 30);
  b.at = start;
  refuse(*state, "end before the last symbol", &b, 0, 9); /* cut off within the codes */
  bits cut = {{2, 0}, 16};
  refuse(*state, "code lengths", &cut, 0, 9);
  bits single = {{2, 0x04 | 0x10}, 16};
  refuse(*state, "after a single symbol", &single, 0, 9);
}

static void a_symbol_outside_its_alphabet_is_refused(void **state) {
  uint8_t out[4];
  assert_fails(*state, MCL_ERROR_FORMAT, "outside of its alphabet",
               mcl_stream_decode(*state, (uint8_t[]){2, 0x07}, 2, 3, 1, out, 4)); /* symbol 3 alone, of three */
}

/* Any change to a block of lanes is refused, or gives other symbols; it never reads or writes astray (sanitizers). */
static void lanes_that_lie_are_refused(void **state) {
  size_t count = MCL_HUFFMAN_LANES_FROM;
  uint8_t *symbols = random_symbols(count, 16, 1, 2), *out = malloc(count);
  mcl_buffer coded = {.ctx = *state};
  const mcl_coder *huffman = mcl_coder_by_name("huffman");
  assert_ok(*state, mcl_stream_encode(*state, &(mcl_stream){symbols, count, 1, 16}, huffman, &coded));
  uint8_t *copy = malloc(coded.size);
  for (size_t at = 1; at < 60; at++)
    for (int bit = 0; bit < 8; bit++) {
      memcpy(copy, coded.data, coded.size);
      copy[at] ^= (uint8_t)(1 << bit);
      mcl_status status = mcl_stream_decode(*state, copy, coded.size, 16, 1, out, count);
      assert_true(status == MCL_ERROR_FORMAT || memcmp(out, symbols, count) != 0);
    }
  for (size_t size = 0; size < coded.size; size++) {
    uint8_t *exact = malloc(size + 1);
    memcpy(exact, coded.data, size);
    assert_int_equal(mcl_stream_decode(*state, exact, size, 16, 1, out, count), MCL_ERROR_FORMAT);
    free(exact);
  }
  free(copy);
  free(out);
  free(symbols);
  mcl_buffer_free(&coded);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(one_symbol_over_and_over_takes_two_bytes),
      context_test(small_streams_are_small),
      context_test(limited_codes_are_the_best_there_are),
      context_test(codes_come_near_the_entropy),
      context_test(many_random_streams_take_the_size_foretold),
      context_test(the_fast_loops_agree_with_the_portable_ones),
      context_test(heads_that_lie_are_refused),
      context_test(bytes_and_bits_left_over_are_refused),
      context_test(a_symbol_outside_its_alphabet_is_refused),
      context_test(lanes_that_lie_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
