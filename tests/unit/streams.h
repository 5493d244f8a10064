/* What the tests of coders share: streams of several shapes, and a round trip. */
#ifndef MCL_TESTS_STREAMS_H
#define MCL_TESTS_STREAMS_H

#include "unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "coding/coding.h"

/* Symbols with geometric, normal or even frequencies, by `shape` 0 … 2. */
static inline uint8_t *random_symbols(size_t count, uint32_t alphabet, int shape, uint64_t seed) {
  uint8_t *symbols = malloc(count + 1);
  mcl_random random = mcl_random_at(seed, 3);
  for (size_t i = 0; i < count; i++) {
    double value;
    if (shape == 0)
      value = -log(1 - (double)mcl_random_uniform(&random)) * alphabet / 12;
    else if (shape == 1)
      value = alphabet * (0.5 + 0.15 * (double)mcl_random_normal(&random));
    else
      value = (double)mcl_random_below(&random, alphabet);
    symbols[i] = (uint8_t)(value < 0 ? 0 : value >= alphabet ? alphabet - 1 : value);
  }
  return symbols;
}

/* The stream comes back the same, and took exactly the bytes that were foretold. Returns them. */
static inline size_t round_trip(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *coder) {
  mcl_buffer coded = {.ctx = ctx};
  size_t size, bytes = stream->count * stream->width;
  assert_ok(ctx, mcl_stream_size(ctx, stream, coder, &size));
  assert_ok(ctx, mcl_buffer_u8(&coded, 0xa5)); /* appended to what is there */
  assert_ok(ctx, mcl_stream_encode(ctx, stream, coder, &coded));
  assert_int_equal(coded.size, size + 1);
  assert_int_equal(coded.data[0], 0xa5);
  uint8_t *exact = malloc(size + 1), *out = malloc(bytes + 4); /* of its own size, so that a read past it is seen */
  memcpy(exact, coded.data + 1, size);
  memset(out + bytes, 0x5a, 4);
  assert_ok(ctx, mcl_stream_check(ctx, exact, size, stream->alphabet, stream->width, stream->count));
  assert_ok(ctx, mcl_stream_decode(ctx, exact, size, stream->alphabet, stream->width, out, stream->count));
  if (bytes) assert_memory_equal(out, stream->data, bytes);
  assert_memory_equal(out + bytes, "ZZZZ", 4);
  free(exact);
  free(out);
  mcl_buffer_free(&coded);
  return size;
}

#endif
