/* Sum: adds its parts, each of the weight's shape, in their order. Header: u8 parts (2 to 4), then each part. */
#include <stdio.h>

#include "repr/repr.h"

static void release(mcl_repr *repr) {
  mcl_sum *sum = (mcl_sum *)repr;
  for (int i = 0; i < sum->parts; i++) mcl_repr_release(sum->part[i]);
}

static mcl_status add(mcl_context *ctx, const float *from, int64_t count, float *to) {
  for (int64_t at = 0; at < count; at += MCL_ASK_STEPS) {
    int64_t end = count - at < MCL_ASK_STEPS ? count : at + MCL_ASK_STEPS;
    MCL_TRY(mcl_check_cancel(ctx));
    for (int64_t i = at; i < end; i++) to[i] += from[i];
  }
  return MCL_OK;
}

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  int64_t count = rows * mcl_shape_cols(repr->shape);
  float *part;
  MCL_TRY(mcl_alloc_array(repr->ctx, (size_t)count, sizeof(float), &part));
  mcl_status status = mcl_repr_decode(sum->part[0], first, rows, out);
  for (int i = 1; i < sum->parts && !status; i++) {
    status = mcl_repr_decode(sum->part[i], first, rows, part);
    if (!status) status = add(repr->ctx, part, count, out);
  }
  mcl_free(repr->ctx, part);
  return status;
}

/* Scratch: one part's product [batch, rows], then what a part needs. */
static size_t product_size(const mcl_repr *repr, int64_t batch) {
  return ((size_t)(batch * mcl_shape_rows(repr->shape)) * sizeof(float) + 63) & ~(size_t)63;
}

static size_t matmul_scratch(const mcl_repr *repr, int64_t batch) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  size_t most = 0;
  for (int i = 0; i < sum->parts; i++) {
    size_t size = mcl_repr_matmul_scratch(sum->part[i], batch);
    if (size > most) most = size;
  }
  return product_size(repr, batch) + most;
}

static mcl_status matmul(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  void *rest = (uint8_t *)scratch + product_size(repr, batch);
  MCL_TRY(mcl_repr_matmul(sum->part[0], x, batch, y, rest));
  for (int i = 1; i < sum->parts; i++) {
    MCL_TRY(mcl_repr_matmul(sum->part[i], x, batch, scratch, rest));
    MCL_TRY(add(repr->ctx, scratch, batch * mcl_shape_rows(repr->shape), y));
  }
  return MCL_OK;
}

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  uint8_t count;
  MCL_TRY(mcl_read_u8(&reader->header, &count));
  if (count < 2 || count > MCL_REPR_MOST_PARTS)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: a sum of %d parts, not of 2 to %d", reader->header.what, count,
                    MCL_REPR_MOST_PARTS);
  MCL_TRY(mcl_repr_new(reader->ctx, &mcl_sum_kind, shape, out));
  mcl_sum *sum = (mcl_sum *)*out;
  mcl_status status = MCL_OK;
  for (int i = 0; i < count && !status; i++) {
    status = mcl_repr_read(reader, shape, &sum->part[i]);
    if (!status) sum->parts++;
  }
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

static int parts(const mcl_repr *repr, const mcl_repr **part) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  for (int i = 0; i < sum->parts && part; i++) part[i] = sum->part[i];
  return sum->parts;
}

static void text(const mcl_repr *repr, char *out, size_t size) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  size_t at = 0;
  for (int i = 0; i < sum->parts && at < size; i++) {
    char part[96];
    mcl_repr_text(sum->part[i], part, sizeof part);
    int written = snprintf(out + at, size - at, "%s%s", i ? " + " : "", part);
    at += written > 0 ? (size_t)written : 0;
  }
}

const mcl_repr_kind mcl_sum_kind = {.id = 6,
                                    .name = "sum",
                                    .size = sizeof(mcl_sum),
                                    .release = release,
                                    .decode = decode,
                                    .is_whole = true,
                                    .matmul = matmul,
                                    .matmul_scratch = matmul_scratch,
                                    .read = read,
                                    .parts = parts,
                                    .text = text};
