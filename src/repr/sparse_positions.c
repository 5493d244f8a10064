/* Reads the positions of a sparse representation, in steps. Nothing read is trusted: positions must stay inside the weight,
 * and there must be as many as the header says. */
#include "repr/sparse_positions.h"

#define STEP 131072 /* entries, or symbols */

static mcl_status lies(mcl_context *ctx, const char *where, const char *what) {
  return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: sparse positions: %s", where, what);
}

static size_t step_end(const mcl_positions *p, size_t all) { return all - p->next < STEP ? all : p->next + STEP; }

/* ---- Symbols to positions ---- */

static mcl_status gaps_step(mcl_positions *p) {
  uint64_t all = (uint64_t)p->count, at = p->at; /* at: the next position that an entry can have */
  int shift = p->layout >> MCL_SPARSE_SHIFT & 7;
  size_t end = step_end(p, p->symbol_count);
  int64_t found = p->found;
  for (size_t i = p->next; i < end; i++) {
    uint64_t gap = (uint64_t)p->symbols[i] << shift;
    if (p->symbols[i] == MCL_SPARSE_ESCAPE) {
      at += gap;
      if (at >= all) return lies(p->ctx, p->what, "a gap leads outside the weight");
      continue;
    }
    if (found == p->nonzeros) return lies(p->ctx, p->what, "more entries than the header says");
    at += gap + (p->low ? p->low[found] : 0);
    if (at >= all) return lies(p->ctx, p->what, "a gap leads outside the weight");
    p->position[found++] = at++;
  }
  p->next = end, p->at = at, p->found = found;
  return MCL_OK;
}

static mcl_status bitmap_step(mcl_positions *p) {
  size_t end = step_end(p, p->symbol_count);
  int64_t found = p->found;
  for (size_t i = p->next; i < end; i++)
    for (unsigned bits = p->symbols[i]; bits; bits &= bits - 1) {
      if (found == p->nonzeros) return lies(p->ctx, p->what, "more entries than the header says");
      p->position[found] = i * 8 + (unsigned)__builtin_ctz(bits);
      if (p->position[found++] >= (uint64_t)p->count) return lies(p->ctx, p->what, "a bit lies outside the weight");
    }
  p->next = end, p->found = found;
  return MCL_OK;
}

static mcl_status symbols_step(mcl_positions *p) {
  MCL_TRY(p->layout & MCL_SPARSE_BITMAP ? bitmap_step(p) : gaps_step(p));
  if (p->next < p->symbol_count) return MCL_OK;
  if (p->found != p->nonzeros) return lies(p->ctx, p->what, "fewer entries than the header says");
  p->phase++, p->next = 0;
  return MCL_OK;
}

/* ---- Positions to rows: ascending column-major positions fall into their rows in ascending order of columns, so one
 * counting pass sorts. row_start is zeroed; it is counted one row further on, then filled through start[row + 1]. ---- */

static void count_step(mcl_positions *p) {
  uint64_t rows = (uint64_t)mcl_shape_rows(p->shape), cols = (uint64_t)mcl_shape_cols(p->shape);
  bool by_column = p->layout & MCL_SPARSE_COLUMN_MAJOR;
  size_t all = (size_t)p->nonzeros, end = step_end(p, all);
  for (size_t i = p->next; i < end; i++)
    p->row_start[(by_column ? p->position[i] % rows : p->position[i] / cols) + 2]++;
  p->next = end;
  if (end == all) p->phase++, p->next = 0;
}

static void add_step(mcl_positions *p) {
  size_t all = (size_t)mcl_shape_rows(p->shape), end = step_end(p, all);
  for (size_t r = p->next; r < end; r++) p->row_start[r + 2] += p->row_start[r + 1];
  p->next = end;
  if (end == all) p->phase++, p->next = 0;
}

static void place_step(mcl_positions *p) {
  uint64_t rows = (uint64_t)mcl_shape_rows(p->shape), cols = (uint64_t)mcl_shape_cols(p->shape);
  bool by_column = p->layout & MCL_SPARSE_COLUMN_MAJOR;
  size_t all = (size_t)p->nonzeros, end = step_end(p, all);
  for (size_t i = p->next; i < end; i++) {
    uint64_t row = by_column ? p->position[i] % rows : p->position[i] / cols;
    uint64_t column = by_column ? p->position[i] / rows : p->position[i] % cols;
    p->column[p->row_start[row + 1]++] = (uint32_t)column;
  }
  p->next = end;
  if (end == all) p->phase++, p->next = 0;
}

/* ---- All of it ---- */

