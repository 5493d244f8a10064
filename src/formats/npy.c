/* NumPy's .npy: a magic, a version, a Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}, then
 * the elements. All versions are read (1, 2, 3); 1.0 is written. Big-endian and column-major arrays are converted;
 * unsigned integers that the engine has no dtype for are widened. Object arrays are refused: they are pickled code. */
#include <stdio.h>

#include "formats/arrays.h"

#define HEADER_LIMIT 65536 /* bytes of the dictionary; NumPy itself stops at 10000 */

static const uint8_t npy_magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* ---- The dictionary ---- */

typedef struct header_text {
  mcl_context *ctx;
  const char *name; /* of the file */
  const char *at, *end;
  const char *begin;
} header_text;

static mcl_status header_fail(const header_text *text, const char *what) {
  return mcl_fail(text->ctx, MCL_ERROR_FORMAT, "%s: npy header, character %d: %s", text->name,
                  (int)(text->at - text->begin), what);
}

static void skip_space(header_text *text) {
  while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r'))
    text->at++;
}

static bool take(header_text *text, char c) {
  skip_space(text);
  if (text->at == text->end || *text->at != c) return false;
  text->at++;
  return true;
}

static mcl_status take_string(header_text *text, char *out, size_t room) {
  skip_space(text);
  char quote = text->at < text->end ? *text->at : 0;
  if (quote != '\'' && quote != '"') return header_fail(text, "a string was expected");
  text->at++;
  size_t n = 0;
  while (text->at < text->end && *text->at != quote) {
    if (n + 1 == room) return header_fail(text, "the string is too long");
    out[n++] = *text->at++;
  }
  if (text->at == text->end) return header_fail(text, "the string has no end");
  text->at++;
  out[n] = 0;
  return MCL_OK;
}

static mcl_status take_bool(header_text *text, bool *out) {
  skip_space(text);
  size_t left = (size_t)(text->end - text->at);
  if (left >= 4 && !memcmp(text->at, "True", 4)) return text->at += 4, *out = true, MCL_OK;
  if (left >= 5 && !memcmp(text->at, "False", 5)) return text->at += 5, *out = false, MCL_OK;
  return header_fail(text, "True or False was expected");
}

static mcl_status take_shape(header_text *text, mcl_shape *out) {
  if (!take(text, '(')) return header_fail(text, "a shape in parentheses was expected");
  out->rank = 0;
  while (!take(text, ')')) {
    int64_t dim = 0;
    skip_space(text);
    if (text->at == text->end || *text->at < '0' || *text->at > '9')
      return header_fail(text, "a dimension, not negative, was expected");
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9')
      if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, *text->at++ - '0', &dim))
        return header_fail(text, "the dimension is too large");
    if (text->at < text->end && *text->at == 'L') text->at++; /* Python 2 wrote 3L */
    if (out->rank == MCL_MAX_RANK) return header_fail(text, "an array has at most 8 dimensions here");
    out->dim[out->rank++] = dim;
    if (take(text, ',')) continue;
    if (!take(text, ')')) return header_fail(text, "a comma or a closing parenthesis was expected");
    break;
  }
  return MCL_OK;
}

static mcl_status dtype_of_descr(mcl_context *ctx, const char *name, const char *descr, mcl_npy_info *info) {
  static const struct {
    const char *descr; /* without its byte order */
    mcl_dtype dtype;
  } known[] = {{"f4", MCL_F32}, {"f2", MCL_F16}, {"f8", MCL_F64},  {"i1", MCL_I8},  {"i2", MCL_I16}, {"i4", MCL_I32},
               {"i8", MCL_I64}, {"u1", MCL_U8},  {"b1", MCL_BOOL}, {"u2", MCL_I32}, {"u4", MCL_I64}, {"u8", MCL_I64}};
  char order = *descr;
  if (order && strchr("<>|=", order)) descr++;
  if (*descr == 'O')
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: it holds Python objects, which are code and are not read; save numbers (dtype float32)", name);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(descr, known[i].descr)) continue;
    info->dtype = known[i].dtype;
    info->kind = *descr;
    info->element_size = (size_t)(descr[1] - '0');
    info->swapped =
        info->element_size > 1 && (order == '>') != mcl_machine_is_big_endian() && order != '=' && order != '|';
    return MCL_OK;
  }
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                  "%s: dtype '%.16s' is not read; convert it to one of f2 f4 f8, i1 i2 i4 i8, u1 u2 u4 u8, b1", name,
                  descr);
}

