/* Low rank, the engine's half. Without a Gram matrix: the truncated singular value decomposition, the best in the
 * Frobenius norm (Eckart & Young 1936). With one, G = L·Lᵀ of the layer's inputs: the error of the output,
 * ‖(W − Ŵ)·L‖, is least for Ŵ = U·Uᵀ·W with U the top left singular vectors of W·L; no inverse is needed, so inputs that
 * are always zero do no harm. The singular values are shared by both factors, so that either may be quantised. */
#include <math.h>

#include "repr/trained.h"
#include "tensor/linalg.h"
#include "tensor/matmul.h"

mcl_status mcl_lowrank_new(mcl_repr *left, mcl_repr *right, mcl_shape shape, mcl_repr **out) {
  *out = NULL;
  int64_t rows = mcl_shape_rows(shape), cols = mcl_shape_cols(shape), rank = mcl_shape_cols(left->shape);
  if (mcl_shape_rows(left->shape) != rows || mcl_shape_cols(right->shape) != cols ||
      mcl_shape_rows(right->shape) != rank)
    return mcl_fail(left->ctx, MCL_ERROR_ARGUMENT,
                    "lowrank: factors %lldx%lld and %lldx%lld do not make a weight of %lldx%lld",
                    (long long)mcl_shape_rows(left->shape), (long long)rank, (long long)mcl_shape_rows(right->shape),
                    (long long)mcl_shape_cols(right->shape), (long long)rows, (long long)cols);
  MCL_TRY(mcl_repr_check_parts((mcl_repr *const[]){left, right}, 2));
  MCL_TRY(mcl_repr_new(left->ctx, &mcl_lowrank_kind, shape, out));
  mcl_lowrank *lowrank = (mcl_lowrank *)*out;
  lowrank->rank = rank;
  lowrank->left = mcl_repr_retain(left);
  lowrank->right = mcl_repr_retain(right);
  return MCL_OK;
}

/* ---- Fitting ---- */

/* W · L, where L Lᵀ is the Gram matrix, a little lifted: more and more until it is positive definite. */
static mcl_status whiten(mcl_tensor *w, mcl_tensor *gram, mcl_tensor **out) {
  mcl_context *ctx = w->ctx;
  int64_t rows = w->shape.dim[0], cols = w->shape.dim[1];
  mcl_tensor *lifted = NULL, *lower = NULL;
  mcl_status status = mcl_tensor_copy(gram, &lifted);
  double mean = 0;
  for (int64_t i = 0; i < cols; i++) mean += (double)mcl_tensor_f32(gram)[i * cols + i] / (double)cols;
  double lift = mean > 0 ? mean * 1e-6 : 1;
  for (int attempt = 0; !status; attempt++, lift *= 10) {
    for (int64_t i = 0; i < cols; i++)
      mcl_tensor_f32(lifted)[i * cols + i] = (float)((double)mcl_tensor_f32(gram)[i * cols + i] + lift);
    status = mcl_linalg_cholesky(lifted, &lower);
    if (status != MCL_ERROR_NUMERIC || attempt == 4) break;
    status = MCL_OK;
  }
  if (!status) status = mcl_tensor_new_raw(ctx, MCL_F32, w->shape, out);
  if (!status) {
    mcl_matmul product = {.m = rows,
                          .n = cols,
                          .k = cols,
                          .alpha = 1,
                          .a = mcl_tensor_f32(w),
                          .lda = cols,
                          .b = mcl_tensor_f32(lower),
                          .ldb = cols,
                          .c = mcl_tensor_f32(*out),
                          .ldc = cols};
    status = mcl_matmul_run(ctx, &product);
  }
  mcl_tensor_release(lifted);
  mcl_tensor_release(lower);
  return status;
}

static int64_t rank_of_energy(mcl_tensor *s, double energy) {
  double all = 0, kept = 0;
  for (int64_t i = 0; i < s->count; i++) all += (double)mcl_tensor_f32(s)[i] * (double)mcl_tensor_f32(s)[i];
  for (int64_t i = 0; i < s->count; i++) {
    kept += (double)mcl_tensor_f32(s)[i] * (double)mcl_tensor_f32(s)[i];
    if (kept >= energy * all) return i + 1;
  }
  return s->count;
}

