/* Any bytes as .onnx: read or refused, within a memory limit, and nothing is left behind. What is read is written and
 * must then be read again. */
#include <stdlib.h>

#include "formats/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(mcl_context *ctx, mcl_model *model) {
  mcl_buffer bytes = {.ctx = ctx};
  mcl_model *again;
  mcl_status status = mcl_onnx_encode(model, &bytes);
  if (!status) {
    status = mcl_onnx_read(ctx, "again.onnx", NULL, bytes.data, bytes.size, &again);
    if (status == MCL_ERROR_FORMAT) abort();
    if (!status) mcl_model_free(again);
  }
  mcl_buffer_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcl_context *ctx;
  mcl_model *model;
  mcl_options options = {.threads = 1, .memory_limit = 64 << 20};
  if (mcl_context_new(&options, &ctx)) return 0;
  if (!mcl_onnx_read(ctx, "fuzz.onnx", NULL, data, size, &model)) {
    write_and_read(ctx, model);
    mcl_model_free(model);
  }
  if (mcl_context_memory(ctx)) abort();
  mcl_context_free(ctx);
  return 0;
}
