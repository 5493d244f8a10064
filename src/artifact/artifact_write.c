/* Containers, written: measured first, so that the directory can come before the streams, then streamed out weight by
 * weight. Size, encode and write are the same walk with three kinds of end. */
#include "artifact/container.h"
#include "repr/fit.h"

#define DIRECTORY_LEVEL 19 /* of zstd; a directory is small */

/* Where bytes go: a file, a buffer, or nowhere (they are only counted). */
typedef struct mcl_sink {
  mcl_file_writer *file;
  mcl_buffer *buffer;
  size_t written;
  mcl_hasher streams; /* of all bytes since the directory's guard */
} mcl_sink;

static mcl_status put(mcl_sink *sink, const void *data, size_t size) {
  sink->written += size;
  mcl_hasher_add(&sink->streams, data, size);
  if (sink->file) return mcl_file_write(sink->file, data, size);
  return sink->buffer ? mcl_buffer_append(sink->buffer, data, size) : MCL_OK;
}

typedef struct mcl_job {
  mcl_context *ctx;
  mcl_model *model;
  mcl_artifact_options options;
  const mcl_coder *coder;
  mcl_repr_writer *measured; /* of each weight */
  mcl_buffer head;           /* header, directory, guard */
  mcl_buffer decoded;        /* the hash of each weight's values, once it is coded */
  size_t size;               /* of the whole container, not wrapped */
} mcl_job;

static size_t alignment_of(const mcl_artifact_options *options) { return options->dense ? 64 : 1; }

static mcl_status begin(mcl_model *model, const mcl_artifact_options *options, mcl_job *job) {
  mcl_context *ctx = model->ctx;
  *job = (mcl_job){.ctx = ctx, .model = model, .head = {.ctx = ctx}, .decoded = {.ctx = ctx}};
  if (options) job->options = *options;
  if (job->options.portable && job->options.zstd_level)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: a portable artifact has no zstd wrap; leave one of the two out",
                    model->name);
  if (job->options.coder && !(job->coder = mcl_coder_by_name(job->options.coder)))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "coder \"%s\": there are raw, bitpack, huffman and planes",
                    job->options.coder);
  if (job->options.dense) job->coder = mcl_coder_by_name("raw");
  return mcl_alloc_zero(ctx, (size_t)model->weight_count * sizeof *job->measured, &job->measured);
}

static void end(mcl_job *job) {
  for (int w = 0; job->measured && w < job->model->weight_count; w++)
    if (job->measured[w].ctx) mcl_repr_write_end(&job->measured[w]);
  mcl_free(job->ctx, job->measured);
  mcl_buffer_free(&job->head);
  mcl_buffer_free(&job->decoded);
}

/* The representation that is written: the weight's own, or its dense values. The caller releases it. */
static mcl_status written_form(const mcl_job *job, int w, mcl_repr **out) {
  mcl_weight *weight = &job->model->weights[w];
  mcl_tensor *values;
  *out = NULL;
  MCL_TRY(mcl_weight_load(job->model, w));
  bool is_f32 = weight->repr->kind == &mcl_dense_kind && ((mcl_dense *)weight->repr)->values->dtype == MCL_F32;
  if (!job->options.dense || job->options.keep || is_f32) {
    *out = mcl_repr_retain(weight->repr);
    return MCL_OK;
  }
  MCL_TRY(mcl_repr_values(weight->repr, &values));
  mcl_status status = mcl_dense_new(values, out);
  mcl_tensor_release(values);
  return status;
}

static mcl_status code_weight(mcl_job *job, int w, bool size_only, mcl_repr_writer *writer) {
  mcl_repr *repr;
  MCL_TRY(mcl_check_cancel(job->ctx));
  MCL_TRY(mcl_repr_write_begin(job->ctx, job->coder, size_only, writer));
  mcl_status status = written_form(job, w, &repr);
  if (!status) status = mcl_repr_write(repr, writer);
  if (!status && !size_only) {
    uint64_t hash;
    status = mcl_repr_hash(repr, &hash);
    if (!status) status = mcl_buffer_u64(&job->decoded, hash);
  }
  mcl_repr_release(repr);
  if (status)
    return mcl_fail_where(job->ctx, status, "%s: weight \"%s\"", job->model->name, job->model->weights[w].name);
  return MCL_OK;
}

/* ---- Header and directory ---- */

/* The smaller of the directory as it is and as zstd packs it, with the size that only the latter needs. */
static mcl_status pack_directory(mcl_job *job, const mcl_buffer *directory, mcl_buffer *packed) {
#ifdef MCL_WITH_ZSTD
  if (job->options.portable) return MCL_OK;
  MCL_TRY(mcl_zstd_compress(job->ctx, directory->data, directory->size, DIRECTORY_LEVEL, packed));
  size_t extra = 1;
  for (size_t rest = packed->size; rest >= 0x80; rest >>= 7) extra++;
  if (packed->size + extra >= directory->size) packed->size = 0;
#else
  (void)job, (void)directory, (void)packed;
#endif
  return MCL_OK;
}

