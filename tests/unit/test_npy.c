/* .npy: what NumPy writes is read as it was meant; what lies is refused with the place. */
#include "unit/arrays.h"

/* A version 1 file: the dictionary's text and the elements after it. */
static size_t npy_file(uint8_t *out, const char *dictionary, const void *elements, size_t size) {
  size_t length = strlen(dictionary);
  memcpy(out, "\x93NUMPY\x01\x00", 8);
  out[8] = (uint8_t)length;
  out[9] = (uint8_t)(length >> 8);
  memcpy(out + 10, dictionary, length);
  if (size) memcpy(out + 10 + length, elements, size);
  return 10 + length + size;
}

static mcl_status read_npy(mcl_context *ctx, const char *dictionary, const void *elements, size_t size,
                           mcl_tensor **out) {
  uint8_t file[1024];
  size_t total = npy_file(file, dictionary, elements, size);
  uint8_t *copy = exact_copy(ctx, file, total);
  mcl_status status = mcl_npy_read(ctx, "x.npy", copy, total, NULL, out);
  mcl_free(ctx, copy);
  return status;
}

static void little_endian_floats_are_read_as_they_are(void **state) {
  mcl_tensor *t;
  const uint8_t elements[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f};
  assert_ok(*state,
            read_npy(*state, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1), }\n", elements, 12, &t));
  assert_int_equal(t->dtype, MCL_F32);
  assert_int_equal(t->shape.rank, 2);
  assert_int_equal(t->shape.dim[0], 3);
  assert_true(mcl_tensor_f32(t)[0] == 1.0f && mcl_tensor_f32(t)[1] == -2.0f && mcl_tensor_f32(t)[2] == 0.5f);
  mcl_tensor_release(t);
}

