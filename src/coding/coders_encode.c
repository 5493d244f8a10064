/* Streams, encoding: for each the smallest coder, or the one that was asked for; blocks are coded by all threads and
 * joined in order, so the bytes do not depend on the threads. */
#include "base/threads.h"
#include "coding/coders.h"

static const mcl_coder_encode *const encoders[] = {&mcl_encode_raw, &mcl_encode_bitpack, &mcl_encode_huffman,
                                                   &mcl_encode_planes};

typedef struct mcl_block_job {
  mcl_context *ctx;
  const mcl_stream *stream;
  const mcl_coder_encode *encoder;
  size_t *sizes;       /* of each block */
  mcl_buffer *buffers; /* of each block; NULL: sizes only */
} mcl_block_job;

static mcl_stream block_of(const mcl_stream *stream, size_t block) {
  mcl_stream part = *stream;
  size_t first = block * MCL_STREAM_BLOCK, left = stream->count - first;
  part.data = (const uint8_t *)stream->data + first * stream->width;
  part.count = left < MCL_STREAM_BLOCK ? left : MCL_STREAM_BLOCK;
  return part;
}

static mcl_status run_block(void *arg, int64_t chunk, int worker) {
  mcl_block_job *job = arg;
  mcl_stream part = block_of(job->stream, (size_t)chunk);
  (void)worker;
  if (!job->buffers) return job->encoder->size(job->ctx, &part, &job->sizes[chunk]);
  job->buffers[chunk].ctx = job->ctx;
  MCL_TRY(job->encoder->encode(job->ctx, &part, &job->buffers[chunk]));
  job->sizes[chunk] = job->buffers[chunk].size;
  return MCL_OK;
}

static mcl_status check_stream(mcl_context *ctx, const mcl_stream *stream) {
  if (stream->width != 1 && stream->width != 2 && stream->width != 4)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a stream of elements of %d bytes: 1, 2 or 4 are held", stream->width);
  bool all_below = true;
  for (size_t block = 0; block < mcl_stream_block_count(stream->count) && all_below; block++) {
    mcl_stream part = block_of(stream, block);
    if (block % 16 == 0) MCL_TRY(mcl_check_cancel(ctx));
    all_below = mcl_symbols_are_below(part.data, part.count, part.width, part.alphabet);
  }
  if (!all_below)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a stream with a symbol outside of its alphabet of %u", stream->alphabet);
  return MCL_OK;
}

static size_t varint_size(size_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) size++;
  return size;
}

/* The coder's number, the sizes of all blocks but the last, and the blocks. */
static mcl_status size_by(mcl_context *ctx, const mcl_stream *stream, const mcl_coder_encode *encoder, size_t *out) {
  size_t blocks = mcl_stream_block_count(stream->count), one;
  if (mcl_coder_by_id(encoder->id)->fixed) {
    *out = 1 + mcl_coder_by_id(encoder->id)->least_size(stream->alphabet, stream->width, stream->count);
    return MCL_OK;
  }
  mcl_block_job job = {.ctx = ctx, .stream = stream, .encoder = encoder, .sizes = &one};
  if (blocks > 1) MCL_TRY(mcl_alloc_array(ctx, blocks, sizeof *job.sizes, &job.sizes));
  mcl_status status = mcl_parallel(ctx, (int64_t)blocks, run_block, &job);
  *out = 1;
  for (size_t block = 0; block < blocks && !status; block++)
    *out += job.sizes[block] + (block + 1 < blocks ? varint_size(job.sizes[block]) : 0);
  if (blocks > 1) mcl_free(ctx, job.sizes);
  return status;
}

/* The smallest of those that fit, or the one wanted where it fits; else the smallest still. */
static mcl_status choose(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *wanted,
                         const mcl_coder_encode **encoder, size_t *size) {
  *encoder = NULL;
  MCL_TRY(check_stream(ctx, stream));
  if (wanted && encoders[wanted->id]->fits(stream)) {
    *encoder = encoders[wanted->id];
    return size_by(ctx, stream, *encoder, size);
  }
  for (size_t i = 0; i < sizeof encoders / sizeof encoders[0]; i++) {
    size_t bytes;
    if (!encoders[i]->fits(stream)) continue;
    MCL_TRY(size_by(ctx, stream, encoders[i], &bytes));
    if (*encoder && bytes >= *size) continue;
    *encoder = encoders[i];
    *size = bytes;
  }
  return MCL_OK;
}

mcl_status mcl_stream_size(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *coder, size_t *out) {
  const mcl_coder_encode *encoder;
  *out = 0;
  return stream->count ? choose(ctx, stream, coder, &encoder, out) : MCL_OK;
}

static mcl_status append_blocks(const mcl_block_job *job, size_t blocks, mcl_buffer *out) {
  bool fixed = mcl_coder_by_id(job->encoder->id)->fixed;
  MCL_TRY(mcl_buffer_u8(out, job->encoder->id));
  for (size_t block = 0; block + 1 < blocks && !fixed; block++) MCL_TRY(mcl_buffer_varint(out, job->sizes[block]));
  for (size_t block = 0; block < blocks; block++)
    MCL_TRY(mcl_buffer_append(out, job->buffers[block].data, job->buffers[block].size));
  return MCL_OK;
}

mcl_status mcl_stream_encode(mcl_context *ctx, const mcl_stream *stream, const mcl_coder *coder, mcl_buffer *out) {
  size_t blocks = mcl_stream_block_count(stream->count), size, before = out->size;
  mcl_block_job job = {.ctx = ctx, .stream = stream};
  if (blocks == 0) return MCL_OK;
  MCL_TRY(choose(ctx, stream, coder, &job.encoder, &size));
  MCL_TRY(mcl_buffer_reserve(out, size + 8));
  if (blocks == 1 || job.encoder->id == mcl_encode_raw.id) { /* straight to its place */
    mcl_status status = mcl_buffer_u8(out, job.encoder->id);
    if (!status) status = job.encoder->encode(ctx, stream, out);
    if (status) out->size = before;
    return status;
  }
  mcl_status status = mcl_alloc_zero(ctx, blocks * sizeof *job.buffers, &job.buffers);
  if (!status) status = mcl_alloc_array(ctx, blocks, sizeof *job.sizes, &job.sizes);
  if (!status) status = mcl_parallel(ctx, (int64_t)blocks, run_block, &job);
  if (!status) status = append_blocks(&job, blocks, out);
  if (status) out->size = before;
  for (size_t block = 0; job.buffers && block < blocks; block++)
    if (job.buffers[block].ctx) mcl_buffer_free(&job.buffers[block]);
  mcl_free(ctx, job.buffers);
  mcl_free(ctx, job.sizes);
  return status;
}
