/* What the fuzz targets share: one context a process, choices from the input's bytes, a representation written and read
 * again. */
#ifndef MCL_TESTS_FUZZ_H
#define MCL_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "repr/fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One thread, and little memory: what asks for much is refused before it takes time. */
static inline mcl_context *fuzz_context(size_t memory_limit) {
  static mcl_context *ctx;
  if (!ctx && mcl_context_new(&(mcl_options){.threads = 1, .memory_limit = memory_limit}, &ctx)) exit(1);
  return ctx;
}

/* ---- Choices: bytes in their order, then zeros ---- */

typedef struct fuzz_bytes {
  const uint8_t *data;
  size_t size, at;
} fuzz_bytes;

static inline uint8_t fuzz_byte(fuzz_bytes *bytes) { return bytes->at < bytes->size ? bytes->data[bytes->at++] : 0; }
static inline int fuzz_below(fuzz_bytes *bytes, int n) { return fuzz_byte(bytes) % n; }
static inline bool fuzz_is_empty(const fuzz_bytes *bytes) { return bytes->at == bytes->size; }

/* Mostly small ones, some of which no arithmetic likes. */
static inline float fuzz_float(fuzz_bytes *bytes) {
  static const float odd[] = {0.0f, -0.0f, 1e-40f, 1e-20f, 1e20f, 3.4e38f, -3.4e38f, 65504.0f};
  uint8_t b = fuzz_byte(bytes);
  return b < 8 ? odd[b] : (float)((int)b - 132) / 32;
}

/* ---- Comparing ---- */

/* The same bits, but that NaN is NaN: one that was narrowed need not keep its own. */
static inline bool fuzz_same(const float *a, const float *b, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (memcmp(a + i, b + i, sizeof *a) != 0 && (a[i] == a[i] || b[i] == b[i])) return false;
  return true;
}

static inline mcl_status fuzz_read_repr(mcl_context *ctx, const uint8_t *header, size_t header_size,
                                        const mcl_coded_stream *streams, int count, mcl_shape shape, mcl_repr **out) {
  mcl_repr_reader reader = {
      .ctx = ctx, .header = {ctx, header, header_size, 0, "weight"}, .streams = streams, .stream_count = count};
  return mcl_repr_read(&reader, shape, out);
}

/* Aborts unless what was written is of the size foretold, can be read, and has the same values. */
static inline void fuzz_write_and_read(const mcl_repr *repr, const mcl_tensor *values) {
  mcl_context *ctx = repr->ctx;
  mcl_repr_writer writer;
  mcl_repr *again = NULL;
  mcl_tensor *same = NULL;
  mcl_coded_stream streams[300];
  size_t at = 0, foretold;
  mcl_status status = mcl_repr_bytes(repr, NULL, &foretold);
  if (!status) status = mcl_repr_write_begin(ctx, NULL, false, &writer);
  if (status) return; /* out of memory */
  status = mcl_repr_write(repr, &writer);
  if (!status && (writer.stream_count > 300 || writer.header.size + writer.total != foretold)) abort();
  for (int i = 0; !status && i < writer.stream_count; at += writer.stream_size[i++])
    streams[i] = (mcl_coded_stream){writer.streams.data + at, writer.stream_size[i]};
  if (!status)
    status =
        fuzz_read_repr(ctx, writer.header.data, writer.header.size, streams, writer.stream_count, repr->shape, &again);
  if (!status) status = mcl_repr_values(again, &same);
  if (status && status != MCL_ERROR_MEMORY) {
    fprintf(stderr, "what was written is refused: %s\n", mcl_context_message(ctx));
    abort();
  }
  if (!status && !fuzz_same(mcl_tensor_f32(same), values->data, values->count)) abort();
  mcl_tensor_release(same);
  mcl_repr_release(again);
  mcl_repr_write_end(&writer);
}

#endif
