/* Sparse: the positions of the entries that are kept, and their values as a representation of shape {nonzeros}. In
 * memory positions are compressed rows (CSR).
 *
 * Header: varint nonzeros; where there are any, u8 layout = order + 2 · shift + 16 · bitmap, and, of gaps, varint symbols;
 * then the values, always in row-major order. Positions are numbered along the matrix view: row-major where order is 0,
 * column-major where it is 1. They are stored as
 *   gaps    from each entry to the next, less one: its low `shift` bits in a stream of their own (below), the rest as a
 *           symbol; 255 stands for "255 << shift further on, no entry yet". The first gap counts from position −1.
 *   bitmap  ⌈count / 8⌉ symbols, least bit first.
 * Streams: the symbols, alphabet 256; the low bits, alphabet 2^shift, nonzeros of them, where shift is not 0. */
#include <stdio.h>

#include "base/whole.h"
#include "repr/sparse_positions.h"

static void release(mcl_repr *repr) {
  mcl_sparse *sparse = (mcl_sparse *)repr;
  mcl_free(repr->ctx, sparse->column);
  mcl_free(repr->ctx, sparse->row_start);
  mcl_repr_release(sparse->values);
}

static const float *stored_values(const mcl_sparse *sparse) { /* where they need no decode */
  if (sparse->values->kind != &mcl_dense_kind) return NULL;
  mcl_tensor *values = ((const mcl_dense *)sparse->values)->values;
  return values->dtype == MCL_F32 ? mcl_tensor_f32(values) : NULL;
}

static void scatter(const mcl_sparse *sparse, int64_t first, int64_t rows, const float *values, float *out) {
  int64_t cols = mcl_shape_cols(sparse->base.shape);
  uint32_t begin = sparse->row_start[first];
  for (int64_t r = first; r < first + rows; r++, out += cols)
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
      out[sparse->column[k]] = values[k - begin];
}

static mcl_status decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  uint32_t begin = sparse->row_start[first], end = sparse->row_start[first + rows];
  memset(out, 0, (size_t)(rows * mcl_shape_cols(repr->shape)) * sizeof(float));
  if (begin == end) return MCL_OK;
  const float *stored = stored_values(sparse);
  if (stored) {
    scatter(sparse, first, rows, stored + begin, out);
    return MCL_OK;
  }
  float *values;
  MCL_TRY(mcl_alloc_array(repr->ctx, end - begin, sizeof(float), &values));
  mcl_status status = mcl_repr_decode(sparse->values, begin, end - begin, values);
  if (!status) scatter(sparse, first, rows, values, out);
  mcl_free(repr->ctx, values);
  return status;
}

/* ---- y = x · Wᵀ. The batch is the inner loop, over x transposed; scratch holds the values, xᵀ, and yᵀ. ---- */

typedef struct product {
  const mcl_sparse *sparse;
  const float *values, *x; /* x[cols, batch] */
  float *y;                /* [rows, batch] */
  int64_t batch;
} product;

enum { PRODUCT_ROWS = 64 }; /* a chunk */

static mcl_status product_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const product *p = arg;
  int64_t rows = mcl_shape_rows(p->sparse->base.shape), first = chunk * PRODUCT_ROWS;
  int64_t end = first + PRODUCT_ROWS < rows ? first + PRODUCT_ROWS : rows, work = 0;
  for (int64_t r = first; r < end; r++) {
    uint32_t k = p->sparse->row_start[r], stop = p->sparse->row_start[r + 1];
    const uint32_t *column = p->sparse->column;
    if (p->batch == 1) {
      float sum = 0;
      for (; k < stop; k++) sum += p->values[k] * p->x[column[k]];
      p->y[r] = sum;
      continue;
    }
    float *restrict y = p->y + r * p->batch;
    memset(y, 0, (size_t)p->batch * sizeof(float));
    for (; k < stop; k++) {
      MCL_TRY(mcl_worked(p->sparse->base.ctx, &work, p->batch));
      const float *restrict x = p->x + column[k] * p->batch;
      float value = p->values[k];
      for (int64_t b = 0; b < p->batch; b++) y[b] += value * x[b];
    }
  }
  return MCL_OK;
}

static size_t room(size_t floats) { return mcl_align_64(floats * sizeof(float)); }

static size_t matmul_scratch(const mcl_repr *repr, int64_t batch) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  size_t size = stored_values(sparse) ? 0 : room((size_t)sparse->nonzeros);
  if (batch == 1) return size;
  return size + room((size_t)(mcl_shape_cols(repr->shape) * batch)) +
         room((size_t)(mcl_shape_rows(repr->shape) * batch));
}

static mcl_status transpose(mcl_context *ctx, const float *from, int64_t rows, int64_t cols, float *to) {
  int64_t work = 0;
  for (int64_t block = 0; block < cols; block += 16)
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = block; j < block + 16 && j < cols; j++) to[j * rows + i] = from[i * cols + j];
      MCL_TRY(mcl_worked(ctx, &work, 16));
    }
  return MCL_OK;
}