/* left[rows,rank] = U · √S, right[rank,cols] = √S · V, or 1/√S · Uᵀ · W where the basis was whitened. */
static mcl_status factors_of(mcl_tensor *w, bool whitened, mcl_tensor *u, mcl_tensor *s, mcl_tensor *v, int64_t rank,
                             mcl_tensor **left, mcl_tensor **right) {
  mcl_context *ctx = w->ctx;
  int64_t rows = w->shape.dim[0], cols = w->shape.dim[1], wide = mcl_shape_cols(u->shape);
  const float *singular = mcl_tensor_f32(s);
  MCL_TRY(mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(rows, rank), left));
  MCL_TRY(mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_2(rank, cols), right));
  float *l = mcl_tensor_f32(*left), *r = mcl_tensor_f32(*right);
  if (whitened) {
    mcl_matmul product = {.transpose_a = true,
                          .m = rank,
                          .n = cols,
                          .k = rows,
                          .alpha = 1,
                          .a = mcl_tensor_f32(u),
                          .lda = wide,
                          .b = mcl_tensor_f32(w),
                          .ldb = cols,
                          .c = r,
                          .ldc = cols};
    MCL_TRY(mcl_matmul_run(ctx, &product));
  } else {
    MCL_TRY(mcl_copy(ctx, r, mcl_tensor_f32(v), (size_t)(rank * cols) * sizeof(float)));
  }
  int64_t work = 0;
  for (int64_t k = 0; k < rank; k++) {
    float root = sqrtf(singular[k]), factor = whitened ? (root > 0 ? 1 / root : 0) : root;
    for (int64_t i = 0; i < rows; i++) l[i * rank + k] = mcl_tensor_f32(u)[i * wide + k] * root;
    for (int64_t j = 0; j < cols; j++) r[k * cols + j] *= factor;
    MCL_TRY(mcl_worked(ctx, &work, 2 * rows + cols));
  }
  return MCL_OK;
}

static mcl_status check(mcl_tensor *values, const mcl_lowrank_options *options) {
  mcl_context *ctx = values->ctx;
  int64_t rows = mcl_shape_rows(values->shape), cols = mcl_shape_cols(values->shape);
  if (values->dtype != MCL_F32) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: the values must be f32");
  if (options->rank < 0 || options->rank > (rows < cols ? rows : cols))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "lowrank: rank = %lld is out of range: 1 to min(rows, cols) = min(%lld, %lld)",
                    (long long)options->rank, (long long)rows, (long long)cols);
  if (options->rank == 0 && !(options->energy > 0 && options->energy <= 1))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: energy = %g is out of range: above 0, at most 1; or give rank",
                    options->energy);
  if (rows * cols == 0) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: the weight has no elements");
  if (options->gram && (options->gram->count != cols * cols || options->gram->dtype != MCL_F32))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: the Gram matrix must be f32 %lldx%lld", (long long)cols,
                    (long long)cols);
  return mcl_tensor_check_finite(values, "weights");
}

/* The matrix view is factored; its parts are dense. */
static mcl_status fit(mcl_tensor *w, const mcl_lowrank_options *options, mcl_shape shape, mcl_repr **out) {
  mcl_tensor *basis = NULL, *u = NULL, *s = NULL, *v = NULL, *left = NULL, *right = NULL;
  mcl_repr *left_part = NULL, *right_part = NULL;
  mcl_status status = MCL_OK;
  int64_t rank = options->rank;
  if (options->gram)
    status = whiten(w, options->gram, &basis);
  else
    basis = mcl_tensor_retain(w);
  if (!status && rank) status = mcl_linalg_svd_top(basis, rank, options->seed, &u, &s, &v);
  if (!status && !rank) status = mcl_linalg_svd(basis, &u, &s, &v);
  if (!status && !rank) rank = rank_of_energy(s, options->energy);
  if (!status) status = factors_of(w, options->gram != NULL, u, s, v, rank, &left, &right);
  if (!status) status = mcl_dense_new(left, &left_part);
  if (!status) status = mcl_dense_new(right, &right_part);
  if (!status) status = mcl_lowrank_new(left_part, right_part, shape, out);
  mcl_tensor *tensors[] = {basis, u, s, v, left, right};
  for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) mcl_tensor_release(tensors[i]);
  mcl_repr_release(left_part);
  mcl_repr_release(right_part);
  return status;
}

