/* Decoding in slices of a time budget: a weight's checksum a megabyte at a time, its streams block by block into the memory
 * that the representation will have, positions of sparse weights some 130,000 at a time; then the representation is put
 * together from what is ready. What a call does beyond its time is at most one such step. */
#include "artifact/container.h"
#include "base/context.h"
#include "repr/sparse_positions.h"

#define HASH_STEP ((size_t)1 << 20) /* bytes */

typedef struct mcl_slices {
  int weight;
  size_t hashed; /* bytes of its checksum */
  mcl_hasher hasher;
  mcl_description description;   /* what its streams are */
  mcl_ready_stream *ready;       /* [streams] */
  mcl_ready_positions *finished; /* [description.positions_count] */
  mcl_positions positions;       /* under way */
  bool is_under_way;
  int stream, positions_done; /* what comes next */
  size_t block;
} mcl_slices;

void mcl_slices_free(mcl_container *container) {
  mcl_slices *slices = container->slices;
  if (!slices) return;
  mcl_context *ctx = container->ctx;
  for (int i = 0; slices->ready && i < container->weights[slices->weight].streams; i++)
    mcl_free(ctx, slices->ready[i].elements);
  for (int i = 0; i < slices->positions_done; i++) {
    mcl_free(ctx, slices->finished[i].column);
    mcl_free(ctx, slices->finished[i].row_start);
  }
  if (slices->is_under_way) mcl_positions_free(&slices->positions);
  mcl_free(ctx, slices->finished);
  mcl_free(ctx, slices->ready);
  mcl_free(ctx, slices->description.positions);
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
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *slices->ready, &slices->ready));
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *slices->finished, &slices->finished));
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *description->streams, &description->streams));
  MCL_TRY(mcl_alloc_zero(ctx, streams * sizeof *description->positions, &description->positions));
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

static mcl_status hash_step(mcl_model *model, mcl_container *container, mcl_slices *slices, size_t size) {
  const mcl_container_weight *entry = &container->weights[slices->weight];
  size_t part = size - slices->hashed < HASH_STEP ? size - slices->hashed : HASH_STEP;
  mcl_hasher_add(&slices->hasher, container->data + entry->start + slices->hashed, part);
  slices->hashed += part;
  if (slices->hashed < size) return MCL_OK;
  if (mcl_hash_short(mcl_hasher_end(&slices->hasher)) != mcl_container_stored_hash(container, slices->weight))
    return mcl_container_check_weight(container, model, slices->weight); /* for the message */
  return MCL_OK;
}

/* Makes room for the stream that is next, once it is known that its bytes can hold its elements. */
static mcl_status begin_stream(mcl_container *container, mcl_slices *slices) {
  const mcl_coded_stream *coded = &container->streams[container->weights[slices->weight].first_stream + slices->stream];
  const mcl_stream_shape *shape = &slices->description.streams[slices->stream];
  mcl_ready_stream *ready = &slices->ready[slices->stream];
  MCL_TRY(mcl_stream_check(container->ctx, coded->data, coded->size, shape->alphabet, shape->width, shape->count));
  *ready = (mcl_ready_stream){.alphabet = shape->alphabet, .width = shape->width, .count = shape->count};
  slices->block = 0;
  return mcl_alloc_array(container->ctx, shape->count, shape->width, &ready->elements);
}

/* Raw values of a file are used where they lie; only where a representation is read is it known whether they may be. */
static bool may_stay(const mcl_container *container, const mcl_coded_stream *coded, const mcl_stream_shape *shape) {
  return container->map && shape->alphabet == 0 && !strcmp(mcl_stream_coder(coded->data, coded->size), "raw");
}

static mcl_status stream_step(mcl_container *container, mcl_slices *slices) {
  const mcl_coded_stream *coded = &container->streams[container->weights[slices->weight].first_stream + slices->stream];
  const mcl_stream_shape *shape = &slices->description.streams[slices->stream];
  mcl_ready_stream *ready = &slices->ready[slices->stream];
  if (may_stay(container, coded, shape)) {
    slices->stream++;
    return MCL_OK;
  }
  if (!ready->elements) MCL_TRY(begin_stream(container, slices));
  MCL_TRY(mcl_stream_decode_block(container->ctx, coded->data, coded->size, shape->alphabet, shape->width,
                                  ready->elements, shape->count, slices->block));
  if (++slices->block == mcl_stream_block_count(shape->count)) slices->stream++;
  return MCL_OK;
}

