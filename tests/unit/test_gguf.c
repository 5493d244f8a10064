/* GGUF: a file that ggml's own package wrote (tests/data/ggml.gguf, by tests/peer/gguf_data.py), models that are saved and
 * read back, and files that lie. */
#include "unit/arrays.h"

#include "base/file.h"

#define GGMLS_FILE MCL_SOURCE_DIR "/tests/data/ggml.gguf"

/* ---- Files put together by hand: a page that grows ---- */

typedef struct page {
  uint8_t bytes[2048];
  size_t size;
} page;

static void put(page *p, const void *data, size_t size) {
  assert_true(p->size + size <= sizeof p->bytes);
  memcpy(p->bytes + p->size, data, size);
  p->size += size;
}

static void put_u32(page *p, uint32_t value) {
  uint8_t bytes[4];
  mcl_store_u32(bytes, value);
  put(p, bytes, sizeof bytes);
}

static void put_u64(page *p, uint64_t value) {
  uint8_t bytes[8];
  mcl_store_u64(bytes, value);
  put(p, bytes, sizeof bytes);
}

static void put_text(page *p, const char *text) {
  put_u64(p, strlen(text));
  put(p, text, strlen(text));
}

static void put_head(page *p, uint64_t tensors, uint64_t pairs) {
  p->size = 0;
  put(p, "GGUF", 4);
  put_u32(p, 3);
  put_u64(p, tensors);
  put_u64(p, pairs);
}

static void put_tensor(page *p, const char *name, uint32_t rank, const uint64_t *dims, uint32_t type, uint64_t offset) {
  put_text(p, name);
  put_u32(p, rank);
  for (uint32_t i = 0; i < rank; i++) put_u64(p, dims[i]);
  put_u32(p, type);
  put_u64(p, offset);
}

/* Pads to the alignment, then `size` bytes of elements. */
static void put_data(page *p, size_t size) {
  static const uint8_t zeros[1024];
  put(p, zeros, (32 - p->size % 32) % 32);
  put(p, zeros, size);
}

static mcl_status read_page(mcl_context *ctx, const page *p, mcl_named_tensor **out, int *count) {
  uint8_t *copy = exact_copy(ctx, p->bytes, p->size);
  mcl_status status = mcl_gguf_read(ctx, "x.gguf", copy, p->size, NULL, out, count);
  mcl_free(ctx, copy);
  return status;
}

/* ---- What ggml wrote ---- */

static const mcl_named_tensor *named(const mcl_named_tensor *list, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(list[i].name, name)) return &list[i];
  fail_msg("there is no tensor %s", name);
  return NULL;
}

static void assert_holds(const mcl_named_tensor *found, mcl_dtype dtype, mcl_shape shape, const void *values) {
  assert_int_equal(found->tensor->dtype, dtype);
  assert_true(mcl_shape_equal(found->tensor->shape, shape));
  assert_memory_equal(found->tensor->data, values, (size_t)found->tensor->count * mcl_dtype_size(dtype));
}

static void every_type_that_ggml_wrote_is_read(void **state) {
  mcl_context *ctx = *state;
  mcl_named_tensor *list;
  int count;
  const float quarters[6] = {0, 0.25f, 0.5f, 0.75f, 1, 1.25f};
  const uint16_t halves[4] = {0x3c00, 0xc000, 0x7bff, 1}, brains[4] = {0x3f80, 0xc000, 0x7f62, 0x3e20};
  const double doubles[2] = {0.1, -1e300};
  const int8_t bytes[3] = {-128, 127, 5};
  const int16_t shorts[2] = {INT16_MIN, INT16_MAX};
  const int32_t ints[2] = {INT32_MIN, INT32_MAX};
  const int64_t longs[2] = {INT64_MIN, INT64_MAX}, image_dims[4] = {2, 1, 3, 4};
  float images[24];
  for (int i = 0; i < 24; i++) images[i] = (float)i;
  assert_ok(ctx, mcl_gguf_load(ctx, GGMLS_FILE, &list, &count));
  assert_int_equal(count, 11);
  assert_string_equal(list[0].name, "f32");
  assert_string_equal(list[10].name, "q4_0");
  assert_holds(named(list, count, "f32"), MCL_F32, mcl_shape_2(2, 3), quarters);
  assert_holds(named(list, count, "images"), MCL_F32, mcl_shape_of(4, image_dims), images);
  assert_holds(named(list, count, "f16"), MCL_F16, mcl_shape_1(4), halves);
  assert_holds(named(list, count, "bf16"), MCL_BF16, mcl_shape_2(1, 4), brains);
  assert_holds(named(list, count, "f64"), MCL_F64, mcl_shape_1(2), doubles);
  assert_holds(named(list, count, "i8"), MCL_I8, mcl_shape_1(3), bytes);
  assert_holds(named(list, count, "i16"), MCL_I16, mcl_shape_1(2), shorts);
  assert_holds(named(list, count, "i32"), MCL_I32, mcl_shape_1(2), ints);
  assert_holds(named(list, count, "i64"), MCL_I64, mcl_shape_1(2), longs);
  assert_non_null(list[0].tensor->map); /* a view: nothing was copied */
  mcl_tensor_list_free(ctx, list, count);
}

