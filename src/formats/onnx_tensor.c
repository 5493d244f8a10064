/* ONNX: a tensor of the document → mcl_tensor. Elements may lie raw in the file, in typed fields, or in a file beside
 * it, which must be inside the model's own folder: no absolute path, no "..", no link that leads out. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/arrays.h"
#include "formats/onnx.h"

/* How each type is stored: raw, and in which typed field of TensorProto. */
typedef struct element_type {
  int64_t type;
  const char *name;
  size_t size;      /* bytes raw */
  mcl_dtype raw;    /* what raw elements are; of unsigned ones wider than 8 bits, the signed twin */
  mcl_dtype result; /* F32 or I64 */
  uint32_t field;   /* typed elements */
  mcl_wire_type wire;
  int bits; /* that a typed element uses of its 64 */
} element_type;

static const element_type types[] = {
    {ONNX_FLOAT, "float", 4, MCL_F32, MCL_F32, 4, MCL_WIRE_32, 32},
    {ONNX_DOUBLE, "double", 8, MCL_F64, MCL_F32, 10, MCL_WIRE_64, 64},
    {ONNX_FLOAT16, "float16", 2, MCL_F16, MCL_F32, 5, MCL_WIRE_VARINT, 16},
    {ONNX_BFLOAT16, "bfloat16", 2, MCL_BF16, MCL_F32, 5, MCL_WIRE_VARINT, 16},
    {ONNX_INT8, "int8", 1, MCL_I8, MCL_I64, 5, MCL_WIRE_VARINT, 8},
    {ONNX_UINT8, "uint8", 1, MCL_U8, MCL_I64, 5, MCL_WIRE_VARINT, 8},
    {ONNX_INT16, "int16", 2, MCL_I16, MCL_I64, 5, MCL_WIRE_VARINT, 16},
    {ONNX_UINT16, "uint16", 2, MCL_I16, MCL_I64, 5, MCL_WIRE_VARINT, 16},
    {ONNX_INT32, "int32", 4, MCL_I32, MCL_I64, 5, MCL_WIRE_VARINT, 32},
    {ONNX_UINT32, "uint32", 4, MCL_I32, MCL_I64, 11, MCL_WIRE_VARINT, 32},
    {ONNX_INT64, "int64", 8, MCL_I64, MCL_I64, 7, MCL_WIRE_VARINT, 64},
    {ONNX_UINT64, "uint64", 8, MCL_I64, MCL_I64, 11, MCL_WIRE_VARINT, 64},
    {ONNX_BOOL, "bool", 1, MCL_BOOL, MCL_I64, 5, MCL_WIRE_VARINT, 8},
};

static mcl_status tensor_fail(const onnx_document *document, const onnx_tensor *tensor, const char *what) {
  return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%s\": %s", document->path, tensor->name, what);
}

/* Elements as they lie in a file, little-endian, → the result's dtype. */
static void from_raw(const element_type *type, const uint8_t *raw, mcl_tensor *t) {
  if (type->raw == type->result && !mcl_machine_is_big_endian()) {
    if (t->count) memcpy(t->data, raw, (size_t)t->count * type->size);
    return;
  }
  uint8_t piece[1024];
  size_t whole = sizeof piece / type->size, left = (size_t)t->count;
  uint8_t *to = t->data;
  while (left) { /* in pieces, since raw data has no alignment */
    size_t n = left < whole ? left : whole;
    if (mcl_machine_is_big_endian())
      mcl_copy_swapped(piece, raw, type->size, n);
    else
      memcpy(piece, raw, n * type->size);
    mcl_convert(type->raw, piece, type->result, to, n);
    raw += n * type->size;
    to += n * mcl_dtype_size(type->result);
    left -= n;
  }
}

