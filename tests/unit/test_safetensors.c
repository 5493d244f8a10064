/* safetensors, and models exported without their graph: as weights (safetensors, npz) and as a C header. */
#include "unit/arrays.h"

#include <stdlib.h>

#include "base/file.h"

static mcl_status read_text(mcl_context *ctx, const char *header, const void *data, size_t size, mcl_named_tensor **out,
                            int *count) {
  uint8_t file[2048];
  size_t length = strlen(header);
  mcl_store_u64(file, length);
  memcpy(file + 8, header, length);
  if (size) memcpy(file + 8 + length, data, size);
  uint8_t *copy = exact_copy(ctx, file, 8 + length + size);
  mcl_status status = mcl_safetensors_read(ctx, "x.safetensors", copy, 8 + length + size, NULL, out, count);
  mcl_free(ctx, copy);
  return status;
}

static void tensors_come_in_the_order_of_the_file(void **state) {
  mcl_named_tensor *list;
  int count;
  const uint8_t data[] = {7, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 1, 0, 3};
  assert_ok(*state, read_text(*state,
                              "{\"__metadata__\":{\"format\":\"pt\"},"
                              "\"late\":{\"dtype\":\"BOOL\",\"shape\":[3,1],\"data_offsets\":[12,15]},"
                              "\"first\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
                              "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
                              data, sizeof data, &list, &count));
  assert_int_equal(count, 3);
  assert_string_equal(list[0].name, "first");
  assert_int_equal(*(int32_t *)list[0].tensor->data, 7);
  assert_string_equal(list[1].name, "b");
  assert_true(mcl_tensor_f32(list[1].tensor)[0] == 1.0f && mcl_tensor_f32(list[1].tensor)[1] == -2.0f);
  assert_string_equal(list[2].name, "late");
  const uint8_t bools[3] = {1, 0, 1};
  assert_memory_equal(list[2].tensor->data, bools, 3);
  mcl_tensor_list_free(*state, list, count);
}

static void what_is_saved_is_read_back_by_mapping(void **state) {
  mcl_context *ctx = *state;
  float values[6] = {1, 2, 3, 4, 5, 6};
  uint16_t halves[2] = {0x3c00, 0xc000};
  mcl_named_tensor saved[2] = {{.name = "w"}, {.name = "größe"}}, *list;
  int count;
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_2(2, 3), values, &saved[0].tensor));
  assert_ok(ctx, mcl_tensor_wrap(ctx, MCL_F16, mcl_shape_1(2), halves, &saved[1].tensor));
  assert_ok(ctx, mcl_safetensors_save(ctx, "saved.safetensors", saved, 2));
  assert_ok(ctx, mcl_safetensors_load(ctx, "saved.safetensors", &list, &count));
  assert_int_equal(count, 2);
  assert_non_null(list[0].tensor->map);
  assert_memory_equal(list[0].tensor->data, values, sizeof values);
  assert_string_equal(list[1].name, "größe");
  assert_memory_equal(list[1].tensor->data, halves, sizeof halves);
  mcl_tensor_list_free(ctx, list, count);
  mcl_tensor_release(saved[0].tensor);
  mcl_tensor_release(saved[1].tensor);
  unlink("saved.safetensors");
}

static void a_header_is_as_long_as_the_format_allows(void **state) {
  static const char text[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}";
  mcl_named_tensor *list;
  int count;
  uint8_t *file;
  size_t most = 100000000, size = 8 + most + 1;
  assert_ok(*state, mcl_alloc(*state, size, &file));
  memset(file, ' ', size); /* blanks may follow the header's text */
  memcpy(file + 8, text, sizeof text - 1);
  mcl_store_u64(file, 20000000);
  assert_ok(*state, mcl_safetensors_read(*state, "x.safetensors", file, 20000008, NULL, &list, &count));
  mcl_tensor_list_free(*state, list, count);
  mcl_store_u64(file, most + 1);
  assert_fails(*state, MCL_ERROR_FORMAT, "a header of 100000001 bytes, where safetensors allows 100000000",
               mcl_safetensors_read(*state, "x.safetensors", file, size, NULL, &list, &count));
  assert_fails(*state, MCL_ERROR_FORMAT, "cut short",
               mcl_safetensors_read(*state, "x.safetensors", file, size - 1, NULL, &list, &count));
  mcl_free(*state, file);
}

