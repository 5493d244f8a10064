/* Huffman, encoding. Codes are optimal among those of at most 11 bits: Huffman's own where they are short enough,
 * otherwise by package-merge (Larmore & Hirschberg 1990). The exact size comes from the histograms of the lanes. */
#include <stdlib.h>

#include "coding/coders.h"
#include "coding/huffman.h"

#define HEAD_MAX 512 /* bytes of last, single and lengths; 11 bits a symbol at the very worst */

typedef struct mcl_code_builder { /* symbols that occur, rarest first */
  int used;
  uint8_t symbol[256];
  uint32_t weight[256];
} mcl_code_builder;

typedef struct mcl_block_plan {
  uint32_t histogram[MCL_HUFFMAN_LANES][256];
  uint8_t length[256];
  int lanes;
  size_t each; /* symbols a lane, but for the last */
  uint8_t head[HEAD_MAX];
  size_t head_bits;
  bool single;
  size_t lane_size[MCL_HUFFMAN_LANES];
  size_t size;
} mcl_block_plan;

/* ---- Code lengths ---- */

static void sort_symbols(const uint32_t *count, mcl_code_builder *builder) {
  uint64_t keys[256];
  int used = 0;
  for (int symbol = 0; symbol < 256; symbol++) {
    if (!count[symbol]) continue;
    uint64_t key = (uint64_t)count[symbol] << 8 | (uint64_t)(255 - symbol); /* of equals, the later one is the rarer */
    int at = used++;
    for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
    keys[at] = key;
  }
  builder->used = used;
  for (int i = 0; i < used; i++) {
    builder->symbol[i] = (uint8_t)(255 - (keys[i] & 0xff));
    builder->weight[i] = (uint32_t)(keys[i] >> 8);
  }
}

/* Huffman's algorithm with two queues: leaves in order, and inner nodes, which come in order by themselves. Gives the
 * depths of leaves, and the largest of them. */
static int huffman_depths(const mcl_code_builder *builder, uint8_t *depth) {
  uint64_t weight[512];
  uint16_t parent[512], level[512];
  int leaves = builder->used, next_leaf = 0, next_node = leaves, nodes = leaves;
  for (int i = 0; i < leaves; i++) weight[i] = builder->weight[i];
  while (nodes < 2 * leaves - 1) {
    weight[nodes] = 0;
    for (int k = 0; k < 2; k++) {
      bool leaf = next_leaf < leaves && (next_node >= nodes || weight[next_leaf] <= weight[next_node]);
      int child = leaf ? next_leaf++ : next_node++;
      weight[nodes] += weight[child];
      parent[child] = (uint16_t)nodes;
    }
    nodes++;
  }
  int deepest = 0;
  level[nodes - 1] = 0;
  for (int i = nodes - 2; i >= 0; i--) {
    level[i] = (uint16_t)(level[parent[i]] + 1);
    if (i < leaves) depth[i] = (uint8_t)level[i];
    if (level[i] > deepest) deepest = level[i];
  }
  return deepest;
}

/* Package-merge: at each of 11 levels the leaves are merged with the pairs of the level below; the first 2n-2 items of
 * the last level are taken, and a leaf's depth is how often it is within what was taken. Leaves are taken in order, so
 * a level is known by how many it takes. */
static void package_merge(const mcl_code_builder *builder, uint8_t *depth) {
  int leaves = builder->used;
  uint64_t below[512], level[512];
  bool is_leaf[MCL_HUFFMAN_MAX_BITS][512];
  int items = 0;
  for (int l = 0; l < MCL_HUFFMAN_MAX_BITS; l++) {
    int pairs = items / 2, leaf = 0, pair = 0, n = 0;
    while (leaf < leaves || pair < pairs) {
      uint64_t paired = pair < pairs ? below[2 * pair] + below[2 * pair + 1] : UINT64_MAX;
      is_leaf[l][n] = leaf < leaves && builder->weight[leaf] <= paired;
      level[n] = is_leaf[l][n] ? builder->weight[leaf] : paired;
      if (is_leaf[l][n++])
        leaf++;
      else
        pair++;
    }
    items = n;
    memcpy(below, level, (size_t)items * sizeof *level);
  }
  memset(depth, 0, (size_t)leaves);
  int taken = 2 * leaves - 2;
  for (int l = MCL_HUFFMAN_MAX_BITS - 1; l >= 0 && taken > 0; l--) {
    int taken_leaves = 0;
    for (int i = 0; i < taken; i++) taken_leaves += is_leaf[l][i];
    for (int i = 0; i < taken_leaves; i++) depth[i]++;
    taken = 2 * (taken - taken_leaves);
  }
}

