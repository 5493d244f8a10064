/* Coders: every stream comes back the same, sizes are foretold exactly, and lies are refused. */
#include "unit/streams.h"

static void every_coder_gives_back_what_it_got(void **state) {
  const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, 4095, 4096, 16383, 16384, 16385, 100000};
  const uint32_t alphabets[] = {1, 2, 3, 16, 31, 32, 33, 200, 255, 256, 0};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
    for (size_t a = 0; a < sizeof alphabets / sizeof *alphabets; a++)
      for (int shape = 0; shape < 3; shape++) {
        uint8_t *symbols = random_symbols(counts[c], alphabets[a] ? alphabets[a] : 256, shape, c * 100 + a);
        mcl_stream stream = {symbols, counts[c], 1, alphabets[a]};
        size_t least = SIZE_MAX;
        for (int k = 0; k < mcl_coder_count; k++) {
          size_t size = round_trip(*state, &stream, mcl_coders[k]);
          if (size < least) least = size;
        }
        assert_int_equal(round_trip(*state, &stream, NULL), least); /* and the choice is the smallest */
        free(symbols);
      }
}

static void streams_longer_than_a_block_come_back(void **state) {
  size_t count = 3 * MCL_STREAM_BLOCK + 12345;
  uint8_t *symbols = random_symbols(count, 32, 1, 5);
  memset(symbols + MCL_STREAM_BLOCK, 7, MCL_STREAM_BLOCK); /* a block of one symbol among the others */
  for (int k = 0; k < mcl_coder_count; k++) round_trip(*state, &(mcl_stream){symbols, count, 1, 32}, mcl_coders[k]);
  free(symbols);
}

static void wide_elements_come_back(void **state) {
  size_t count = 70000;
  uint32_t *wide = malloc(count * 4);
  mcl_random random = mcl_random_at(1, 2);
  for (size_t i = 0; i < count; i++) wide[i] = (uint32_t)mcl_random_below(&random, 70001);
  for (int k = 0; k < mcl_coder_count; k++) {
    round_trip(*state, &(mcl_stream){wide, count, 4, 70001}, mcl_coders[k]);
    round_trip(*state, &(mcl_stream){wide, count, 4, 0}, mcl_coders[k]);
    round_trip(*state, &(mcl_stream){wide, 2 * count, 2, 0}, mcl_coders[k]);
  }
  for (size_t few = 1; few < 10; few++)
    for (uint8_t width = 2; width <= 4; width += 2)
      round_trip(*state, &(mcl_stream){wide, few, width, 0}, mcl_coder_by_name("planes"));
  assert_int_equal(round_trip(*state, &(mcl_stream){wide, count, 4, 70001}, mcl_coder_by_name("bitpack")),
                   1 + (count * 17 + 7) / 8);
  free(wide);
}

static void exponents_of_floats_are_compressed(void **state) {
  size_t count = 10000;
  float *values = malloc(count * sizeof *values);
  mcl_random random = mcl_random_at(2, 2);
  for (size_t i = 0; i < count; i++) values[i] = 0.1f * mcl_random_normal(&random);
  size_t size = round_trip(*state, &(mcl_stream){values, count, 4, 0}, NULL);
  /* The exponent of a normal variable has an entropy of some 2.5 bits; the other 24 bits have all of theirs. */
  assert_in_range(size, count * 26 / 8, count * 27 / 8);
  free(values);
}

static void the_bytes_do_not_depend_on_the_threads(void **state) {
  (void)state;
  size_t count = 5 * MCL_STREAM_BLOCK + 99;
  uint8_t *symbols = random_symbols(count, 64, 0, 9);
  uint64_t hash = 0;
  for (int threads = 1; threads <= 4; threads++) {
    mcl_context *ctx;
    mcl_options options = {.threads = threads};
    assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
    mcl_buffer coded = {.ctx = ctx};
    assert_ok(ctx, mcl_stream_encode(ctx, &(mcl_stream){symbols, count, 1, 64}, NULL, &coded));
    uint64_t this_hash = mcl_hash(coded.data, coded.size);
    if (threads > 1) assert_true(hash == this_hash);
    hash = this_hash;
    mcl_buffer_free(&coded);
    mcl_context_free(ctx);
  }
  free(symbols);
}

