/* Decoding in slices of a time budget: a weight's checksum a megabyte at a time, then its streams block by block, into
 * memory that has the form of raw streams; when the last is there, the representation is read from those. What a call does
 * beyond its time is at most one such step, and the joining of a weight, which runs at the speed of memory. */
#include "artifact/container.h"
#include "base/context.h"

#define HASH_STEP ((size_t)1 << 20) /* bytes */
#define HEAD 64                     /* keeps elements aligned; its last byte is the coder, raw */

typedef struct mcl_slices {
  int weight;
  size_t hashed; /* bytes of its checksum */
  mcl_hasher hasher;
  mcl_description description; /* what its streams are */
  mcl_coded_stream *decoded;   /* [streams], raw; data NULL: not begun */
  int stream;                  /* that is being decoded */
  size_t block;
} mcl_slices;

void mcl_slices_free(mcl_container *container) {
  mcl_slices *slices = container->slices;
  if (!slices) return;
  mcl_context *ctx = container->ctx;
  for (int i = 0; slices->decoded && i < container->weights[slices->weight].streams; i++)
    if (slices->decoded[i].data) mcl_free(ctx, (uint8_t *)(uintptr_t)slices->decoded[i].data - (HEAD - 1));
  mcl_free(ctx, slices->decoded);
  mcl_free(ctx, slices->description.streams);
  mcl_free(ctx, slices);
  container->slices = NULL;
}

static mcl_status begin(mcl_model *model, int weight) {
  mcl_container *container = mcl_container_of(model);
  const mcl_container_weight *entry = &container->weights[weight];
  mcl_context *ctx = model->ctx;
  mcl_slices *slices;
  mcl_slices_free(container);
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *slices, &slices));
  container->slices = slices;
  slices->weight = weight;
  mcl_hasher_begin(&slices->hasher);
  size_t streams = (size_t)entry->streams;
  mcl_description *description = &slices->description;
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *slices->decoded, &slices->decoded));
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *description->streams, &description->streams));
  description->stream_capacity = entry->streams;
  mcl_repr_reader reader = {.ctx = ctx, .header = {ctx, entry->header, entry->header_size, 0, "its header"}};
  mcl_status status = mcl_describe(&reader, model->weights[weight].shape, description);
  if (!status) return MCL_OK;
  return mcl_fail_where(ctx, status, "%s: weight \"%s\"", container->what, model->weights[weight].name);
}

/* "PATH: weight "NAME": stream N" before the message. */
static mcl_status at_stream(const mcl_model *model, const mcl_slices *slices, mcl_status status) {
  if (!status) return MCL_OK;
  return mcl_fail_where(model->ctx, status, "%s: weight \"%s\": stream %d", mcl_container_of(model)->what,
                        model->weights[slices->weight].name, slices->stream);
}

/* Makes room for the stream that is next, once it is known that its bytes can hold its elements. */
static mcl_status begin_stream(mcl_container *container, mcl_slices *slices) {
  const mcl_coded_stream *coded = &container->streams[container->weights[slices->weight].first_stream + slices->stream];
  const mcl_stream_shape *shape = &slices->description.streams[slices->stream];
  uint8_t *memory;
  MCL_TRY(mcl_stream_check(container->ctx, coded->data, coded->size, shape->alphabet, shape->width, shape->count));
  size_t bytes = shape->count * shape->width, room; /* the check has seen to it that this does not overflow */
  if (!mcl_add_size(bytes, HEAD, &room)) room = SIZE_MAX;
  MCL_TRY(mcl_alloc(container->ctx, room, &memory));
  memory[HEAD - 1] = 0;
  slices->decoded[slices->stream] = (mcl_coded_stream){memory + HEAD - 1, 1 + bytes};
  slices->block = 0;
  return MCL_OK;
}

