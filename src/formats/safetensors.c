/* safetensors: the length of a header, a header in JSON {"name": {"dtype": "F32", "shape": […], "data_offsets": [begin,
 * end]}}, then the elements, little-endian. It has weights and no graph. Read by mapping: tensors view the file where
 * their place is aligned; every byte must belong to exactly one tensor, as the format demands. */
#include <jansson.h>
#include <stdio.h>

#include "formats/arrays.h"

#define HEADER_LIMIT ((size_t)100000000) /* the format's own */
#define ALIGNMENT 64                     /* of the first element in files that are written here */

static const struct {
  const char *name;
  mcl_dtype dtype;
} dtypes[] = {{"F32", MCL_F32}, {"F16", MCL_F16}, {"BF16", MCL_BF16}, {"F64", MCL_F64}, {"I8", MCL_I8},
              {"I16", MCL_I16}, {"I32", MCL_I32}, {"I64", MCL_I64},   {"U8", MCL_U8},   {"BOOL", MCL_BOOL}};

/* ---- Reading ---- */

/* A tensor as its header says. */
typedef struct header_entry {
  const char *name; /* the JSON's */
  mcl_dtype dtype;
  mcl_shape shape;
  size_t begin, end; /* of its elements, after the header */
} header_entry;

static mcl_status entry_fail(mcl_context *ctx, const char *path, const char *name, const char *what) {
  return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: tensor \"%.200s\": %s", path, name, what);
}

static bool take_size(const json_t *value, size_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (size_t)json_integer_value(value);
  return true;
}

static mcl_status read_entry(mcl_context *ctx, const char *path, const char *name, const json_t *value,
                             size_t data_size, header_entry *out) {
  const json_t *shape = json_object_get(value, "shape"), *offsets = json_object_get(value, "data_offsets");
  const char *type = json_string_value(json_object_get(value, "dtype"));
  size_t bytes;
  int64_t count;
  if (!type || !json_is_array(shape) || json_array_size(offsets) != 2)
    return entry_fail(ctx, path, name, "has no dtype, shape or two data_offsets");
  out->name = name;
  out->dtype = MCL_DTYPE_COUNT;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(dtypes[i].name, type)) out->dtype = dtypes[i].dtype;
  if (out->dtype == MCL_DTYPE_COUNT)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: tensor \"%.200s\": dtype %.16s is not read", path, name, type);
  if (json_array_size(shape) > MCL_MAX_RANK) return entry_fail(ctx, path, name, "has more than 8 dimensions");
  out->shape.rank = (int)json_array_size(shape);
  for (int i = 0; i < out->shape.rank; i++) {
    size_t dim;
    if (!take_size(json_array_get(shape, (size_t)i), &dim))
      return entry_fail(ctx, path, name, "a dimension is no size");
    out->shape.dim[i] = (int64_t)dim;
  }
  if (mcl_shape_count(ctx, out->shape, &count) || !mcl_mul_size((size_t)count, mcl_dtype_size(out->dtype), &bytes))
    return entry_fail(ctx, path, name, "its shape is larger than any memory");
  if (!take_size(json_array_get(offsets, 0), &out->begin) || !take_size(json_array_get(offsets, 1), &out->end) ||
      out->begin > out->end || out->end > data_size)
    return entry_fail(ctx, path, name, "its data_offsets are not within the file");
  if (out->end - out->begin != bytes) return entry_fail(ctx, path, name, "its data_offsets do not fit its shape");
  return MCL_OK;
}

static int by_place(const void *a, const void *b) {
  const header_entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end == y->end ? strcmp(x->name, y->name) : x->end < y->end ? -1 : 1;
}

static mcl_status read_entries(mcl_context *ctx, const char *path, json_t *header, size_t data_size,
                               header_entry *entries, int *count) {
  const char *name;
  json_t *value;
  size_t end = 0;
  json_object_foreach(header, name, value) {
    if (!strcmp(name, "__metadata__")) continue;
    MCL_TRY(read_entry(ctx, path, name, value, data_size, &entries[*count]));
    ++*count;
  }
  MCL_TRY(mcl_sort(ctx, entries, (size_t)*count, sizeof *entries, by_place));
  for (int i = 0; i < *count; i++) {
    if (entries[i].begin != end)
      return entry_fail(ctx, path, entries[i].name, "overlaps another, or leaves a hole before it");
    end = entries[i].end;
  }
  if (end != data_size)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %zu bytes follow the last tensor", path, data_size - end);
  return MCL_OK;
}

