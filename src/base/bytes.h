/* Bytes: a buffer that grows, a bounded reader, little-endian numbers, varints, checked sizes. */
#ifndef MCL_BASE_BYTES_H
#define MCL_BASE_BYTES_H

#include <string.h>

#include "base/context.h"

/* A growing buffer. Zero it but for ctx to begin; free with mcl_buffer_free. */
typedef struct mcl_buffer {
  mcl_context *ctx;
  uint8_t *data;
  size_t size, capacity;
} mcl_buffer;

void mcl_buffer_free(mcl_buffer *buffer);
mcl_status mcl_buffer_reserve(mcl_buffer *buffer, size_t extra); /* room for `extra` more bytes at data + size */
mcl_status mcl_buffer_append(mcl_buffer *buffer, const void *data, size_t size);
mcl_status mcl_buffer_u8(mcl_buffer *buffer, uint8_t value);
mcl_status mcl_buffer_u32(mcl_buffer *buffer, uint32_t value);
mcl_status mcl_buffer_u64(mcl_buffer *buffer, uint64_t value);
mcl_status mcl_buffer_f32(mcl_buffer *buffer, float value);
mcl_status mcl_buffer_varint(mcl_buffer *buffer, uint64_t value); /* LEB128, unsigned */

/* Room for one more item in an array: *items grows by doubling. */
mcl_status mcl_grow(mcl_context *ctx, void *items /* T ** */, int count, int *capacity, size_t size);

/* A reader that never passes its end. A read past it fails with MCL_ERROR_FORMAT and a message that has `what`
 * (the file or section) and the offset. */
typedef struct mcl_reader {
  mcl_context *ctx;
  const uint8_t *data;
  size_t size, at;
  const char *what;
} mcl_reader;

mcl_status mcl_read_bytes(mcl_reader *reader, size_t size, const uint8_t **out); /* into the reader's own memory */
mcl_status mcl_read_u8(mcl_reader *reader, uint8_t *out);
mcl_status mcl_read_u32(mcl_reader *reader, uint32_t *out);
mcl_status mcl_read_u64(mcl_reader *reader, uint64_t *out);
mcl_status mcl_read_varint(mcl_reader *reader, uint64_t *out); /* refuses more than 10 bytes, and overlong forms */
mcl_status mcl_read_count(mcl_reader *reader, uint64_t limit, const char *name, uint64_t *out); /* varint ≤ limit */

static inline uint32_t mcl_load_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t mcl_load_u64(const uint8_t *p) {
  return (uint64_t)mcl_load_u32(p) | (uint64_t)mcl_load_u32(p + 4) << 32;
}
static inline void mcl_store_u32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8), p[2] = (uint8_t)(v >> 16), p[3] = (uint8_t)(v >> 24);
}
static inline void mcl_store_u64(uint8_t *p, uint64_t v) {
  mcl_store_u32(p, (uint32_t)v);
  mcl_store_u32(p + 4, (uint32_t)(v >> 32));
}

/* false on overflow */
static inline bool mcl_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool mcl_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

#endif