static void code_lengths(const uint32_t *count, uint8_t *length) {
  mcl_code_builder builder;
  uint8_t depth[256];
  memset(length, 0, 256);
  sort_symbols(count, &builder);
  if (builder.used < 2) return;
  if (huffman_depths(&builder, depth) > MCL_HUFFMAN_MAX_BITS) package_merge(&builder, depth);
  for (int i = 0; i < builder.used; i++) length[builder.symbol[i]] = depth[i];
}

/* ---- The head ---- */

static void put_length(mcl_bit_writer *bits, int length, int previous) {
  if (length == previous)
    mcl_bits_put(bits, 0, 1);
  else if (length == previous + 1 || length == previous - 1)
    mcl_bits_put(bits, 1 | (uint64_t)(length < previous) << 2, 3);
  else
    mcl_bits_put(bits, 7 | (uint64_t)length << 3, 7);
}

static void put_run(mcl_bit_writer *bits, uint32_t run) {
  int k = 31 - __builtin_clz(run);
  mcl_bits_put(bits, 3, 3);
  mcl_bits_put(bits, ((uint64_t)1 << k) - 1, k + 1);
  mcl_bits_put(bits, run - (1u << k), k);
}

static size_t write_head(uint32_t alphabet, uint32_t last, bool single, const uint8_t *length, uint8_t *head) {
  mcl_bit_writer bits = {head, 0, 0};
  mcl_bits_put(&bits, last, mcl_bits_for(alphabet));
  mcl_bits_put(&bits, single, 1);
  int previous = mcl_bits_for(alphabet);
  if (previous > MCL_HUFFMAN_MAX_BITS) previous = MCL_HUFFMAN_MAX_BITS;
  for (uint32_t symbol = 0; !single && symbol <= last;) {
    mcl_bits_flush(&bits);
    uint32_t run = 0;
    while (!length[symbol + run]) run++; /* the last symbol occurs */
    if (run) {
      put_run(&bits, run);
      symbol += run;
      continue;
    }
    put_length(&bits, length[symbol], previous);
    previous = length[symbol++];
  }
  mcl_bits_flush(&bits);
  size_t written = (size_t)(bits.at - head) * 8 + (size_t)bits.count;
  mcl_bits_end(&bits);
  return written;
}

/* ---- The plan of a block: all but the codes themselves ---- */

static size_t varint_size(size_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) size++;
  return size;
}

/* Four tables, so that runs of one symbol do not wait for their own count. */
static void count_symbols(const uint8_t *symbols, size_t count, uint32_t *histogram) {
  uint32_t part[3][256] = {{0}};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    histogram[symbols[i]]++;
    part[0][symbols[i + 1]]++;
    part[1][symbols[i + 2]]++;
    part[2][symbols[i + 3]]++;
  }
  for (; i < count; i++) histogram[symbols[i]]++;
  for (int s = 0; s < 256; s++) histogram[s] += part[0][s] + part[1][s] + part[2][s];
}

static mcl_status plan_block(mcl_context *ctx, const mcl_stream *block, mcl_block_plan *plan) {
  uint32_t alphabet = block->alphabet ? block->alphabet : 256, total[256] = {0}, last = 0;
  const uint8_t *symbols = block->data;
  int used = 0;
  memset(plan->histogram, 0, sizeof plan->histogram);
  plan->lanes = block->count < MCL_HUFFMAN_LANES_FROM ? 1 : MCL_HUFFMAN_LANES;
  plan->each = (block->count + (size_t)plan->lanes - 1) / (size_t)plan->lanes;
  for (int lane = 0; lane < plan->lanes; lane++) {
    size_t first = (size_t)lane * plan->each;
    size_t count = first + plan->each < block->count ? plan->each : block->count - first;
    count_symbols(symbols + first, count, plan->histogram[lane]);
    for (int s = 0; s < 256; s++) total[s] += plan->histogram[lane][s];
  }
  for (uint32_t s = 0; s < 256; s++)
    if (total[s]) used++, last = s;
  if (last >= alphabet)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "huffman: symbol %u in an alphabet of %u", last, alphabet);
  plan->single = used == 1;
  code_lengths(total, plan->length);
  plan->head_bits = write_head(alphabet, last, plan->single, plan->length, plan->head);
  plan->size = (plan->head_bits + 7) / 8;
  if (plan->single) return MCL_OK;
  for (int lane = 0; lane < plan->lanes; lane++) {
    size_t bits = plan->lanes == 1 ? plan->head_bits : 0; /* a lane alone follows its head at once */
    for (int s = 0; s < 256; s++) bits += (size_t)plan->histogram[lane][s] * plan->length[s];
    plan->lane_size[lane] = (bits + 7) / 8;
    if (plan->lanes == 1) plan->size = 0;
    plan->size += plan->lane_size[lane];
    if (lane < plan->lanes - 1) plan->size += varint_size(plan->lane_size[lane]);
  }
  return MCL_OK;
}