/* Unsigned elements were read as signed ones of their width. */
static mcl_status make_unsigned(const onnx_document *document, const onnx_tensor *tensor, const element_type *type,
                                mcl_tensor *t) {
  int64_t *values = t->data;
  bool wraps = type->type == ONNX_UINT16 || type->type == ONNX_UINT32;
  if (!wraps && type->type != ONNX_UINT64) return MCL_OK;
  for (int64_t i = 0; i < t->count; i++) {
    if (values[i] >= 0) continue;
    if (!wraps) return tensor_fail(document, tensor, "an element is above 2^63, which no integer here holds");
    values[i] += INT64_C(1) << type->bits;
  }
  return MCL_OK;
}

static void from_typed_value(const element_type *type, uint64_t value, mcl_tensor *t, int64_t index) {
  uint8_t element[8];
  uint64_t bits = value;
  uint16_t half = (uint16_t)value;
  uint32_t word = (uint32_t)value;
  switch (type->size) {
  case 1:
    element[0] = (uint8_t)value;
    break;
  case 2:
    memcpy(element, &half, 2);
    break;
  case 4:
    memcpy(element, &word, 4);
    break;
  default:
    memcpy(element, &bits, 8);
    break;
  }
  mcl_convert(type->raw, element, type->result, (uint8_t *)t->data + (size_t)index * mcl_dtype_size(type->result), 1);
}

static mcl_status from_typed(const onnx_document *document, const onnx_tensor *tensor, const element_type *type,
                             mcl_tensor *t) {
  mcl_wire wire = tensor->message;
  mcl_wire_field field;
  bool more;
  mcl_status status;
  int64_t filled = 0;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more) {
    if (field.number != type->field) continue;
    mcl_wire values = wire;
    values.at = field.data;
    values.end = field.data + field.size;
    bool single = field.type == type->wire;
    if (!single && field.type != MCL_WIRE_BYTES)
      return tensor_fail(document, tensor, "its elements have a wrong wire type");
    while (single || values.at < values.end) {
      uint64_t value = field.value;
      if (filled == t->count) return tensor_fail(document, tensor, "it has more elements than its shape");
      if (!single) MCL_TRY(mcl_wire_number(&values, type->wire, &value));
      from_typed_value(type, value, t, filled++);
      if (single) break;
    }
  }
  if (status) return status;
  return filled == t->count ? MCL_OK : tensor_fail(document, tensor, "it has fewer elements than its shape");
}

/* ---- External data ---- */

/* Memory for the elements is taken only when they are known to be there: typed ones are counted first. */
static mcl_status count_typed(const onnx_document *document, const onnx_tensor *tensor, const element_type *type,
                              int64_t count) {
  mcl_wire wire = tensor->message;
  mcl_wire_field field;
  bool more;
  mcl_status status;
  size_t found = 0;
  while (!(status = mcl_wire_next(&wire, &field, &more)) && more)
    if (field.number == type->field) MCL_TRY(mcl_wire_count(&wire, &field, type->wire, &found));
  if (status || found == (size_t)count) return status;
  char text[MCL_SHAPE_TEXT];
  return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%s\" of shape %s has %zu elements, where %lld belong",
                  document->path, tensor->name, mcl_shape_text(tensor->shape, text), found, (long long)count);
}

static mcl_status external_fail(const onnx_document *document, const onnx_tensor *tensor, const char *what) {
  return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%s\": external data \"%.200s\": %s", document->path,
                  tensor->name, tensor->location ? tensor->location : "", what);
}

