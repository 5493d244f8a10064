/* Streams of every coder: what is decoded must be encoded again in the size foretold, and come back.
 * Input: u8 width, u8 alphabet, u16 count in units of 1 (bit 15: of 64), then a coded stream. */
#include <stdlib.h>

#include "coding/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_again(mcl_context *ctx, const mcl_stream *stream, uint8_t *out) {
  mcl_buffer coded = {.ctx = ctx};
  size_t foretold;
  if (mcl_stream_size(ctx, stream, NULL, &foretold) || mcl_stream_encode(ctx, stream, NULL, &coded)) abort();
  if (coded.size != foretold) abort();
  if (mcl_stream_decode(ctx, coded.data, coded.size, stream->alphabet, stream->width, out, stream->count)) abort();
  if (stream->count && memcmp(out, stream->data, stream->count * stream->width) != 0) abort();
  mcl_buffer_free(&coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static mcl_context *ctx;
  if (!ctx && mcl_context_new(&(mcl_options){.threads = 1}, &ctx)) return 0;
  if (size < 4) return 0;
  uint8_t width = (uint8_t)(1 << data[0] % 3);
  uint32_t alphabet = width == 1 ? data[1] : data[1] * 1000u;
  size_t count = (size_t)(data[2] | (data[3] & 0x7f) << 8) * (data[3] & 0x80 ? 64 : 1);
  uint8_t *symbols, *again;
  if (mcl_alloc(ctx, count * width, &symbols)) return 0;
  if (mcl_alloc(ctx, count * width, &again)) abort();
  mcl_status checked = mcl_stream_check(ctx, data + 4, size - 4, alphabet, width, count);
  mcl_status decoded = mcl_stream_decode(ctx, data + 4, size - 4, alphabet, width, symbols, count);
  if (checked && !decoded) abort(); /* check refuses only what decode refuses */
  if (!decoded) encode_again(ctx, &(mcl_stream){symbols, count, width, alphabet}, again);
  mcl_free(ctx, symbols);
  mcl_free(ctx, again);
  return 0;
}