static mcl_status make_tensor(mcl_context *ctx, const header_entry *entry, const uint8_t *data, size_t offset,
                              mcl_file_map *map, mcl_tensor **out) {
  size_t size = mcl_dtype_size(entry->dtype);
  bool is_plain = map && !mcl_machine_is_big_endian() && entry->dtype != MCL_BOOL && entry->end > entry->begin;
  if (is_plain && (offset + entry->begin) % size == 0)
    return mcl_tensor_map(ctx, entry->dtype, entry->shape, map, offset + entry->begin, out);
  MCL_TRY(mcl_tensor_new_raw(ctx, entry->dtype, entry->shape, out));
  const uint8_t *from = data + offset + entry->begin;
  uint8_t *to = (*out)->data;
  if (mcl_machine_is_big_endian())
    mcl_copy_swapped(to, from, size, (size_t)(*out)->count);
  else if ((*out)->count)
    memcpy(to, from, (size_t)(*out)->count * size);
  for (int64_t i = 0; entry->dtype == MCL_BOOL && i < (*out)->count; i++) to[i] = to[i] != 0;
  return MCL_OK;
}

static mcl_status read_tensors(mcl_context *ctx, const char *path, json_t *header, const uint8_t *data, size_t size,
                               size_t offset, mcl_file_map *map, mcl_named_tensor **out, int *count) {
  header_entry *entries;
  mcl_named_tensor *list = NULL;
  int found = 0, made = 0;
  MCL_TRY(mcl_alloc_array(ctx, json_object_size(header), sizeof *entries, &entries));
  mcl_status status = read_entries(ctx, path, header, size - offset, entries, &found);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)found * sizeof *list, &list);
  for (; !status && made < found; made++) {
    status = mcl_strdup(ctx, entries[made].name, &list[made].name);
    if (!status) status = make_tensor(ctx, &entries[made], data, offset, map, &list[made].tensor);
    list[made].file_bytes = entries[made].end - entries[made].begin;
  }
  mcl_free(ctx, entries);
  if (status) {
    mcl_tensor_list_free(ctx, list, made);
    return status;
  }
  *out = list;
  *count = found;
  return MCL_OK;
}

mcl_status mcl_safetensors_read(mcl_context *ctx, const char *path, const uint8_t *data, size_t size, mcl_file_map *map,
                                mcl_named_tensor **out, int *count) {
  *out = NULL;
  *count = 0;
  if (size < 8) return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not a safetensors file: it has %zu bytes", path, size);
  uint64_t length = mcl_load_u64(data);
  if (length > HEADER_LIMIT && length <= size - 8)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: a header of %llu bytes, where safetensors allows %zu", path,
                    (unsigned long long)length, HEADER_LIMIT);
  if (length > size - 8)
    return mcl_fail(ctx, MCL_ERROR_FORMAT,
                    "%s: is not a safetensors file, or is cut short: a header of %llu bytes in a file of %zu", path,
                    (unsigned long long)length, size);
  json_error_t error;
  json_t *header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  mcl_status status;
  if (!json_is_object(header))
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: header, byte %d: %s", path, header ? 0 : error.position,
                      header ? "is no JSON object" : error.text);
  else
    status = read_tensors(ctx, path, header, data, size, 8 + (size_t)length, map, out, count);
  json_decref(header);
  return status;
}

mcl_status mcl_safetensors_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count) {
  mcl_file_map *map;
  *out = NULL;
  *count = 0;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_safetensors_read(ctx, path, map->data, map->size, map, out, count);
  mcl_file_map_release(map);
  return status;
}

/* ---- Writing ---- */

static const char *dtype_name(mcl_dtype dtype) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (dtypes[i].dtype == dtype) return dtypes[i].name;
  return "";
}

/* The header is JSON, whose texts are UTF-8. */
static mcl_status check_name(mcl_context *ctx, const char *path, const char *name) {
  json_t *text = json_string(name);
  json_decref(text);
  if (text) return MCL_OK;
  return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                  "%s: tensor \"%.200s\": its name is not UTF-8, as safetensors wants it; save a .gguf or .onnx", path,
                  name);
}

