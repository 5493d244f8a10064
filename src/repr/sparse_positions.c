/* Reads the positions of a sparse representation: gaps or a bitmap become one list of ascending positions in the stored
 * order, and that becomes compressed rows. Nothing read is trusted: positions must stay inside the weight, and there must
 * be as many as the header says. */
#include "repr/sparse_positions.h"

static mcl_status lies(mcl_repr_reader *reader, const char *what) {
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: sparse positions: %s", reader->header.what, what);
}

/* position: [nonzeros], filled in stored order. */
static mcl_status gaps_to_positions(mcl_repr_reader *reader, const mcl_sparse *sparse, int shift,
                                    const uint8_t *symbols, size_t count, const uint8_t *low, uint64_t *position) {
  uint64_t all = (uint64_t)sparse->base.count, at = 0; /* the next position that an entry can have */
  int64_t found = 0, work = 0;
  for (size_t i = 0; i < count; i++) {
    MCL_TRY(mcl_worked(reader->ctx, &work, 2));
    uint64_t gap = (uint64_t)symbols[i] << shift;
    if (symbols[i] == MCL_SPARSE_ESCAPE) {
      at += gap;
      if (at >= all) return lies(reader, "a gap leads outside the weight");
      continue;
    }
    if (found == sparse->nonzeros) return lies(reader, "more entries than the header says");
    at += gap + (low ? low[found] : 0);
    if (at >= all) return lies(reader, "a gap leads outside the weight");
    position[found++] = at++;
  }
  return found == sparse->nonzeros ? MCL_OK : lies(reader, "fewer entries than the header says");
}

static mcl_status bitmap_to_positions(mcl_repr_reader *reader, const mcl_sparse *sparse, const uint8_t *symbols,
                                      size_t count, uint64_t *position) {
  int64_t found = 0, work = 0;
  for (size_t i = 0; i < count; i++) {
    MCL_TRY(mcl_worked(reader->ctx, &work, 8));
    for (unsigned bits = symbols[i]; bits; bits &= bits - 1) {
      if (found == sparse->nonzeros) return lies(reader, "more entries than the header says");
      position[found] = i * 8 + (unsigned)__builtin_ctz(bits);
      if (position[found++] >= (uint64_t)sparse->base.count) return lies(reader, "a bit lies outside the weight");
    }
  }
  return found == sparse->nonzeros ? MCL_OK : lies(reader, "fewer entries than the header says");
}

/* Ascending column-major positions fall into their rows in ascending order of columns, so one counting pass sorts. */
static mcl_status positions_to_rows(const uint64_t *position, bool column_major, mcl_sparse *sparse) {
  uint64_t rows = (uint64_t)mcl_shape_rows(sparse->base.shape), cols = (uint64_t)mcl_shape_cols(sparse->base.shape);
  uint32_t *start =
      sparse->row_start; /* zeroed, rows + 2: counted one further on, then filled through start[row + 1] */
  int64_t nonzeros = sparse->nonzeros, work = 0;
  for (int64_t i = 0; i < nonzeros; i++) {
    start[(column_major ? position[i] % rows : position[i] / cols) + 2]++;
    MCL_TRY(mcl_worked(sparse->base.ctx, &work, 4));
  }
  for (uint64_t r = 2; r < rows + 2; r++) start[r] += start[r - 1];
  for (int64_t i = 0; i < nonzeros; i++) {
    uint64_t row = column_major ? position[i] % rows : position[i] / cols;
    uint64_t column = column_major ? position[i] / rows : position[i] % cols;
    sparse->column[start[row + 1]++] = (uint32_t)column;
    MCL_TRY(mcl_worked(sparse->base.ctx, &work, 8));
  }
  return MCL_OK;
}

static mcl_status read_gaps(mcl_repr_reader *reader, const mcl_sparse *sparse, int shift, uint64_t **position) {
  size_t nonzeros = (size_t)sparse->nonzeros;
  uint64_t escapes = (uint64_t)sparse->base.count / ((uint64_t)MCL_SPARSE_ESCAPE << shift), count;
  MCL_TRY(mcl_read_count(&reader->header, nonzeros + escapes, "the number of gap symbols", &count));
  uint8_t *symbols = NULL, *low = NULL;
  mcl_status status = mcl_repr_read_stream(reader, 256, 1, (size_t)count, &symbols);
  if (!status && shift) status = mcl_repr_read_stream(reader, 1u << shift, 1, nonzeros, &low);
  if (!status && count < nonzeros) status = lies(reader, "fewer entries than the header says");
  if (!status) status = mcl_alloc_array(reader->ctx, nonzeros, sizeof(uint64_t), position);
  if (!status) status = gaps_to_positions(reader, sparse, shift, symbols, (size_t)count, low, *position);
  mcl_free(reader->ctx, symbols);
  mcl_free(reader->ctx, low);
  return status;
}

static mcl_status read_bitmap(mcl_repr_reader *reader, const mcl_sparse *sparse, uint64_t **position) {
  size_t count = (size_t)(sparse->base.count / 8 + (sparse->base.count % 8 != 0));
  uint8_t *symbols;
  MCL_TRY(mcl_repr_read_stream(reader, 256, 1, count, &symbols));
  mcl_status status = mcl_alloc_array(reader->ctx, (size_t)sparse->nonzeros, sizeof(uint64_t), position);
  if (!status) status = bitmap_to_positions(reader, sparse, symbols, count, *position);
  mcl_free(reader->ctx, symbols);
  return status;
}

mcl_status mcl_sparse_read_positions(mcl_repr_reader *reader, mcl_sparse *sparse) {
  size_t nonzeros = (size_t)sparse->nonzeros, rows = (size_t)mcl_shape_rows(sparse->base.shape);
  uint8_t layout = 0;
  if (nonzeros) MCL_TRY(mcl_read_u8(&reader->header, &layout));
  int shift = layout >> MCL_SPARSE_SHIFT & 7;
  if (layout > MCL_SPARSE_BITMAP + 1 || (layout & MCL_SPARSE_BITMAP && shift)) return lies(reader, "an unknown layout");
  uint64_t *position = NULL;
  mcl_status status = MCL_OK;
  if (nonzeros && layout & MCL_SPARSE_BITMAP) status = read_bitmap(reader, sparse, &position);
  if (nonzeros && !(layout & MCL_SPARSE_BITMAP)) status = read_gaps(reader, sparse, shift, &position);
  if (!status) status = mcl_alloc_zero(reader->ctx, (rows + 2) * sizeof(uint32_t), &sparse->row_start);
  if (!status) status = mcl_alloc_array(reader->ctx, nonzeros, sizeof(uint32_t), &sparse->column);
  if (!status) status = positions_to_rows(position, layout & MCL_SPARSE_COLUMN_MAJOR, sparse);
  mcl_free(reader->ctx, position);
  return status;
}
