/* The micro-kernels, written once over a few names that the including file defines for its instruction set:
 *   VECTOR, WIDTH                 the type, floats in it
 *   MR                            rows of the largest tile; 2·MR vectors of sums, two of B and one of A must fit
 *   DOT_COLUMNS                   dot products at once: each has 32 lanes of sums
 *   ZERO()  LOAD(p)  STORE(p, v)  BROADCAST(x)  FMA(a, b, c) = a·b + c  MUL(a, b)
 *   LOAD_PART(p, n)  STORE_PART(p, v, n)      the first n lanes, others zero and untouched
 *   KERNEL, KERNEL_NAME, BLOCK_M, BLOCK_N     the row that is made
 * Loops have constant bounds and are unrolled, with conditions that are constant after inlining, so sums live in
 * registers. */
#include "tensor/kernels/matmul_kernels.h"

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* One vector of C, of which `lanes` count. */
INLINE void finish(const mcl_micro_tile *t, float *c, VECTOR sum, int lanes) {
  VECTOR alpha = BROADCAST(t->alpha), beta = BROADCAST(t->beta);
  if (lanes == WIDTH) {
    STORE(c, t->beta == 0 ? MUL(alpha, sum) : FMA(alpha, sum, MUL(beta, LOAD(c))));
  } else {
    STORE_PART(c, t->beta == 0 ? MUL(alpha, sum) : FMA(alpha, sum, MUL(beta, LOAD_PART(c, lanes))), lanes);
  }
}

INLINE void tile(const mcl_micro_tile *t, const int rows, const int vectors) {
  VECTOR sum[MR][2];
  const float *a = t->a, *b = t->b;
  int64_t a_step = t->a_step, b_step = t->b_step;
  UNROLL for (int i = 0; i < MR; i++) sum[i][0] = sum[i][1] = ZERO();
  for (int64_t p = t->k; p > 0; p--) {
    VECTOR b0 = LOAD(b), b1 = vectors > 1 ? LOAD(b + WIDTH) : ZERO();
    UNROLL for (int i = 0; i < MR; i++) {
      if (i >= rows) continue;
      VECTOR x = BROADCAST(a[i]);
      sum[i][0] = FMA(x, b0, sum[i][0]);
      if (vectors > 1) sum[i][1] = FMA(x, b1, sum[i][1]);
    }
    a += a_step;
    b += b_step;
  }
  int last = t->columns - (vectors - 1) * WIDTH; /* lanes of the last vector */
  UNROLL for (int i = 0; i < MR; i++) {
    if (i >= rows) continue;
    float *c = t->c + i * t->ldc;
    finish(t, c, sum[i][0], vectors > 1 ? WIDTH : last);
    if (vectors > 1) finish(t, c + WIDTH, sum[i][1], last);
  }
}

/* clang-format off */
#define TILE(rows)                                                                                                     \
  static void tile_##rows##_1(const mcl_micro_tile *t) { tile(t, rows, 1); }                                           \
  static void tile_##rows##_2(const mcl_micro_tile *t) { tile(t, rows, 2); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if MR > 6
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif

static const mcl_micro_fn tiles[MR][2] = {
    {tile_1_1, tile_1_2}, {tile_2_1, tile_2_2}, {tile_3_1, tile_3_2},
    {tile_4_1, tile_4_2}, {tile_5_1, tile_5_2}, {tile_6_1, tile_6_2},
#if MR > 6
    {tile_7_1, tile_7_2},   {tile_8_1, tile_8_2},   {tile_9_1, tile_9_2},   {tile_10_1, tile_10_2},
    {tile_11_1, tile_11_2}, {tile_12_1, tile_12_2}, {tile_13_1, tile_13_2}, {tile_14_1, tile_14_2},
#endif
};
/* clang-format on */

/* ---- Packing ---- */

static void pack_rows(int64_t k, int lanes, int step, const float *src, int64_t ld, float *dst) {
  if (lanes == 2 * WIDTH && step == 2 * WIDTH) {
    for (int64_t p = 0; p < k; p++, src += ld, dst += step) {
      STORE(dst, LOAD(src));
      STORE(dst + WIDTH, LOAD(src + WIDTH));
    }
    return;
  }
  for (int64_t p = 0; p < k; p++, src += ld, dst += step) {
    int i = 0;
    for (; i + WIDTH <= lanes; i += WIDTH) STORE(dst + i, LOAD(src + i));
    if (i < lanes) STORE_PART(dst + i, LOAD_PART(src + i, lanes - i), lanes - i);
    for (i = lanes; i < step; i++) dst[i] = 0;
  }
}

