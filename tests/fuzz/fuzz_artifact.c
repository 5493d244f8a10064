/* Containers: whatever the bytes, opening, describing and decoding end within bounds; what opens and decodes is written
 * again, opens, and has the same values. Checksums are mended first, or nothing behind them would be reached. */
#include "artifact/container.h"

#include "fuzz.h"

/* The guard after the directory. */
static void mend_guard(mcl_context *ctx, uint8_t *data, size_t size) {
  mcl_reader reader = {ctx, data, size, MCL_HEADER_FIXED + 1, "fuzz"};
  uint64_t directory, stored;
  const uint8_t *bytes;
  if (size < MCL_HEADER_FIXED + 1 || mcl_read_varint(&reader, &directory)) return;
  stored = directory;
  if ((data[6] & MCL_FEATURE_ZSTD_DIRECTORY) && mcl_read_varint(&reader, &stored)) return;
  if (stored > size || mcl_read_bytes(&reader, (size_t)stored, &bytes) || size - reader.at < 8) return;
  mcl_store_u64(data + reader.at, mcl_hash(data, reader.at));
}

/* Of each weight's stored bytes, which its container has placed already. */
static void mend_weights(mcl_model *model, uint8_t *data) {
  const mcl_container *container = mcl_container_of(model);
  if (container->is_wrapped) return;
  for (int w = 0; w < container->weight_count; w++) {
    const mcl_container_weight *entry = &container->weights[w];
    uint64_t hash = mcl_hash(data + entry->start, entry->end - entry->start);
    mcl_store_u32(data + container->trailer_at + (size_t)w * MCL_TRAILER_WEIGHT, mcl_hash_short(hash));
  }
}

static void describe(mcl_model *model) {
  const mcl_container *container = mcl_container_of(model);
  for (int w = 0; w < model->weight_count; w++) {
    const mcl_container_weight *entry = &container->weights[w];
    mcl_repr_reader reader = {.ctx = model->ctx, .header = {model->ctx, entry->header, entry->header_size, 0, "fuzz"}};
    mcl_description description = {.streams = NULL};
    if (mcl_describe(&reader, model->weights[w].shape, &description)) continue;
  }
}

/* Every weight decoded, and small enough to compare. */
static bool load_all(mcl_model *model) {
  bool finished = false;
  for (int w = 0; w < model->weight_count; w += 2) /* some at once, the others in slices */
    if (mcl_weight_load(model, w)) return false;
  while (!finished)
    if (mcl_model_decode(model, 1, &finished)) return false;
  for (int w = 0; w < model->weight_count; w++)
    if (model->weights[w].repr->count > 100000) return false;
  return true;
}

static void write_again(mcl_model *model) {
  mcl_context *ctx = model->ctx;
  mcl_buffer file = {.ctx = ctx};
  mcl_model *again;
  size_t foretold;
  mcl_status status = mcl_artifact_size(model, NULL, &foretold);
  if (!status) status = mcl_artifact_encode(model, NULL, &file);
  if (status == MCL_ERROR_MEMORY) { /* the limit on memory is a reason */
    mcl_buffer_free(&file);
    return;
  }
  if (status || file.size != foretold) abort();
  status = mcl_model_open_memory(ctx, file.data, file.size, &again);
  for (int w = 0; w < model->weight_count && !status; w++) {
    mcl_tensor *a, *b;
    status = mcl_weight_values(model, w, &a);
    if (!status) status = mcl_weight_values(again, w, &b);
    if (!status && !fuzz_same(mcl_tensor_f32(a), mcl_tensor_f32(b), a->count)) abort();
  }
  if (status && status != MCL_ERROR_MEMORY) abort();
  mcl_model_free(again);
  mcl_buffer_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcl_context *ctx = fuzz_context((size_t)2 << 20);
  mcl_model *model;
  uint8_t *copy;
  if (mcl_alloc(ctx, size, &copy)) return 0;
  if (size) memcpy(copy, data, size);
  mend_guard(ctx, copy, size);
  if (!mcl_model_open_memory(ctx, copy, size, &model)) {
    mend_weights(model, copy);
    describe(model);
    if (load_all(model)) write_again(model);
    mcl_model_free(model);
  }
  mcl_free(ctx, copy);
  return 0;
}