static bool climbs(const char *location) {
  for (const char *part = location; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
    if (!strncmp(part, "..", 2) && (!part[2] || part[2] == '/')) return true;
  return false;
}

/* The file's real path, known to be inside the model's folder. */
static mcl_status resolve(const onnx_document *document, const onnx_tensor *tensor, char real[PATH_MAX]) {
  const char *location = tensor->location;
  char folder[PATH_MAX], path[PATH_MAX];
  if (!location || !*location) return external_fail(document, tensor, "has no location");
  if (!document->folder) return external_fail(document, tensor, "cannot be had: the model was not read from a folder");
  if (*location == '/' || strchr(location, '\\') || climbs(location))
    return external_fail(document, tensor, "must be a path within the model's own folder");
  if (!realpath(document->folder, folder)) return external_fail(document, tensor, strerror(errno));
  if (snprintf(path, sizeof path, "%s/%s", folder, location) >= (int)sizeof path)
    return external_fail(document, tensor, "is too long a path");
  if (!realpath(path, real)) return external_fail(document, tensor, strerror(errno));
  size_t length = strlen(folder);
  if (length > 1 && (strncmp(real, folder, length) || real[length] != '/'))
    return external_fail(document, tensor, "leads out of the model's own folder");
  return MCL_OK;
}

static mcl_status open_external(const onnx_document *document, const onnx_tensor *tensor, size_t needed,
                                mcl_file_map **map) {
  char real[PATH_MAX], what[160];
  MCL_TRY(resolve(document, tensor, real));
  MCL_TRY(mcl_file_map_open(document->ctx, real, map));
  if (tensor->offset > (*map)->size || needed > (*map)->size - tensor->offset) {
    snprintf(what, sizeof what, "%zu bytes from %llu on are wanted, the file has %zu", needed,
             (unsigned long long)tensor->offset, (*map)->size);
    mcl_file_map_release(*map);
    return external_fail(document, tensor, what);
  }
  return MCL_OK;
}

/* ---- The door ---- */

static mcl_status check_size(const onnx_document *document, const onnx_tensor *tensor, const element_type *type,
                             int64_t *count, size_t *bytes) {
  char text[MCL_SHAPE_TEXT];
  if (mcl_shape_count(document->ctx, tensor->shape, count) || !mcl_mul_size((size_t)*count, 8, bytes))
    return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%s\": shape %s is larger than any memory",
                    document->path, tensor->name, mcl_shape_text(tensor->shape, text));
  *bytes = (size_t)*count * type->size;
  if (tensor->is_external) {
    if (tensor->has_length && tensor->length != *bytes)
      return external_fail(document, tensor, "its length is not what the shape needs");
    return MCL_OK;
  }
  if (!tensor->has_raw) return count_typed(document, tensor, type, *count);
  if (tensor->raw_size == *bytes) return MCL_OK;
  return mcl_fail(document->ctx, MCL_ERROR_FORMAT, "%s: tensor \"%s\": %s of %s need %zu bytes, it has %zu",
                  document->path, tensor->name, type->name, mcl_shape_text(tensor->shape, text), *bytes,
                  tensor->raw_size);
}

mcl_status mcl_onnx_tensor_load(onnx_document *document, const onnx_tensor *tensor, mcl_tensor **out) {
  const element_type *type = NULL;
  mcl_tensor *t = NULL;
  mcl_file_map *map = NULL;
  int64_t count;
  size_t bytes;
  *out = NULL;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].type == tensor->type) type = &types[i];
  if (!type)
    return mcl_fail(
        document->ctx, MCL_ERROR_UNSUPPORTED,
        "%s: tensor \"%s\": element type %lld is not read; float, double, float16, bfloat16 and integers are",
        document->path, tensor->name, (long long)tensor->type);
  MCL_TRY(check_size(document, tensor, type, &count, &bytes));
  if (tensor->is_external) MCL_TRY(open_external(document, tensor, bytes, &map));
  mcl_status status = mcl_tensor_new_raw(document->ctx, type->result, tensor->shape, &t);
  if (!status && map)
    from_raw(type, map->data + tensor->offset, t);
  else if (!status && tensor->has_raw)
    from_raw(type, tensor->raw, t);
  else if (!status)
    status = from_typed(document, tensor, type, t);
  if (!status) status = make_unsigned(document, tensor, type, t);
  mcl_file_map_release(map);
  if (status)
    mcl_tensor_release(t);
  else
    *out = t;
  return status;
}