/* Are the streams that positions are made from there, as the header says? Where not, reading says what is wrong. */
static bool can_build(const mcl_slices *slices, const mcl_positions_shape *shape, int streams) {
  int shift = shape->layout >> MCL_SPARSE_SHIFT & 7, last = shape->stream + (shift != 0);
  if (last >= streams || mcl_shape_rows(shape->shape) > UINT32_MAX || mcl_shape_cols(shape->shape) > UINT32_MAX)
    return false;
  const mcl_ready_stream *symbols = &slices->ready[shape->stream], *low = &slices->ready[last];
  if (!symbols->elements || symbols->alphabet != 256 || symbols->width != 1) return false;
  return !shift ||
         (low->elements && low->alphabet == 1u << shift && low->width == 1 && low->count == (size_t)shape->nonzeros);
}

static mcl_status begin_positions(mcl_model *model, mcl_slices *slices, const mcl_positions_shape *shape) {
  const mcl_ready_stream *ready = &slices->ready[shape->stream];
  mcl_positions *p = &slices->positions;
  *p = (mcl_positions){.ctx = model->ctx,
                       .what = "positions",
                       .shape = shape->shape,
                       .nonzeros = shape->nonzeros,
                       .layout = shape->layout,
                       .symbols = ready->elements,
                       .symbol_count = ready->count};
  if (shape->layout >> MCL_SPARSE_SHIFT & 7) p->low = ready[1].elements;
  MCL_TRY(mcl_shape_count(model->ctx, shape->shape, &p->count));
  slices->is_under_way = true;
  return mcl_positions_begin(p);
}

static mcl_status positions_step(mcl_model *model, mcl_slices *slices, int streams) {
  const mcl_positions_shape *shape = &slices->description.positions[slices->positions_done];
  mcl_positions *p = &slices->positions;
  bool done = !can_build(slices, shape, streams);
  mcl_status status = MCL_OK;
  if (!done && !slices->is_under_way) status = begin_positions(model, slices, shape);
  if (!done && !status) status = mcl_positions_step(p, &done);
  if (status && status != MCL_ERROR_FORMAT) return status;
  if (!done && !status) return MCL_OK;
  mcl_ready_positions *finished = &slices->finished[slices->positions_done++];
  *finished = (mcl_ready_positions){.shape = shape->shape, .nonzeros = shape->nonzeros};
  if (!slices->is_under_way) return MCL_OK;
  if (!status) { /* else nothing is ready, and reading says what is wrong, and where */
    finished->column = p->column, finished->row_start = p->row_start;
    p->column = p->row_start = NULL;
  }
  mcl_positions_free(p);
  slices->is_under_way = false;
  return MCL_OK;
}

/* One step of the weight under way; its representation is there after the last. */
static mcl_status step(mcl_model *model) {
  mcl_container *container = mcl_container_of(model);
  mcl_slices *slices = container->slices;
  const mcl_container_weight *entry = &container->weights[slices->weight];
  size_t size = entry->end - entry->start;
  /* Where the header and the list of streams do not agree, reading says so. */
  bool agrees = slices->description.stream_count == entry->streams;
  if (slices->hashed < size) return hash_step(model, container, slices, size);
  if (agrees && slices->stream < entry->streams) return at_stream(model, slices, stream_step(container, slices));
  if (agrees && slices->positions_done < slices->description.positions_count && slices->positions_done < entry->streams)
    return positions_step(model, slices, entry->streams);
  mcl_repr_reader ready = {.ready = slices->ready,
                           .positions = slices->finished,
                           .positions_end = slices->finished + slices->positions_done};
  MCL_TRY(mcl_container_read(model, slices->weight, &ready));
  mcl_slices_free(container);
  return MCL_OK;
}

static mcl_status decode_some(mcl_model *model, int weight) {
  mcl_container *container = mcl_container_of(model);
  if (!container) return mcl_weight_load(model, weight);
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