static void big_endian_elements_are_swapped(void **state) {
  mcl_tensor *t;
  const uint8_t floats[] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}, longs[] = {0, 0, 0, 0, 0, 0, 1, 2};
  assert_ok(*state, read_npy(*state, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", floats, 8, &t));
  assert_true(mcl_tensor_f32(t)[0] == 1.0f && mcl_tensor_f32(t)[1] == -2.0f);
  mcl_tensor_release(t);
  assert_ok(*state, read_npy(*state, "{'shape': (), 'fortran_order': False, 'descr': '>i8'}", longs, 8, &t));
  assert_int_equal(t->shape.rank, 0);
  assert_int_equal(*(int64_t *)t->data, 258);
  mcl_tensor_release(t);
}

static void column_major_arrays_become_row_major(void **state) {
  mcl_tensor *t;
  const uint8_t columns[] = {1, 4, 2, 5, 3, 6}; /* [[1, 2, 3], [4, 5, 6]] */
  assert_ok(*state, read_npy(*state, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", columns, 6, &t));
  assert_int_equal(t->shape.dim[0], 2);
  assert_int_equal(t->shape.dim[1], 3);
  const uint8_t rows[] = {1, 2, 3, 4, 5, 6};
  assert_memory_equal(t->data, rows, 6);
  mcl_tensor_release(t);
}

static void unsigned_integers_are_widened_without_loss(void **state) {
  mcl_tensor *t;
  const uint8_t shorts[] = {0xff, 0xff, 1, 0}, ints[] = {0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0};
  const uint8_t fits[] = {5, 0, 0, 0, 0, 0, 0, 0}, too_large[] = {0, 0, 0, 0, 0, 0, 0, 0x80};
  assert_ok(*state, read_npy(*state, "{'descr': '<u2', 'fortran_order': False, 'shape': (2,)}", shorts, 4, &t));
  assert_int_equal(t->dtype, MCL_I32);
  assert_true(((int32_t *)t->data)[0] == 65535 && ((int32_t *)t->data)[1] == 1);
  mcl_tensor_release(t);
  assert_ok(*state, read_npy(*state, "{'descr': '<u4', 'fortran_order': False, 'shape': (2,)}", ints, 8, &t));
  assert_true(((int64_t *)t->data)[0] == 4294967295 && ((int64_t *)t->data)[1] == 2);
  mcl_tensor_release(t);
  assert_ok(*state, read_npy(*state, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", fits, 8, &t));
  assert_int_equal(*(int64_t *)t->data, 5);
  mcl_tensor_release(t);
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "element 0 is above 2^63",
               read_npy(*state, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", too_large, 8, &t));
  assert_null(t);
}

static void booleans_are_zero_or_one(void **state) {
  mcl_tensor *t;
  const uint8_t elements[] = {0, 1, 7};
  assert_ok(*state, read_npy(*state, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", elements, 3, &t));
  const uint8_t expected[] = {0, 1, 1};
  assert_memory_equal(t->data, expected, 3);
  mcl_tensor_release(t);
}

static void an_empty_array_is_an_array(void **state) {
  mcl_tensor *t;
  assert_ok(*state, read_npy(*state, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5)}", NULL, 0, &t));
  assert_int_equal(t->count, 0);
  assert_int_equal(t->shape.dim[1], 5);
  mcl_tensor_release(t);
}

static void a_file_is_mapped_and_a_saved_one_is_numpys(void **state) {
  mcl_context *ctx = *state;
  mcl_tensor *t, *back;
  float values[6] = {1, 2, 3, 4, 5, -6};
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_2(2, 3), values, &t));
  assert_ok(ctx, mcl_npy_save(t, "saved.npy"));
  size_t held = mcl_context_memory(ctx);
  assert_ok(ctx, mcl_npy_load(ctx, "saved.npy", &back));
  assert_non_null(back->map);
  assert_true(mcl_context_memory(ctx) - held < 1024); /* no copy: the head and the map alone */
  assert_memory_equal(back->data, values, sizeof values);
  mcl_tensor_release(back);
  mcl_tensor_release(t);
  /* numpy.save of the same array begins with these bytes */
  const char head[] = "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  uint8_t file[256];
  FILE *f = fopen("saved.npy", "rb");
  assert_int_equal(fread(file, 1, sizeof file, f), 128 + sizeof values);
  fclose(f);
  assert_memory_equal(file, head, sizeof head - 1);
  assert_int_equal(file[127], '\n');
  unlink("saved.npy");
}

static void bfloat16_is_saved_as_f32(void **state) {
  mcl_context *ctx = *state;
  mcl_tensor *t, *back;
  uint16_t values[2] = {0x3f80, 0xc000}; /* 1, -2 */
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_BF16, mcl_shape_1(2), values, &t));
  assert_ok(ctx, mcl_npy_save(t, "bf16.npy"));
  assert_ok(ctx, mcl_npy_load(ctx, "bf16.npy", &back));
  assert_int_equal(back->dtype, MCL_F32);
  assert_true(mcl_tensor_f32(back)[0] == 1.0f && mcl_tensor_f32(back)[1] == -2.0f);
  mcl_tensor_release(back);
  mcl_tensor_release(t);
  unlink("bf16.npy");
}

/* ---- Files that lie ---- */

static const struct lie {
  const char *dictionary;
  size_t size; /* of the elements that follow */
  mcl_status status;
  const char *message;
} lies[] = {
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, MCL_ERROR_UNSUPPORTED, "Python objects"},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, MCL_ERROR_UNSUPPORTED, "dtype 'c8' is not read"},
    {"{'descr': '<U8', 'fortran_order': False, 'shape': (1,), }", 32, MCL_ERROR_UNSUPPORTED, "dtype 'U8'"},
    {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, MCL_ERROR_UNSUPPORTED, "holds records"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4, MCL_ERROR_FORMAT, "need 8 bytes, the file has 4"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 5, MCL_ERROR_FORMAT, "need 4 bytes, the file has 5"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, MCL_ERROR_FORMAT, "not negative"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 4, MCL_ERROR_FORMAT,
     "larger than any memory"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693953,), }", 8, MCL_ERROR_FORMAT,
     "shape 2305843009213693953 is larger than any memory"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4, MCL_ERROR_FORMAT, "too large"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, MCL_ERROR_FORMAT, "at most 8 dim"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", 4, MCL_ERROR_FORMAT, "a comma or a closing paren"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", 4, MCL_ERROR_FORMAT, "a comma or a closing paren"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 1}", 4, MCL_ERROR_FORMAT, "a shape in parentheses"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 4, MCL_ERROR_FORMAT, "True or False"},
    {"{'descr': '<f4', 'fortran_order': False}", 4, MCL_ERROR_FORMAT, "is missing"},
    {"{'descr': '<f4', 'shape': (1,), 'shape': (1,), 'fortran_order': False}", 4, MCL_ERROR_FORMAT, "there twice"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, MCL_ERROR_FORMAT, "none of descr"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} os", 4, MCL_ERROR_FORMAT, "follows the dictionary"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", 4, MCL_ERROR_FORMAT, "a comma or a closing brace"},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}", 4, MCL_ERROR_UNSUPPORTED, "dtype 'f4, '"},
    {"{'descr': '<f4", 4, MCL_ERROR_FORMAT, "the string has no end"},
    {"{'descr' '<f4'}", 4, MCL_ERROR_FORMAT, "a colon"},
    {"{'descrdescrdescrdescr': '<f4'}", 4, MCL_ERROR_FORMAT, "the string is too long"},
    {"", 4, MCL_ERROR_FORMAT, "a dictionary was expected"},
};