/* The formulas are those of tests/peer/gguf_data.py. */
static void blocks_become_the_values_they_stand_for(void **state) {
  mcl_context *ctx = *state;
  mcl_named_tensor *list;
  int count;
  float q8[128], q4[96];
  static const float scales8[2][2] = {{1, 0.5f}, {0.25f, 0.125f}}, scales4[3] = {0.25f, -0.5f, 0x1p-20f};
  for (int i = 0; i < 128; i++) {
    int row = i / 64, column = i % 64;
    q8[i] = scales8[row][column / 32] * (float)(column % 32 ? column * 37 % 255 - 127 : -127);
  }
  for (int i = 0; i < 96; i++) {
    int row = i / 32, column = i % 32;
    q4[i] = scales4[row] * (float)((column * 5 + row) % 16 - 8);
  }
  assert_ok(ctx, mcl_gguf_load(ctx, GGMLS_FILE, &list, &count));
  assert_holds(named(list, count, "q8_0"), MCL_F32, mcl_shape_2(2, 64), q8);
  assert_holds(named(list, count, "q4_0"), MCL_F32, mcl_shape_2(3, 32), q4);
  mcl_tensor_list_free(ctx, list, count);
}

static void many_blocks_are_decoded_each_once(void **state) {
  mcl_context *ctx = *state;
  enum { BLOCKS = 5000 };
  page head;
  const uint64_t dims[2] = {32, BLOCKS};
  mcl_named_tensor *list;
  int count;
  uint8_t *file;
  put_head(&head, 1, 0);
  put_tensor(&head, "w", 2, dims, 8, 0);
  put_data(&head, 0);
  assert_ok(ctx, mcl_alloc_zero(ctx, head.size + BLOCKS * 34, &file));
  memcpy(file, head.bytes, head.size);
  for (int i = 0; i < BLOCKS; i++) {
    uint8_t *block = file + head.size + i * 34;
    block[1] = 0x3c; /* a scale of 1 */
    block[2] = (uint8_t)(i % 128);
    block[33] = (uint8_t)(i / 128);
  }
  assert_ok(ctx, mcl_gguf_read(ctx, "x.gguf", file, head.size + BLOCKS * 34, NULL, &list, &count));
  const float *values = mcl_tensor_f32(list[0].tensor);
  for (int i = 0; i < BLOCKS; i++)
    assert_true(values[i * 32] == (float)(i % 128) && values[i * 32 + 31] == (float)(i / 128));
  mcl_tensor_list_free(ctx, list, count);
  mcl_free(ctx, file);
}

static void every_file_cut_short_is_refused(void **state) {
  mcl_context *ctx = *state;
  mcl_file_map *map;
  mcl_named_tensor *list;
  int count;
  assert_ok(ctx, mcl_file_map_open(ctx, GGMLS_FILE, &map));
  /* the last tensor's 54 bytes are padded to 64, and the padding may be missing */
  for (size_t size = 0; size < map->size - 10; size++) {
    uint8_t *copy = exact_copy(ctx, map->data, size);
    assert_fails(ctx, MCL_ERROR_FORMAT, "x.gguf: ", mcl_gguf_read(ctx, "x.gguf", copy, size, NULL, &list, &count));
    assert_null(list);
    mcl_free(ctx, copy);
  }
  assert_ok(ctx, mcl_gguf_read(ctx, "x.gguf", map->data, map->size - 10, NULL, &list, &count));
  mcl_tensor_list_free(ctx, list, count);
  mcl_file_map_release(map);
}

