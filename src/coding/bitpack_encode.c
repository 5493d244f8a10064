/* Bit-packing, encoding. */
#include "coding/coders.h"

static bool fits(const mcl_stream *block) { return block->alphabet > 0; }

static mcl_status size(mcl_context *ctx, const mcl_stream *block, size_t *out) {
  (void)ctx;
  *out = mcl_coder_bitpack.least_size(block->alphabet, block->width, block->count);
  return MCL_OK;
}

static uint32_t load(const mcl_stream *block, size_t i) {
  if (block->width == 1) return ((const uint8_t *)block->data)[i];
  if (block->width == 2) return ((const uint16_t *)block->data)[i];
  return ((const uint32_t *)block->data)[i];
}

static mcl_status encode(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out) {
  int bits = mcl_bits_for(block->alphabet);
  size_t bytes = mcl_coder_bitpack.least_size(block->alphabet, block->width, block->count);
  (void)ctx;
  MCL_TRY(mcl_buffer_reserve(out, bytes + 8));
  mcl_bit_writer writer = {out->data + out->size, 0, 0};
  for (size_t i = 0; i < block->count; i++) {
    mcl_bits_put(&writer, load(block, i), bits);
    mcl_bits_flush(&writer);
  }
  mcl_bits_end(&writer);
  out->size += bytes;
  return MCL_OK;
}

const mcl_coder_encode mcl_encode_bitpack = {.id = 1, .fits = fits, .size = size, .encode = encode};
