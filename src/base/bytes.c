/* Bytes: a buffer that grows, a bounded reader. */
#include "base/bytes.h"

void mcl_buffer_free(mcl_buffer *buffer) {
  mcl_free(buffer->ctx, buffer->data);
  buffer->data = NULL;
  buffer->size = buffer->capacity = 0;
}

mcl_status mcl_buffer_reserve(mcl_buffer *buffer, size_t extra) {
  size_t needed;
  if (!mcl_add_size(buffer->size, extra, &needed))
    return mcl_fail(buffer->ctx, MCL_ERROR_MEMORY, "out of memory: a buffer of more bytes than an address holds");
  if (needed <= buffer->capacity) return MCL_OK;
  size_t capacity = buffer->capacity < 128 ? 256 : buffer->capacity * 2;
  if (capacity < needed) capacity = needed;
  MCL_TRY(mcl_realloc(buffer->ctx, capacity, &buffer->data));
  buffer->capacity = capacity;
  return MCL_OK;
}

mcl_status mcl_buffer_append(mcl_buffer *buffer, const void *data, size_t size) {
  MCL_TRY(mcl_buffer_reserve(buffer, size));
  if (size) MCL_TRY(mcl_copy(buffer->ctx, buffer->data + buffer->size, data, size));
  buffer->size += size;
  return MCL_OK;
}

mcl_status mcl_buffer_u8(mcl_buffer *buffer, uint8_t value) { return mcl_buffer_append(buffer, &value, 1); }

mcl_status mcl_buffer_u32(mcl_buffer *buffer, uint32_t value) {
  uint8_t bytes[4];
  mcl_store_u32(bytes, value);
  return mcl_buffer_append(buffer, bytes, sizeof bytes);
}

mcl_status mcl_buffer_u64(mcl_buffer *buffer, uint64_t value) {
  uint8_t bytes[8];
  mcl_store_u64(bytes, value);
  return mcl_buffer_append(buffer, bytes, sizeof bytes);
}

mcl_status mcl_buffer_f32(mcl_buffer *buffer, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return mcl_buffer_u32(buffer, bits);
}

mcl_status mcl_buffer_varint(mcl_buffer *buffer, uint64_t value) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
  bytes[n++] = (uint8_t)value;
  return mcl_buffer_append(buffer, bytes, n);
}

mcl_status mcl_grow(mcl_context *ctx, void *items, int count, int *capacity, size_t size) {
  if (count < *capacity) return MCL_OK;
  if (count > INT32_MAX / 4) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a list of more than %d items", INT32_MAX / 4);
  int wanted = *capacity ? *capacity * 2 : 16;
  MCL_TRY(mcl_realloc(ctx, (size_t)wanted * size, items));
  *capacity = wanted;
  return MCL_OK;
}

mcl_status mcl_read_bytes(mcl_reader *reader, size_t size, const uint8_t **out) {
  if (size > reader->size - reader->at)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: ends at byte %zu, where %zu more are needed after byte %zu",
                    reader->what, reader->size, size, reader->at);
  *out = reader->data + reader->at;
  reader->at += size;
  return MCL_OK;
}

mcl_status mcl_read_u8(mcl_reader *reader, uint8_t *out) {
  const uint8_t *p;
  MCL_TRY(mcl_read_bytes(reader, 1, &p));
  *out = *p;
  return MCL_OK;
}

mcl_status mcl_read_u32(mcl_reader *reader, uint32_t *out) {
  const uint8_t *p;
  MCL_TRY(mcl_read_bytes(reader, 4, &p));
  *out = mcl_load_u32(p);
  return MCL_OK;
}

mcl_status mcl_read_u64(mcl_reader *reader, uint64_t *out) {
  const uint8_t *p;
  MCL_TRY(mcl_read_bytes(reader, 8, &p));
  *out = mcl_load_u64(p);
  return MCL_OK;
}

mcl_status mcl_read_varint(mcl_reader *reader, uint64_t *out) {
  size_t start = reader->at;
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    uint8_t byte;
    MCL_TRY(mcl_read_u8(reader, &byte));
    if (shift == 63 && byte > 1) break;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    if (byte == 0 && shift) break; /* a shorter form says the same: only that one is valid */
    *out = value;
    return MCL_OK;
  }
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: a number that is not a valid varint", reader->what,
                  start);
}

mcl_status mcl_read_count(mcl_reader *reader, uint64_t limit, const char *name, uint64_t *out) {
  size_t start = reader->at;
  MCL_TRY(mcl_read_varint(reader, out));
  if (*out > limit)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: byte %zu: %s is %llu, which is above %llu", reader->what, start,
                    name, (unsigned long long)*out, (unsigned long long)limit);
  return MCL_OK;
}
