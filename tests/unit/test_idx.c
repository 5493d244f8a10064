/* IDX, plain and gzipped. */
#include "unit/arrays.h"

#include <zlib.h>

static const uint8_t bytes_2x3[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};

static mcl_status read_idx(mcl_context *ctx, const void *data, size_t size, mcl_tensor **out) {
  uint8_t *copy = exact_copy(ctx, data, size);
  mcl_status status = mcl_idx_read(ctx, "x.idx", copy, size, out);
  mcl_free(ctx, copy);
  return status;
}

static size_t gzip(const void *data, size_t size, uint8_t *out, size_t room) {
  z_stream z = {
      .next_in = (Bytef *)(uintptr_t)data, .avail_in = (unsigned)size, .next_out = out, .avail_out = (unsigned)room};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  deflateEnd(&z);
  return room - z.avail_out;
}

static void bytes_are_read(void **state) {
  mcl_tensor *t;
  assert_ok(*state, read_idx(*state, bytes_2x3, sizeof bytes_2x3, &t));
  assert_int_equal(t->dtype, MCL_U8);
  assert_int_equal(t->shape.dim[0], 2);
  assert_int_equal(t->shape.dim[1], 3);
  assert_memory_equal(t->data, bytes_2x3 + 12, 6);
  mcl_tensor_release(t);
}

static void wider_elements_are_big_endian(void **state) {
  mcl_tensor *t;
  const uint8_t floats[] = {0, 0, 0x0d, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
  const uint8_t shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 1, 0xff, 0xfe};
  assert_ok(*state, read_idx(*state, floats, sizeof floats, &t));
  assert_true(mcl_tensor_f32(t)[0] == 1.0f && mcl_tensor_f32(t)[1] == -2.0f);
  mcl_tensor_release(t);
  assert_ok(*state, read_idx(*state, shorts, sizeof shorts, &t));
  assert_int_equal(*(int16_t *)t->data, -2);
  mcl_tensor_release(t);
}

static void a_gzip_is_known_by_its_first_bytes(void **state) {
  mcl_tensor *t;
  uint8_t zipped[256];
  size_t size = gzip(bytes_2x3, sizeof bytes_2x3, zipped, sizeof zipped);
  write_file("looks_plain.idx", zipped, size);
  assert_ok(*state, mcl_idx_load(*state, "looks_plain.idx", &t));
  assert_memory_equal(t->data, bytes_2x3 + 12, 6);
  mcl_tensor_release(t);
  unlink("looks_plain.idx");
}

static void every_truncation_is_refused(void **state) {
  mcl_tensor *t;
  uint8_t zipped[256];
  size_t size = gzip(bytes_2x3, sizeof bytes_2x3, zipped, sizeof zipped);
  for (size_t cut = 0; cut < sizeof bytes_2x3; cut++) {
    assert_fails(*state, MCL_ERROR_FORMAT, "x.idx: ", read_idx(*state, bytes_2x3, cut, &t));
    assert_null(t);
  }
  for (size_t cut = 0; cut < size; cut++)
    assert_fails(*state, MCL_ERROR_FORMAT, "x.idx: ", read_idx(*state, zipped, cut, &t));
}

static void more_than_the_header_says_is_refused(void **state) {
  mcl_tensor *t;
  uint8_t longer[sizeof bytes_2x3 + 2] = {0}, zipped[256];
  memcpy(longer, bytes_2x3, sizeof bytes_2x3);
  assert_fails(*state, MCL_ERROR_FORMAT, "2 bytes follow the last element",
               read_idx(*state, longer, sizeof longer, &t));
  size_t size = gzip(longer, sizeof longer, zipped, sizeof zipped);
  assert_fails(*state, MCL_ERROR_FORMAT, "bytes follow the last element", read_idx(*state, zipped, size, &t));
}

