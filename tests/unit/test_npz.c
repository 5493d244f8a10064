/* .npz: archives that NumPy wrote are read, ours are read back, and archives that lie cost neither memory nor sense.
 * tests/data/numpy_stored.npz and numpy_deflated.npz were made by:
 *   a = {"weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8 - 1, "bias": np.array([1.5, -2.25], dtype='>f8'),
 *        "label": np.array([3, 1, 4, 1, 5], dtype=np.uint16), "flag": np.array(True),
 *        "column": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))}
 *   np.savez("numpy_stored.npz", **a); np.savez_compressed("numpy_deflated.npz", **a) */
#include "unit/arrays.h"

#include <sys/stat.h>

#include "base/file.h"

static mcl_tensor *named(mcl_named_tensor *list, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(list[i].name, name)) return list[i].tensor;
  fail_msg("no tensor %s", name);
  return NULL;
}

static void check_numpys_archive(mcl_context *ctx, const char *path) {
  mcl_named_tensor *list;
  int count;
  assert_ok(ctx, mcl_npz_load(ctx, path, &list, &count));
  assert_int_equal(count, 5);
  assert_string_equal(list[0].name, "weight"); /* in the order of the file */
  mcl_tensor *weight = list[0].tensor, *bias = named(list, count, "bias"), *label = named(list, count, "label"),
             *column = named(list, count, "column"), *flag = named(list, count, "flag");
  assert_int_equal(weight->shape.rank, 3);
  for (int i = 0; i < 24; i++) assert_true(mcl_tensor_f32(weight)[i] == (float)i / 8 - 1);
  assert_int_equal(bias->dtype, MCL_F64);
  assert_true(((double *)bias->data)[0] == 1.5 && ((double *)bias->data)[1] == -2.25);
  const int32_t labels[5] = {3, 1, 4, 1, 5}, columns[6] = {0, 1, 2, 3, 4, 5};
  assert_memory_equal(label->data, labels, sizeof labels);
  assert_memory_equal(column->data, columns, sizeof columns);
  assert_int_equal(flag->shape.rank, 0);
  assert_int_equal(*(uint8_t *)flag->data, 1);
  mcl_tensor_list_free(ctx, list, count);
}

static void archives_of_numpy_are_read(void **state) {
  check_numpys_archive(*state, MCL_SOURCE_DIR "/tests/data/numpy_stored.npz");
  check_numpys_archive(*state, MCL_SOURCE_DIR "/tests/data/numpy_deflated.npz");
}

static void save_small(mcl_context *ctx, const char *path, bool compress) {
  float values[3] = {1, -2, 4};
  int64_t numbers[2] = {-5, 6};
  mcl_named_tensor list[2] = {{.name = "a"}, {.name = "deep/b"}};
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(3), values, &list[0].tensor));
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_I64, mcl_shape_2(1, 2), numbers, &list[1].tensor));
  assert_ok(ctx, mcl_npz_save(ctx, path, list, 2, compress));
  mcl_tensor_release(list[0].tensor);
  mcl_tensor_release(list[1].tensor);
}

static void what_is_saved_is_read_back(void **state) {
  mcl_context *ctx = *state;
  for (int compress = 0; compress < 2; compress++) {
    mcl_named_tensor *list;
    int count;
    save_small(ctx, "small.npz", compress);
    assert_ok(ctx, mcl_npz_load(ctx, "small.npz", &list, &count));
    assert_int_equal(count, 2);
    assert_string_equal(list[1].name, "deep/b");
    assert_true(mcl_tensor_f32(list[0].tensor)[1] == -2.0f);
    assert_int_equal(((int64_t *)list[1].tensor->data)[0], -5);
    mcl_tensor_list_free(ctx, list, count);
  }
  unlink("small.npz");
}

static uint8_t *find(uint8_t *data, size_t size, const char *what, size_t length) {
  for (size_t i = 0; i + length <= size; i++)
    if (!memcmp(data + i, what, length)) return data + i;
  fail_msg("no such bytes");
  return NULL;
}

