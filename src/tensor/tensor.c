/* Tensors as objects: making, sharing, viewing, converting, checking.
 *
 * Who keeps the memory: the tensor itself (owns_data), a file map, or the tensor it is a view of. A view of a view
 * holds the tensor at the bottom, so chains of views stay one step long. The count of references is atomic, because
 * chunks of parallel work may retain what they share. */
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/threads.h"

#define CHUNK ((int64_t)1 << 16)    /* elements of a parallel conversion or check */
#define CONVERTED ((size_t)1 << 20) /* by one thread, between two questions whether to stop */

static mcl_status new_header(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_tensor **out, size_t *size) {
  int64_t count;
  *out = NULL;
  *size = 0;
  if ((unsigned)dtype >= MCL_DTYPE_COUNT)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a tensor of an unknown dtype, number %d", (int)dtype);
  MCL_TRY(mcl_shape_count(ctx, shape, &count));
  if (!mcl_mul_size((size_t)count, mcl_dtype_size(dtype), size) || *size > (size_t)PTRDIFF_MAX) {
    char text[MCL_SHAPE_TEXT];
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a tensor of %s %s has more bytes than can be addressed",
                    mcl_dtype_name(dtype), mcl_shape_text(shape, text));
  }
  mcl_tensor *t;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *t, &t));
  t->dtype = dtype;
  t->shape = shape;
  t->count = count;
  t->ctx = ctx;
  t->references = 1;
  *out = t;
  return MCL_OK;
}

static mcl_status new_owner(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, bool zero, mcl_tensor **out) {
  size_t size;
  MCL_TRY(new_header(ctx, dtype, shape, out, &size));
  mcl_status status = zero ? mcl_alloc_zero(ctx, size, &(*out)->data) : mcl_alloc(ctx, size, &(*out)->data);
  if (status) {
    mcl_free(ctx, *out);
    *out = NULL;
    return status;
  }
  (*out)->owns_data = true;
  return MCL_OK;
}

mcl_status mcl_tensor_new(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_tensor **out) {
  return new_owner(ctx, dtype, shape, true, out);
}

mcl_status mcl_tensor_new_raw(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_tensor **out) {
  return new_owner(ctx, dtype, shape, false, out);
}

mcl_status mcl_tensor_adopt(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, void *data, mcl_tensor **out) {
  size_t size;
  mcl_status status = new_header(ctx, dtype, shape, out, &size);
  if (status) {
    mcl_free(ctx, data);
    return status;
  }
  (*out)->data = data;
  (*out)->owns_data = true;
  return MCL_OK;
}

mcl_status mcl_tensor_wrap(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, void *data, mcl_tensor **out) {
  size_t size;
  MCL_TRY(new_header(ctx, dtype, shape, out, &size));
  mcl_status status = MCL_OK;
  if (!data && size > 0)
    status = mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a tensor over no memory (NULL); %zu bytes are needed", size);
  else if ((uintptr_t)data % mcl_dtype_size(dtype))
    status = mcl_fail(ctx, MCL_ERROR_ARGUMENT, "memory at %p is not aligned for %s; %zu bytes are needed", data,
                      mcl_dtype_name(dtype), mcl_dtype_size(dtype));
  if (status) {
    mcl_free(ctx, *out);
    *out = NULL;
    return status;
  }
  (*out)->data = data;
  return MCL_OK;
}

mcl_status mcl_tensor_map(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_file_map *map, size_t offset,
                          mcl_tensor **out) {
  size_t size;
  MCL_TRY(new_header(ctx, dtype, shape, out, &size));
  mcl_status status = MCL_OK;
  if (offset > map->size || size > map->size - offset)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT,
                      "%s: a tensor of %zu bytes at offset %zu passes the end, %zu; the file is "
                      "truncated or damaged",
                      map->path, size, offset, map->size);
  else if ((uintptr_t)(map->data + offset) % mcl_dtype_size(dtype))
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: a tensor at offset %zu is not aligned for %s", map->path, offset,
                      mcl_dtype_name(dtype));
  if (status) {
    mcl_free(ctx, *out);
    *out = NULL;
    return status;
  }
  (*out)->data = (void *)(uintptr_t)(map->data + offset); /* pages are read-only: a write would fault */
  (*out)->map = mcl_file_map_retain(map);
  (*out)->read_only = true;
  return MCL_OK;
}