/* ---- The coder ---- */

static bool fits(const mcl_stream *block) { return block->width == 1 && block->alphabet <= 256; }

static mcl_status size(mcl_context *ctx, const mcl_stream *block, size_t *out) {
  mcl_block_plan plan;
  MCL_TRY(plan_block(ctx, block, &plan));
  *out = plan.size;
  return MCL_OK;
}

/* code[s]: the reversed code, and its length above it. */
static void assign_codes(const uint8_t *length, uint16_t *codes) {
  uint32_t code = 0;
  for (int l = 1; l <= MCL_HUFFMAN_MAX_BITS; l++, code <<= 1) {
    for (int symbol = 0; symbol < 256; symbol++) {
      if (length[symbol] != l) continue;
      uint32_t reversed = 0;
      for (int b = 0; b < l; b++) reversed |= (code >> b & 1) << (l - 1 - b);
      codes[symbol] = (uint16_t)(reversed | (uint32_t)l << MCL_HUFFMAN_MAX_BITS);
      code++;
    }
  }
}

static void write_codes(mcl_bit_writer *bits, const uint16_t *codes, const uint8_t *symbols, size_t count) {
  const uint32_t mask = (1u << MCL_HUFFMAN_MAX_BITS) - 1;
  size_t i = 0;
  for (; i + 4 <= count; i += 4) { /* 7 held and 44 new bits fit */
    for (size_t j = 0; j < 4; j++) {
      uint16_t code = codes[symbols[i + j]];
      mcl_bits_put(bits, code & mask, code >> MCL_HUFFMAN_MAX_BITS);
    }
    mcl_bits_flush(bits);
  }
  for (; i < count; i++) {
    uint16_t code = codes[symbols[i]];
    mcl_bits_put(bits, code & mask, code >> MCL_HUFFMAN_MAX_BITS);
    mcl_bits_flush(bits);
  }
}

static mcl_status encode(mcl_context *ctx, const mcl_stream *block, mcl_buffer *out) {
  mcl_block_plan plan;
  uint16_t codes[256] = {0};
  MCL_TRY(plan_block(ctx, block, &plan));
  size_t end = out->size + plan.size, head = (plan.head_bits + 7) / 8;
  MCL_TRY(mcl_buffer_reserve(out, plan.size + 8));
  memcpy(out->data + out->size, plan.head, head);
  if (plan.single) {
    out->size = end;
    return MCL_OK;
  }
  assign_codes(plan.length, codes);
  mcl_bit_writer bits = {out->data + out->size, 0, 0};
  if (plan.lanes == 1) { /* goes on within the head's last byte */
    bits.at += plan.head_bits / 8;
    bits.count = (int)(plan.head_bits % 8);
    bits.held = bits.count ? *bits.at : 0;
  } else {
    out->size += head;
    for (int lane = 0; lane < plan.lanes - 1; lane++) MCL_TRY(mcl_buffer_varint(out, plan.lane_size[lane]));
    bits.at = out->data + out->size;
  }
  for (int lane = 0; lane < plan.lanes; lane++) {
    size_t first = (size_t)lane * plan.each;
    size_t count = first + plan.each < block->count ? plan.each : block->count - first;
    write_codes(&bits, codes, (const uint8_t *)block->data + first, count);
    mcl_bits_end(&bits);
  }
  out->size = end;
  return MCL_OK;
}

const mcl_coder_encode mcl_encode_huffman = {.id = 2, .fits = fits, .size = size, .encode = encode};
