/* Every checksum, every stream decoded. Opening has checked header and directory already. */
#include "artifact/container.h"

static bool is_zero(const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (data[i]) return false;
  return true;
}

/* Padding is not covered by the weights' own checksums. */
static mcl_status verify_padding(const mcl_container *container, const mcl_model *model) {
  size_t at = container->streams_at;
  for (int w = 0; w < container->weight_count; w++) {
    const mcl_container_weight *entry = &container->weights[w];
    for (int i = 0; i < entry->streams; i++) {
      const mcl_coded_stream *stream = &container->streams[entry->first_stream + i];
      size_t start = (size_t)(stream->data - container->data);
      if (!is_zero(container->data + at, start - at))
        return mcl_fail(container->ctx, MCL_ERROR_FORMAT,
                        "%s: weight \"%s\": the padding before stream %d, from byte %zu, is not zero", container->what,
                        model->weights[w].name, i, at);
      at = start + stream->size;
    }
  }
  return MCL_OK;
}

static mcl_status verify_weight(mcl_model *model, int w, uint64_t *hash) {
  const mcl_container *container = mcl_container_of(model);
  MCL_TRY(mcl_weight_load(model, w));
  mcl_status status = mcl_repr_hash(model->weights[w].repr, hash);
  if (!status && mcl_hash_short(*hash) != mcl_container_decoded_hash(container, w))
    status = mcl_fail(model->ctx, MCL_ERROR_FORMAT,
                      "%s: weight \"%s\" decodes to other values than were written (its checksum differs)",
                      container->what, model->weights[w].name);
  mcl_repr_release(model->weights[w].repr); /* one weight in memory at a time */
  model->weights[w].repr = NULL;
  return status;
}

static mcl_status verify_model(mcl_model *model) {
  mcl_context *ctx = model->ctx;
  const mcl_container *container = mcl_container_of(model);
  const uint8_t *end = container->data + container->trailer_at + (size_t)container->weight_count * MCL_TRAILER_WEIGHT;
  mcl_hasher decoded;
  mcl_hasher_begin(&decoded);
  MCL_TRY(verify_padding(container, model));
  for (int w = 0; w < model->weight_count; w++) {
    uint64_t hash;
    uint8_t bytes[8];
    mcl_progress(ctx, "verifying", w, model->weight_count, "weights");
    MCL_TRY(verify_weight(model, w, &hash));
    mcl_store_u64(bytes, hash);
    mcl_hasher_add(&decoded, bytes, sizeof bytes);
  }
  size_t size = container->trailer_at - container->streams_at;
  uint64_t stored;
  MCL_TRY(mcl_hash_long(ctx, container->data + container->streams_at, size, &stored));
  if (stored != mcl_load_u64(end))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the checksum of all streams, bytes %zu to %zu, does not match",
                    container->what, container->streams_at, container->trailer_at);
  if (mcl_hasher_end(&decoded) != mcl_load_u64(end + 8))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the checksum of all weights' values does not match", container->what);
  return MCL_OK;
}

mcl_status mcl_artifact_verify(mcl_context *ctx, const char *path) {
  mcl_model *model;
  MCL_TRY(mcl_model_open(ctx, path, &model));
  mcl_status status = verify_model(model);
  mcl_model_free(model);
  return status;
}
