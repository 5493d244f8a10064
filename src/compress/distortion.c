/* What a representation has lost, as the squared error of the layer's output: exactly with a Gram matrix,
 * tr(ΔW · G · ΔWᵀ); by the columns' mean squares where inputs are taken as uncorrelated; else the plain squared error. */
#include "compress/compress.h"
#include "tensor/matmul.h"

static mcl_status difference(const mcl_repr *before, const mcl_repr *after, mcl_tensor **out) {
  *out = NULL;
  mcl_tensor *a = NULL, *b = NULL;
  mcl_status status = mcl_repr_values(before, &a);
  if (!status) status = mcl_repr_values(after, &b);
  for (int64_t i = 0; !status && i < a->count; i++) {
    if (i % MCL_ASK_STEPS == 0) status = mcl_check_cancel(a->ctx);
    mcl_tensor_f32(a)[i] -= mcl_tensor_f32(b)[i];
  }
  mcl_tensor_release(b);
  if (status)
    mcl_tensor_release(a);
  else
    *out = a;
  return status;
}

/* Σ over columns of weight · Σ over rows of d²; weight NULL: 1. Sums of each row, in their order. */
static double by_columns(const float *d, int64_t rows, int64_t cols, const float *weight) {
  double all = 0;
  for (int64_t r = 0; r < rows; r++, d += cols) {
    double row = 0;
    for (int64_t c = 0; c < cols; c++) row += (double)d[c] * (double)d[c] * (weight ? (double)weight[c] : 1);
    all += row;
  }
  return all;
}

static mcl_status by_gram(const float *d, int64_t rows, int64_t cols, mcl_tensor *gram, double *out) {
  mcl_context *ctx = gram->ctx;
  float *product;
  MCL_TRY(mcl_alloc_array(ctx, (size_t)(rows * cols), sizeof(float), &product));
  mcl_matmul p = {.m = rows,
                  .n = cols,
                  .k = cols,
                  .alpha = 1,
                  .a = d,
                  .lda = cols,
                  .b = mcl_tensor_f32(gram),
                  .ldb = cols,
                  .c = product,
                  .ldc = cols};
  mcl_status status = mcl_matmul_run(ctx, &p);
  double all = 0;
  for (int64_t i = 0; i < rows * cols && !status; i++) {
    if (i % MCL_ASK_STEPS == 0) status = mcl_check_cancel(ctx);
    all += (double)d[i] * (double)product[i];
  }
  *out = all > 0 ? all : 0;
  mcl_free(ctx, product);
  return status;
}

mcl_status mcl_distortion(const mcl_repr *before, const mcl_repr *after, const mcl_statistics *statistics,
                          double *out) {
  int64_t rows = mcl_shape_rows(before->shape), cols = mcl_shape_cols(before->shape);
  if (!mcl_shape_equal(before->shape, after->shape))
    return mcl_fail(before->ctx, MCL_ERROR_ARGUMENT, "distortion of two weights of different shapes");
  mcl_tensor *gram = statistics ? statistics->gram : NULL, *square = statistics ? statistics->input_square : NULL;
  if ((gram && gram->count != cols * cols) || (square && square->count != cols))
    return mcl_fail(before->ctx, MCL_ERROR_ARGUMENT, "distortion: the statistics are of a layer of other columns");
  mcl_tensor *d;
  MCL_TRY(difference(before, after, &d));
  mcl_status status = MCL_OK;
  if (gram)
    status = by_gram(mcl_tensor_f32(d), rows, cols, gram, out);
  else
    *out = by_columns(mcl_tensor_f32(d), rows, cols, square ? mcl_tensor_f32(square) : NULL);
  mcl_tensor_release(d);
  return status;
}
