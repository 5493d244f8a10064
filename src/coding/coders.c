/* The table of coders, and streams: a coder's number, then blocks that all threads decode at once. */
#include "coding/coders.h"

#include "base/threads.h"

const mcl_coder *const mcl_coders[] = {&mcl_coder_raw, &mcl_coder_bitpack, &mcl_coder_huffman, &mcl_coder_planes};
const int mcl_coder_count = sizeof mcl_coders / sizeof mcl_coders[0];

const mcl_coder *mcl_coder_by_id(uint8_t id) { return id < mcl_coder_count ? mcl_coders[id] : NULL; }

const mcl_coder *mcl_coder_by_name(const char *name) {
  for (int i = 0; i < mcl_coder_count; i++)
    if (strcmp(mcl_coders[i]->name, name) == 0) return mcl_coders[i];
  return NULL;
}

bool mcl_symbols_are_below(const void *elements, size_t count, uint8_t width, uint32_t alphabet) {
  uint32_t largest = 0;
  if (alphabet == 0 || count == 0 || (width == 1 && alphabet >= 256)) return true;
  if (width == 1) {
    uint8_t most = 0;
    for (size_t i = 0; i < count; i++)
      most = ((const uint8_t *)elements)[i] > most ? ((const uint8_t *)elements)[i] : most;
    largest = most;
  } else if (width == 2) {
    for (size_t i = 0; i < count; i++)
      if (((const uint16_t *)elements)[i] > largest) largest = ((const uint16_t *)elements)[i];
  } else {
    for (size_t i = 0; i < count; i++)
      if (((const uint32_t *)elements)[i] > largest) largest = ((const uint32_t *)elements)[i];
  }
  return largest < alphabet;
}

/* ---- The blocks of a stream ---- */

typedef struct mcl_blocks {
  mcl_context *ctx;
  const mcl_coder *coder;
  uint32_t alphabet;
  uint8_t width;
  size_t count, blocks;
  size_t sizes_at; /* of the varint sizes within data; 0: a fixed coder, or one block */
  const uint8_t *data, *first;
  size_t size;  /* of data */
  size_t *ends; /* of each block, from first; NULL where blocks are of a known size */
  uint8_t *out;
} mcl_blocks;

static size_t block_count(const mcl_blocks *blocks, size_t block) {
  return block < blocks->blocks - 1 ? MCL_STREAM_BLOCK : blocks->count - block * MCL_STREAM_BLOCK;
}

/* Reads the sizes; with ends, keeps them. Checks each against the least that its elements take. */
static mcl_status read_sizes(mcl_blocks *blocks) {
  mcl_context *ctx = blocks->ctx;
  const mcl_coder *coder = blocks->coder;
  mcl_reader reader = {ctx, blocks->data, blocks->size, 1, coder->name};
  size_t total = 0, size = 0;
  if (coder->fixed) {
    size_t bytes = coder->least_size(blocks->alphabet, blocks->width, blocks->count);
    blocks->first = blocks->data + 1;
    if (blocks->size - 1 == bytes) return MCL_OK;
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %zu elements take %zu bytes, not %zu", coder->name, blocks->count,
                    bytes, blocks->size - 1);
  }
  for (size_t block = 0; block + 1 < blocks->blocks; block++) {
    uint64_t value;
    MCL_TRY(mcl_read_count(&reader, blocks->size - total, "a block's size", &value));
    size = (size_t)value;
    if (size < coder->least_size(blocks->alphabet, blocks->width, MCL_STREAM_BLOCK))
      return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: block %zu of %zu bytes is too short for its elements", coder->name,
                      block, size);
    total += size;
    if (blocks->ends) blocks->ends[block] = total;
  }
  size_t body = blocks->size - reader.at;
  size_t least = coder->least_size(blocks->alphabet, blocks->width, block_count(blocks, blocks->blocks - 1));
  if (total > body || body - total < least)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %zu bytes are too few for %zu elements", coder->name, blocks->size,
                    blocks->count);
  blocks->first = blocks->data + reader.at;
  if (blocks->ends) blocks->ends[blocks->blocks - 1] = body;
  return MCL_OK;
}

