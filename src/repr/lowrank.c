/* Low rank: W[rows,cols] = left[rows,rank] · right[rank,cols], each part any representation.
 *
 * Header: varint rank; then left, then right. A decode adds the products in the order of the ranks, each product and
 * each sum rounded by itself, so that it is the same bits on every machine; a product with activations goes through the
 * narrow middle: y = (x · rightᵀ) · leftᵀ. */
#include <stdio.h>

#include "repr/repr.h"

static void release(mcl_repr *repr) {
  mcl_repr_release(((mcl_lowrank *)repr)->left);
  mcl_repr_release(((mcl_lowrank *)repr)->right);
}

static mcl_status multiply(mcl_context *ctx, const float *left, const float *right, int64_t rows, int64_t rank,
                           int64_t cols, float *out) {
  int64_t work = 0;
  for (int64_t i = 0; i < rows; i++) {
    float *restrict row = out + i * cols;
    memset(row, 0, (size_t)cols * sizeof(float));
    for (int64_t r = 0; r < rank; r++) {
      float factor = left[i * rank + r];
      const float *restrict from = right + r * cols;
      for (int64_t j = 0; j < cols; j++) row[j] += factor * from[j];
      MCL_TRY(mcl_worked(ctx, &work, cols));
    }
  }
  return MCL_OK;
}

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  int64_t rank = lowrank->rank, cols = mcl_shape_cols(repr->shape);
  float *left = NULL, *right = NULL;
  mcl_status status = mcl_alloc_array(repr->ctx, (size_t)(rows * rank), sizeof(float), &left);
  if (!status) status = mcl_alloc_array(repr->ctx, (size_t)(rank * cols), sizeof(float), &right);
  if (!status) status = mcl_repr_decode(lowrank->left, first, rows, left);
  if (!status) status = mcl_repr_decode(lowrank->right, 0, rank, right);
  if (!status) status = multiply(repr->ctx, left, right, rows, rank, cols, out);
  mcl_free(repr->ctx, left);
  mcl_free(repr->ctx, right);
  return status;
}

/* Scratch: the middle [batch, rank], then what the parts need, one after the other. */
static size_t middle_size(const mcl_lowrank *lowrank, int64_t batch) {
  return ((size_t)(batch * lowrank->rank) * sizeof(float) + 63) & ~(size_t)63;
}

static size_t matmul_scratch(const mcl_repr *repr, int64_t batch) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  size_t left = mcl_repr_matmul_scratch(lowrank->left, batch), right = mcl_repr_matmul_scratch(lowrank->right, batch);
  return middle_size(lowrank, batch) + (left > right ? left : right);
}

static mcl_status matmul(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  void *rest = (uint8_t *)scratch + middle_size(lowrank, batch);
  MCL_TRY(mcl_repr_matmul(lowrank->right, x, batch, scratch, rest));
  return mcl_repr_matmul(lowrank->left, scratch, batch, y, rest);
}

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  int64_t rows = mcl_shape_rows(shape), cols = mcl_shape_cols(shape);
  uint64_t rank;
  MCL_TRY(mcl_read_count(&reader->header, (uint64_t)(rows < cols ? rows : cols), "the rank", &rank));
  if (rank == 0) return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: a rank of 0", reader->header.what);
  MCL_TRY(mcl_repr_new(reader->ctx, &mcl_lowrank_kind, shape, out));
  mcl_lowrank *lowrank = (mcl_lowrank *)*out;
  lowrank->rank = (int64_t)rank;
  mcl_status status = mcl_repr_read(reader, mcl_shape_2(rows, lowrank->rank), &lowrank->left);
  if (!status) status = mcl_repr_read(reader, mcl_shape_2(lowrank->rank, cols), &lowrank->right);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

static int parts(const mcl_repr *repr, const mcl_repr **part) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  if (part) part[0] = lowrank->left, part[1] = lowrank->right;
  return 2;
}

static void text(const mcl_repr *repr, char *out, size_t size) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  char left[96], right[96];
  mcl_repr_text(lowrank->left, left, sizeof left);
  mcl_repr_text(lowrank->right, right, sizeof right);
  if (!strcmp(left, "dense f32") && !strcmp(right, left))
    snprintf(out, size, "lowrank %lld", (long long)lowrank->rank);
  else if (!strcmp(left, right))
    snprintf(out, size, "lowrank %lld of (%s)", (long long)lowrank->rank, left);
  else
    snprintf(out, size, "lowrank %lld of (%s, %s)", (long long)lowrank->rank, left, right);
}

const mcl_repr_kind mcl_lowrank_kind = {.id = 5,
                                        .name = "lowrank",
                                        .size = sizeof(mcl_lowrank),
                                        .release = release,
                                        .decode = decode,
                                        .is_whole = true,
                                        .matmul = matmul,
                                        .matmul_scratch = matmul_scratch,
                                        .read = read,
                                        .parts = parts,
                                        .text = text};
