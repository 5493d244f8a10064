/* Representations: the table of kinds, and what is the same for all of them. A representation is a tree of
 * reference-counted nodes; each node's struct begins with mcl_repr, and all that differs is behind its kind. */
#include <stdio.h>

#include "base/threads.h"
#include "base/whole.h"
#include "repr/repr.h"
#include "tensor/matmul.h"

const mcl_repr_kind *const mcl_repr_kinds[] = {&mcl_dense_kind,  &mcl_sparse_kind,  &mcl_palette_kind,
                                               &mcl_affine_kind, &mcl_lowrank_kind, &mcl_sum_kind};
const int mcl_repr_kind_count = sizeof mcl_repr_kinds / sizeof mcl_repr_kinds[0];

mcl_repr *mcl_repr_retain(mcl_repr *repr) {
  repr->references++;
  return repr;
}

void mcl_repr_release(mcl_repr *repr) {
  if (!repr || --repr->references > 0) return;
  if (repr->kind->release) repr->kind->release(repr);
  mcl_free(repr->ctx, repr);
}

mcl_status mcl_repr_new(mcl_context *ctx, const mcl_repr_kind *kind, mcl_shape shape, mcl_repr **out) {
  *out = NULL;
  int64_t count;
  MCL_TRY(mcl_shape_count(ctx, shape, &count));
  mcl_repr *repr;
  MCL_TRY(mcl_alloc_zero(ctx, kind->size, &repr));
  *repr = (mcl_repr){.kind = kind, .ctx = ctx, .shape = shape, .count = count, .references = 1};
  *out = repr;
  return MCL_OK;
}

/* ---- Depth ---- */

static int depth_of(const mcl_repr *repr) {
  const mcl_repr *parts[MCL_REPR_MOST_PARTS];
  int deepest = 0, count = repr->kind->parts ? repr->kind->parts(repr, parts) : 0;
  for (int i = 0; i < count; i++) {
    int depth = depth_of(parts[i]);
    if (depth > deepest) deepest = depth;
  }
  return deepest + 1;
}

mcl_status mcl_repr_check_parts(mcl_repr *const *parts, int count) {
  for (int i = 0; i < count; i++)
    if (depth_of(parts[i]) >= MCL_REPR_MAX_DEPTH)
      return mcl_fail(parts[i]->ctx, MCL_ERROR_ARGUMENT,
                      "representations nested deeper than %d: no file holds that; nest fewer schemes",
                      MCL_REPR_MAX_DEPTH);
  return MCL_OK;
}

/* ---- Reading ---- */

mcl_status mcl_repr_read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out) {
  *out = NULL;
  uint8_t id;
  MCL_TRY(mcl_read_u8(&reader->header, &id));
  if (reader->depth >= MCL_REPR_MAX_DEPTH)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: representations nested deeper than %d", reader->header.what,
                    MCL_REPR_MAX_DEPTH);
  for (int i = 0; i < mcl_repr_kind_count; i++) {
    if (mcl_repr_kinds[i]->id != id) continue;
    reader->depth++;
    mcl_status status = mcl_repr_kinds[i]->read(reader, shape, out);
    reader->depth--;
    return status;
  }
  return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: unknown kind of representation %d", reader->header.what, id);
}

mcl_status mcl_repr_next_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count,
                                const mcl_coded_stream **out) {
  static const mcl_coded_stream empty = {(const uint8_t *)"", 0};
  *out = &empty; /* streams of no elements are not stored */
  if (count == 0) return MCL_OK;
  if (reader->next_stream >= reader->stream_count)
    return mcl_fail(reader->ctx, MCL_ERROR_FORMAT, "%s: its representation has more than the %d streams listed",
                    reader->header.what, reader->stream_count);
  const mcl_coded_stream *stream = &reader->streams[reader->next_stream];
  mcl_status status = mcl_stream_check(reader->ctx, stream->data, stream->size, alphabet, width, count);
  if (status) return mcl_fail_where(reader->ctx, status, "%s: stream %d", reader->header.what, reader->next_stream);
  reader->next_stream++;
  *out = stream;
  return MCL_OK;
}

mcl_status mcl_repr_decode_stream(mcl_repr_reader *reader, const mcl_coded_stream *stream, uint32_t alphabet,
                                  uint8_t width, size_t count, void *out) {
  if (count == 0) return MCL_OK;
  mcl_status status = mcl_stream_decode(reader->ctx, stream->data, stream->size, alphabet, width, out, count);
  if (status)
    return mcl_fail_where(reader->ctx, status, "%s: stream %d", reader->header.what, (int)(stream - reader->streams));
  return MCL_OK;
}

void *mcl_repr_take_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count) {
  if (!reader->ready || count == 0 || reader->next_stream >= reader->stream_count) return NULL;
  mcl_ready_stream *ready = &reader->ready[reader->next_stream];
  if (ready->alphabet != alphabet || ready->width != width || ready->count != count) return NULL;
  void *elements = ready->elements;
  ready->elements = NULL;
  if (elements) reader->next_stream++;
  return elements;
}