/* S lanes at S places: an S × S transpose in three or two rounds of exchanges. */
#if WIDTH >= 8
#define SQUARE 8
typedef float square __attribute__((vector_size(32), aligned(4), may_alias));
INLINE void transpose_square(const float *src, int64_t ld, float *dst, int64_t step) {
  square r[8], t[8];
  UNROLL for (int i = 0; i < 8; i++) r[i] = *(const square *)(src + i * ld);
  UNROLL for (int i = 0; i < 8; i += 2) { /* patterns that are one instruction each */
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  UNROLL for (int i = 0; i < 8; i++) { /* r[4·half + lane]: lanes `lane` and `lane` + 4 of four rows */
    int from = (i & 4) + (i & 2) / 2;
    r[i] = (i & 1) ? __builtin_shufflevector(t[from], t[from + 2], 2, 3, 10, 11, 6, 7, 14, 15)
                   : __builtin_shufflevector(t[from], t[from + 2], 0, 1, 8, 9, 4, 5, 12, 13);
  }
  UNROLL for (int i = 0; i < 4; i++) { /* halves */
    *(square *)(dst + i * step) = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(square *)(dst + (i + 4) * step) = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
#else
#define SQUARE 4
typedef float square __attribute__((vector_size(16), aligned(4), may_alias));
INLINE void transpose_square(const float *src, int64_t ld, float *dst, int64_t step) {
  square r0 = *(const square *)src, r1 = *(const square *)(src + ld);
  square r2 = *(const square *)(src + 2 * ld), r3 = *(const square *)(src + 3 * ld);
  square t0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), t1 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
  square t2 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7), t3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
  *(square *)dst = __builtin_shufflevector(t0, t1, 0, 1, 4, 5);
  *(square *)(dst + step) = __builtin_shufflevector(t0, t1, 2, 3, 6, 7);
  *(square *)(dst + 2 * step) = __builtin_shufflevector(t2, t3, 0, 1, 4, 5);
  *(square *)(dst + 3 * step) = __builtin_shufflevector(t2, t3, 2, 3, 6, 7);
}
#endif

static void pack_columns(int64_t k, int lanes, int step, const float *src, int64_t ld, float *dst) {
  int64_t whole = lanes >= SQUARE ? k - k % SQUARE : 0;
  for (int i = 0; i < lanes; i += SQUARE) {
    if (i + SQUARE > lanes && lanes >= SQUARE) i = lanes - SQUARE; /* the last may overlap the ones before */
    const float *from = src + i * ld;
    for (int64_t p = 0; p < whole; p += SQUARE) transpose_square(from + p, ld, dst + p * step + i, step);
    for (int64_t p = whole; p < k; p++)
      for (int j = 0; j < SQUARE && i + j < lanes; j++) dst[p * step + i + j] = from[j * ld + p];
  }
  if (lanes < step)
    for (int64_t p = 0; p < k; p++)
      for (int i = lanes; i < step; i++) dst[p * step + i] = 0;
}

/* ---- Dot products ----
 *
 * Element p belongs to lane p % 32, whatever the width of a vector, and lanes are added in one order: 16 to 16, 8 to 8 … . */

#define DOT_VECTORS (MCL_DOT_LANES / WIDTH)

INLINE float lanes_sum(VECTOR *sum) {
  float lane[WIDTH];
  UNROLL for (int half = DOT_VECTORS / 2; half > 0; half /= 2) for (int i = 0; i < half; i++) sum[i] =
      FMA(sum[i], BROADCAST(1.0f), sum[i + half]);
  STORE(lane, sum[0]);
  for (int half = WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

INLINE int lanes_in(int64_t left) { return left < 0 ? 0 : left < WIDTH ? (int)left : WIDTH; }

INLINE void dots_of(int64_t k, const float *x, const float *y, int64_t ld, const int columns, float *out) {
  VECTOR sum[DOT_COLUMNS][DOT_VECTORS];
  UNROLL for (int j = 0; j < columns; j++) UNROLL for (int v = 0; v < DOT_VECTORS; v++) sum[j][v] = ZERO();
  int64_t p = 0;
  for (; p + MCL_DOT_LANES <= k; p += MCL_DOT_LANES) UNROLL for (int v = 0; v < DOT_VECTORS; v++) {
      VECTOR x0 = LOAD(x + p + v * WIDTH);
      UNROLL for (int j = 0; j < columns; j++) sum[j][v] = FMA(x0, LOAD(y + j * ld + p + v * WIDTH), sum[j][v]);
    }
  UNROLL for (int v = 0; v < DOT_VECTORS; v++) {
    int64_t at = p + v * WIDTH;
    if (at - v * WIDTH % 16 >= k) continue; /* sixteen lanes at once get their element or a zero, in every width */
    int lanes = lanes_in(k - at);
    if (lanes == 0) at = 0; /* reads nothing */
    VECTOR x0 = LOAD_PART(x + at, lanes);
    UNROLL for (int j = 0; j < columns; j++) sum[j][v] = FMA(x0, LOAD_PART(y + j * ld + at, lanes), sum[j][v]);
  }
  UNROLL for (int j = 0; j < columns; j++) out[j] = lanes_sum(sum[j]);
}

static void dots(int64_t k, const float *x, const float *y, int64_t ld, int64_t count, float *out) {
  int64_t j = 0;
  for (; j + DOT_COLUMNS <= count; j += DOT_COLUMNS) dots_of(k, x, y + j * ld, ld, DOT_COLUMNS, out + j);
  for (; j < count; j++) dots_of(k, x, y + j * ld, ld, 1, out + j);
}

const mcl_matmul_kernel KERNEL = {.name = KERNEL_NAME,
                                  .mr = MR,
                                  .nr = 2 * WIDTH,
                                  .width = WIDTH,
                                  .mc = BLOCK_M,
                                  .nc = BLOCK_N,
                                  .kc = MCL_MICRO_MAX_K,
                                  .tile = tiles,
                                  .pack_rows = pack_rows,
                                  .pack_columns = pack_columns,
                                  .dots = dots};
