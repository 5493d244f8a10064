/* Dense: a tensor of a float dtype, decoded by conversion. Where the file's bytes lie raw and aligned in mapped memory
 * they are used in place.
 *
 * Header: u8 dtype (0 f32, 1 f16, 2 bf16, 3 f64). Streams: the values, plain. */
#include <stdio.h>

#include "repr/repr.h"

static bool is_float(mcl_dtype dtype) {
  return dtype == MCL_F32 || dtype == MCL_F16 || dtype == MCL_BF16 || dtype == MCL_F64;
}

mcl_status mcl_dense_new(mcl_tensor *values, mcl_repr **out) {
  *out = NULL;
  if (!is_float(values->dtype))
    return mcl_fail(values->ctx, MCL_ERROR_ARGUMENT, "a dense weight of %s: convert it to f32, f16, bf16 or f64",
                    mcl_dtype_name(values->dtype));
  MCL_TRY(mcl_repr_new(values->ctx, &mcl_dense_kind, values->shape, out));
  ((mcl_dense *)*out)->values = mcl_tensor_retain(values);
  return MCL_OK;
}

static void release(mcl_repr *repr) { mcl_tensor_release(((mcl_dense *)repr)->values); }

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_tensor *values = ((const mcl_dense *)repr)->values;
  int64_t cols = mcl_shape_cols(repr->shape);
  const uint8_t *from = (const uint8_t *)values->data + (size_t)(first * cols) * mcl_dtype_size(values->dtype);
  return mcl_convert_long(repr->ctx, values->dtype, from, MCL_F32, out, (size_t)(rows * cols));
}

static mcl_status read_ready(mcl_repr_reader *reader, mcl_dtype dtype, mcl_shape shape, void *elements,
                             mcl_repr **out) {
  mcl_tensor *values;
  MCL_TRY(mcl_tensor_adopt(reader->ctx, dtype, shape, elements, &values));
  mcl_status status = mcl_dense_new(values, out);
  mcl_tensor_release(values);
  return status;
}

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  uint8_t dtype;
  MCL_TRY(mcl_read_u8(&reader->header, &dtype));
  if (!is_float((mcl_dtype)dtype))
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: dense values of an unknown type %d", reader->header.what,
                    dtype);
  int64_t count;
  MCL_TRY(mcl_shape_count(reader->ctx, shape, &count));
  /* f64 goes as pairs of u32: no stream is wider than four bytes. */
  size_t size = mcl_dtype_size((mcl_dtype)dtype);
  uint8_t width = size > 4 ? 4 : (uint8_t)size;
  const mcl_coded_stream *stream;
  size_t elements = (size_t)count * (size / width);
  void *ready = mcl_repr_take_stream(reader, 0, width, elements);
  if (ready) return read_ready(reader, (mcl_dtype)dtype, shape, ready, out);
  MCL_TRY(mcl_repr_next_stream(reader, 0, width, elements, &stream));
  mcl_tensor *values;
  const uint8_t *plain = reader->map ? mcl_stream_plain(stream->data, stream->size, width, elements) : NULL;
  mcl_status status = MCL_OK;
  if (plain && (uintptr_t)plain % size == 0) {
    size_t offset = (size_t)(plain - reader->map->data);
    MCL_TRY(mcl_tensor_map(reader->ctx, (mcl_dtype)dtype, shape, reader->map, offset, &values));
  } else {
    MCL_TRY(mcl_tensor_new_raw(reader->ctx, (mcl_dtype)dtype, shape, &values));
    status = mcl_repr_decode_stream(reader, stream, 0, width, elements, values->data);
  }
  if (!status) status = mcl_dense_new(values, out);
  mcl_tensor_release(values);
  return status;
}

static int parts(const mcl_repr *repr, const mcl_repr **part) {
  (void)repr, (void)part;
  return 0;
}

static int bits(const mcl_repr *repr) { return 8 * (int)mcl_dtype_size(((const mcl_dense *)repr)->values->dtype); }

static void text(const mcl_repr *repr, char *out, size_t size) {
  snprintf(out, size, "dense %s", mcl_dtype_name(((const mcl_dense *)repr)->values->dtype));
}

const mcl_repr_kind mcl_dense_kind = {.id = 1,
                                      .name = "dense",
                                      .size = sizeof(mcl_dense),
                                      .release = release,
                                      .decode = decode,
                                      .read = read,
                                      .parts = parts,
                                      .bits = bits,
                                      .text = text};
