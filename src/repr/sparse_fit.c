/* Sparse, the engine's half: fitting to a mask, choosing the smallest coding of positions, training the kept entries. */
#include "repr/sparse_positions.h"
#include "repr/trained.h"

/* ---- Fitting ---- */

static mcl_status allocate(mcl_context *ctx, mcl_shape shape, int64_t nonzeros, mcl_repr **out) {
  if (nonzeros > UINT32_MAX || mcl_shape_cols(shape) > UINT32_MAX)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "a sparse weight of more than 2^32 columns or entries");
  MCL_TRY(mcl_repr_new(ctx, &mcl_sparse_kind, shape, out));
  mcl_sparse *sparse = (mcl_sparse *)*out;
  sparse->nonzeros = nonzeros;
  mcl_status status = mcl_alloc_array(ctx, (size_t)nonzeros, sizeof(uint32_t), &sparse->column);
  if (!status) status = mcl_alloc_zero(ctx, ((size_t)mcl_shape_rows(shape) + 2) * sizeof(uint32_t), &sparse->row_start);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

/* Walks the mask's set bits, row by row. */
static mcl_status gather_masked(mcl_sparse *sparse, const uint64_t *mask, const float *values, float *kept) {
  int64_t rows = mcl_shape_rows(sparse->base.shape), cols = mcl_shape_cols(sparse->base.shape);
  uint32_t at = 0;
  int64_t row = 0, row_end = cols, work = 0;
  for (int64_t word = 0; word * 64 < sparse->base.count; word++) {
    MCL_TRY(mcl_worked(sparse->base.ctx, &work, 64));
    for (uint64_t bits = mask[word]; bits; bits &= bits - 1) {
      int64_t i = word * 64 + __builtin_ctzll(bits);
      while (i >= row_end) sparse->row_start[++row] = at, row_end += cols;
      sparse->column[at] = (uint32_t)(i - (row_end - cols));
      kept[at++] = values[i];
    }
  }
  while (row < rows) sparse->row_start[++row] = at;
  return MCL_OK;
}

mcl_status mcl_sparse_fit(mcl_tensor *values, const uint64_t *mask, mcl_repr **out) {
  *out = NULL;
  mcl_context *ctx = values->ctx;
  if (values->dtype != MCL_F32) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "sparse: the values must be f32");
  int64_t nonzeros = 0, work = 0;
  for (int64_t word = 0; word * 64 < values->count; word++) {
    MCL_TRY(mcl_worked(ctx, &work, 4));
    uint64_t beyond = values->count - word * 64 < 64 ? ~(uint64_t)0 << (values->count - word * 64) : 0;
    if (mask[word] & beyond)
      return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "sparse: the mask has bits beyond its %lld values",
                      (long long)values->count);
    nonzeros += __builtin_popcountll(mask[word]);
  }
  mcl_repr *repr;
  mcl_tensor *kept = NULL;
  MCL_TRY(allocate(ctx, values->shape, nonzeros, &repr));
  mcl_sparse *sparse = (mcl_sparse *)repr;
  mcl_status status = mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_1(nonzeros), &kept);
  if (!status) {
    status = gather_masked(sparse, mask, mcl_tensor_f32(values), mcl_tensor_f32(kept));
    if (!status) status = mcl_dense_new(kept, &sparse->values);
  }
  mcl_tensor_release(kept);
  if (status)
    mcl_repr_release(repr);
  else
    *out = repr;
  return status;
}

mcl_status mcl_sparse_with(const mcl_sparse *sparse, mcl_repr *values, mcl_repr **out) {
  *out = NULL;
  mcl_context *ctx = sparse->base.ctx;
  if (values->shape.rank != 1 || values->count != sparse->nonzeros)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "sparse: %lld values for %lld positions", (long long)values->count,
                    (long long)sparse->nonzeros);
  MCL_TRY(mcl_repr_check_parts(&values, 1));
  MCL_TRY(allocate(ctx, sparse->base.shape, sparse->nonzeros, out));
  mcl_sparse *copy = (mcl_sparse *)*out;
  size_t starts = ((size_t)mcl_shape_rows(sparse->base.shape) + 1) * sizeof(uint32_t);
  mcl_status status = mcl_copy(ctx, copy->column, sparse->column, (size_t)sparse->nonzeros * sizeof(uint32_t));
  if (!status) status = mcl_copy(ctx, copy->row_start, sparse->row_start, starts);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
    return status;
  }
  copy->values = mcl_repr_retain(values);
  return MCL_OK;
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  mcl_repr *values;
  MCL_TRY(mcl_repr_copy(sparse->values, &values));
  mcl_status status = mcl_sparse_with(sparse, values, out);
  mcl_repr_release(values);
  return status;
}

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  MCL_TRY(mcl_sparse_write_positions(sparse, writer));
  return mcl_repr_write(sparse->values, writer);
}

/* ---- Training: the one part is the kept values ---- */

static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  const mcl_sparse *sparse = (const mcl_sparse *)t->repr;
  int64_t rows = mcl_shape_rows(t->repr->shape), cols = mcl_shape_cols(t->repr->shape), work = 0;
  for (int64_t r = 0; r < rows; r++, gradient += cols) {
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
      t->part_gradient[0][k] = gradient[sparse->column[k]];
    MCL_TRY(mcl_worked(t->ctx, &work, 1 + 2 * (int64_t)(sparse->row_start[r + 1] - sparse->row_start[r])));
  }
  return mcl_trained_pull(t->part[0], t->part_gradient[0]);
}

static mcl_status scatter(const mcl_sparse *sparse, const float *values, float *dense) {
  int64_t rows = mcl_shape_rows(sparse->base.shape), cols = mcl_shape_cols(sparse->base.shape), work = 0;
  for (int64_t r = 0; r < rows; r++, dense += cols) {
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++) dense[sparse->column[k]] = values[k];
    MCL_TRY(mcl_worked(sparse->base.ctx, &work, 1 + 2 * (int64_t)(sparse->row_start[r + 1] - sparse->row_start[r])));
  }
  return MCL_OK;
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  MCL_TRY(mcl_trained_push(t->part[0], t->part_values[0]));
  if (dense != t->dense) MCL_TRY(mcl_zero(t->ctx, dense, (size_t)t->repr->count * sizeof(float)));
  return scatter((const mcl_sparse *)t->repr, t->part_values[0], dense);
}

static mcl_status bind(mcl_trained_repr *t) { /* the zeros are written here, once */
  return mcl_zero(t->ctx, t->dense, (size_t)t->repr->count * sizeof(float));
}

static const mcl_trained_kind trained_kind = {.bind = bind, .pull = pull, .push = push};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  mcl_status status = mcl_trained_add_part(*out, ((mcl_sparse *)repr)->values);
  if (status) {
    mcl_trained_free(*out);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_sparse_fit_kind = {.id = 2, .write = write, .copy = copy, .train = train};