static mcl_status open_blocks(mcl_blocks *blocks) {
  mcl_context *ctx = blocks->ctx;
  uint8_t width = blocks->width;
  size_t bytes;
  if (width != 1 && width != 2 && width != 4)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a stream of elements of %d bytes: 1, 2 or 4 are held", width);
  if (!mcl_mul_size(blocks->count, width, &bytes))
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "a stream of %zu elements of %d bytes is larger than memory", blocks->count,
                    width);
  if (blocks->count == 0) {
    if (blocks->size) return mcl_fail(ctx, MCL_ERROR_FORMAT, "%zu bytes for a stream of no elements", blocks->size);
    return MCL_OK;
  }
  if (blocks->size == 0) return mcl_fail(ctx, MCL_ERROR_FORMAT, "no bytes for a stream of %zu elements", blocks->count);
  blocks->coder = mcl_coder_by_id(blocks->data[0]);
  if (!blocks->coder) return mcl_fail(ctx, MCL_ERROR_FORMAT, "unknown coder %d", blocks->data[0]);
  blocks->blocks = mcl_stream_block_count(blocks->count);
  return MCL_OK;
}

mcl_status mcl_stream_check(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                            size_t count) {
  mcl_blocks blocks = {.ctx = ctx, .data = data, .size = size, .alphabet = alphabet, .width = width, .count = count};
  MCL_TRY(open_blocks(&blocks));
  return count ? read_sizes(&blocks) : MCL_OK;
}

static mcl_status decode_block(void *arg, int64_t chunk, int worker) {
  const mcl_blocks *blocks = arg;
  size_t block = (size_t)chunk, count = block_count(blocks, block), start, size;
  (void)worker;
  if (blocks->ends) {
    start = block ? blocks->ends[block - 1] : 0;
    size = blocks->ends[block] - start;
  } else { /* a whole block of a fixed coder is whole bytes */
    size = blocks->coder->least_size(blocks->alphabet, blocks->width, count);
    start = block * blocks->coder->least_size(blocks->alphabet, blocks->width, MCL_STREAM_BLOCK);
  }
  mcl_status status = blocks->coder->decode(blocks->ctx, blocks->first + start, size, blocks->alphabet, blocks->width,
                                            blocks->out + block * MCL_STREAM_BLOCK * blocks->width, count);
  if (status && blocks->blocks > 1) return mcl_fail_where(blocks->ctx, status, "block %zu", block);
  return status;
}

/* Opens a stream and reads where its blocks are; `ends` is to be freed whatever happens. */
static mcl_status find_blocks(mcl_blocks *blocks) {
  MCL_TRY(open_blocks(blocks));
  if (blocks->count == 0) return MCL_OK;
  MCL_TRY(
      read_sizes(blocks)); /* a block takes two bytes at least, so a lying count is refused before memory is taken */
  if (blocks->coder->fixed) return MCL_OK;
  MCL_TRY(mcl_alloc_array(blocks->ctx, blocks->blocks, sizeof *blocks->ends, &blocks->ends));
  return read_sizes(blocks);
}

mcl_status mcl_stream_decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                             void *out, size_t count) {
  mcl_blocks blocks = {.ctx = ctx, .data = data, .size = size, .alphabet = alphabet, .width = width, .count = count};
  blocks.out = out;
  mcl_status status = find_blocks(&blocks);
  if (!status && count) status = mcl_parallel(ctx, (int64_t)blocks.blocks, decode_block, &blocks);
  mcl_free(ctx, blocks.ends);
  return status;
}

size_t mcl_stream_block_count(size_t count) { return count ? (count - 1) / MCL_STREAM_BLOCK + 1 : 0; }

mcl_status mcl_stream_decode_block(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                                   void *out, size_t count, size_t block) {
  mcl_blocks blocks = {.ctx = ctx, .data = data, .size = size, .alphabet = alphabet, .width = width, .count = count};
  blocks.out = out;
  mcl_status status = find_blocks(&blocks);
  if (!status) status = decode_block(&blocks, (int64_t)block, 0);
  mcl_free(ctx, blocks.ends);
  return status;
}

const void *mcl_stream_plain(const uint8_t *data, size_t size, uint8_t width, size_t count) {
  size_t bytes;
  if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || size == 0 || data[0] != mcl_coder_raw.id) return NULL;
  if (!mcl_mul_size(count, width, &bytes) || size - 1 != bytes) return NULL;
  return data + 1;
}

const char *mcl_stream_coder(const uint8_t *data, size_t size) {
  if (size == 0) return "none";
  const mcl_coder *coder = mcl_coder_by_id(data[0]);
  return coder ? coder->name : "unknown";
}