static void raw_floats_can_be_used_where_they_stand(void **state) {
  float values[3] = {1, -2, 3};
  mcl_buffer coded = {.ctx = *state};
  mcl_stream stream = {values, 3, 4, 0};
  assert_ok(*state, mcl_stream_encode(*state, &stream, mcl_coder_by_name("raw"), &coded));
  assert_ptr_equal(mcl_stream_plain(coded.data, coded.size, 4, 3), coded.data + 1);
  assert_memory_equal(coded.data + 1, values, sizeof values);
  assert_null(mcl_stream_plain(coded.data, coded.size, 4, 2));
  assert_string_equal(mcl_stream_coder(coded.data, coded.size), "raw");
  mcl_buffer_free(&coded);
}

static void symbols_outside_their_alphabet_are_not_encoded(void **state) {
  uint8_t symbols[2] = {1, 5};
  size_t size;
  for (int k = 0; k < mcl_coder_count; k++)
    assert_fails(*state, MCL_ERROR_ARGUMENT, "alphabet of 5",
                 mcl_stream_size(*state, &(mcl_stream){symbols, 2, 1, 5}, mcl_coders[k], &size));
}

/* ---- Lies ---- */

static void refuse(mcl_context *ctx, const char *what, const uint8_t *data, size_t size, uint32_t alphabet,
                   uint8_t width, size_t count) {
  uint8_t *out = malloc(count * width + 1), *exact = malloc(size + 1);
  memcpy(exact, data, size);
  assert_fails(ctx, MCL_ERROR_FORMAT, what, mcl_stream_decode(ctx, exact, size, alphabet, width, out, count));
  free(exact);
  free(out);
}

static void streams_that_lie_are_refused(void **state) {
  mcl_context *ctx = *state;
  refuse(ctx, "unknown coder 9", (uint8_t[]){9, 1}, 2, 4, 1, 1);
  refuse(ctx, "no bytes for a stream of 3", (uint8_t[]){0}, 0, 4, 1, 3);
  refuse(ctx, "3 bytes for a stream of no elements", (uint8_t[]){0, 1, 2}, 3, 4, 1, 0);
  refuse(ctx, "raw: 3 elements take 3 bytes, not 2", (uint8_t[]){0, 1, 1}, 3, 4, 1, 3);
  refuse(ctx, "raw: a symbol outside", (uint8_t[]){0, 1, 4}, 3, 4, 1, 2);
  refuse(ctx, "bitpack: 3 elements take 1 bytes, not 2", (uint8_t[]){1, 1, 0}, 3, 4, 1, 3);
  refuse(ctx, "bitpack: a symbol outside", (uint8_t[]){1, 0x3f}, 2, 6, 1, 2);
  refuse(ctx, "bitpack: bits after the last symbol", (uint8_t[]){1, 0x40}, 2, 4, 1, 3);
  refuse(ctx, "bitpack", (uint8_t[]){1, 0}, 2, 0, 1, 1); /* plain values have no alphabet */
  refuse(ctx, "planes: a stream that is not of floats", (uint8_t[]){3, 0, 0, 0, 0}, 5, 4, 1, 1);
  refuse(ctx, "planes: a coder not for planes", (uint8_t[]){3, 1, 1, 0, 0, 9, 9}, 7, 0, 2, 1);
  refuse(ctx, "planes: byte 1: a plane's size is 127", (uint8_t[]){3, 0, 127, 0, 0, 9, 9}, 7, 0, 2, 1);
  refuse(ctx, "raw: the size is not", (uint8_t[]){3, 0, 1, 8, 0, 9, 9}, 7, 0, 2, 1);
  refuse(ctx, "huffman: block 0 of 1 bytes is too short", (uint8_t[]){2, 1, 0, 0, 0}, 5, 0, 1, MCL_STREAM_BLOCK + 1);
  refuse(ctx, "a block's size is 100", (uint8_t[]){2, 100, 0, 0, 0}, 5, 0, 1, MCL_STREAM_BLOCK + 1);
  refuse(ctx, "too few for", (uint8_t[]){2, 4, 0, 1, 0}, 5, 0, 1, MCL_STREAM_BLOCK + 1);
}

