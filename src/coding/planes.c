/* Planes: floats split by bytes. Each element is turned left by one bit, which brings a float's exponent together in
 * its top byte (f32; of f16, with the top of its mantissa) and the sign to the bottom; then all lowest bytes, all next
 * ones … follow each other, each plane by the coder that suits it: exponents compress, the rest hardly does.
 *
 * A block: for each plane, lowest first: u8 coder (raw or huffman); varint size, but for the last plane; the bytes. */
#include "coding/coders.h"

#define refuses(ctx, what) mcl_coder_refuses(ctx, &mcl_coder_planes, what)

static uint32_t turn_right(uint32_t value, uint8_t width) { return value >> 1 | (value & 1) << (8 * width - 1); }

static void merge(const uint8_t *planes, uint8_t width, void *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t value = 0;
    for (uint8_t p = 0; p < width; p++) value |= (uint32_t)planes[p * count + i] << (8 * p);
    value = turn_right(value, width);
    if (width == 2)
      ((uint16_t *)out)[i] = (uint16_t)value;
    else
      ((uint32_t *)out)[i] = value;
  }
}

static mcl_status decode_planes(mcl_reader *reader, uint8_t width, uint8_t *planes, size_t count) {
  for (uint8_t p = 0; p < width; p++) {
    uint8_t id;
    uint64_t size = 0;
    const uint8_t *data;
    MCL_TRY(mcl_read_u8(reader, &id));
    if (id != mcl_coder_raw.id && id != mcl_coder_huffman.id) return refuses(reader->ctx, "a coder not for planes");
    if (p < width - 1)
      MCL_TRY(mcl_read_count(reader, reader->size, "a plane's size", &size));
    else
      size = reader->size - reader->at;
    MCL_TRY(mcl_read_bytes(reader, (size_t)size, &data));
    MCL_TRY(mcl_coder_by_id(id)->decode(reader->ctx, data, (size_t)size, 0, 1, planes + p * count, count));
  }
  return MCL_OK;
}

static mcl_status decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                         void *out, size_t count) {
  if (width < 2 || alphabet != 0) return refuses(ctx, "a stream that is not of floats");
  mcl_reader reader = {ctx, data, size, 0, "planes"};
  uint8_t *planes;
  MCL_TRY(mcl_alloc_array(ctx, count, width, &planes));
  mcl_status status = decode_planes(&reader, width, planes, count);
  if (!status) merge(planes, width, out, count);
  mcl_free(ctx, planes);
  return status;
}

static size_t least_size(uint32_t alphabet, uint8_t width, size_t count) {
  (void)alphabet;
  size_t plane = mcl_coder_huffman.least_size(0, 1, count); /* a plane of one byte over and over */
  if (count < plane) plane = count;                         /* raw */
  return count ? width * (1 + plane) + (width - 1u) : 0;
}

const mcl_coder mcl_coder_planes = {.id = 3, .name = "planes", .decode = decode, .least_size = least_size};
