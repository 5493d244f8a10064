/* Raw: the elements as they are, little-endian. */
#include "coding/coders.h"

static mcl_status decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                         void *out, size_t count) {
  if (size != count * width) return mcl_coder_refuses(ctx, &mcl_coder_raw, "the size is not that of its elements");
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (size) memcpy(out, data, size);
#else
  for (size_t i = 0; i < size; i++) ((uint8_t *)out)[i / width * width + (width - 1 - i % width)] = data[i];
#endif
  if (!mcl_symbols_are_below(out, count, width, alphabet))
    return mcl_coder_refuses(ctx, &mcl_coder_raw, "a symbol outside of its alphabet");
  return MCL_OK;
}

static size_t least_size(uint32_t alphabet, uint8_t width, size_t count) {
  (void)alphabet;
  return count * width;
}

const mcl_coder mcl_coder_raw = {.id = 0, .name = "raw", .fixed = true, .decode = decode, .least_size = least_size};