static mcl_status parse_dictionary(header_text *text, mcl_npy_info *info) {
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  int seen = 0;
  char key[16], descr[32];
  if (!take(text, '{')) return header_fail(text, "a dictionary was expected");
  while (!take(text, '}')) {
    int part = 0;
    MCL_TRY(take_string(text, key, sizeof key));
    if (!take(text, ':')) return header_fail(text, "a colon was expected");
    skip_space(text);
    if (!strcmp(key, "descr")) {
      part = DESCR;
      if (text->at < text->end && *text->at == '[')
        return mcl_fail(text->ctx, MCL_ERROR_UNSUPPORTED, "%s: it holds records; save each field by itself",
                        text->name);
      MCL_TRY(take_string(text, descr, sizeof descr));
      MCL_TRY(dtype_of_descr(text->ctx, text->name, descr, info));
    } else if (!strcmp(key, "fortran_order")) {
      part = ORDER;
      MCL_TRY(take_bool(text, &info->fortran));
    } else if (!strcmp(key, "shape")) {
      part = SHAPE;
      MCL_TRY(take_shape(text, &info->shape));
    } else {
      return header_fail(text, "the key is none of descr, fortran_order, shape");
    }
    if (seen & part) return header_fail(text, "the key is there twice");
    seen |= part;
    if (take(text, ',')) continue;
    if (!take(text, '}')) return header_fail(text, "a comma or a closing brace was expected");
    break;
  }
  if (seen != (DESCR | ORDER | SHAPE)) return header_fail(text, "descr, fortran_order or shape is missing");
  skip_space(text);
  return text->at == text->end ? MCL_OK : header_fail(text, "something follows the dictionary");
}

mcl_status mcl_npy_parse(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, size_t total,
                         mcl_npy_info *out) {
  memset(out, 0, sizeof *out);
  if (size < 10 || memcmp(data, npy_magic, 6))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not a .npy file: its first bytes are not NumPy's", name);
  int version = data[6];
  if (version < 1 || version > 3)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: npy version %d.%d is not read; 1, 2 and 3 are", name, version,
                    data[7]);
  if (version > 1 && size < 12) return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: ends within the npy header", name);
  size_t length = version == 1 ? (size_t)(data[8] | data[9] << 8) : mcl_load_u32(data + 8);
  size_t first = version == 1 ? 10 : 12;
  if (length > HEADER_LIMIT)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: npy header of %zu bytes; at most %d are read", name, length,
                    HEADER_LIMIT);
  if (length > size - first)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: ends within the npy header, which says that it has %zu bytes", name,
                    length);
  const char *begin = (const char *)data + first;
  header_text text = {ctx, name, begin, begin + length, begin};
  MCL_TRY(parse_dictionary(&text, out));

  out->offset = first + length;
  int64_t count;
  size_t bytes;
  char shape[MCL_SHAPE_TEXT];
  if (mcl_shape_count(ctx, out->shape, &count) || !mcl_mul_size((size_t)count, out->element_size, &bytes))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: shape %s is larger than any memory", name,
                    mcl_shape_text(out->shape, shape));
  if (bytes != total - out->offset)
    return mcl_fail(ctx, MCL_ERROR_FORMAT,
                    "%s: %s elements of %zu bytes need %zu bytes, the file has %zu after its header", name,
                    mcl_shape_text(out->shape, shape), out->element_size, bytes, total - out->offset);
  out->count = (size_t)count;
  return MCL_OK;
}

/* ---- Elements ---- */

void mcl_copy_swapped(void *to, const void *from, size_t size, size_t count) {
  const uint8_t *source = from;
  uint8_t *target = to;
  for (size_t i = 0; i < count; i++, source += size, target += size)
    for (size_t b = 0; b < size; b++) target[b] = source[size - 1 - b];
}

/* Bytes of a tensor's own dtype from those of the file, which may be of an unsigned type one half as wide. */
static mcl_status widen(mcl_context *ctx, const char *name, const mcl_npy_info *info, uint8_t *data) {
  if (info->kind == 'b') {
    for (size_t i = 0; i < info->count; i++) data[i] = data[i] != 0;
  } else if (info->kind == 'u' && info->element_size == 8) {
    for (size_t i = 0; i < info->count; i++)
      if (((const int64_t *)(const void *)data)[i] < 0)
        return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: element %zu is above 2^63, which no integer here holds", name,
                        i);
  } else if (info->kind == 'u' && info->element_size == 4) {
    for (size_t i = info->count; i-- > 0;) { /* from the end: the narrow elements lie at the front */
      uint32_t value;
      memcpy(&value, data + 4 * i, 4);
      ((int64_t *)(void *)data)[i] = value;
    }
  } else if (info->kind == 'u' && info->element_size == 2) {
    for (size_t i = info->count; i-- > 0;) {
      uint16_t value;
      memcpy(&value, data + 2 * i, 2);
      ((int32_t *)(void *)data)[i] = value;
    }
  }
  return MCL_OK;
}