/* Adds a tensor to the header; its elements follow those before it. */
static bool add_entry(json_t *header, const char *name, mcl_dtype dtype, mcl_shape shape, size_t *end) {
  size_t bytes = mcl_dtype_size(dtype);
  json_t *dims = json_array();
  for (int i = 0; i < shape.rank; i++) {
    bytes *= (size_t)shape.dim[i];
    if (json_array_append_new(dims, json_integer(shape.dim[i]))) return json_decref(dims), false;
  }
  json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(dtype), "shape", dims, "data_offsets",
                            (json_int_t)*end, (json_int_t)(*end + bytes));
  *end += bytes;
  return entry && json_object_set_new(header, name, entry) == 0;
}

/* Takes over the header. */
static mcl_status write_header(mcl_file_writer *writer, mcl_context *ctx, const char *path, json_t *header,
                               bool is_whole) {
  char *text = is_whole ? json_dumps(header, JSON_COMPACT) : NULL;
  json_decref(header);
  if (!text) return mcl_fail(ctx, MCL_ERROR_MEMORY, "%s: no memory for the header", path);
  char spaces[ALIGNMENT];
  uint8_t length[8];
  size_t size = strlen(text), padding = (ALIGNMENT - (8 + size) % ALIGNMENT) % ALIGNMENT;
  memset(spaces, ' ', sizeof spaces);
  mcl_store_u64(length, size + padding);
  mcl_status status = mcl_file_write(writer, length, sizeof length);
  if (!status) status = mcl_file_write(writer, text, size);
  if (!status) status = mcl_file_write(writer, spaces, padding);
  free(text);
  return status;
}

static mcl_status write_elements(mcl_file_writer *writer, mcl_tensor *t) {
  uint8_t swapped[8];
  size_t size = mcl_dtype_size(t->dtype);
  if (!mcl_machine_is_big_endian()) return mcl_file_write(writer, t->data, (size_t)t->count * size);
  for (int64_t i = 0; i < t->count; i++) {
    mcl_copy_swapped(swapped, (const uint8_t *)t->data + (size_t)i * size, size, 1);
    MCL_TRY(mcl_file_write(writer, swapped, size));
  }
  return MCL_OK;
}

mcl_status mcl_safetensors_save(mcl_context *ctx, const char *path, const mcl_named_tensor *tensors, int count) {
  mcl_file_writer *writer;
  for (int i = 0; i < count; i++) MCL_TRY(check_name(ctx, path, tensors[i].name));
  MCL_TRY(mcl_file_writer_open(ctx, path, &writer));
  json_t *header = json_object();
  size_t end = 0;
  bool is_whole = true;
  for (int i = 0; i < count; i++)
    is_whole = add_entry(header, tensors[i].name, tensors[i].tensor->dtype, tensors[i].tensor->shape, &end) && is_whole;
  mcl_status status = write_header(writer, ctx, path, header, is_whole);
  for (int i = 0; !status && i < count; i++) status = write_elements(writer, tensors[i].tensor);
  if (!status) return mcl_file_commit(writer);
  mcl_file_abandon(writer);
  return status;
}

/* The weights of a model as f32, decoded one at a time. */
mcl_status mcl_safetensors_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  mcl_context *ctx = model->ctx;
  mcl_file_writer *writer;
  (void)options;
  for (int i = 0; i < model->weight_count; i++) MCL_TRY(check_name(ctx, path, model->weights[i].name));
  MCL_TRY(mcl_file_writer_open(ctx, path, &writer));
  json_t *header = json_object();
  size_t end = 0;
  bool is_whole = true;
  for (int i = 0; i < model->weight_count; i++)
    is_whole = add_entry(header, model->weights[i].name, MCL_F32, model->weights[i].shape, &end) && is_whole;
  mcl_status status = write_header(writer, ctx, path, header, is_whole);
  for (int i = 0; !status && i < model->weight_count; i++) {
    mcl_tensor *values = NULL;
    status = mcl_weight_load(model, i);
    if (!status) status = mcl_repr_values(model->weights[i].repr, &values);
    if (!status) status = write_elements(writer, values);
    mcl_tensor_release(values);
  }
  if (!status) return mcl_file_commit(writer);
  mcl_file_abandon(writer);
  return status;
}
