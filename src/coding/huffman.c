/* Huffman, decoding: canonical codes of at most 11 bits, read least significant bit first (so each code stands in the
 * stream reversed). A table over the next 11 bits gives all whole codes within them, up to six symbols, in one step. */
#include "coding/huffman.h"

#include "base/cpu.h"
#include "coding/coders.h"

#define refuses(ctx, what) mcl_coder_refuses(ctx, &mcl_coder_huffman, what)

/* ---- The lengths of codes ---- */

/* A run of zeros' length: k ones, a zero, and the low k bits of run. */
static uint32_t take_run(mcl_bit_reader *reader) {
  int k = 0;
  while (k < 8 && mcl_bits_take(reader, 1)) k++;
  return ((uint32_t)1 << k) | mcl_bits_take(reader, k);
}

/* 0: as the last one; 10s: one more or (s) one less; 110: a run of absent symbols; 111: four bits, the length. */
static mcl_status take_lengths(mcl_context *ctx, mcl_bit_reader *reader, uint32_t alphabet, uint32_t last,
                               uint8_t *length) {
  int previous = mcl_bits_for(alphabet);
  if (previous > MCL_HUFFMAN_MAX_BITS) previous = MCL_HUFFMAN_MAX_BITS;
  uint32_t kraft = 0;
  for (uint32_t symbol = 0; symbol <= last;) {
    if (mcl_bits_take(reader, 1)) {
      if (!mcl_bits_take(reader, 1)) {
        previous += mcl_bits_take(reader, 1) ? -1 : 1;
      } else if (mcl_bits_take(reader, 1)) {
        previous = (int)mcl_bits_take(reader, 4);
      } else {
        uint32_t run = take_run(reader);
        if (run > last - symbol) return refuses(ctx, "a run of absent symbols passes the last symbol");
        symbol += run;
        continue;
      }
    }
    if (previous < 1 || previous > MCL_HUFFMAN_MAX_BITS) return refuses(ctx, "a code length that is not 1 to 11 bits");
    length[symbol++] = (uint8_t)previous;
    kraft += 1u << (MCL_HUFFMAN_MAX_BITS - previous);
  }
  if (kraft > 1u << MCL_HUFFMAN_MAX_BITS) return refuses(ctx, "over-subscribed code lengths");
  if (kraft < 1u << MCL_HUFFMAN_MAX_BITS) return refuses(ctx, "incomplete code lengths");
  return MCL_OK;
}

/* ---- The table ---- */

static uint32_t reverse(uint32_t code, int bits) {
  uint32_t reversed = 0;
  for (int b = 0; b < bits; b++, code >>= 1) reversed = reversed << 1 | (code & 1);
  return reversed;
}

/* single[i]: the symbol whose code the low bits of i begin with, and its length above it. Returns the shortest length.
 * Codes are canonical: shorter first, and of one length in the order of their symbols. */
static int fill_single(const uint8_t *length, uint32_t last, int bits, uint16_t *single) {
  uint32_t next[MCL_HUFFMAN_MAX_BITS + 2] = {0}, size = 1u << bits;
  int shortest = 1;
  for (uint32_t symbol = 0; symbol <= last; symbol++) next[length[symbol] + 1]++;
  next[1] = 0; /* those that do not occur */
  for (int l = 1; l <= MCL_HUFFMAN_MAX_BITS; l++) next[l] = (next[l] + next[l - 1]) << 1;
  for (uint32_t symbol = 0; symbol <= last; symbol++) {
    int l = length[symbol];
    if (!l) continue;
    uint16_t entry = (uint16_t)((uint32_t)l << 8 | symbol);
    for (uint32_t i = reverse(next[l]++, l), stride = 1u << l; i < size; i += stride) single[i] = entry;
  }
  while (next[shortest] == 0) shortest++;
  return shortest;
}

/* For each index as many whole codes as it holds, but at most `most`. Without branches: a code that is cut off adds
 * nothing, nor do those after it. */
static inline __attribute__((always_inline)) void fill_steps_of(mcl_huffman_table *table, const uint16_t *single,
                                                                const int most) {
  uint32_t bits = (uint32_t)table->bits;
  for (uint32_t i = 0; i < 1u << bits; i++) {
    uint32_t taken = single[i] >> 8, count = 1;
    uint64_t symbols = single[i] & 0xff;
    for (int n = 1; n < most; n++) {
      uint32_t next = single[i >> taken], length = next >> 8;
      uint32_t fits = taken + length <= bits;
      symbols |= (uint64_t)((next & 0xff) & (0 - fits)) << (8 * count);
      taken += length & (0 - fits);
      count += fits;
    }
    table->step[i] = taken | (uint64_t)count << 8 | symbols << 16;
  }
}

static void fill_steps(mcl_huffman_table *table, uint32_t last, int bits) {
  uint16_t single[1 << MCL_HUFFMAN_MAX_BITS];
  int most = bits / fill_single(table->length, last, bits, single);
  table->bits = bits;
  if (most <= 1) /* the usual ones, with loops of known length */
    fill_steps_of(table, single, 1);
  else if (most == 2)
    fill_steps_of(table, single, 2);
  else if (most == 3)
    fill_steps_of(table, single, 3);
  else
    fill_steps_of(table, single, MCL_HUFFMAN_STEP_SYMBOLS);
}

/* ---- Symbols ---- */

