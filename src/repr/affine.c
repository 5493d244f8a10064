/* Affine: value = scale · (code − zero point), codes of 1 to 8 bits, one scale for the tensor, for a row, or for a group
 * of consecutive values within a row. The difference is an exact integer, so a decode is one rounding and the same bits
 * on every machine. A tensor of rank 1 is one row.
 *
 * Header: u8 (bits − 1) + 8 · symmetric + 16 · half scales; varint group, 0 for the whole tensor. Streams: the scales,
 * plain (f32 or f16); the zero points, symbols below 2^bits (only where not symmetric); the codes, likewise. */
#include <stdio.h>

#include "repr/affine.h"

int64_t mcl_affine_row_length(mcl_shape shape) {
  return shape.rank <= 1 ? (shape.rank ? shape.dim[0] : 1) : mcl_shape_cols(shape);
}

int64_t mcl_affine_groups(mcl_shape shape, int64_t count, int64_t group) {
  int64_t length = mcl_affine_row_length(shape);
  if (group == 0 || count == 0) return 1;
  return count / length * (length / group + (length % group != 0));
}

static void release(mcl_repr *repr) {
  mcl_affine *affine = (mcl_affine *)repr;
  mcl_free(repr->ctx, affine->scale);
  mcl_free(repr->ctx, affine->zero_point);
  mcl_free(repr->ctx, affine->codes);
}

/* One run of values under one scale. */
static void decode_run(const mcl_affine *affine, int64_t group, const uint8_t *codes, int64_t count, float *out) {
  float scale = affine->scale[group];
  int shift = affine->symmetric && affine->bits == 1;
  int zero = affine->symmetric ? 1 << (affine->bits - 1) : affine->zero_point[group];
  for (int64_t i = 0; i < count; i++) out[i] = scale * (float)((codes[i] << shift) - zero);
}

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_affine *affine = (const mcl_affine *)repr;
  int64_t cols = mcl_shape_cols(repr->shape), length = mcl_affine_row_length(repr->shape);
  int64_t at = first * cols, end = at + rows * cols, begin = at;
  if (affine->group == 0) {
    decode_run(affine, 0, affine->codes + at, end - at, out);
    return MCL_OK;
  }
  int64_t per_row = affine->groups / (repr->count / length);
  while (at < end) {
    int64_t row = at / length, within = at % length, group = within / affine->group;
    int64_t stop = (group + 1) * affine->group < length ? (group + 1) * affine->group : length;
    int64_t count = stop - within < end - at ? stop - within : end - at;
    decode_run(affine, row * per_row + group, affine->codes + at, count, out + (at - begin));
    at += count;
  }
  return MCL_OK;
}

static mcl_status read_streams(mcl_repr_reader *reader, mcl_affine *affine) {
  size_t groups = (size_t)affine->groups, count = (size_t)affine->base.count;
  uint32_t alphabet = 1u << affine->bits;
  void *stored;
  MCL_TRY(mcl_repr_read_stream(reader, 0, affine->half ? 2 : 4, groups, &stored));
  mcl_status status = mcl_alloc_array(reader->ctx, groups, sizeof(float), &affine->scale);
  if (!status)
    status = mcl_convert_long(reader->ctx, affine->half ? MCL_F16 : MCL_F32, stored, MCL_F32, affine->scale, groups);
  mcl_free(reader->ctx, stored);
  if (status) return status;
  if (!affine->symmetric) MCL_TRY(mcl_repr_read_stream(reader, alphabet, 1, groups, &affine->zero_point));
  return mcl_repr_read_stream(reader, alphabet, 1, count, &affine->codes);
}

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  uint8_t flags;
  uint64_t group;
  MCL_TRY(mcl_read_u8(&reader->header, &flags));
  if (flags > 31)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: unknown flags %d of an affine representation",
                    reader->header.what, flags);
  int64_t length = mcl_affine_row_length(shape);
  MCL_TRY(mcl_read_count(&reader->header, length > 0 ? (uint64_t)length : 0, "the group of values a scale", &group));
  MCL_TRY(mcl_repr_new(reader->ctx, &mcl_affine_kind, shape, out));
  mcl_affine *affine = (mcl_affine *)*out;
  affine->bits = (flags & 7) + 1;
  affine->symmetric = flags & 8;
  affine->half = flags & 16;
  affine->group = (int64_t)group;
  affine->groups = mcl_affine_groups(shape, affine->base.count, affine->group);
  mcl_status status = read_streams(reader, affine);
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

static int bits(const mcl_repr *repr) { return ((const mcl_affine *)repr)->bits; }

static void text(const mcl_repr *repr, char *out, size_t size) {
  const mcl_affine *affine = (const mcl_affine *)repr;
  char group[48] = "";
  if (affine->group > 0 && affine->group == mcl_affine_row_length(repr->shape))
    snprintf(group, sizeof group, " per channel");
  else if (affine->group > 0)
    snprintf(group, sizeof group, " group %lld", (long long)affine->group);
  snprintf(out, size, "affine %d bit%s%s", affine->bits, affine->symmetric ? "" : " asymmetric", group);
}

const mcl_repr_kind mcl_affine_kind = {.id = 4,
                                       .name = "affine",
                                       .size = sizeof(mcl_affine),
                                       .release = release,
                                       .decode = decode,
                                       .read = read,
                                       .parts = parts,
                                       .bits = bits,
                                       .text = text};