/* RFC 1952, 2.2: "a gzip file consists of a series of members … appearing one after another". */
static void a_gzip_of_several_members_is_read_as_one(void **state) {
  mcl_tensor *t;
  uint8_t zipped[512] = {0};
  size_t size = 0;
  const size_t cuts[] = {0, 3, 3, 13, sizeof bytes_2x3}; /* one of them is empty, one ends within the header */
  for (int i = 0; i + 1 < 5; i++)
    size += gzip(bytes_2x3 + cuts[i], cuts[i + 1] - cuts[i], zipped + size, sizeof zipped - size);
  assert_ok(*state, read_idx(*state, zipped, size, &t));
  assert_memory_equal(t->data, bytes_2x3 + 12, 6);
  mcl_tensor_release(t);
  assert_ok(*state, read_idx(*state, zipped, size + 7, &t)); /* zeros fill up a block */
  mcl_tensor_release(t);
  for (size_t cut = 0; cut < size; cut++)
    assert_fails(*state, MCL_ERROR_FORMAT, "x.idx: ", read_idx(*state, zipped, cut, &t));
  memcpy(zipped + size, "more", 4);
  assert_fails(*state, MCL_ERROR_FORMAT, "4 bytes that are no gzip follow", read_idx(*state, zipped, size + 4, &t));
  size += gzip(bytes_2x3, 5, zipped + size, sizeof zipped - size);
  assert_fails(*state, MCL_ERROR_FORMAT, "bytes follow the last element", read_idx(*state, zipped, size, &t));
}

static void a_damaged_gzip_is_refused(void **state) {
  mcl_tensor *t;
  uint8_t zipped[256];
  size_t size = gzip(bytes_2x3, sizeof bytes_2x3, zipped, sizeof zipped);
  zipped[size - 6] ^= 1; /* the checksum */
  assert_fails(*state, MCL_ERROR_FORMAT, "the gzip is damaged: incorrect data check",
               read_idx(*state, zipped, size, &t));
  memset(zipped + 10, 0xff, 8);
  assert_fails(*state, MCL_ERROR_FORMAT, "the gzip is damaged", read_idx(*state, zipped, size, &t));
}

static void shapes_that_lie_take_no_memory(void **state) {
  static const struct {
    uint8_t header[40];
    size_t size;
    mcl_status status;
    const char *message;
  } lies[] = {
      {{0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff}, 12, MCL_ERROR_FORMAT, "4294967295 of u8 needs 4294967295 bytes"},
      {{0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
       20,
       MCL_ERROR_FORMAT,
       "larger than any memory"},
      {{0, 0, 0x0e, 2, 0x80, 0, 0, 0, 0x40, 0, 0, 0}, 20, MCL_ERROR_FORMAT, "x.idx: shape"},
      {{0, 0, 8, 9}, 40, MCL_ERROR_UNSUPPORTED, "9 dimensions; at most 8"},
      {{0, 0, 0x0a, 1}, 12, MCL_ERROR_FORMAT, "element type 0x0a"},
      {{1, 0, 8, 1}, 12, MCL_ERROR_FORMAT, "is not an idx file"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    mcl_tensor *t;
    assert_fails(*state, lies[i].status, lies[i].message, read_idx(*state, lies[i].header, lies[i].size, &t));
  }
  assert_true(mcl_context_memory_peak(*state) < 1 << 20);
}

static void a_small_gzip_cannot_ask_for_much_memory(void **state) {
  mcl_tensor *t;
  uint8_t zipped[256], header[] = {0, 0, 8, 1, 0x10, 0, 0, 0};
  size_t size = gzip(header, sizeof header, zipped, sizeof zipped);
  assert_fails(*state, MCL_ERROR_FORMAT, "needs 268435456 bytes, the file can hold at most",
               read_idx(*state, zipped, size, &t));
  assert_true(mcl_context_memory_peak(*state) < 1 << 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      array_test(bytes_are_read),
      array_test(wider_elements_are_big_endian),
      array_test(a_gzip_is_known_by_its_first_bytes),
      array_test(every_truncation_is_refused),
      array_test(more_than_the_header_says_is_refused),
      array_test(a_gzip_of_several_members_is_read_as_one),
      array_test(a_damaged_gzip_is_refused),
      array_test(shapes_that_lie_take_no_memory),
      array_test(a_small_gzip_cannot_ask_for_much_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