static void version_2_and_no_tensors_at_all_are_read(void **state) {
  page p;
  mcl_named_tensor *list;
  int count;
  put_head(&p, 0, 0);
  p.bytes[4] = 2;
  assert_ok(*state, read_page(*state, &p, &list, &count));
  assert_int_equal(count, 0);
  mcl_tensor_list_free(*state, list, count);
}

/* ---- What lies ---- */

/* Files of one tensor with 64 bytes of elements, and no metadata. */
static void lies_about_tensors_are_refused(void **state) {
  static const char long_name[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  static const struct {
    const char *name;
    uint32_t rank;
    uint64_t dims[9];
    uint32_t type;
    uint64_t offset;
    mcl_status status;
    const char *message;
  } lies[] = {
      {"w", 1, {17}, 0, 0, MCL_ERROR_FORMAT, "tensor \"w\": its elements are not within the file"},
      {"w", 1, {16}, 0, 32, MCL_ERROR_FORMAT, "its elements are not within the file"},
      {"w", 1, {16}, 0, UINT64_MAX - 31, MCL_ERROR_FORMAT, "its elements are not within the file"},
      {"w", 1, {14}, 0, 8, MCL_ERROR_FORMAT, "its offset is not aligned"},
      {"w", 1, {8}, 0, 32, MCL_ERROR_FORMAT, "overlaps another, or leaves a hole before it"},
      {"w", 1, {8}, 0, 0, MCL_ERROR_FORMAT, "32 bytes follow the last tensor"},
      {"w", 9, {1, 1, 1, 1, 1, 1, 1, 1, 16}, 0, 0, MCL_ERROR_FORMAT, "has more than 8 dimensions"},
      {"w", 1, {UINT64_MAX}, 0, 0, MCL_ERROR_FORMAT, "its shape is larger than any memory"},
      {"w", 2, {1ull << 32, 1ull << 32}, 0, 0, MCL_ERROR_FORMAT, "its shape is larger than any memory"},
      {"w", 1, {1ull << 62}, 0, 0, MCL_ERROR_FORMAT, "its shape is larger than any memory"},
      {"w", 1, {1ull << 62}, 2, 0, MCL_ERROR_FORMAT, "its shape is larger than any memory"},
      {"w", 2, {1ull << 40, 0}, 0, 32, MCL_ERROR_FORMAT, "leaves a hole before it"},
      {"w", 1, {33}, 8, 0, MCL_ERROR_FORMAT, "its rows are not whole blocks of 32"},
      {"w", 2, {16, 2}, 2, 0, MCL_ERROR_FORMAT, "its rows are not whole blocks of 32"},
      {"w", 0, {0}, 8, 0, MCL_ERROR_FORMAT, "its rows are not whole blocks of 32"},
      {"w", 1, {64}, 8, 0, MCL_ERROR_FORMAT, "its elements are not within the file"},
      {"w", 1, {256}, 12, 0, MCL_ERROR_UNSUPPORTED, "tensor \"w\": ggml's type Q4_K is not read"},
      {"w", 1, {32}, 3, 0, MCL_ERROR_UNSUPPORTED, "tensor \"w\": ggml's type Q4_1 is not read"},
      {"w", 1, {16}, 4, 0, MCL_ERROR_FORMAT, "ggml has no type 4"},
      {"w", 1, {16}, 0xffffffff, 0, MCL_ERROR_FORMAT, "ggml has no type 4294967295"},
      {"", 1, {16}, 0, 0, MCL_ERROR_FORMAT, "a tensor's name that is empty"},
      {long_name, 1, {16}, 0, 0, MCL_ERROR_FORMAT, "a tensor's name of 128 bytes, where at most 127 may be"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    page p;
    mcl_named_tensor *list;
    int count;
    put_head(&p, 1, 0);
    put_tensor(&p, lies[i].name, lies[i].rank, lies[i].dims, lies[i].type, lies[i].offset);
    put_data(&p, 64);
    assert_fails(*state, lies[i].status, lies[i].message, read_page(*state, &p, &list, &count));
    assert_null(list);
  }
}

/* Files of one pair; bytes after its key, whose numbers are written out little-endian. */
static void lies_in_metadata_are_refused(void **state) {
#define HUGE_NUMBER "\xff\xff\xff\xff\xff\xff\xff\x7f"
#define ARRAY_IN "\x09\0\0\0\x01\0\0\0\0\0\0\0"
#define BYTES(text) text, sizeof(text) - 1
  static const struct {
    const char *key, *value;
    size_t size;
    const char *message;
  } lies[] = {
      {"k", BYTES("\x0d\0\0\0"), "13 is no type of a value"},
      {"k", BYTES("\x07\0\0\0\x02"), "a boolean that is neither 0 nor 1"},
      {"k", BYTES("\x0a\0\0\0\x01\0\0"), "1 values where 3 bytes are left"},
      {"k", BYTES("\x08\0\0\0" HUGE_NUMBER "x"), "where 9223372036854775807 more are needed"},
      {"k", BYTES("\x09\0\0\0\x00\0\0\0" HUGE_NUMBER), "9223372036854775807 values where 0 bytes are left"},
      {"k", BYTES("\x09\0\0\0\x0c\0\0\0" HUGE_NUMBER "x"), "9223372036854775807 values where 1 bytes are left"},
      {"k", BYTES("\x09\0\0\0\x08\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "2 values where 8 bytes are left"},
      {"k", BYTES("\x09\0\0\0\x09\0\0\0" HUGE_NUMBER "0123456789ab"), "values where 12 bytes are left"},
      {"k", BYTES("\x09\0\0\0" ARRAY_IN ARRAY_IN ARRAY_IN ARRAY_IN ARRAY_IN ARRAY_IN), "arrays are nested too deeply"},
      {"k", BYTES("\x09\0\0\0\x63\0\0\0\x01\0\0\0\0\0\0\0x"), "99 is no type of a value"},
      {"", BYTES("\x00\0\0\0x"), "a key that is empty or has a zero byte in it"},
      {"general.alignment", BYTES("\x05\0\0\0\x20\0\0\0"), "general.alignment is not of type uint32"},
      {"general.alignment", BYTES("\x04\0\0\0\x00\0\0\0"), "general.alignment is 0, not a power of two from 8"},
      {"general.alignment", BYTES("\x04\0\0\0\x21\0\0\0"), "general.alignment is 33, not a power of two"},
      {"general.alignment", BYTES("\x04\0\0\0\x00\0\0\x80"), "general.alignment is 2147483648, not a power of two"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    page p;
    mcl_named_tensor *list;
    int count;
    put_head(&p, 0, 1);
    put_text(&p, lies[i].key);
    put(&p, lies[i].value, lies[i].size);
    assert_fails(*state, MCL_ERROR_FORMAT, lies[i].message, read_page(*state, &p, &list, &count));
    assert_null(list);
  }
}

static void two_of_a_name_and_elements_that_overlap_are_refused(void **state) {
  const uint64_t dims[1] = {8};
  page p;
  mcl_named_tensor *list;
  int count;
  put_head(&p, 2, 0);
  put_tensor(&p, "w", 1, dims, 0, 0);
  put_tensor(&p, "w", 1, dims, 0, 32);
  put_data(&p, 64);
  assert_fails(*state, MCL_ERROR_FORMAT, "two tensors are called \"w\"", read_page(*state, &p, &list, &count));
  put_head(&p, 2, 0);
  put_tensor(&p, "a", 1, dims, 0, 0);
  put_tensor(&p, "b", 1, dims, 0, 0);
  put_data(&p, 64);
  assert_fails(*state, MCL_ERROR_FORMAT, "tensor \"b\": overlaps another", read_page(*state, &p, &list, &count));
  put_head(&p, 0, 2);
  for (int i = 0; i < 2; i++) {
    put_text(&p, "general.name");
    put_u32(&p, 7);
    put(&p, "\1", 1);
  }
  assert_fails(*state, MCL_ERROR_FORMAT, "two keys are called \"general.name\"", read_page(*state, &p, &list, &count));
}

static void heads_that_lie_are_refused(void **state) {
  page p;
  mcl_named_tensor *list;
  int count;
  put_head(&p, 1, 0);
  assert_fails(*state, MCL_ERROR_FORMAT, "more tensors than the file has room", read_page(*state, &p, &list, &count));
  put_head(&p, UINT64_MAX, 0);
  assert_fails(*state, MCL_ERROR_FORMAT, "more tensors than the file has room", read_page(*state, &p, &list, &count));
  put_head(&p, 0, UINT64_MAX);
  assert_fails(*state, MCL_ERROR_FORMAT, "more metadata than the file has room", read_page(*state, &p, &list, &count));
  put_head(&p, 0, 0);
  memcpy(p.bytes + 4, "\0\0\0\3", 4);
  assert_fails(*state, MCL_ERROR_FORMAT, "is big-endian", read_page(*state, &p, &list, &count));
  p.bytes[4] = 1, p.bytes[7] = 0;
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "is of version 1; 2 and 3", read_page(*state, &p, &list, &count));
  p.bytes[0] = 'g';
  assert_fails(*state, MCL_ERROR_FORMAT, "is not a GGUF file", read_page(*state, &p, &list, &count));
}

/* ---- What is saved ---- */

/* A model that only holds weights of these shapes; element i is i. */
static mcl_model *model_of(mcl_context *ctx, int count, const char *const *names, const mcl_shape *shapes) {
  mcl_model *model;
  assert_ok(ctx, mcl_model_new(ctx, "small", &model));
  for (int i = 0; i < count; i++) {
    mcl_tensor *t;
    mcl_repr *repr;
    int value;
    assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, shapes[i], &t));
    for (int64_t k = 0; k < t->count; k++) mcl_tensor_f32(t)[k] = (float)k;
    assert_ok(ctx, mcl_dense_new(t, &repr));
    assert_ok(ctx, mcl_model_add_weight(model, names[i], repr, false, &value));
    mcl_repr_release(repr);
    mcl_tensor_release(t);
  }
  return model;
}

static void what_is_saved_is_read_back_by_mapping(void **state) {
  mcl_context *ctx = *state;
  const int64_t four[4] = {2, 3, 1, 5};
  const char *const names[] = {"conv.weight", "conv.bias", "scale",
                               "an.sixty.three.bytes.long.name.0123456789.0123456789.0123456789"};
  const mcl_shape shapes[] = {mcl_shape_of(4, four), mcl_shape_1(3), mcl_shape_of(0, four), mcl_shape_2(4, 2)};
  mcl_model *model = model_of(ctx, 4, names, shapes);
  mcl_named_tensor *list;
  int count;
  assert_int_equal(strlen(names[3]), 63);
  assert_ok(ctx, mcl_save_model(model, "saved.gguf", NULL));
  assert_ok(ctx, mcl_gguf_load(ctx, "saved.gguf", &list, &count));
  assert_int_equal(count, 4);
  for (int i = 0; i < count; i++) {
    assert_string_equal(list[i].name, names[i]);
    assert_true(mcl_shape_equal(list[i].tensor->shape, shapes[i]));
    assert_non_null(list[i].tensor->map);
    assert_int_equal((uintptr_t)list[i].tensor->data % 32, 0);
    for (int64_t k = 0; k < list[i].tensor->count; k++) assert_true(mcl_tensor_f32(list[i].tensor)[k] == (float)k);
  }
  mcl_tensor_list_free(ctx, list, count);
  mcl_model_free(model);
  unlink("saved.gguf");
}

/* Worked out by hand from the format's document. */
static void the_bytes_of_a_small_file_are_these(void **state) {
  mcl_context *ctx = *state;
  const char *const names[] = {"w"};
  const mcl_shape shapes[] = {mcl_shape_2(1, 2)};
  const uint64_t dims[2] = {2, 1};
  const float values[2] = {0, 1};
  mcl_model *model = model_of(ctx, 1, names, shapes);
  mcl_file_map *map;
  page p;
  put_head(&p, 1, 4);
  put_text(&p, "general.architecture"), put_u32(&p, 8), put_text(&p, "mcl");
  put_text(&p, "general.name"), put_u32(&p, 8), put_text(&p, "small");
  put_text(&p, "general.alignment"), put_u32(&p, 4), put_u32(&p, 32);
  put_text(&p, "general.file_type"), put_u32(&p, 4), put_u32(&p, 0);
  put_tensor(&p, "w", 2, dims, 0, 0);
  put_data(&p, 0);
  put(&p, values, sizeof values);
  put_data(&p, 0);
  assert_ok(ctx, mcl_save_model(model, "bytes.gguf", NULL));
  assert_ok(ctx, mcl_file_map_open(ctx, "bytes.gguf", &map));
  assert_int_equal(map->size, p.size);
  assert_memory_equal(map->data, p.bytes, p.size);
  mcl_file_map_release(map);
  mcl_model_free(model);
  unlink("bytes.gguf");
}

static void what_gguf_cannot_hold_is_refused_and_nothing_is_written(void **state) {
  mcl_context *ctx = *state;
  const int64_t five[5] = {1, 1, 2, 1, 1};
  const char *const names[] = {"cube", "a.name.that.is.just.one.byte.too.long.0123456789.0123456789.0123"};
  const mcl_shape shapes[] = {mcl_shape_of(5, five), mcl_shape_1(2)};
  mcl_model *cube = model_of(ctx, 1, names, shapes), *named = model_of(ctx, 1, names + 1, shapes + 1);
  assert_int_equal(strlen(names[1]), 64);
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "weight \"cube\" has 5 dimensions", mcl_save_model(cube, "no.gguf", NULL));
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "has 64 bytes and GGUF's at most 63",
               mcl_save_model(named, "no.gguf", NULL));
  assert_fails(ctx, MCL_ERROR_ARGUMENT, "has no zstd wrap",
               mcl_save_model(cube, "no.gguf", &(mcl_artifact_options){.zstd_level = 3}));
  assert_int_not_equal(access("no.gguf", F_OK), 0);
  mcl_model_free(cube);
  mcl_model_free(named);
}