/* A petabyte of elements in a few bytes is refused before memory is taken. */
static void a_count_that_the_bytes_cannot_hold_is_refused(void **state) {
  size_t count = (size_t)1 << 50;
  uint8_t data[64] = {0};
  for (int k = 0; k < mcl_coder_count; k++) {
    data[0] = mcl_coders[k]->id;
    uint8_t width = mcl_coders[k] == mcl_coder_by_name("planes") ? 4 : 1;
    uint32_t alphabet = width == 4 ? 0 : 256;
    assert_int_equal(mcl_stream_check(*state, data, sizeof data, alphabet, width, count), MCL_ERROR_FORMAT);
    assert_int_equal(mcl_stream_decode(*state, data, sizeof data, alphabet, width, data, count), MCL_ERROR_FORMAT);
  }
  assert_int_equal(mcl_stream_check(*state, data, sizeof data, 0, 4, SIZE_MAX / 2), MCL_ERROR_FORMAT);
}

/* ---- zstd and hashes ---- */

static void zstd_gives_back_what_it_got_and_refuses_other_sizes(void **state) {
  uint8_t text[4000], out[4001];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * i >> 7);
  mcl_buffer frame = {.ctx = *state};
  assert_ok(*state, mcl_zstd_compress(*state, text, sizeof text, 19, &frame));
  assert_true(frame.size < sizeof text);
  assert_ok(*state, mcl_zstd_decompress(*state, frame.data, frame.size, out, sizeof text));
  assert_memory_equal(out, text, sizeof text);
  assert_fails(*state, MCL_ERROR_FORMAT, "zstd: ", mcl_zstd_decompress(*state, frame.data, frame.size, out, 3999));
  assert_fails(*state, MCL_ERROR_FORMAT, "holds 4000 bytes, not 4001",
               mcl_zstd_decompress(*state, frame.data, frame.size, out, 4001));
  assert_fails(*state, MCL_ERROR_FORMAT, "not one whole frame",
               mcl_zstd_decompress(*state, frame.data, frame.size - 1, out, 4000));
  assert_fails(*state, MCL_ERROR_FORMAT, "not one whole frame", mcl_zstd_decompress(*state, text, 0, out, 4000));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "level 99", mcl_zstd_compress(*state, text, 10, 99, &frame));
  mcl_buffer_free(&frame);
}

/* XXH3's own test vector of no bytes; pieces give the hash of the whole. */
static void hashes_are_xxh3(void **state) {
  (void)state;
  assert_true(mcl_hash("", 0) == 0x2d06800538d394c2u);
  uint8_t data[1000];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 31);
  mcl_hasher hasher;
  mcl_hasher_begin(&hasher);
  for (size_t at = 0; at < sizeof data; at += 125) mcl_hasher_add(&hasher, data + at, 125);
  assert_true(mcl_hasher_end(&hasher) == mcl_hash(data, sizeof data));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(every_coder_gives_back_what_it_got),
      context_test(streams_longer_than_a_block_come_back),
      context_test(wide_elements_come_back),
      context_test(exponents_of_floats_are_compressed),
      context_test(the_bytes_do_not_depend_on_the_threads),
      context_test(raw_floats_can_be_used_where_they_stand),
      context_test(symbols_outside_their_alphabet_are_not_encoded),
      context_test(streams_that_lie_are_refused),
      context_test(a_count_that_the_bytes_cannot_hold_is_refused),
      context_test(zstd_gives_back_what_it_got_and_refuses_other_sizes),
      context_test(hashes_are_xxh3),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
