/* Any bytes as .npz: read or refused, within a memory limit, and nothing is left behind. */
#include <stdlib.h>

#include "formats/arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcl_context *ctx;
  mcl_options options = {.threads = 1, .memory_limit = 64 << 20};
  if (mcl_context_new(&options, &ctx)) return 0;
  mcl_named_tensor *list;
  int count;
  if (!mcl_npz_read(ctx, "fuzz.npz", data, size, NULL, &list, &count)) mcl_tensor_list_free(ctx, list, count);
  if (mcl_context_memory(ctx)) abort();
  mcl_context_free(ctx);
  return 0;
}
