/* Raw, encoding: a copy. */
#include "coding/coders.h"

static bool fits(const mcl_stream *block) {
  (void)block;
  return true;
}

static mcl_status size(mcl_context *ctx, const mcl_stream *block, size_t *out) {
  (void)ctx;
  *out = block->count * block->width;
  return MCL_OK;
}

static mcl_status encode(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out) {
  (void)ctx;
  size_t bytes = block->count * block->width;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return mcl_buffer_append(out, block->data, bytes);
#else
  const uint8_t *from = block->data;
  MCL_TRY(mcl_buffer_reserve(out, bytes));
  for (size_t i = 0; i < bytes; i++)
    out->data[out->size++] = from[i / block->width * block->width + (block->width - 1 - i % block->width)];
  return MCL_OK;
#endif
}

const mcl_coder_encode mcl_encode_raw = {.id = 0, .fits = fits, .size = size, .encode = encode};
