/* Decoding symbols: ours against zstd's huff0, on the same symbols in the same run, one thread. Prints a line a case, and
 * JSON to the file that is named. Both code the same blocks of 128 KiB, huff0's largest, each with its table, block by block
 * (streams of the format have blocks of 256 KiB: fewer tables than are counted here). huff0 is called straight from
 * libzstd.a where its internal interface is the one known here, that of 1.5.4; otherwise through frames of literals alone. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "base/random.h"
#include "coding/coding.h"

enum { COUNT = 1 << 22, BLOCK = 128 << 10, BLOCKS = COUNT / BLOCK, ROUNDS = 25 };

#if ZSTD_VERSION_NUMBER == 10504
#define PEER "huff0 of zstd 1.5.4, called directly"
size_t HUF_compress4X_repeat(void *dst, size_t dst_size, const void *src, size_t src_size, unsigned max_symbol,
                             unsigned table_log, void *workspace, size_t workspace_size, void *table, void *repeat,
                             int flags);
size_t HUF_decompress4X_hufOnly_wksp(void *table, void *dst, size_t dst_size, const void *src, size_t src_size,
                                     void *workspace, size_t workspace_size, int flags);
enum { BMI2 = 1 };
static uint32_t huff0_table[(1 << 12) + 1];
static uint64_t huff0_workspace[2048], huff0_codes[300];

static size_t peer_compress(const uint8_t *symbols, size_t size, uint8_t *out, size_t room) {
  int repeat = 0;
  return HUF_compress4X_repeat(out, room, symbols, size, 255, 11, huff0_workspace, sizeof huff0_workspace, huff0_codes,
                               &repeat, BMI2);
}
static size_t peer_decompress(uint8_t *out, size_t size, const uint8_t *coded, size_t coded_size) {
  huff0_table[0] = 12 * 0x01000001u;
  return HUF_decompress4X_hufOnly_wksp(huff0_table, out, size, coded, coded_size, huff0_workspace,
                                       sizeof huff0_workspace, BMI2);
}
#else
#define PEER "huff0 within zstd frames of literals alone"
static size_t peer_compress(const uint8_t *symbols, size_t size, uint8_t *out, size_t room) {
  ZSTD_CCtx *zstd = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, -1);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_strategy, ZSTD_fast);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, 7);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  size_t written = ZSTD_compress2(zstd, out, room, symbols, size);
  ZSTD_freeCCtx(zstd);
  return written;
}
static size_t peer_decompress(uint8_t *out, size_t size, const uint8_t *coded, size_t coded_size) {
  return ZSTD_decompress(out, size, coded, coded_size);
}
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "bench_coding: %s\n", what);
  exit(1);
}

typedef struct workload {
  const char *name;
  uint32_t alphabet;
  double at_least, aim; /* 0: not a promise */
} workload;

/* Codes of a k-means codebook of normal weights are nearly even between its entries but for the tails; gaps between kept
 * entries are geometric. */
static void fill(const workload *w, uint8_t *symbols) {
  mcl_random random = mcl_random_at(1, 1);
  for (size_t i = 0; i < COUNT; i++) {
    double value = w->alphabet == 256 ? -log(1 - (double)mcl_random_uniform(&random)) * 12
                                      : w->alphabet * (0.5 + 0.16 * (double)mcl_random_normal(&random));
    symbols[i] = (uint8_t)(value < 0 ? 0 : value >= w->alphabet ? w->alphabet - 1 : value);
  }
}

typedef struct times {
  double second[ROUNDS], best, median;
} times;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static void sum_up(times *t) {
  qsort(t->second, ROUNDS, sizeof *t->second, by_value);
  t->best = t->second[0];
  t->median = t->second[ROUNDS / 2];
}

/* One side's blocks, coded one after the other. */
typedef struct coded_blocks {
  uint8_t *out; /* the symbols again */
  mcl_buffer data;
  size_t end[BLOCKS];
  times times;
} coded_blocks;

static void encode(mcl_context *ctx, const workload *w, const uint8_t *symbols, coded_blocks *ours,
                   coded_blocks *theirs) {
  const mcl_coder *huffman = mcl_coder_by_name("huffman");
  uint8_t room[BLOCK + 4096];
  for (size_t b = 0; b < BLOCKS; b++) {
    mcl_stream stream = {symbols + b * BLOCK, BLOCK, 1, w->alphabet};
    if (mcl_stream_encode(ctx, &stream, huffman, &ours->data)) fail(mcl_context_message(ctx));
    ours->end[b] = ours->data.size;
    size_t size = peer_compress(symbols + b * BLOCK, BLOCK, room, sizeof room);
    if (ZSTD_isError(size) || size < 2) fail("the peer did not compress");
    if (mcl_buffer_append(&theirs->data, room, size)) fail(mcl_context_message(ctx));
    theirs->end[b] = theirs->data.size;
  }
}