/* Column-major is row-major of the reversed shape with its axes reversed. */
static mcl_status from_fortran(mcl_tensor **t, mcl_shape shape) {
  int axes[MCL_MAX_RANK];
  mcl_shape reversed = shape;
  for (int i = 0; i < shape.rank; i++) {
    axes[i] = shape.rank - 1 - i;
    reversed.dim[i] = shape.dim[shape.rank - 1 - i];
  }
  mcl_tensor *view = NULL, *permuted = NULL;
  mcl_status status = mcl_tensor_reshape(*t, reversed, &view);
  if (!status) status = mcl_tensor_permute(view, axes, &permuted);
  mcl_tensor_release(view);
  if (status) return status;
  mcl_tensor_release(*t);
  *t = permuted;
  return MCL_OK;
}

mcl_status mcl_npy_elements(mcl_context *ctx, const char *name, const mcl_npy_info *info, const uint8_t *elements,
                            mcl_tensor **out) {
  mcl_tensor *t = NULL;
  *out = NULL;
  MCL_TRY(mcl_tensor_new_raw(ctx, info->dtype, info->shape, &t));
  if (info->swapped)
    mcl_copy_swapped(t->data, elements, info->element_size, info->count);
  else if (info->count)
    memcpy(t->data, elements, info->count * info->element_size);
  mcl_status status = widen(ctx, name, info, t->data);
  if (!status && info->fortran && info->shape.rank > 1) status = from_fortran(&t, info->shape);
  if (status)
    mcl_tensor_release(t);
  else
    *out = t;
  return status;
}

mcl_status mcl_npy_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, mcl_file_map *map,
                        mcl_tensor **out) {
  mcl_npy_info info;
  *out = NULL;
  MCL_TRY(mcl_npy_parse(ctx, name, data, size, size, &info));
  if (map && mcl_npy_is_plain(&info) && info.count && info.offset % info.element_size == 0)
    return mcl_tensor_map(ctx, info.dtype, info.shape, map, info.offset, out);
  return mcl_npy_elements(ctx, name, &info, data + info.offset, out);
}

mcl_status mcl_npy_load(mcl_context *ctx, const char *path, mcl_tensor **out) {
  mcl_file_map *map;
  *out = NULL;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_npy_read(ctx, path, map->data, map->size, map, out);
  mcl_file_map_release(map);
  return status;
}

/* ---- Writing ---- */

mcl_status mcl_npy_storable(mcl_tensor *t, mcl_tensor **out) {
  return mcl_tensor_convert(t, t->dtype == MCL_BF16 ? MCL_F32 : t->dtype, out);
}

mcl_status mcl_npy_header(const mcl_tensor *t, mcl_buffer *out) {
  static const char *const descr[MCL_DTYPE_COUNT] = {
      [MCL_F32] = "f4", [MCL_F16] = "f2", [MCL_F64] = "f8", [MCL_I8] = "i1",  [MCL_I16] = "i2",
      [MCL_I32] = "i4", [MCL_I64] = "i8", [MCL_U8] = "u1",  [MCL_BOOL] = "b1"};
  if (!descr[t->dtype])
    return mcl_fail(t->ctx, MCL_ERROR_UNSUPPORTED, "npy: NumPy has no %s; convert it to f32", mcl_dtype_name(t->dtype));
  char text[320];
  char order = mcl_dtype_size(t->dtype) == 1 ? '|' : mcl_machine_is_big_endian() ? '>' : '<';
  int n = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", order, descr[t->dtype]);
  for (int i = 0; i < t->shape.rank; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->shape.dim[i]);
  n += snprintf(text + n, sizeof text - (size_t)n, "%s), }", t->shape.rank == 1 ? "," : "");
  while ((10 + n + 1) % 64) text[n++] = ' '; /* elements begin on a multiple of 64 */
  text[n++] = '\n';
  const uint8_t version_and_length[4] = {1, 0, (uint8_t)n, (uint8_t)(n >> 8)};
  MCL_TRY(mcl_buffer_append(out, npy_magic, 6));
  MCL_TRY(mcl_buffer_append(out, version_and_length, 4));
  return mcl_buffer_append(out, text, (size_t)n);
}

mcl_status mcl_npy_save(mcl_tensor *t, const char *path) {
  mcl_context *ctx = t->ctx;
  mcl_buffer header = {.ctx = ctx};
  mcl_file_writer *writer = NULL;
  mcl_tensor *stored = NULL;
  mcl_status status = mcl_npy_storable(t, &stored);
  if (status) goto done;
  if ((status = mcl_npy_header(stored, &header))) goto done;
  if ((status = mcl_file_writer_open(ctx, path, &writer))) goto done;
  if ((status = mcl_file_write(writer, header.data, header.size))) goto done;
  if ((status = mcl_file_write(writer, stored->data, (size_t)stored->count * mcl_dtype_size(stored->dtype)))) goto done;
  status = mcl_file_commit(writer);
  writer = NULL;
done:
  mcl_file_abandon(writer);
  mcl_buffer_free(&header);
  mcl_tensor_release(stored);
  return status;
}