static void a_member_that_is_not_asked_for_is_named_and_not_judged(void **state) {
  static const char *const wanted[] = {"deep/b", "absent", NULL};
  mcl_context *ctx = *state;
  mcl_named_tensor *list;
  int count;
  save_small(ctx, "some.npz", false);
  mcl_file_map *map;
  assert_ok(ctx, mcl_file_map_open(ctx, "some.npz", &map));
  uint8_t *copy = exact_copy(ctx, map->data, map->size);
  memcpy(find(copy, map->size, "<f4", 3), "<U4", 3); /* of the member a, whose checksum is wrong besides */
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "member a.npy",
               mcl_npz_read(ctx, "x", copy, map->size, NULL, &list, &count));
  assert_ok(ctx, mcl_npz_read(ctx, "x", copy, map->size, wanted, &list, &count));
  assert_int_equal(count, 2);
  assert_string_equal(list[0].name, "a");
  assert_null(list[0].tensor);
  assert_int_equal(((int64_t *)list[1].tensor->data)[1], 6);
  mcl_tensor_list_free(ctx, list, count);
  mcl_free(ctx, copy);
  mcl_file_map_release(map);
  unlink("some.npz");
}

static void the_same_tensors_give_the_same_bytes(void **state) {
  mcl_context *ctx = *state;
  mcl_file_map *first, *second;
  save_small(ctx, "first.npz", true);
  save_small(ctx, "second.npz", true);
  assert_ok(ctx, mcl_file_map_open(ctx, "first.npz", &first));
  assert_ok(ctx, mcl_file_map_open(ctx, "second.npz", &second));
  assert_int_equal(first->size, second->size);
  assert_memory_equal(first->data, second->data, first->size);
  mcl_file_map_release(first);
  mcl_file_map_release(second);
  unlink("first.npz");
  unlink("second.npz");
}

static void a_folder_that_is_not_there_is_named(void **state) {
  float value = 1;
  mcl_named_tensor one = {.name = "a"};
  assert_ok(*state, mcl_tensor_wrap(*state, MCL_F32, mcl_shape_1(1), &value, &one.tensor));
  assert_fails(*state, MCL_ERROR_IO, "absent/x.npz: cannot be written",
               mcl_npz_save(*state, "absent/x.npz", &one, 1, false));
  mcl_tensor_release(one.tensor);
}

/* ---- Archives that lie: a good one, one field of it changed ---- */

typedef struct archive {
  uint8_t *data;
  size_t size;
  uint8_t *local, *central, *end; /* the first member's records, and the last record */
} archive;

static archive small_archive(mcl_context *ctx, bool compress) {
  archive a = {0};
  mcl_file_map *map;
  save_small(ctx, "lie.npz", compress);
  assert_ok(ctx, mcl_file_map_open(ctx, "lie.npz", &map));
  a.size = map->size;
  a.data = exact_copy(ctx, map->data, map->size);
  mcl_file_map_release(map);
  unlink("lie.npz");
  a.local = find(a.data, a.size, "PK\3\4", 4);
  a.central = find(a.data, a.size, "PK\1\2", 4);
  a.end = find(a.data, a.size, "PK\5\6", 4);
  return a;
}

static mcl_status read_archive(mcl_context *ctx, archive *a) {
  mcl_named_tensor *list;
  int count;
  mcl_status status = mcl_npz_read(ctx, "lie.npz", a->data, a->size, NULL, &list, &count);
  if (!status) mcl_tensor_list_free(ctx, list, count);
  return status;
}

static void a_size_that_cannot_unfold_is_refused_before_memory_is_taken(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, true);
  mcl_store_u32(a.local + 22, 0x7fffffff); /* unfolded size */
  mcl_store_u32(a.central + 24, 0x7fffffff);
  assert_fails(ctx, MCL_ERROR_FORMAT, "cannot unfold to the 2147483647 that it claims", read_archive(ctx, &a));
  assert_true(mcl_context_memory_peak(ctx) < 4 << 20);
  mcl_free(ctx, a.data);
}