mcl_tensor *mcl_tensor_retain(mcl_tensor *t) {
  if (t) __atomic_fetch_add(&t->references, 1, __ATOMIC_RELAXED);
  return t;
}

void mcl_tensor_release(mcl_tensor *t) {
  if (!t || __atomic_sub_fetch(&t->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  mcl_tensor_release(t->viewed);
  mcl_file_map_release(t->map);
  if (t->owns_data) mcl_free(t->ctx, t->data);
  mcl_free(t->ctx, t);
}

mcl_dtype mcl_tensor_dtype(const mcl_tensor *t) { return t->dtype; }
mcl_shape mcl_tensor_shape(const mcl_tensor *t) { return t->shape; }
int64_t mcl_tensor_count(const mcl_tensor *t) { return t->count; }
void *mcl_tensor_data(mcl_tensor *t) { return t->data; }

/* ---- Views ---- */

static mcl_status new_view(mcl_tensor *t, mcl_shape shape, size_t offset, mcl_tensor **out) {
  size_t size;
  MCL_TRY(new_header(t->ctx, t->dtype, shape, out, &size));
  (*out)->data = (uint8_t *)t->data + offset;
  (*out)->viewed = mcl_tensor_retain(t->viewed ? t->viewed : t);
  (*out)->read_only = t->read_only;
  return MCL_OK;
}

mcl_status mcl_tensor_reshape(mcl_tensor *t, mcl_shape shape, mcl_tensor **out) {
  int64_t count;
  *out = NULL;
  MCL_TRY(mcl_shape_count(t->ctx, shape, &count));
  if (count != t->count) {
    char from[MCL_SHAPE_TEXT], to[MCL_SHAPE_TEXT];
    return mcl_fail(t->ctx, MCL_ERROR_ARGUMENT, "a tensor of %s has %lld elements; %s would have %lld",
                    mcl_shape_text(t->shape, from), (long long)t->count, mcl_shape_text(shape, to), (long long)count);
  }
  return new_view(t, shape, 0, out);
}

mcl_status mcl_tensor_rows(mcl_tensor *t, int64_t first, int64_t count, mcl_tensor **out) {
  *out = NULL;
  if (t->shape.rank == 0) return mcl_fail(t->ctx, MCL_ERROR_ARGUMENT, "a scalar has no rows to take a range of");
  if (first < 0 || count < 0 || first > t->shape.dim[0] || count > t->shape.dim[0] - first) {
    char text[MCL_SHAPE_TEXT];
    return mcl_fail(t->ctx, MCL_ERROR_ARGUMENT,
                    "%lld rows from row %lld (counted from 0) are not within a tensor of %s", (long long)count,
                    (long long)first, mcl_shape_text(t->shape, text));
  }
  mcl_shape shape = t->shape;
  shape.dim[0] = count;
  size_t row_bytes = (size_t)mcl_shape_cols(t->shape) * mcl_dtype_size(t->dtype);
  return new_view(t, shape, (size_t)first * row_bytes, out);
}

/* ---- Copies and conversions ---- */

mcl_status mcl_convert_long(mcl_context *ctx, mcl_dtype from, const void *src, mcl_dtype to, void *dst, size_t n) {
  for (size_t at = 0; at < n; at += CONVERTED) {
    MCL_TRY(mcl_check_cancel(ctx));
    mcl_convert(from, (const uint8_t *)src + at * mcl_dtype_size(from), to, (uint8_t *)dst + at * mcl_dtype_size(to),
                n - at < CONVERTED ? n - at : CONVERTED);
  }
  return MCL_OK;
}

typedef struct conversion {
  mcl_tensor *from, *to;
} conversion;

static mcl_status convert_chunk(void *arg, int64_t chunk, int worker) {
  conversion *c = arg;
  int64_t first = chunk * CHUNK, count = c->from->count - first < CHUNK ? c->from->count - first : CHUNK;
  (void)worker;
  MCL_TRY(mcl_check_cancel(c->from->ctx));
  mcl_convert(c->from->dtype, (const uint8_t *)c->from->data + (size_t)first * mcl_dtype_size(c->from->dtype),
              c->to->dtype, (uint8_t *)c->to->data + (size_t)first * mcl_dtype_size(c->to->dtype), (size_t)count);
  return MCL_OK;
}

static int64_t chunks_of(int64_t count) { return count / CHUNK + (count % CHUNK != 0); }

static mcl_status convert_new(mcl_tensor *t, mcl_dtype dtype, mcl_tensor **out) {
  MCL_TRY(mcl_tensor_new_raw(t->ctx, dtype, t->shape, out));
  mcl_status status = MCL_OK;
  conversion c = {t, *out};
  int64_t chunks = chunks_of(t->count);
  if (chunks == 1)
    status = convert_chunk(&c, 0, 0);
  else if (chunks > 1)
    status = mcl_parallel(t->ctx, chunks, convert_chunk, &c);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

mcl_status mcl_tensor_copy(mcl_tensor *t, mcl_tensor **out) { return convert_new(t, t->dtype, out); }

mcl_status mcl_tensor_convert(mcl_tensor *t, mcl_dtype dtype, mcl_tensor **out) {
  if (t->dtype == dtype) {
    *out = mcl_tensor_retain(t);
    return MCL_OK;
  }
  return convert_new(t, dtype, out);
}

/* ---- Finite? ---- */

typedef struct finite_check {
  mcl_tensor *t;
  int64_t lowest_chunk; /* with something that is not finite; INT64_MAX: none yet */
} finite_check;

/* Floats read as bits: the attribute keeps the compiler from taking them for other objects. */
typedef uint16_t __attribute__((may_alias)) bits16;
typedef uint32_t __attribute__((may_alias)) bits32;
typedef uint64_t __attribute__((may_alias)) bits64;

/* The exponent's bits, all ones in NaN and infinity alone. */
static bool is_finite_at(const mcl_tensor *t, int64_t i) {
  switch (t->dtype) {
  case MCL_F32:
    return (((const bits32 *)t->data)[i] & 0x7f800000u) != 0x7f800000u;
  case MCL_F16:
    return (((const bits16 *)t->data)[i] & 0x7c00u) != 0x7c00u;
  case MCL_BF16:
    return (((const bits16 *)t->data)[i] & 0x7f80u) != 0x7f80u;
  case MCL_F64:
    return (((const bits64 *)t->data)[i] & 0x7ffull << 52) != 0x7ffull << 52;
  default:
    return true;
  }
}

static mcl_status check_chunk(void *arg, int64_t chunk, int worker) {
  finite_check *check = arg;
  const mcl_tensor *t = check->t;
  int64_t first = chunk * CHUNK, end = first + CHUNK < t->count ? first + CHUNK : t->count;
  int bad = 0;
  (void)worker;
  if (__atomic_load_n(&check->lowest_chunk, __ATOMIC_RELAXED) < chunk) return MCL_OK;
  MCL_TRY(mcl_check_cancel(t->ctx));
  if (t->dtype == MCL_F32) { /* without a branch: at the speed of memory */
    const bits32 *bits = t->data;
    for (int64_t i = first; i < end; i++) bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
  } else {
    for (int64_t i = first; i < end; i++) bad |= !is_finite_at(t, i);
  }
  if (!bad) return MCL_OK;
  int64_t lowest = __atomic_load_n(&check->lowest_chunk, __ATOMIC_RELAXED);
  while (chunk < lowest && !__atomic_compare_exchange_n(&check->lowest_chunk, &lowest, chunk, false, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {}
  return MCL_OK;
}

mcl_status mcl_tensor_check_finite(mcl_tensor *t, const char *what) {
  finite_check check = {t, INT64_MAX};
  int64_t chunks = chunks_of(t->count);
  bool is_float = t->dtype == MCL_F32 || t->dtype == MCL_F16 || t->dtype == MCL_BF16 || t->dtype == MCL_F64;
  if (!is_float || chunks == 0) return MCL_OK;
  if (chunks == 1)
    MCL_TRY(check_chunk(&check, 0, 0));
  else
    MCL_TRY(mcl_parallel(t->ctx, chunks, check_chunk, &check));
  if (check.lowest_chunk == INT64_MAX) return MCL_OK;
  int64_t at = check.lowest_chunk * CHUNK;
  while (is_finite_at(t, at)) at++;
  double value;
  mcl_convert(t->dtype, (const uint8_t *)t->data + (size_t)at * mcl_dtype_size(t->dtype), MCL_F64, &value, 1);
  char text[MCL_SHAPE_TEXT];
  return mcl_fail(t->ctx, MCL_ERROR_NUMERIC,
                  "%s: %s at element %lld (counted from 0, of %s); numbers are needed: mend what it was made from",
                  what, isnan(value) ? "NaN" : "infinity", (long long)at, mcl_shape_text(t->shape, text));
}