/* In memory elements are as the machine has them, in a raw stream little-endian: the reader turns them again. */
static void to_raw(uint8_t *elements, const mcl_stream_shape *shape) {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
  for (size_t i = 0; i < shape->count; i++)
    for (uint8_t b = 0; b < shape->width / 2; b++) {
      uint8_t *low = elements + i * shape->width + b, *high = elements + (i + 1) * shape->width - 1 - b, swap = *low;
      *low = *high, *high = swap;
    }
#else
  (void)elements, (void)shape;
#endif
}

/* One step of the weight under way; its representation is there after the last. */
static mcl_status step(mcl_model *model) {
  mcl_container *container = mcl_container_of(model);
  mcl_slices *slices = container->slices;
  const mcl_container_weight *entry = &container->weights[slices->weight];
  size_t size = entry->end - entry->start;
  if (slices->hashed < size) {
    size_t part = size - slices->hashed < HASH_STEP ? size - slices->hashed : HASH_STEP;
    mcl_hasher_add(&slices->hasher, container->data + entry->start + slices->hashed, part);
    slices->hashed += part;
    if (slices->hashed < size) return MCL_OK;
    if (mcl_hash_short(mcl_hasher_end(&slices->hasher)) != mcl_container_stored_hash(container, slices->weight))
      return mcl_container_check_weight(container, model, slices->weight); /* for the message */
    return MCL_OK;
  }
  /* Where the header and the list of streams do not agree, reading will say so. */
  if (slices->stream < entry->streams && slices->description.stream_count == entry->streams) {
    const mcl_coded_stream *coded = &container->streams[entry->first_stream + slices->stream];
    const mcl_stream_shape *shape = &slices->description.streams[slices->stream];
    mcl_coded_stream *decoded = &slices->decoded[slices->stream];
    if (!decoded->data) MCL_TRY(at_stream(model, slices, begin_stream(container, slices)));
    uint8_t *elements = (uint8_t *)(uintptr_t)decoded->data + 1;
    mcl_status status = mcl_stream_decode_block(model->ctx, coded->data, coded->size, shape->alphabet, shape->width,
                                                elements, shape->count, slices->block);
    MCL_TRY(at_stream(model, slices, status));
    if (++slices->block < mcl_stream_block_count(shape->count)) return MCL_OK;
    to_raw(elements, shape);
    slices->stream++;
    return MCL_OK;
  }
  bool complete = slices->stream == entry->streams;
  MCL_TRY(
      mcl_container_read(model, slices->weight, complete ? slices->decoded : container->streams + entry->first_stream));
  mcl_slices_free(container);
  return MCL_OK;
}

/* Raw streams are only copied, or used in place. */
static bool is_raw(const mcl_container *container, int weight) {
  const mcl_container_weight *entry = &container->weights[weight];
  for (int i = 0; i < entry->streams; i++) {
    const mcl_coded_stream *stream = &container->streams[entry->first_stream + i];
    if (strcmp(mcl_stream_coder(stream->data, stream->size), "raw") != 0) return false;
  }
  return true;
}

static mcl_status decode_some(mcl_model *model, int weight) {
  mcl_container *container = mcl_container_of(model);
  if (!container || is_raw(container, weight)) return mcl_weight_load(model, weight);
  mcl_status status = MCL_OK;
  if (!container->slices || container->slices->weight != weight) status = begin(model, weight);
  if (!status) status = step(model);
  if (status) mcl_slices_free(container);
  return status;
}

mcl_status mcl_model_decode(mcl_model *model, uint64_t time_us, bool *finished) {
  uint64_t start = mcl_now_us();
  *finished = false;
  for (int w = 0; w < model->weight_count;) {
    if (model->weights[w].repr) {
      w++;
      continue;
    }
    MCL_TRY(mcl_check_cancel(model->ctx));
    if (time_us == 0) {
      MCL_TRY(mcl_weight_load(model, w)); /* on all threads */
      continue;
    }
    MCL_TRY(decode_some(model, w));
    if (mcl_now_us() - start >= time_us) break;
  }
  for (int w = 0; w < model->weight_count; w++)
    if (!model->weights[w].repr) return MCL_OK;
  *finished = true;
  return MCL_OK;
}