/* ggml's file with 0.5 where -1e300 was, which no weight can be. */
static void write_with_half(const char *path, mcl_context *ctx) {
  mcl_file_map *map;
  const double wide = -1e300, half = 0.5;
  assert_ok(ctx, mcl_file_map_open(ctx, GGMLS_FILE, &map));
  uint8_t *copy = exact_copy(ctx, map->data, map->size), *at = memmem(copy, map->size, &wide, sizeof wide);
  assert_non_null(at);
  memcpy(at, &half, sizeof half);
  write_file(path, copy, map->size);
  mcl_free(ctx, copy);
  mcl_file_map_release(map);
}

static void a_file_of_weights_opens_as_a_model_without_a_graph(void **state) {
  mcl_context *ctx = *state;
  mcl_named_tensor *list;
  mcl_model *model;
  mcl_tensor *values;
  int count;
  assert_fails(ctx, MCL_ERROR_NUMERIC, "weight \"f64\": infinity at element 1",
               mcl_load_model(ctx, GGMLS_FILE, &model));
  write_with_half("weights.gguf", ctx);
  assert_ok(ctx, mcl_gguf_load(ctx, "weights.gguf", &list, &count));
  assert_ok(ctx, mcl_load_model(ctx, "weights.gguf", &model));
  unlink("weights.gguf");
  assert_int_equal(model->weight_count, count);
  assert_int_equal(model->node_count, 0);
  for (int i = 0; i < count; i++) {
    assert_string_equal(model->weights[i].name, list[i].name);
    assert_ok(ctx, mcl_weight_values(model, i, &values));
    if (list[i].tensor->dtype == MCL_F32)
      assert_memory_equal(values->data, list[i].tensor->data, (size_t)values->count * 4);
  }
  mcl_session *session;
  mcl_training_session *training;
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "no graph", mcl_session_new(model, 1, &session));
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "no graph", mcl_training_session_new(model, 1, &training));
  assert_null(mcl_model_input_name(model, 0));
  assert_int_equal(mcl_model_output_shape(model, 0).rank, 0);
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "has no graph", mcl_save_model(model, "no.onnx", NULL));
  assert_int_not_equal(access("no.onnx", F_OK), 0);
  mcl_model_free(model);
  mcl_tensor_list_free(ctx, list, count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      array_test(every_type_that_ggml_wrote_is_read),
      array_test(blocks_become_the_values_they_stand_for),
      context_test(many_blocks_are_decoded_each_once),
      array_test(every_file_cut_short_is_refused),
      array_test(version_2_and_no_tensors_at_all_are_read),
      array_test(lies_about_tensors_are_refused),
      array_test(lies_in_metadata_are_refused),
      array_test(two_of_a_name_and_elements_that_overlap_are_refused),
      array_test(heads_that_lie_are_refused),
      array_test(what_is_saved_is_read_back_by_mapping),
      array_test(the_bytes_of_a_small_file_are_these),
      array_test(what_gguf_cannot_hold_is_refused_and_nothing_is_written),
      array_test(a_file_of_weights_opens_as_a_model_without_a_graph),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