static mcl_status matmul(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  int64_t rows = mcl_shape_rows(repr->shape), cols = mcl_shape_cols(repr->shape);
  uint8_t *rest = scratch;
  product p = {.sparse = sparse, .values = stored_values(sparse), .x = x, .y = y, .batch = batch};
  if (!p.values) {
    MCL_TRY(mcl_repr_decode(sparse->values, 0, sparse->nonzeros, (float *)rest));
    p.values = (const float *)rest;
    rest += room((size_t)sparse->nonzeros);
  }
  if (batch > 1) {
    MCL_TRY(transpose(repr->ctx, x, batch, cols, (float *)rest));
    p.x = (const float *)rest;
    p.y = (float *)(rest + room((size_t)(cols * batch)));
  }
  int64_t chunks = (rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
  mcl_status status = MCL_OK;
  if (sparse->nonzeros * batch > 100000)
    status = mcl_parallel(repr->ctx, chunks, product_chunk, &p);
  else
    for (int64_t chunk = 0; chunk < chunks && !status; chunk++) status = product_chunk(&p, chunk, 0);
  if (batch > 1 && !status) status = transpose(repr->ctx, p.y, rows, batch, y);
  return status;
}

mcl_status mcl_sparse_expand(mcl_repr *repr, mcl_repr **out) {
  mcl_sparse *from = (mcl_sparse *)repr, *to;
  mcl_context *ctx = repr->ctx;
  mcl_tensor *values = NULL;
  *out = NULL;
  if (stored_values(from)) {
    *out = mcl_repr_retain(repr);
    return MCL_OK;
  }
  size_t columns = (size_t)from->nonzeros * sizeof *from->column;
  size_t starts = (size_t)(mcl_shape_rows(repr->shape) + 1) * sizeof *from->row_start;
  MCL_TRY(mcl_repr_new(ctx, &mcl_sparse_kind, repr->shape, (mcl_repr **)&to));
  to->nonzeros = from->nonzeros;
  mcl_status status = mcl_alloc(ctx, columns, &to->column);
  if (!status) status = mcl_alloc(ctx, starts, &to->row_start);
  if (!status) status = mcl_copy(ctx, to->column, from->column, columns);
  if (!status) status = mcl_copy(ctx, to->row_start, from->row_start, starts);
  if (!status) status = mcl_repr_values(from->values, &values);
  if (!status) status = mcl_dense_new(values, &to->values);
  mcl_tensor_release(values);
  if (status) {
    mcl_repr_release(&to->base);
    return status;
  }
  *out = &to->base;
  return MCL_OK;
}

/* ---- Reading ---- */

static mcl_status read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  int64_t count;
  uint64_t nonzeros;
  MCL_TRY(mcl_shape_count(reader->ctx, shape, &count));
  uint64_t most = (uint64_t)count < UINT32_MAX ? (uint64_t)count : UINT32_MAX;
  MCL_TRY(mcl_read_count(&reader->header, most, "the number of nonzeros", &nonzeros));
  if (mcl_shape_cols(shape) > UINT32_MAX || mcl_shape_rows(shape) > UINT32_MAX)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: a sparse weight of more than 2^32 rows or columns",
                    reader->header.what);
  MCL_TRY(mcl_repr_new(reader->ctx, &mcl_sparse_kind, shape, out));
  mcl_sparse *sparse = (mcl_sparse *)*out;
  sparse->nonzeros = (int64_t)nonzeros;
  mcl_status status = mcl_sparse_read_positions(reader, sparse);
  if (!status) status = mcl_repr_read(reader, mcl_shape_1(sparse->nonzeros), &sparse->values);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

static int parts(const mcl_repr *repr, const mcl_repr **part) {
  if (part) part[0] = ((const mcl_sparse *)repr)->values;
  return 1;
}

static void text(const mcl_repr *repr, char *out, size_t size) {
  const mcl_sparse *sparse = (const mcl_sparse *)repr;
  double density = repr->count ? 100.0 * (double)sparse->nonzeros / (double)repr->count : 0;
  char values[96];
  mcl_repr_text(sparse->values, values, sizeof values);
  if (!strcmp(values, "dense f32"))
    snprintf(out, size, "sparse %.1f %%", density);
  else
    snprintf(out, size, "sparse %.1f %% of (%s)", density, values);
}

const mcl_repr_kind mcl_sparse_kind = {.id = 2,
                                       .name = "sparse",
                                       .size = sizeof(mcl_sparse),
                                       .release = release,
                                       .decode = decode,
                                       .matmul = matmul,
                                       .matmul_scratch = matmul_scratch,
                                       .read = read,
                                       .parts = parts,
                                       .text = text};
