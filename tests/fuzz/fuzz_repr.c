/* Reads a representation from any bytes: whatever is accepted must decode within the memory limit, and be the same after it
 * was written and read again.
 *
 * Input: u8 rows, u8 columns; u8 size of the header, the header; then streams, each of u8 size and its bytes. */
#include <stdlib.h>

#include "repr/fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mcl_status read_all(mcl_context *ctx, const uint8_t *header, size_t header_size, const mcl_coded_stream *streams,
                           int count, mcl_shape shape, mcl_repr **out) {
  mcl_repr_reader reader = {
      .ctx = ctx, .header = {ctx, header, header_size, 0, "weight"}, .streams = streams, .stream_count = count};
  return mcl_repr_read(&reader, shape, out);
}

static void write_and_read(mcl_context *ctx, const mcl_repr *repr, const mcl_tensor *values) {
  mcl_repr_writer writer;
  mcl_repr *again;
  if (mcl_repr_write_begin(ctx, NULL, false, &writer) || mcl_repr_write(repr, &writer)) abort();
  mcl_coded_stream streams[300];
  size_t at = 0;
  if (writer.stream_count > 300) abort();
  for (int i = 0; i < writer.stream_count; at += writer.stream_size[i++])
    streams[i] = (mcl_coded_stream){writer.streams.data + at, writer.stream_size[i]};
  if (read_all(ctx, writer.header.data, writer.header.size, streams, writer.stream_count, repr->shape, &again)) abort();
  mcl_tensor *same;
  if (mcl_repr_values(again, &same)) abort();
  const float *a = mcl_tensor_f32(same), *b = values->data;
  for (int64_t i = 0; i < values->count; i++)
    if (memcmp(a + i, b + i, sizeof *a) != 0 && (a[i] == a[i] || b[i] == b[i])) abort(); /* NaN is NaN */
  mcl_tensor_release(same);
  mcl_repr_release(again);
  mcl_repr_write_end(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3 || (size_t)data[2] + 3 > size) return 0;
  mcl_context *ctx;
  mcl_options options = {.memory_limit = (size_t)32 << 20, .threads = 1};
  if (mcl_context_new(&options, &ctx)) return 0;
  mcl_coded_stream streams[16];
  int count = 0;
  for (size_t at = 3 + (size_t)data[2]; at < size && count < 16; count++) {
    size_t length = data[at++];
    if (length > size - at) length = size - at;
    streams[count] = (mcl_coded_stream){data + at, length};
    at += length;
  }
  mcl_repr *repr = NULL;
  mcl_tensor *values = NULL;
  if (!read_all(ctx, data + 3, data[2], streams, count, mcl_shape_2(data[0], data[1]), &repr) &&
      !mcl_repr_values(repr, &values))
    write_and_read(ctx, repr, values);
  mcl_tensor_release(values);
  mcl_repr_release(repr);
  mcl_context_free(ctx);
  return 0;
}