static void lies_are_refused_with_their_place(void **state) {
#define ONE(dtype, shape, offsets) "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
  static const struct {
    const char *header;
    mcl_status status;
    const char *message;
  } lies[] = {
      {ONE("F32", "[2]", "[0,4]"), MCL_ERROR_FORMAT, "tensor \"w\": its data_offsets do not fit its shape"},
      {ONE("F32", "[2]", "[0,800]"), MCL_ERROR_FORMAT, "are not within the file"},
      {ONE("F32", "[2]", "[8,0]"), MCL_ERROR_FORMAT, "are not within the file"},
      {ONE("F32", "[2]", "[-8,0]"), MCL_ERROR_FORMAT, "are not within the file"},
      {ONE("F32", "[1]", "[0,4]"), MCL_ERROR_FORMAT, "4 bytes follow the last tensor"},
      {ONE("F32", "[1]", "[4,8]"), MCL_ERROR_FORMAT, "leaves a hole before it"},
      {ONE("F32", "[-2]", "[0,8]"), MCL_ERROR_FORMAT, "a dimension is no size"},
      {ONE("F32", "[2.5]", "[0,8]"), MCL_ERROR_FORMAT, "a dimension is no size"},
      {ONE("F32", "[4294967296,4294967296]", "[0,8]"), MCL_ERROR_FORMAT, "larger than any memory"},
      {ONE("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), MCL_ERROR_FORMAT, "more than 8 dimensions"},
      {ONE("F8_E4M3", "[8]", "[0,8]"), MCL_ERROR_UNSUPPORTED, "dtype F8_E4M3 is not read"},
      {ONE("F32", "2", "[0,8]"), MCL_ERROR_FORMAT, "has no dtype, shape or two data_offsets"},
      {"{\"w\":3}", MCL_ERROR_FORMAT, "has no dtype, shape or two data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
       "offsets\":[4,8]}}",
       MCL_ERROR_FORMAT, "tensor \"b\": overlaps another"},
      {"{\"a\":{},\"a\":{}}", MCL_ERROR_FORMAT, "duplicate object key"},
      {"[1]", MCL_ERROR_FORMAT, "is no JSON object"},
      {"{\"w\":", MCL_ERROR_FORMAT, "header, byte"},
      {"", MCL_ERROR_FORMAT, "header, byte"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    mcl_named_tensor *list;
    int count;
    assert_fails(*state, lies[i].status, lies[i].message,
                 read_text(*state, lies[i].header, "01234567", 8, &list, &count));
    assert_null(list);
  }
}

static void a_header_longer_than_the_file_is_refused(void **state) {
  mcl_named_tensor *list;
  int count;
  const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, '{', '}'};
  for (size_t size = 0; size <= sizeof bytes; size++)
    assert_fails(*state, MCL_ERROR_FORMAT, "is not a safetensors file",
                 mcl_safetensors_read(*state, "x.safetensors", bytes, size, NULL, &list, &count));
}

/* ---- Exports of models ---- */

static mcl_model *small_model(mcl_context *ctx) {
  mcl_model *model;
  mcl_tensor *t;
  mcl_repr *repr;
  int x, w;
  int64_t dims[2] = {-1, 2};
  assert_ok(ctx, mcl_model_new(ctx, "small", &model));
  assert_ok(ctx, mcl_model_add_input(model, "x", mcl_shape_of(2, dims), &x));
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(3, 2), &t));
  for (int i = 0; i < 6; i++) mcl_tensor_f32(t)[i] = (float)i;
  assert_ok(ctx, mcl_dense_new(t, &repr));
  assert_ok(ctx, mcl_model_add_weight(model, "fc.weight", repr, false, &w));
  mcl_repr_release(repr);
  mcl_tensor_release(t);
  int inputs[2] = {x, w};
  assert_ok(ctx, mcl_model_add_node(model, mcl_op_by_name("linear"), "fc", NULL, 2, inputs, &x));
  assert_ok(ctx, mcl_model_add_output(model, x));
  return model;
}

static void a_models_weights_are_saved_by_name(void **state) {
  mcl_context *ctx = *state;
  mcl_model *model = small_model(ctx), *weights;
  for (int i = 0; i < 2; i++) {
    const char *path = i ? "weights.npz" : "weights.safetensors";
    mcl_named_tensor *list;
    int count;
    assert_ok(ctx, mcl_save_model(model, path, NULL));
    assert_ok(ctx, i ? mcl_npz_load(ctx, path, &list, &count) : mcl_safetensors_load(ctx, path, &list, &count));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].name, "fc.weight");
    assert_int_equal(list[0].tensor->shape.dim[0], 3);
    for (int k = 0; k < 6; k++) assert_true(mcl_tensor_f32(list[0].tensor)[k] == (float)k);
    mcl_tensor_list_free(ctx, list, count);
    assert_ok(ctx, mcl_load_model(ctx, path, &weights)); /* weights, and no graph */
    assert_int_equal(weights->weight_count, 1);
    assert_int_equal(weights->node_count, 0);
    mcl_model_free(weights);
    assert_fails(ctx, MCL_ERROR_ARGUMENT, "has no zstd wrap",
                 mcl_save_model(model, path, &(mcl_artifact_options){.zstd_level = 3}));
    unlink(path);
  }
  mcl_model_free(model);
}

static void a_c_header_holds_the_artifact(void **state) {
  mcl_context *ctx = *state;
  mcl_model *model = small_model(ctx), *opened;
  assert_ok(ctx, mcl_save_model(model, "net-1.h", NULL));
  mcl_file_map *map;
  assert_ok(ctx, mcl_file_map_open(ctx, "net-1.h", &map));
  char *text = calloc(map->size + 1, 1);
  memcpy(text, map->data, map->size);
  assert_non_null(strstr(text, "static const unsigned char net_1_bytes["));
  char *at = strstr(text, "= {") + 3;
  uint8_t *bytes = malloc(map->size); /* as a compiler would read it */
  size_t size = 0;
  for (unsigned value; sscanf(at, " %u,", &value) == 1; at = strchr(at, ',') + 1) bytes[size++] = (uint8_t)value;
  assert_ok(ctx, mcl_model_open_memory(ctx, bytes, size, &opened));
  mcl_tensor *weight;
  assert_ok(ctx, mcl_weight_values(opened, mcl_model_find_weight(opened, "fc.weight"), &weight));
  for (int k = 0; k < 6; k++) assert_true(mcl_tensor_f32(weight)[k] == (float)k);
  mcl_model_free(opened);
  free(bytes);
  free(text);
  mcl_file_map_release(map);
  mcl_model_free(model);
  unlink("net-1.h");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      array_test(tensors_come_in_the_order_of_the_file),    array_test(what_is_saved_is_read_back_by_mapping),
      array_test(a_header_is_as_long_as_the_format_allows), array_test(a_header_longer_than_the_file_is_refused),
      array_test(lies_are_refused_with_their_place),        array_test(a_header_longer_than_the_file_is_refused),
      array_test(a_models_weights_are_saved_by_name),       array_test(a_c_header_holds_the_artifact),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