static mcl_status write_fixed(mcl_buffer *out, uint8_t features) {
  const uint8_t fixed[4] = {MCL_CONTAINER_MAJOR, MCL_CONTAINER_MINOR, features, 0};
  MCL_TRY(mcl_buffer_append(out, mcl_container_magic, sizeof mcl_container_magic));
  return mcl_buffer_append(out, fixed, sizeof fixed);
}

static mcl_status write_head(mcl_job *job) {
  mcl_buffer directory = {.ctx = job->ctx}, packed = {.ctx = job->ctx}, *head = &job->head;
  mcl_status status = mcl_graph_write(job->model, job->measured, &directory);
  if (!status) status = pack_directory(job, &directory, &packed);
  const mcl_buffer *stored = packed.size ? &packed : &directory;
  if (!status) status = write_fixed(head, packed.size ? MCL_FEATURE_ZSTD_DIRECTORY : 0);
  if (!status) status = mcl_buffer_u8(head, (uint8_t)__builtin_ctzll(alignment_of(&job->options)));
  if (!status) status = mcl_buffer_varint(head, directory.size);
  if (!status && packed.size) status = mcl_buffer_varint(head, packed.size);
  if (!status) status = mcl_buffer_append(head, stored->data, stored->size);
  if (!status) status = mcl_buffer_u64(head, mcl_hash(head->data, head->size));
  mcl_buffer_free(&directory);
  mcl_buffer_free(&packed);
  return status;
}

/* Measures every weight; head and size are there afterwards. */
static mcl_status measure(mcl_job *job) {
  int weights = job->model->weight_count;
  for (int w = 0; w < weights; w++) {
    mcl_progress(job->ctx, "measuring", w, weights, "weights");
    MCL_TRY(code_weight(job, w, true, &job->measured[w]));
  }
  MCL_TRY(write_head(job));
  size_t at = job->head.size;
  for (int w = 0; w < weights; w++)
    for (int i = 0; i < job->measured[w].stream_count; i++)
      at = mcl_stream_start(at, alignment_of(&job->options)) + job->measured[w].stream_size[i];
  job->size = at + (size_t)weights * MCL_TRAILER_WEIGHT + MCL_TRAILER_END;
  return MCL_OK;
}

/* ---- Streams and trailer ---- */

static mcl_status put_streams(const mcl_job *job, const mcl_repr_writer *coded, mcl_sink *sink, mcl_hasher *hasher) {
  static const uint8_t zeros[1 << MCL_MAX_ALIGNMENT_LOG2];
  const uint8_t *from = coded->streams.data;
  for (int i = 0; i < coded->stream_count; i++) {
    size_t padding = mcl_stream_start(sink->written, alignment_of(&job->options)) - sink->written;
    MCL_TRY(put(sink, zeros, padding));
    if (i > 0) mcl_hasher_add(hasher, zeros, padding); /* a weight's bytes: from its first stream to its last */
    MCL_TRY(put(sink, from, coded->stream_size[i]));
    mcl_hasher_add(hasher, from, coded->stream_size[i]);
    from += coded->stream_size[i];
  }
  return MCL_OK;
}

static bool as_measured(const mcl_repr_writer *measured, const mcl_repr_writer *coded) {
  return measured->header.size == coded->header.size && measured->stream_count == coded->stream_count &&
         (!coded->header.size || memcmp(measured->header.data, coded->header.data, coded->header.size) == 0) &&
         (!coded->stream_count || memcmp(measured->stream_size, coded->stream_size,
                                         (size_t)coded->stream_count * sizeof *coded->stream_size) == 0);
}

static mcl_status put_weight(mcl_job *job, int w, mcl_sink *sink, uint32_t *stored) {
  mcl_repr_writer coded = {0};
  mcl_hasher hasher;
  mcl_hasher_begin(&hasher);
  mcl_status status = code_weight(job, w, false, &coded);
  if (!status && !as_measured(&job->measured[w], &coded))
    status = mcl_fail(job->ctx, MCL_ERROR_ARGUMENT, "%s: weight \"%s\" changed while it was written", job->model->name,
                      job->model->weights[w].name);
  if (!status) status = put_streams(job, &coded, sink, &hasher);
  *stored = mcl_hash_short(mcl_hasher_end(&hasher));
  if (coded.ctx) mcl_repr_write_end(&coded);
  return status;
}

static mcl_status put_trailer(const mcl_job *job, const uint32_t *stored, mcl_sink *sink) {
  uint8_t bytes[MCL_TRAILER_END];
  uint64_t streams = mcl_hasher_end(&sink->streams);
  for (int w = 0; w < job->model->weight_count; w++) {
    mcl_store_u32(bytes, stored[w]);
    mcl_store_u32(bytes + 4, mcl_hash_short(mcl_load_u64(job->decoded.data + 8 * (size_t)w)));
    MCL_TRY(put(sink, bytes, MCL_TRAILER_WEIGHT));
  }
  mcl_store_u64(bytes, streams);
  mcl_store_u64(bytes + 8, mcl_hash(job->decoded.data, job->decoded.size));
  return put(sink, bytes, sizeof bytes);
}