mcl_status mcl_positions_begin(mcl_positions *p) {
  size_t nonzeros = (size_t)p->nonzeros, rows = (size_t)mcl_shape_rows(p->shape);
  if (!(p->layout & MCL_SPARSE_BITMAP) && p->symbol_count < nonzeros)
    return lies(p->ctx, p->what, "fewer entries than the header says");
  MCL_TRY(mcl_alloc_array(p->ctx, nonzeros, sizeof *p->position, &p->position));
  MCL_TRY(mcl_alloc_zero(p->ctx, (rows + 2) * sizeof *p->row_start, &p->row_start));
  return mcl_alloc_array(p->ctx, nonzeros, sizeof *p->column, &p->column);
}

mcl_status mcl_positions_step(mcl_positions *p, bool *done) {
  *done = false;
  MCL_TRY(mcl_check_cancel(p->ctx));
  if (p->phase == 0) return symbols_step(p);
  if (p->phase == 1)
    count_step(p);
  else if (p->phase == 2)
    add_step(p);
  else if (p->phase == 3)
    place_step(p);
  *done = p->phase > 3;
  return MCL_OK;
}

void mcl_positions_free(mcl_positions *p) {
  mcl_free(p->ctx, p->position);
  mcl_free(p->ctx, p->column);
  mcl_free(p->ctx, p->row_start);
  p->position = NULL, p->column = p->row_start = NULL;
}

/* ---- Reading ---- */

static mcl_status build(mcl_positions *p, mcl_sparse *sparse) {
  mcl_status status = mcl_positions_begin(p);
  for (bool done = false; !status && !done;) status = mcl_positions_step(p, &done);
  if (!status) {
    sparse->column = p->column, sparse->row_start = p->row_start;
    p->column = p->row_start = NULL;
  }
  mcl_positions_free(p);
  return status;
}

/* Those that were made in slices, of just these parameters. */
static bool take_positions(mcl_repr_reader *reader, mcl_sparse *sparse) {
  mcl_ready_positions *ready = reader->positions;
  if (ready == reader->positions_end) return false;
  reader->positions++;
  if (!ready->column || ready->nonzeros != sparse->nonzeros || !mcl_shape_equal(ready->shape, sparse->base.shape))
    return false;
  sparse->column = ready->column, sparse->row_start = ready->row_start;
  ready->column = ready->row_start = NULL;
  return true;
}

static mcl_status read_gap_count(mcl_repr_reader *reader, const mcl_sparse *sparse, int shift, uint64_t *count) {
  uint64_t escapes = (uint64_t)sparse->base.count / ((uint64_t)MCL_SPARSE_ESCAPE << shift);
  return mcl_read_count(&reader->header, (uint64_t)sparse->nonzeros + escapes, "the number of gap symbols", count);
}

static mcl_status read_empty(mcl_repr_reader *reader, mcl_sparse *sparse) {
  size_t rows = (size_t)mcl_shape_rows(sparse->base.shape);
  MCL_TRY(mcl_alloc_zero(reader->ctx, (rows + 2) * sizeof(uint32_t), &sparse->row_start));
  return mcl_alloc(reader->ctx, 0, &sparse->column);
}

mcl_status mcl_sparse_read_positions(mcl_repr_reader *reader, mcl_sparse *sparse) {
  uint64_t count = (uint64_t)sparse->base.count / 8 + (sparse->base.count % 8 != 0); /* bytes of a bitmap */
  uint8_t layout, *symbols = NULL, *low = NULL;
  if (sparse->nonzeros == 0) return read_empty(reader, sparse);
  MCL_TRY(mcl_read_u8(&reader->header, &layout));
  int shift = layout >> MCL_SPARSE_SHIFT & 7;
  if (layout > MCL_SPARSE_BITMAP + 1 || (layout & MCL_SPARSE_BITMAP && shift))
    return lies(reader->ctx, reader->header.what, "an unknown layout");
  if (!(layout & MCL_SPARSE_BITMAP)) MCL_TRY(read_gap_count(reader, sparse, shift, &count));
  mcl_status status = mcl_repr_read_stream(reader, 256, 1, (size_t)count, &symbols);
  if (!status && shift) status = mcl_repr_read_stream(reader, 1u << shift, 1, (size_t)sparse->nonzeros, &low);
  mcl_positions positions = {.ctx = reader->ctx,
                             .what = reader->header.what,
                             .shape = sparse->base.shape,
                             .count = sparse->base.count,
                             .nonzeros = sparse->nonzeros,
                             .layout = layout,
                             .symbols = symbols,
                             .low = low,
                             .symbol_count = (size_t)count};
  if (!status && !take_positions(reader, sparse)) status = build(&positions, sparse);
  mcl_free(reader->ctx, symbols);
  mcl_free(reader->ctx, low);
  return status;
}
