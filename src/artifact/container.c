/* The container, opened: header, outer wrap, guard, directory, and the place of every stream. Nothing that the file says
 * is believed before it is compared with the file's size. */
#include <stdio.h>

#include "artifact/container.h"

const uint8_t mcl_container_magic[4] = {'M', 'C', 'L', 0x1a};
const char *const mcl_name_suffixes[4] = {"", ".weight", ".bias", NULL};

bool mcl_artifact_is(const uint8_t *data, size_t size) {
  return size >= sizeof mcl_container_magic && memcmp(data, mcl_container_magic, sizeof mcl_container_magic) == 0;
}

void mcl_container_free(void *source) {
  mcl_container *container = source;
  if (!container) return;
  mcl_context *ctx = container->ctx;
  mcl_slices_free(container);
  mcl_free(ctx, container->weights);
  mcl_free(ctx, container->streams);
  mcl_free(ctx, container->inflated);
  mcl_free(ctx, container->unwrapped);
  mcl_free(ctx, container->what);
  mcl_file_map_release(container->map);
  mcl_free(ctx, container);
}

mcl_container *mcl_container_of(const mcl_model *model) {
  return model->free_source == mcl_container_free ? model->source : NULL;
}

/* ---- The header ---- */

static mcl_status read_features(mcl_container *container, uint8_t *features) {
  mcl_context *ctx = container->ctx;
  const uint8_t *data = container->data;
  if (!mcl_artifact_is(data, container->size))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not an mcl container: it does not begin with the magic \"MCL\\x1a\"",
                    container->what);
  if (container->size < MCL_HEADER_FIXED)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: ends within its header, at byte %zu", container->what, container->size);
  container->version_major = data[4];
  container->version_minor = data[5];
  if (data[4] < 1 || data[4] > MCL_CONTAINER_MAJOR)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: format version %d.%d, and this mcl reads up to %d.x; open it with a newer mcl",
                    container->what, data[4], data[5], MCL_CONTAINER_MAJOR);
  *features = data[6];
  if (*features & ~(MCL_FEATURE_ZSTD_DIRECTORY | MCL_FEATURE_ZSTD_WRAP))
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: needs features 0x%02x that this mcl does not know; use a newer mcl", container->what,
                    *features & ~(MCL_FEATURE_ZSTD_DIRECTORY | MCL_FEATURE_ZSTD_WRAP));
  return MCL_OK;
}

static mcl_status unwrap(mcl_container *container) {
  mcl_context *ctx = container->ctx;
  mcl_reader reader = {ctx, container->data, container->size, MCL_HEADER_FIXED, container->what};
  uint64_t size, guard;
  uint8_t features;
  mcl_hasher hasher;
  /* A zstd block of at most 128 KiB takes three bytes at least. */
  uint64_t most = (uint64_t)container->size * ((128u << 10) / 3);
  MCL_TRY(mcl_read_count(&reader, most, "the unwrapped size", &size));
  mcl_hasher_begin(&hasher);
  mcl_hasher_add(&hasher, container->data, reader.at);
  MCL_TRY(mcl_read_u64(&reader, &guard));
  mcl_hasher_add(&hasher, container->data + reader.at, container->size - reader.at);
  if (guard != mcl_hasher_end(&hasher))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the zstd wrap is damaged: its checksum does not match",
                    container->what);
  if (size > mcl_context_dense_limit(ctx, container->file_size))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the zstd wrap says that it holds %llu bytes, above the limit of %llu",
                    container->what, (unsigned long long)size,
                    (unsigned long long)mcl_context_dense_limit(ctx, container->file_size));
  MCL_TRY(mcl_alloc(ctx, (size_t)size, &container->unwrapped));
  mcl_status status = mcl_zstd_decompress(ctx, container->data + reader.at, container->size - reader.at,
                                          container->unwrapped, (size_t)size);
  if (status) return mcl_fail_where(ctx, status, "%s: the zstd wrap", container->what);
  container->data = container->unwrapped;
  container->size = (size_t)size;
  container->is_wrapped = true;
  status = read_features(container, &features);
  if (status) return mcl_fail_where(ctx, status, "within the zstd wrap");
  if (features & MCL_FEATURE_ZSTD_WRAP)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: a zstd wrap within a zstd wrap", container->what);
  return MCL_OK;
}

