/* Writes the positions of a sparse representation in the smallest of the layouts that sparse.c describes: both orders,
 * as a bitmap, and as gaps with more and more low bits split off, up to their mean. Column-major is
 * much smaller where whole inputs are dead, as at the border of images. All sizes are exact, so the choice is the best. */
#include "repr/sparse_positions.h"
#include "repr/trained.h"

/* One way of storing. */
typedef struct layout {
  uint8_t flags;
  uint8_t *symbols, *low;
  size_t count, low_count;
  size_t size; /* coded, with its part of the header */
} layout;

typedef struct search {
  mcl_repr_writer *writer;
  const mcl_sparse *sparse;
  uint64_t *position[2]; /* row-major, column-major */
  layout best;
} search;

static mcl_status list_positions(const mcl_sparse *sparse, uint64_t *row_major) {
  uint64_t cols = (uint64_t)mcl_shape_cols(sparse->base.shape);
  int64_t rows = mcl_shape_rows(sparse->base.shape), work = 0;
  for (int64_t r = 0; r < rows; r++) {
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
      row_major[k] = (uint64_t)r * cols + sparse->column[k];
    MCL_TRY(mcl_worked(sparse->base.ctx, &work, 1 + (int64_t)(sparse->row_start[r + 1] - sparse->row_start[r])));
  }
  return MCL_OK;
}

/* A counting sort by column. */
static mcl_status list_columns(const mcl_sparse *sparse, uint64_t *column_major) {
  int64_t rows = mcl_shape_rows(sparse->base.shape), cols = mcl_shape_cols(sparse->base.shape), work = 0;
  mcl_context *ctx = sparse->base.ctx;
  uint32_t *start;
  MCL_TRY(mcl_alloc_zero(ctx, ((size_t)cols + 1) * sizeof(uint32_t), &start));
  mcl_status status = MCL_OK;
  for (int64_t k = 0; k < sparse->nonzeros && !status; k++) {
    start[sparse->column[k] + 1]++;
    status = mcl_worked(ctx, &work, 2);
  }
  for (int64_t c = 0; c < cols; c++) start[c + 1] += start[c];
  for (int64_t r = 0; r < rows && !status; r++) {
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
      column_major[start[sparse->column[k]]++] = (uint64_t)sparse->column[k] * (uint64_t)rows + (uint64_t)r;
    status = mcl_worked(ctx, &work, 1 + 8 * (int64_t)(sparse->row_start[r + 1] - sparse->row_start[r]));
  }
  mcl_free(ctx, start);
  return status;
}

static void free_layout(mcl_context *ctx, layout *l) {
  mcl_free(ctx, l->symbols);
  mcl_free(ctx, l->low);
  *l = (layout){0};
}

static mcl_status make_gaps(const search *s, int order, int shift, layout *out) {
  mcl_context *ctx = s->writer->ctx;
  const uint64_t *position = s->position[order];
  size_t nonzeros = (size_t)s->sparse->nonzeros, most = nonzeros;
  uint64_t reach = (uint64_t)MCL_SPARSE_ESCAPE << shift; /* of one escape */
  most += (size_t)((uint64_t)s->sparse->base.count / reach);
  *out = (layout){.flags = (uint8_t)(order | shift << MCL_SPARSE_SHIFT), .low_count = shift ? nonzeros : 0};
  MCL_TRY(mcl_alloc(ctx, most, &out->symbols));
  if (shift) MCL_TRY(mcl_alloc(ctx, nonzeros, &out->low));
  uint64_t next = 0;
  int64_t work = 0;
  for (size_t i = 0; i < nonzeros; i++) {
    uint64_t gap = position[i] - next;
    MCL_TRY(mcl_worked(ctx, &work, 4 + (int64_t)(gap / reach)));
    for (; gap >= reach; gap -= reach) out->symbols[out->count++] = MCL_SPARSE_ESCAPE;
    out->symbols[out->count++] = (uint8_t)(gap >> shift);
    if (shift) out->low[i] = (uint8_t)(gap & ((1u << shift) - 1));
    next = position[i] + 1;
  }
  return MCL_OK;
}