static void a_wrong_size_that_could_be_is_refused_by_the_header(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, true);
  mcl_store_u32(a.local + 22, 4000);
  mcl_store_u32(a.central + 24, 4000);
  assert_fails(ctx, MCL_ERROR_FORMAT, "lie.npz: member a.npy: ends at byte 140 of 4000", read_archive(ctx, &a));
  mcl_free(ctx, a.data);
}

static void a_wrong_checksum_is_refused(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, false);
  a.data[30 + 5 + 128] ^= 1; /* the first element */
  assert_fails(ctx, MCL_ERROR_FORMAT, "lie.npz: member a.npy: is damaged", read_archive(ctx, &a));
  mcl_free(ctx, a.data);
}

static void damaged_deflate_is_refused(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, true);
  memset(a.data + 30 + 5, 0xff, 20);
  assert_fails(ctx, MCL_ERROR_FORMAT, "lie.npz: member a.npy: is damaged at byte 0", read_archive(ctx, &a));
  mcl_free(ctx, a.data);
}

static void an_encrypted_member_is_refused(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, false);
  a.local[6] |= 1;
  a.central[8] |= 1;
  assert_fails(ctx, MCL_ERROR_UNSUPPORTED, "a.npy: is encrypted", read_archive(ctx, &a));
  mcl_free(ctx, a.data);
}

static void members_that_share_their_bytes_are_refused(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, false);
  uint8_t *second = find(a.central + 4, (size_t)(a.end - a.central - 4), "PK\1\2", 4);
  mcl_store_u32(second + 42, 0); /* where its local record is: the first's */
  assert_fails(ctx, MCL_ERROR_FORMAT, "lie.npz: ", read_archive(ctx, &a));
  mcl_free(ctx, a.data);
}

static void every_truncation_is_refused(void **state) {
  mcl_context *ctx = *state;
  archive a = small_archive(ctx, true);
  for (size_t cut = 0; cut < a.size; cut++) {
    uint8_t *copy = exact_copy(ctx, a.data, cut);
    archive part = {.data = copy, .size = cut};
    assert_fails(ctx, MCL_ERROR_FORMAT, "lie.npz: ", read_archive(ctx, &part));
    mcl_free(ctx, copy);
  }
  mcl_free(ctx, a.data);
}

static void what_is_not_an_archive_is_refused(void **state) {
  archive a = {.data = (uint8_t *)(uintptr_t) "not an archive at all, but long enough to be one", .size = 48};
  assert_fails(*state, MCL_ERROR_FORMAT, "is not a .npz archive", read_archive(*state, &a));
}

static void memory_stays_within_the_contexts_limit(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options options = {.memory_limit = 1 << 20};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  /* tests/data/zeros_8mb.npz: np.savez_compressed("zeros_8mb.npz", z=np.zeros(2 << 20, np.float32)) */
  mcl_named_tensor *list;
  int count;
  assert_fails(ctx, MCL_ERROR_MEMORY, "limit of 1048576",
               mcl_npz_load(ctx, MCL_SOURCE_DIR "/tests/data/zeros_8mb.npz", &list, &count));
  assert_int_equal(mcl_context_memory(ctx), 0);
  mcl_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      array_test(archives_of_numpy_are_read),
      array_test(what_is_saved_is_read_back),
      array_test(a_member_that_is_not_asked_for_is_named_and_not_judged),
      array_test(the_same_tensors_give_the_same_bytes),
      array_test(a_folder_that_is_not_there_is_named),
      array_test(a_size_that_cannot_unfold_is_refused_before_memory_is_taken),
      array_test(a_wrong_size_that_could_be_is_refused_by_the_header),
      array_test(a_wrong_checksum_is_refused),
      array_test(damaged_deflate_is_refused),
      array_test(an_encrypted_member_is_refused),
      array_test(members_that_share_their_bytes_are_refused),
      array_test(every_truncation_is_refused),
      array_test(what_is_not_an_archive_is_refused),
      cmocka_unit_test(memory_stays_within_the_contexts_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