static mcl_status read_header(mcl_container *container) {
  mcl_context *ctx = container->ctx;
  uint8_t features, alignment;
  uint64_t size, stored = 0;
  MCL_TRY(read_features(container, &features));
  if (features & MCL_FEATURE_ZSTD_WRAP) {
    MCL_TRY(unwrap(container));
    features = container->data[6];
  }
  mcl_reader reader = {ctx, container->data, container->size, MCL_HEADER_FIXED, container->what};
  MCL_TRY(mcl_read_u8(&reader, &alignment));
  if (alignment > MCL_MAX_ALIGNMENT_LOG2)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: byte %d: an alignment of 2^%d", container->what, MCL_HEADER_FIXED,
                    alignment);
  container->alignment = 1 << alignment;
  bool packed = features & MCL_FEATURE_ZSTD_DIRECTORY;
  uint64_t left = container->size;
  MCL_TRY(mcl_read_count(&reader, packed ? left * ((128u << 10) / 3) : left, "the directory's size", &size));
  if (packed) MCL_TRY(mcl_read_count(&reader, left, "the directory's stored size", &stored));
  container->directory_size = (size_t)size;
  container->directory_stored = packed ? (size_t)stored : (size_t)size;
  MCL_TRY(mcl_read_bytes(&reader, container->directory_stored, &container->directory));
  size_t guarded = reader.at;
  uint64_t guard;
  MCL_TRY(mcl_read_u64(&reader, &guard));
  if (guard != mcl_hash(container->data, guarded))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the directory is damaged: its checksum at byte %zu does not match",
                    container->what, guarded);
  container->streams_at = reader.at;
  if (!packed) return MCL_OK;
  MCL_TRY(mcl_alloc(ctx, container->directory_size, &container->inflated));
  mcl_status status = mcl_zstd_decompress(ctx, container->directory, container->directory_stored, container->inflated,
                                          container->directory_size);
  if (status) return mcl_fail_where(ctx, status, "%s: the directory", container->what);
  container->directory = container->inflated;
  return MCL_OK;
}

/* ---- Streams ---- */

/* Their places follow from their sizes. */
static mcl_status place_streams(mcl_container *container, const mcl_model *model) {
  size_t at = container->streams_at, alignment = (size_t)container->alignment;
  for (int w = 0; w < container->weight_count; w++) {
    mcl_container_weight *weight = &container->weights[w];
    weight->start = weight->end = at;
    for (int i = 0; i < weight->streams; i++) {
      mcl_coded_stream *stream = &container->streams[weight->first_stream + i];
      size_t start = mcl_stream_start(at, alignment);
      if (start > container->size || stream->size > container->size - start)
        return mcl_fail(container->ctx, MCL_ERROR_FORMAT,
                        "%s: weight \"%s\": stream %d of %zu bytes passes the end of the file; is it cut off?",
                        container->what, model->weights[w].name, i, stream->size);
      stream->data = container->data + start;
      if (i == 0) weight->start = start;
      weight->end = at = start + stream->size;
    }
  }
  size_t trailer = (size_t)container->weight_count * MCL_TRAILER_WEIGHT + MCL_TRAILER_END;
  if (container->size - at != trailer)
    return mcl_fail(container->ctx, MCL_ERROR_FORMAT,
                    "%s: %zu bytes after the last stream, where the checksums take %zu; is the file cut off?",
                    container->what, container->size - at, trailer);
  container->trailer_at = at;
  return MCL_OK;
}

mcl_status mcl_container_read(mcl_model *model, int weight, const mcl_repr_reader *ready) {
  mcl_context *ctx = model->ctx;
  const mcl_container *container = mcl_container_of(model);
  const mcl_container_weight *entry = &container->weights[weight];
  char *what;
  size_t room = strlen(container->what) + strlen(model->weights[weight].name) + 16;
  MCL_TRY(mcl_alloc(ctx, room, &what));
  snprintf(what, room, "%s: weight \"%s\"", container->what, model->weights[weight].name);
  mcl_repr_reader reader = {.ctx = ctx,
                            .header = {ctx, entry->header, entry->header_size, 0, what},
                            .streams = container->streams + entry->first_stream,
                            .stream_count = entry->streams,
                            .map = container->map};
  if (ready)
    reader.ready = ready->ready, reader.positions = ready->positions, reader.positions_end = ready->positions_end;
  mcl_repr *repr = NULL;
  mcl_status status = mcl_repr_read(&reader, model->weights[weight].shape, &repr);
  if (!status && reader.header.at != reader.header.size)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %zu bytes after its representation's header", what,
                      reader.header.size - reader.header.at);
  if (!status && reader.next_stream != reader.stream_count)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %d streams, of which its representation has only %d", what,
                      reader.stream_count, reader.next_stream);
  if (!status)
    model->weights[weight].repr = repr;
  else
    mcl_repr_release(repr);
  mcl_free(ctx, what);
  return status;
}