static mcl_status make_bitmap(const search *s, int order, layout *out) {
  size_t count = (size_t)(s->sparse->base.count / 8 + (s->sparse->base.count % 8 != 0));
  *out = (layout){.flags = (uint8_t)(order | MCL_SPARSE_BITMAP), .count = count};
  MCL_TRY(mcl_alloc_zero(s->writer->ctx, count, &out->symbols));
  int64_t work = 0;
  for (int64_t i = 0; i < s->sparse->nonzeros; i++) {
    MCL_TRY(mcl_worked(s->writer->ctx, &work, 2));
    uint64_t at = s->position[order][i];
    out->symbols[at / 8] = (uint8_t)(out->symbols[at / 8] | 1u << at % 8);
  }
  return MCL_OK;
}

static mcl_stream symbols_of(const layout *l) {
  return (mcl_stream){.data = l->symbols, .count = l->count, .width = 1, .alphabet = 256};
}

static mcl_stream low_of(const layout *l) {
  return (mcl_stream){
      .data = l->low, .count = l->low_count, .width = 1, .alphabet = 1u << (l->flags >> MCL_SPARSE_SHIFT & 7)};
}

/* Measures `candidate`, and keeps or frees it. */
static mcl_status consider(search *s, layout *candidate) {
  mcl_stream symbols = symbols_of(candidate), low = low_of(candidate);
  size_t coded = 0, more = 0;
  mcl_status status = mcl_repr_stream_size(s->writer, &symbols, &coded);
  if (!status && candidate->low) status = mcl_repr_stream_size(s->writer, &low, &more);
  candidate->size = coded + more + (candidate->low ? 2 : 0); /* a second stream costs its place in the directory */
  for (size_t n = candidate->count; n && !(candidate->flags & MCL_SPARSE_BITMAP); n >>= 7) candidate->size++;
  if (!status && (!s->best.symbols || candidate->size < s->best.size)) {
    free_layout(s->writer->ctx, &s->best);
    s->best = *candidate;
  } else {
    free_layout(s->writer->ctx, candidate);
  }
  return status;
}

static mcl_status try_order(search *s, int order) {
  int64_t mean_gap = s->sparse->base.count / s->sparse->nonzeros;
  for (int shift = 0; shift < 8 && (shift == 0 || 1 << shift <= mean_gap); shift++) {
    MCL_TRY(mcl_check_cancel(s->writer->ctx));
    layout candidate;
    mcl_status status = make_gaps(s, order, shift, &candidate);
    if (status) {
      free_layout(s->writer->ctx, &candidate);
      return status;
    }
    MCL_TRY(consider(s, &candidate));
  }
  if (s->sparse->base.count / 16 > s->sparse->nonzeros) return MCL_OK; /* a byte of the bitmap takes a bit at least */
  layout candidate;
  mcl_status status = make_bitmap(s, order, &candidate);
  if (status) {
    free_layout(s->writer->ctx, &candidate);
    return status;
  }
  return consider(s, &candidate);
}

static mcl_status write_best(const search *s) {
  const layout *best = &s->best;
  mcl_stream symbols = symbols_of(best), low = low_of(best);
  MCL_TRY(mcl_buffer_u8(&s->writer->header, best->flags));
  if (!(best->flags & MCL_SPARSE_BITMAP)) MCL_TRY(mcl_buffer_varint(&s->writer->header, best->count));
  MCL_TRY(mcl_repr_write_stream(s->writer, &symbols));
  return best->low ? mcl_repr_write_stream(s->writer, &low) : MCL_OK;
}

mcl_status mcl_sparse_write_positions(const mcl_sparse *sparse, mcl_repr_writer *writer) {
  size_t nonzeros = (size_t)sparse->nonzeros;
  MCL_TRY(mcl_buffer_varint(&writer->header, nonzeros));
  if (!nonzeros) return MCL_OK;
  search s = {.writer = writer, .sparse = sparse};
  mcl_status status = mcl_alloc_array(writer->ctx, nonzeros, 2 * sizeof(uint64_t), &s.position[0]);
  if (!status) {
    s.position[1] = s.position[0] + nonzeros;
    status = list_positions(sparse, s.position[0]);
    if (!status) status = list_columns(sparse, s.position[1]);
  }
  if (!status) status = try_order(&s, 0);
  if (!status) status = try_order(&s, 1);
  if (!status) status = write_best(&s);
  free_layout(writer->ctx, &s.best);
  mcl_free(writer->ctx, s.position[0]);
  return status;
}
