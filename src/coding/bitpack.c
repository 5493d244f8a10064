/* Bit-packing: each symbol in the fewest bits that its alphabet needs, one after another. */
#include "coding/coders.h"

static size_t least_size(uint32_t alphabet, uint8_t width, size_t count) {
  int bits = alphabet ? mcl_bits_for(alphabet) : 8 * width;
  return count / 8 * (size_t)bits + (count % 8 * (size_t)bits + 7) / 8; /* no overflow before the result's own */
}

static void store(void *out, size_t i, uint8_t width, uint32_t value) {
  if (width == 1)
    ((uint8_t *)out)[i] = (uint8_t)value;
  else if (width == 2)
    ((uint16_t *)out)[i] = (uint16_t)value;
  else
    ((uint32_t *)out)[i] = value;
}

/* Whole words at a time, for bytes; returns how many symbols were unpacked, and leaves the rest to the careful loop. */
static size_t unpack_bytes(const uint8_t *data, size_t size, int bits, uint8_t *out, size_t count) {
  size_t i = 0, byte = 0; /* eight symbols take `bits` whole bytes */
  const uint64_t mask = ((uint64_t)1 << bits) - 1;
  for (; i + 8 <= count && byte + 8 <= size; i += 8, byte += (size_t)bits) {
    uint64_t word = mcl_load_word(data + byte);
    for (int j = 0; j < 7; j++) out[i + (size_t)j] = (uint8_t)(word >> (j * bits) & mask);
    out[i + 7] = (uint8_t)(word >> (7 * bits) & mask);
  }
  return i;
}

static mcl_status decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                         void *out, size_t count) {
  if (alphabet == 0 || size != least_size(alphabet, width, count))
    return mcl_coder_refuses(ctx, &mcl_coder_bitpack, "the size is not that of its symbols");
  int bits = mcl_bits_for(alphabet);
  size_t done = width == 1 ? unpack_bytes(data, size, bits, out, count) : 0;
  mcl_bit_reader reader = {data, size, done * (size_t)bits};
  for (size_t i = done; i < count; i++) store(out, i, width, mcl_bits_take(&reader, bits));
  if (!mcl_bits_all_read(&reader))
    return mcl_coder_refuses(ctx, &mcl_coder_bitpack, "bits after the last symbol are not zero");
  if (!mcl_symbols_are_below(out, count, width, alphabet))
    return mcl_coder_refuses(ctx, &mcl_coder_bitpack, "a symbol outside of its alphabet");
  return MCL_OK;
}

const mcl_coder mcl_coder_bitpack = {
    .id = 1, .name = "bitpack", .fixed = true, .decode = decode, .least_size = least_size};