mcl_status mcl_lowrank_fit(mcl_tensor *values, const mcl_lowrank_options *options, mcl_repr **out) {
  *out = NULL;
  MCL_TRY(check(values, options));
  mcl_tensor *w;
  MCL_TRY(mcl_tensor_reshape(values, mcl_shape_2(mcl_shape_rows(values->shape), mcl_shape_cols(values->shape)), &w));
  mcl_status status = fit(w, options, values->shape, out);
  mcl_tensor_release(w);
  return status;
}

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  MCL_TRY(mcl_buffer_varint(&writer->header, (uint64_t)lowrank->rank));
  MCL_TRY(mcl_repr_write(lowrank->left, writer));
  return mcl_repr_write(lowrank->right, writer);
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  mcl_repr *left = NULL, *right = NULL;
  mcl_status status = mcl_repr_copy(lowrank->left, &left);
  if (!status) status = mcl_repr_copy(lowrank->right, &right);
  if (!status) status = mcl_lowrank_new(left, right, repr->shape, out);
  mcl_repr_release(left);
  mcl_repr_release(right);
  return status;
}

/* ---- Training: d left = d W · rightᵀ, d right = leftᵀ · d W ---- */

static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  int64_t rows = mcl_shape_rows(t->repr->shape), cols = mcl_shape_cols(t->repr->shape);
  int64_t rank = ((const mcl_lowrank *)t->repr)->rank;
  mcl_matmul left = {.transpose_b = true,
                     .m = rows,
                     .n = rank,
                     .k = cols,
                     .alpha = 1,
                     .a = gradient,
                     .lda = cols,
                     .b = t->part_values[1],
                     .ldb = cols,
                     .c = t->part_gradient[0],
                     .ldc = rank};
  mcl_matmul right = {.transpose_a = true,
                      .m = rank,
                      .n = cols,
                      .k = rows,
                      .alpha = 1,
                      .a = t->part_values[0],
                      .lda = rank,
                      .b = gradient,
                      .ldb = cols,
                      .c = t->part_gradient[1],
                      .ldc = cols};
  MCL_TRY(mcl_matmul_run(t->ctx, &left));
  MCL_TRY(mcl_matmul_run(t->ctx, &right));
  MCL_TRY(mcl_trained_pull(t->part[0], t->part_gradient[0]));
  return mcl_trained_pull(t->part[1], t->part_gradient[1]);
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  int64_t rows = mcl_shape_rows(t->repr->shape), cols = mcl_shape_cols(t->repr->shape);
  int64_t rank = ((const mcl_lowrank *)t->repr)->rank;
  MCL_TRY(mcl_trained_push(t->part[0], t->part_values[0]));
  MCL_TRY(mcl_trained_push(t->part[1], t->part_values[1]));
  mcl_matmul product = {.m = rows,
                        .n = cols,
                        .k = rank,
                        .alpha = 1,
                        .a = t->part_values[0],
                        .lda = rank,
                        .b = t->part_values[1],
                        .ldb = cols,
                        .c = dense,
                        .ldc = cols};
  return mcl_matmul_run(t->ctx, &product);
}

static const mcl_trained_kind trained_kind = {.pull = pull, .push = push};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  mcl_status status = mcl_trained_add_part(*out, lowrank->left);
  if (!status) status = mcl_trained_add_part(*out, lowrank->right);
  if (status) {
    mcl_trained_free(*out);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_lowrank_fit_kind = {.id = 5, .write = write, .copy = copy, .train = train};
