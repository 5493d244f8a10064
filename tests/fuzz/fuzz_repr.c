/* Reads a representation from any bytes: whatever is accepted must decode within the memory limit, and be the same after it
 * was written and read again.
 *
 * Input: u8 rows, u8 columns; u8 size of the header, the header; then streams, each of u8 size and its bytes. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3 || (size_t)data[2] + 3 > size) return 0;
  mcl_context *ctx = fuzz_context((size_t)1 << 20);
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
  if (!fuzz_read_repr(ctx, data + 3, data[2], streams, count, mcl_shape_2(data[0], data[1]), &repr) &&
      !mcl_repr_values(repr, &values))
    fuzz_write_and_read(repr, values);
  mcl_tensor_release(values);
  mcl_repr_release(repr);
  if (mcl_context_memory(ctx)) abort();
  return 0;
}