static void decode_ours(mcl_context *ctx, const workload *w, coded_blocks *side) {
  for (size_t b = 0, at = 0; b < BLOCKS; at = side->end[b++])
    if (mcl_stream_decode(ctx, side->data.data + at, side->end[b] - at, w->alphabet, 1, side->out + b * BLOCK, BLOCK))
      fail(mcl_context_message(ctx));
}

static void decode_theirs(coded_blocks *side) {
  for (size_t b = 0, at = 0; b < BLOCKS; at = side->end[b++])
    if (peer_decompress(side->out + b * BLOCK, BLOCK, side->data.data + at, side->end[b] - at) != BLOCK)
      fail("the peer did not decompress");
}

static void report(const workload *w, const coded_blocks *ours, const coded_blocks *theirs, double seconds,
                   FILE *json) {
  double a = COUNT / ours->times.best / 1e9, b = COUNT / theirs->times.best / 1e9;
  printf(
      "%s: decode, 1 thread each, ours %.2f GB/s (%zu bytes), %s %.2f GB/s (%zu bytes), ratio %.2f, spread %.0f %%\n",
      w->name, a, ours->data.size, PEER, b, theirs->data.size, a / b,
      100 * (ours->times.median / ours->times.best - 1));
  fprintf(json,
          "{\"bench\": \"coding\", \"case\": \"%s\", \"ours\": %.4f, \"peer\": %.4f, \"peer_name\": \"%s\", "
          "\"unit\": \"GB/s of symbols\", \"ratio\": %.4f, ",
          w->name, a, b, PEER, a / b);
  if (w->aim > 0)
    fprintf(json, "\"at_least\": %.1f, \"aim\": %.1f, ", w->at_least, w->aim);
  else
    fprintf(json, "\"at_least\": null, \"aim\": null, ");
  fprintf(json, "\"threads\": 1, \"peer_threads\": 1, \"rounds\": %d, \"bytes\": %zu, \"peer_bytes\": %zu, ", ROUNDS,
          ours->data.size, theirs->data.size);
  fprintf(json, "\"seconds\": %.2f}\n", seconds);
}

static void run(mcl_context *ctx, const workload *w, FILE *json) {
  double began = now();
  uint8_t *symbols = malloc(COUNT);
  coded_blocks ours = {.out = malloc(COUNT), .data.ctx = ctx}, theirs = {.out = malloc(COUNT), .data.ctx = ctx};
  if (!symbols || !ours.out || !theirs.out) fail("out of memory");
  fill(w, symbols);
  encode(ctx, w, symbols, &ours, &theirs);
  for (int round = 0; round < ROUNDS; round++) { /* in turn, so that a busy machine troubles both */
    double start = now();
    decode_ours(ctx, w, &ours);
    ours.times.second[round] = now() - start;
    start = now();
    decode_theirs(&theirs);
    theirs.times.second[round] = now() - start;
  }
  if (memcmp(ours.out, symbols, COUNT) || memcmp(theirs.out, symbols, COUNT)) fail("symbols differ");
  sum_up(&ours.times), sum_up(&theirs.times);
  report(w, &ours, &theirs, now() - began, json);
  mcl_buffer_free(&ours.data), mcl_buffer_free(&theirs.data);
  free(symbols), free(ours.out), free(theirs.out);
}

int main(int argc, char **argv) {
  const workload workloads[] = {{"Huffman, 5-bit symbols", 32, 0.7, 1.0},
                                {"Huffman, 4-bit symbols", 16, 0, 0},
                                {"Huffman, 2-bit symbols", 4, 0, 0},
                                {"Huffman, gaps (alphabet 256)", 256, 0, 0},
                                {"Huffman, 7-bit symbols", 128, 0, 0}};
  mcl_context *ctx;
  FILE *json = argc > 1 ? fopen(argv[1], "a") : NULL;
  if (!json) fail("usage: bench_coding FRAGMENT");
  if (mcl_context_new(&(mcl_options){.threads = 1}, &ctx)) fail("no context");
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) run(ctx, &workloads[i], json);
  mcl_context_free(ctx);
  return fclose(json) ? 1 : 0;
}
