/* The engine's half of representations, what is the same for all kinds: the table, the writer of streams, exact sizes,
 * deep copies. */
#include <math.h>

#include "repr/trained.h"

static const mcl_repr_fit_kind *const fit_kinds[] = {&mcl_dense_fit_kind,  &mcl_sparse_fit_kind,  &mcl_palette_fit_kind,
                                                     &mcl_affine_fit_kind, &mcl_lowrank_fit_kind, &mcl_sum_fit_kind};

static const mcl_repr_fit_kind *fit_kind_of(const mcl_repr *repr) {
  for (size_t i = 0; i < sizeof fit_kinds / sizeof fit_kinds[0]; i++)
    if (fit_kinds[i]->id == repr->kind->id) return fit_kinds[i];
  return NULL;
}

static mcl_status no_row(const mcl_repr *repr) {
  return mcl_fail(repr->ctx, MCL_ERROR_UNSUPPORTED, "representation %s has no row in repr_fit.c", repr->kind->name);
}

/* ---- Writing ---- */

mcl_status mcl_repr_write_begin(mcl_context *ctx, const mcl_coder *coder, bool size_only, mcl_repr_writer *writer) {
  *writer = (mcl_repr_writer){
      .ctx = ctx, .header = {.ctx = ctx}, .coder = coder, .size_only = size_only, .streams = {.ctx = ctx}};
  return MCL_OK;
}

void mcl_repr_write_end(mcl_repr_writer *writer) {
  mcl_buffer_free(&writer->header);
  mcl_buffer_free(&writer->streams);
  mcl_free(writer->ctx, writer->stream_size);
  writer->stream_size = NULL;
}

/* A wanted coder is for symbols; plain values take the smallest, unless all is to stay raw. */
static const mcl_coder *coder_for(const mcl_repr_writer *writer, const mcl_stream *stream) {
  if (stream->alphabet || !writer->coder || !strcmp(writer->coder->name, "raw")) return writer->coder;
  return NULL;
}

mcl_status mcl_repr_stream_size(const mcl_repr_writer *writer, const mcl_stream *stream, size_t *out) {
  *out = 0;
  return stream->count ? mcl_stream_size(writer->ctx, stream, coder_for(writer, stream), out) : MCL_OK;
}

mcl_status mcl_repr_write_stream(mcl_repr_writer *writer, const mcl_stream *stream) {
  if (stream->count == 0) return MCL_OK; /* not stored */
  size_t before = writer->streams.size, size;
  size_t sizes = ((size_t)writer->stream_count + 1) * sizeof(size_t);
  MCL_TRY(mcl_realloc(writer->ctx, sizes, &writer->stream_size));
  if (writer->size_only) {
    MCL_TRY(mcl_stream_size(writer->ctx, stream, coder_for(writer, stream), &size));
  } else {
    MCL_TRY(mcl_stream_encode(writer->ctx, stream, coder_for(writer, stream), &writer->streams));
    size = writer->streams.size - before;
  }
  writer->stream_size[writer->stream_count++] = size;
  writer->total += size;
  return MCL_OK;
}

mcl_status mcl_repr_write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_repr_fit_kind *kind = fit_kind_of(repr);
  if (!kind) return no_row(repr);
  MCL_TRY(mcl_buffer_u8(&writer->header, repr->kind->id));
  return kind->write(repr, writer);
}

mcl_status mcl_repr_bytes(const mcl_repr *repr, const mcl_coder *coder, size_t *out) {
  mcl_repr_writer writer;
  MCL_TRY(mcl_repr_write_begin(repr->ctx, coder, true, &writer));
  mcl_status status = mcl_repr_write(repr, &writer);
  *out = writer.header.size + writer.total;
  mcl_repr_write_end(&writer);
  return status;
}

/* Floats that may be stored as halves: those that are f16 numbers already. */
mcl_status mcl_repr_write_floats(mcl_repr_writer *writer, const float *values, size_t count, bool half) {
  if (!half) return mcl_repr_write_stream(writer, &(mcl_stream){.data = values, .count = count, .width = 4});
  uint16_t *halves;
  MCL_TRY(mcl_alloc_array(writer->ctx, count, sizeof(uint16_t), &halves));
  mcl_status status = mcl_convert_long(writer->ctx, MCL_F32, values, MCL_F16, halves, count);
  if (!status) status = mcl_repr_write_stream(writer, &(mcl_stream){.data = halves, .count = count, .width = 2});
  mcl_free(writer->ctx, halves);
  return status;
}

/* ---- Copies ---- */

mcl_status mcl_repr_copy(const mcl_repr *repr, mcl_repr **out) {
  *out = NULL;
  const mcl_repr_fit_kind *kind = fit_kind_of(repr);
  return kind ? kind->copy(repr, out) : no_row(repr);
}

/* Whether training may write to it: no other owner, and no memory that is a file's or another tensor's. */
static bool is_own(const mcl_repr *repr) {
  if (repr->references > 1) return false;
  if (repr->kind == &mcl_dense_kind) {
    const mcl_tensor *values = ((const mcl_dense *)repr)->values;
    return values->references == 1 && values->owns_data;
  }
  const mcl_repr *part[MCL_REPR_MOST_PARTS];
  int parts = repr->kind->parts(repr, part);
  for (int i = 0; i < parts; i++)
    if (!is_own(part[i])) return false;
  return true;
}

mcl_status mcl_repr_unshare(mcl_repr **repr) {
  if (is_own(*repr)) return MCL_OK;
  mcl_repr *copy;
  MCL_TRY(mcl_repr_copy(*repr, &copy));
  mcl_repr_release(*repr);
  *repr = copy;
  return MCL_OK;
}

mcl_status mcl_trained_new(mcl_repr *repr, mcl_trained_repr **out) {
  *out = NULL;
  const mcl_repr_fit_kind *kind = fit_kind_of(repr);
  if (!kind) return no_row(repr);
  MCL_TRY(kind->train(repr, out));
  mcl_status status = mcl_trained_list(*out);
  if (status) {
    mcl_trained_free(*out);
    *out = NULL;
  }
  return status;
}

bool mcl_repr_fits_halves(const float *values, size_t count) {
  float greatest = 0;
  for (size_t i = 0; i < count; i++) greatest = fmaxf(greatest, fabsf(values[i]));
  return greatest == 0 || (greatest >= 0x1p-14f && greatest < 65520); /* which rounds to infinity */
}

void mcl_repr_round_halves(float *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    mcl_convert(MCL_F32, values + i, MCL_F16, &half, 1);
    mcl_convert(MCL_F16, &half, MCL_F32, values + i, 1);
  }
}