static void lies_are_refused_with_their_place(void **state) {
  const uint8_t zeros[64] = {0};
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    mcl_tensor *t;
    assert_fails(*state, lies[i].status, lies[i].message,
                 read_npy(*state, lies[i].dictionary, zeros, lies[i].size, &t));
    assert_non_null(strstr(mcl_context_message(*state), "x.npy: "));
    assert_null(t);
  }
}

static void every_truncation_is_refused(void **state) {
  uint8_t file[256];
  size_t size = npy_file(file, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", "\0\0\0\0\0\0\0", 8);
  for (size_t cut = 0; cut < size; cut++) {
    mcl_tensor *t;
    uint8_t *copy = exact_copy(*state, file, cut);
    assert_int_equal(mcl_npy_read(*state, "x.npy", copy, cut, NULL, &t), MCL_ERROR_FORMAT);
    mcl_free(*state, copy);
  }
}

static void other_versions_and_huge_headers_are_refused(void **state) {
  mcl_tensor *t;
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "npy version 9.0",
               mcl_npy_read(*state, "x.npy", (const uint8_t *)"\x93NUMPY\x09\x00\x00\x00\x00\x00", 12, NULL, &t));
  assert_fails(*state, MCL_ERROR_FORMAT, "npy header of 4294967295 bytes",
               mcl_npy_read(*state, "x.npy", (const uint8_t *)"\x93NUMPY\x02\x00\xff\xff\xff\xff", 12, NULL, &t));
  assert_fails(*state, MCL_ERROR_IO, "absent.npy", mcl_npy_load(*state, "absent.npy", &t));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      array_test(little_endian_floats_are_read_as_they_are),
      array_test(big_endian_elements_are_swapped),
      array_test(column_major_arrays_become_row_major),
      array_test(unsigned_integers_are_widened_without_loss),
      array_test(booleans_are_zero_or_one),
      array_test(an_empty_array_is_an_array),
      array_test(a_file_is_mapped_and_a_saved_one_is_numpys),
      array_test(bfloat16_is_saved_as_f32),
      array_test(lies_are_refused_with_their_place),
      array_test(every_truncation_is_refused),
      array_test(other_versions_and_huge_headers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
