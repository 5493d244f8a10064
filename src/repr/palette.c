/* Palette: each value is an entry of a codebook of at most 256 (weight sharing, Han et al. 2016).
 *
 * Header: u8 entries − 1, u8 flags (1: the codebook is stored as f16). Streams: the codebook, plain; the codes, symbols
 * below `entries` (no such stream where there is one entry). */
#include <stdio.h>

#include "repr/repr.h"

static void release(mcl_repr *repr) {
  mcl_palette *palette = (mcl_palette *)repr;
  mcl_free(repr->ctx, palette->codebook);
  mcl_free(repr->ctx, palette->codes);
}

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_palette *palette = (const mcl_palette *)repr;
  int64_t cols = mcl_shape_cols(repr->shape), count = rows * cols;
  const uint8_t *codes = palette->codes + first * cols;
  for (int64_t i = 0; i < count; i++) out[i] = palette->codebook[codes[i]];
  return MCL_OK;
}

/* The codebook always has room for 256 entries, so that no code can reach past it. */
static mcl_status read_codebook(mcl_repr_reader *reader, mcl_palette *palette) {
  size_t entries = (size_t)palette->entries;
  MCL_TRY(mcl_alloc_zero(reader->ctx, 256 * sizeof(float), &palette->codebook));
  void *stored;
  MCL_TRY(mcl_repr_read_stream(reader, 0, palette->half ? 2 : 4, entries, &stored));
  mcl_convert(palette->half ? MCL_F16 : MCL_F32, stored, MCL_F32, palette->codebook, entries);
  mcl_free(reader->ctx, stored);
  return MCL_OK;
}

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  uint8_t last, flags;
  MCL_TRY(mcl_read_u8(&reader->header, &last));
  MCL_TRY(mcl_read_u8(&reader->header, &flags));
  if (flags > 1)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: unknown flags %d of a palette", reader->header.what, flags);
  MCL_TRY(mcl_repr_new(reader->ctx, &mcl_palette_kind, shape, out));
  mcl_palette *palette = (mcl_palette *)*out;
  palette->entries = last + 1;
  palette->half = flags & 1;
  palette->bits = 1;
  while (1 << palette->bits < palette->entries) palette->bits++;
  mcl_status status = read_codebook(reader, palette);
  size_t count = (size_t)palette->base.count;
  if (!status && palette->entries > 1)
    status = mcl_repr_read_stream(reader, (uint32_t)palette->entries, 1, count, &palette->codes);
  else if (!status)
    status = mcl_alloc_zero(reader->ctx, count, &palette->codes);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

static int parts(const mcl_repr *repr, const mcl_repr **part) {
  (void)repr, (void)part;
  return 0;
}

static int bits(const mcl_repr *repr) { return ((const mcl_palette *)repr)->bits; }

static void text(const mcl_repr *repr, char *out, size_t size) {
  const mcl_palette *palette = (const mcl_palette *)repr;
  snprintf(out, size, "palette %d%s", palette->entries, palette->half ? " f16" : "");
}

const mcl_repr_kind mcl_palette_kind = {.id = 3,
                                        .name = "palette",
                                        .size = sizeof(mcl_palette),
                                        .release = release,
                                        .decode = decode,
                                        .read = read,
                                        .parts = parts,
                                        .bits = bits,
                                        .text = text};