/* One at a time, up to the very ends. */
static mcl_status finish_lane(mcl_context *ctx, const mcl_huffman_table *table, mcl_huffman_lane *lane) {
  mcl_bit_reader reader = {lane->in, (size_t)(lane->in_end - lane->in), (size_t)lane->skip};
  uint64_t mask = ((uint64_t)1 << table->bits) - 1;
  while (lane->out < lane->out_end) {
    uint8_t symbol = (uint8_t)(table->step[mcl_bits_peek(&reader) & mask] >> 16);
    *lane->out++ = symbol;
    reader.at += table->length[symbol];
  }
  if (reader.at > 8 * reader.size) return refuses(ctx, "the codes end before the last symbol");
  if (!mcl_bits_all_read(&reader)) return refuses(ctx, "bytes or bits after the last symbol");
  return MCL_OK;
}

static mcl_status decode_single_lane(mcl_context *ctx, const mcl_huffman_table *table, const mcl_bit_reader *reader,
                                     uint8_t *out, size_t count) {
  size_t byte = reader->at >> 3;
  if (byte > reader->size) return refuses(ctx, "the code lengths are cut off");
  mcl_huffman_lane lane = {reader->data + byte, reader->data + reader->size, (int)(reader->at & 7), out, out + count};
  if (table->bits == MCL_HUFFMAN_MAX_BITS)
    (mcl_cpu_isa() >= MCL_ISA_AVX2 ? mcl_huffman_lane_avx2 : mcl_huffman_lane_portable)(table, &lane);
  return finish_lane(ctx, table, &lane);
}

static mcl_status decode_all_lanes(mcl_context *ctx, const mcl_huffman_table *table, mcl_bit_reader *reader,
                                   uint8_t *out, size_t count) {
  mcl_huffman_lane lanes[MCL_HUFFMAN_LANES];
  size_t byte = (reader->at + 7) >> 3, each = (count + MCL_HUFFMAN_LANES - 1) / MCL_HUFFMAN_LANES;
  size_t sizes[MCL_HUFFMAN_LANES];
  if (byte > reader->size) return refuses(ctx, "the code lengths are cut off");
  if ((reader->at & 7) && reader->data[byte - 1] >> (reader->at & 7))
    return refuses(ctx, "bits after the code lengths are not zero");
  mcl_reader table_of_sizes = {ctx, reader->data, reader->size, byte, "huffman: sizes of lanes"};
  for (int i = 0; i < MCL_HUFFMAN_LANES - 1; i++) {
    uint64_t size;
    MCL_TRY(mcl_read_count(&table_of_sizes, reader->size, "a lane's size", &size));
    sizes[i] = (size_t)size;
  }
  size_t left = reader->size - table_of_sizes.at;
  const uint8_t *at = reader->data + table_of_sizes.at;
  for (int i = 0; i < MCL_HUFFMAN_LANES; i++) {
    size_t size = i < MCL_HUFFMAN_LANES - 1 ? sizes[i] : left;
    if (size > left) return refuses(ctx, "the lanes are larger than the block");
    size_t first = (size_t)i * each, end = first + each < count ? first + each : count;
    lanes[i] = (mcl_huffman_lane){at, at + size, 0, out + first, out + end};
    at += size, left -= size;
  }
  bool fast = mcl_cpu_isa() >= MCL_ISA_AVX2;
  (fast ? mcl_huffman_lanes_avx2 : mcl_huffman_lanes_portable)(table, lanes);
  for (int i = 0; i < MCL_HUFFMAN_LANES; i++) {
    (fast ? mcl_huffman_lane_avx2 : mcl_huffman_lane_portable)(table, &lanes[i]);
    MCL_TRY(finish_lane(ctx, table, &lanes[i]));
  }
  return MCL_OK;
}

static mcl_status decode(mcl_context *ctx, const uint8_t *data, size_t size, uint32_t alphabet, uint8_t width,
                         void *out, size_t count) {
  if (width != 1 || alphabet > 256) return refuses(ctx, "more than 256 symbols");
  if (alphabet == 0) alphabet = 256;
  mcl_bit_reader reader = {data, size, 0};
  uint32_t last = mcl_bits_take(&reader, mcl_bits_for(alphabet));
  if (last >= alphabet) return refuses(ctx, "a symbol outside of its alphabet");
  if (mcl_bits_take(&reader, 1)) {
    memset(out, (int)last, count);
    return mcl_bits_all_read(&reader) ? MCL_OK : refuses(ctx, "bytes or bits after a single symbol");
  }
  mcl_huffman_table table;
  memset(table.length, 0, sizeof table.length);
  MCL_TRY(take_lengths(ctx, &reader, alphabet, last, table.length));
  int longest = 1;
  for (uint32_t i = 0; i <= last; i++) longest = table.length[i] > longest ? table.length[i] : longest;
  fill_steps(&table, last, count < 4096 ? longest : MCL_HUFFMAN_MAX_BITS);
  if (count < MCL_HUFFMAN_LANES_FROM) return decode_single_lane(ctx, &table, &reader, out, count);
  return decode_all_lanes(ctx, &table, &reader, out, count);
}

static size_t least_size(uint32_t alphabet, uint8_t width, size_t count) {
  (void)width;
  if (count == 0) return 0;
  return ((alphabet ? (size_t)mcl_bits_for(alphabet) : 8) + 8) / 8; /* one symbol alone: its number and a bit */
}

const mcl_coder mcl_coder_huffman = {.id = 2, .name = "huffman", .decode = decode, .least_size = least_size};
