/* Any bytes as .npy: read or refused, within a memory limit, and nothing is left behind. */
#include <stdlib.h>

#include "formats/arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcl_context *ctx;
  mcl_options options = {.threads = 1, .memory_limit = 64 << 20};
  if (mcl_context_new(&options, &ctx)) return 0;
  mcl_tensor *t;
  if (!mcl_npy_read(ctx, "fuzz.npy", data, size, NULL, &t)) mcl_tensor_release(t);
  if (mcl_context_memory(ctx)) abort();
  mcl_context_free(ctx);
  return 0;
}
