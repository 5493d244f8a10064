/* Planes, encoding: the split, and for each plane the smaller of raw and Huffman. */
#include "coding/coders.h"

static bool fits(const mcl_stream *block) { return block->width >= 2 && block->alphabet == 0; }

static void split(const mcl_stream *block, uint8_t *planes) {
  size_t count = block->count;
  int bits = 8 * block->width;
  for (size_t i = 0; i < count; i++) {
    uint32_t value = block->width == 2 ? ((const uint16_t *)block->data)[i] : ((const uint32_t *)block->data)[i];
    value = value << 1 | value >> (bits - 1);
    for (uint8_t p = 0; p < block->width; p++) planes[p * count + i] = (uint8_t)(value >> (8 * p));
  }
}

/* Of one plane. */
static mcl_status choose(mcl_context *ctx, const mcl_stream *plane, const mcl_coder_encode **coder, size_t *size) {
  MCL_TRY(mcl_encode_huffman.size(ctx, plane, size));
  *coder = *size < plane->count ? &mcl_encode_huffman : &mcl_encode_raw;
  if (*coder == &mcl_encode_raw) *size = plane->count;
  return MCL_OK;
}

/* out NULL: only the size. */
static mcl_status write(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out, size_t *total) {
  uint8_t *planes;
  mcl_status status = mcl_alloc_array(ctx, block->count, block->width, &planes);
  if (status) return status;
  split(block, planes);
  *total = 0;
  for (uint8_t p = 0; p < block->width && !status; p++) {
    mcl_stream plane = {planes + p * block->count, block->count, 1, 0};
    const mcl_coder_encode *coder;
    size_t size = 0;
    bool sized = p < block->width - 1;
    status = choose(ctx, &plane, &coder, &size);
    if (status) break;
    *total += 1 + size;
    for (size_t rest = size; sized; rest >>= 7) {
      ++*total;
      if (rest < 0x80) break;
    }
    if (!out) continue;
    status = mcl_buffer_u8(out, coder->id);
    if (!status && sized) status = mcl_buffer_varint(out, size);
    if (!status) status = coder->encode(ctx, &plane, out);
  }
  mcl_free(ctx, planes);
  return status;
}

static mcl_status size(mcl_context *ctx, const mcl_stream *block, size_t *out) { return write(ctx, block, NULL, out); }

static mcl_status encode(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out) {
  size_t total;
  return write(ctx, block, out, &total);
}

const mcl_coder_encode mcl_encode_planes = {.id = 3, .fits = fits, .size = size, .encode = encode};