static mcl_status put_container(mcl_job *job, mcl_sink *sink) {
  int weights = job->model->weight_count;
  uint32_t *stored;
  mcl_hasher_begin(&sink->streams);
  MCL_TRY(put(sink, job->head.data, job->head.size));
  mcl_hasher_begin(&sink->streams);
  MCL_TRY(mcl_alloc_array(job->ctx, (size_t)weights, sizeof *stored, &stored));
  mcl_status status = MCL_OK;
  for (int w = 0; w < weights && !status; w++) {
    mcl_progress(job->ctx, "writing", w, weights, "weights");
    status = put_weight(job, w, sink, &stored[w]);
  }
  if (!status) status = put_trailer(job, stored, sink);
  mcl_free(job->ctx, stored);
  return status;
}

/* ---- The three ends ---- */

static mcl_status check_readable(const mcl_job *job, size_t size) {
  return mcl_container_check_claim(job->model, size, MCL_ERROR_ARGUMENT);
}

static mcl_status encode_plain(mcl_job *job, mcl_buffer *out) {
  mcl_sink sink = {.buffer = out};
  if (!job->options.zstd_level) MCL_TRY(check_readable(job, job->size));
  MCL_TRY(mcl_buffer_reserve(out, job->size));
  return put_container(job, &sink);
}

/* A header of its own, the container's size, a checksum of these and the frame, and the frame; or the container as it is,
 * where that is no larger. */
static mcl_status encode_wrapped(mcl_job *job, mcl_buffer *out) {
  mcl_buffer plain = {.ctx = job->ctx}, frame = {.ctx = job->ctx};
  size_t start = out->size;
  mcl_hasher hasher;
  mcl_hasher_begin(&hasher);
  mcl_status status = encode_plain(job, &plain);
  if (!status) status = mcl_zstd_compress(job->ctx, plain.data, plain.size, job->options.zstd_level, &frame);
  if (!status) status = write_fixed(out, MCL_FEATURE_ZSTD_WRAP);
  if (!status) status = mcl_buffer_varint(out, plain.size);
  if (!status) {
    mcl_hasher_add(&hasher, out->data + start, out->size - start);
    mcl_hasher_add(&hasher, frame.data, frame.size);
    status = mcl_buffer_u64(out, mcl_hasher_end(&hasher));
  }
  if (!status) status = mcl_buffer_append(out, frame.data, frame.size);
  bool is_worth_it = !status && out->size - start < plain.size;
  if (!status && !is_worth_it) {
    out->size = start;
    status = mcl_buffer_append(out, plain.data, plain.size);
  }
  if (!status) status = check_readable(job, out->size - start);
  if (is_worth_it && !status && plain.size > mcl_context_dense_limit(job->ctx, out->size - start))
    status = mcl_fail(job->ctx, MCL_ERROR_ARGUMENT,
                      "%s: a zstd wrap of %zu bytes around %zu: more than a reader unwraps; leave the wrap out",
                      job->model->name, out->size - start, plain.size);
  mcl_buffer_free(&plain);
  mcl_buffer_free(&frame);
  return status;
}

mcl_status mcl_artifact_size(mcl_model *model, const mcl_artifact_options *options, size_t *bytes) {
  mcl_job job;
  *bytes = 0;
  mcl_status status = begin(model, options, &job);
  if (!status) status = measure(&job);
  if (!status && job.options.zstd_level) {
    mcl_buffer wrapped = {.ctx = model->ctx};
    status = encode_wrapped(&job, &wrapped);
    *bytes = wrapped.size;
    mcl_buffer_free(&wrapped);
  } else if (!status) {
    *bytes = job.size;
  }
  end(&job);
  return status;
}

mcl_status mcl_artifact_encode(mcl_model *model, const mcl_artifact_options *options, mcl_buffer *out) {
  mcl_job job;
  size_t before = out->size;
  mcl_status status = begin(model, options, &job);
  if (!status) status = measure(&job);
  if (!status) status = job.options.zstd_level ? encode_wrapped(&job, out) : encode_plain(&job, out);
  if (status) out->size = before;
  end(&job);
  return status;
}

static mcl_status write_file(mcl_job *job, const char *path) {
  mcl_sink sink = {0};
  if (job->options.zstd_level) {
    mcl_buffer wrapped = {.ctx = job->ctx};
    mcl_status status = encode_wrapped(job, &wrapped);
    if (!status) status = mcl_file_save(job->ctx, path, wrapped.data, wrapped.size);
    mcl_buffer_free(&wrapped);
    return status;
  }
  MCL_TRY(check_readable(job, job->size));
  MCL_TRY(mcl_file_writer_open(job->ctx, path, &sink.file));
  mcl_status status = put_container(job, &sink);
  if (!status) return mcl_file_commit(sink.file);
  mcl_file_abandon(sink.file);
  return status;
}

mcl_status mcl_artifact_write(mcl_model *model, const mcl_artifact_options *options, const char *path) {
  mcl_job job;
  mcl_status status = begin(model, options, &job);
  if (!status) status = measure(&job);
  if (!status) status = write_file(&job, path);
  end(&job);
  return status;
}