static mcl_status load_weight(mcl_model *model, int weight) {
  const mcl_container *container = mcl_container_of(model);
  MCL_TRY(mcl_container_check_weight(container, model, weight));
  return mcl_container_read(model, weight, NULL);
}

/* ---- Opening ---- */

mcl_status mcl_container_check_claim(const mcl_model *model, uint64_t stored, mcl_status failure) {
  uint64_t limit = mcl_context_dense_limit(model->ctx, stored), claimed = 0;
  for (int w = 0; w < model->weight_count && claimed <= limit; w++) {
    int64_t count;
    MCL_TRY(mcl_shape_count(model->ctx, model->weights[w].shape, &count));
    claimed += (uint64_t)count < UINT64_MAX / 8 ? 4 * (uint64_t)count : UINT64_MAX / 2;
  }
  if (claimed <= limit) return MCL_OK;
  return mcl_fail(
      model->ctx, failure,
      "%s: %llu bytes stand for %llu bytes of weights or more, above the limit of %llu; where that is meant, "
      "raise the limit (dense_limit, or mcl --dense-limit BYTES)",
      model->name, (unsigned long long)stored, (unsigned long long)claimed, (unsigned long long)limit);
}

mcl_status mcl_container_open(mcl_context *ctx, mcl_file_map *map, const uint8_t *data, size_t size, const char *what,
                              mcl_model **out) {
  mcl_container *container = NULL;
  mcl_model *model = NULL;
  *out = NULL;
  mcl_status status = mcl_alloc_zero(ctx, sizeof *container, &container);
  if (status) {
    mcl_file_map_release(map);
    return status;
  }
  *container = (mcl_container){.ctx = ctx, .map = map, .data = data, .size = size, .file_size = size};
  status = mcl_strdup(ctx, what, &container->what);
  if (!status) status = read_header(container);
  if (!status && container->is_wrapped) {
    mcl_file_map_release(container->map); /* nothing in it is used any more */
    container->map = NULL;
  }
  if (!status) status = mcl_model_new(ctx, what, &model);
  if (!status) status = mcl_graph_read(container, model);
  if (!status) status = mcl_container_check_claim(model, container->file_size, MCL_ERROR_FORMAT);
  if (!status) status = place_streams(container, model);
  if (status) {
    mcl_model_free(model);
    mcl_container_free(container);
    return status;
  }
  model->source = container;
  model->free_source = mcl_container_free;
  model->load_weight = load_weight;
  *out = model;
  return MCL_OK;
}

/* ---- Checksums ---- */

static const uint8_t *trailer_entry(const mcl_container *container, int weight) {
  return container->data + container->trailer_at + (size_t)weight * MCL_TRAILER_WEIGHT;
}

uint32_t mcl_container_stored_hash(const mcl_container *container, int weight) {
  return mcl_load_u32(trailer_entry(container, weight));
}

uint32_t mcl_container_decoded_hash(const mcl_container *container, int weight) {
  return mcl_load_u32(trailer_entry(container, weight) + 4);
}

mcl_status mcl_container_check_weight(const mcl_container *container, const mcl_model *model, int weight) {
  const mcl_container_weight *entry = &container->weights[weight];
  uint64_t hash;
  MCL_TRY(mcl_hash_long(container->ctx, container->data + entry->start, entry->end - entry->start, &hash));
  if (mcl_hash_short(hash) == mcl_container_stored_hash(container, weight)) return MCL_OK;
  return mcl_fail(container->ctx, MCL_ERROR_FORMAT,
                  "%s: weight \"%s\" is damaged: the checksum of its %zu bytes from byte %zu%s does not match",
                  container->what, model->weights[weight].name, entry->end - entry->start, entry->start,
                  container->is_wrapped ? " (within the zstd wrap)" : "");
}