mcl_status mcl_repr_read_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count, void *out) {
  *(void **)out = mcl_repr_take_stream(reader, alphabet, width, count);
  if (*(void **)out) return MCL_OK;
  const mcl_coded_stream *stream;
  void *memory;
  MCL_TRY(mcl_repr_next_stream(reader, alphabet, width, count, &stream));
  MCL_TRY(mcl_alloc_array(reader->ctx, count, width, &memory));
  mcl_status status = mcl_repr_decode_stream(reader, stream, alphabet, width, count, memory);
  if (status) {
    mcl_free(reader->ctx, memory);
    return status;
  }
  *(void **)out = memory;
  return MCL_OK;
}

/* ---- Values ---- */

#define DECODE_SLICE ((int64_t)1 << 20) /* values, between two questions whether to stop */

mcl_status mcl_repr_decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out) {
  int64_t all = mcl_shape_rows(repr->shape);
  if (first < 0 || rows < 0 || first > all || rows > all - first)
    return mcl_fail(repr->ctx, MCL_ERROR_ARGUMENT, "rows %lld to %lld of a weight of %lld rows", (long long)first,
                    (long long)(first + rows - 1), (long long)all);
  if (rows == 0 || repr->count == 0) return MCL_OK;
  int64_t cols = mcl_shape_cols(repr->shape), slice = repr->kind->is_whole ? rows : DECODE_SLICE / cols + 1;
  for (int64_t at = 0; at < rows; at += slice) {
    MCL_TRY(mcl_check_cancel(repr->ctx));
    MCL_TRY(repr->kind->decode(repr, first + at, rows - at < slice ? rows - at : slice, out + at * cols));
  }
  return MCL_OK;
}

#define DECODE_VALUES 16384 /* a chunk of work */

typedef struct decode_work {
  const mcl_repr *repr;
  float *out;
  int64_t cols;
} decode_work;

static mcl_status decode_rows(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const decode_work *work = arg;
  return mcl_repr_decode(work->repr, first, count, work->out + first * work->cols);
}

mcl_status mcl_repr_decode_all(const mcl_repr *repr, float *out) {
  decode_work work = {repr, out, mcl_shape_cols(repr->shape)};
  int64_t rows = work.cols < DECODE_VALUES ? DECODE_VALUES / (work.cols ? work.cols : 1) : 1;
  return mcl_parallel_ranges(repr->ctx, mcl_shape_rows(repr->shape), rows, decode_rows, &work);
}

mcl_status mcl_repr_values(const mcl_repr *repr, mcl_tensor **out) {
  mcl_tensor *values;
  *out = NULL;
  MCL_TRY(mcl_tensor_new_raw(repr->ctx, MCL_F32, repr->shape, &values));
  mcl_status status = mcl_repr_decode_all(repr, mcl_tensor_f32(values));
  if (status) {
    mcl_tensor_release(values);
    return status;
  }
  *out = values;
  return MCL_OK;
}

int64_t mcl_repr_nonzeros(const mcl_repr *repr) {
  const mcl_repr *part[MCL_REPR_MOST_PARTS];
  int parts = repr->kind->parts(repr, part);
  int64_t nonzeros = 0;
  for (int i = 0; i < parts; i++) nonzeros += mcl_repr_nonzeros(part[i]);
  return parts ? nonzeros : repr->count;
}

int mcl_repr_bits(const mcl_repr *repr) {
  const mcl_repr *part[MCL_REPR_MOST_PARTS];
  if (repr->kind->bits) return repr->kind->bits(repr);
  return repr->kind->parts(repr, part) ? mcl_repr_bits(part[0]) : 0;
}

void mcl_repr_text(const mcl_repr *repr, char *text, size_t size) { repr->kind->text(repr, text, size); }

/* ---- Products ---- */

static const float *plain_values(const mcl_repr *repr) { /* of a dense f32 weight, which needs no decode */
  if (repr->kind != &mcl_dense_kind) return NULL;
  mcl_tensor *values = ((const mcl_dense *)repr)->values;
  return values->dtype == MCL_F32 ? mcl_tensor_f32(values) : NULL;
}

size_t mcl_repr_matmul_scratch(const mcl_repr *repr, int64_t batch) {
  if (repr->kind->matmul) return mcl_align_64(repr->kind->matmul_scratch ? repr->kind->matmul_scratch(repr, batch) : 0);
  return plain_values(repr) ? 0 : mcl_align_64((size_t)repr->count * sizeof(float));
}

mcl_status mcl_repr_matmul(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch) {
  if (repr->kind->matmul) return repr->kind->matmul(repr, x, batch, y, scratch);
  int64_t rows = mcl_shape_rows(repr->shape), cols = mcl_shape_cols(repr->shape);
  const float *values = plain_values(repr);
  if (!values) {
    MCL_TRY(mcl_repr_decode(repr, 0, rows, scratch));
    values = scratch;
  }
  mcl_matmul product = {.transpose_b = true,
                        .m = batch,
                        .n = rows,
                        .k = cols,
                        .alpha = 1,
                        .a = x,
                        .lda = cols,
                        .b = values,
                        .ldb = cols,
                        .c = y,
                        .ldc = rows};
  return mcl_matmul_run(repr->ctx, &product);
}
