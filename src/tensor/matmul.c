/* Matrix products, after Goto and van de Geijn ("Anatomy of high-performance matrix multiplication", 2008) and BLIS:
 * blocks of A and B are packed into panels in the order in which a micro-kernel reads them, so that B's block stays in
 * the second-level cache and a panel of each in the first. The machine's part is a row of kernels/.
 *
 * The sum over k is cut into blocks by k alone and each block is one chain of fused multiply-adds, so an element's bits
 * depend neither on the tile that it falls into, nor on the threads, nor on the kernels. */
#include "tensor/matmul.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "base/whole.h"
#include "tensor/kernels/matmul_kernels.h"

#define CELLS 64           /* buffers kept, at most: more threads than that allocate for a call */
#define STACK_A (14 * 256) /* floats of the packed panels that fit the stack: 46 KB in all */
#define STACK_B (32 * 256)
#define TILE_WORK ((int64_t)2 << 20) /* multiply-adds worth a chunk of their own, some 40 µs */
#define HALF_WORK ((int64_t)1 << 19) /* and worth the first cut in two */
#define MOST_SPLITS 16
#define TILE_SIDE 512

/* What a context keeps: packing buffers that nobody uses now. */
typedef struct matmul_state {
  _Atomic(float *) cell[CELLS];
} matmul_state;

static const mcl_matmul_kernel *kernel_of_machine(void) {
  switch (mcl_cpu_isa()) {
#if defined(__x86_64__)
  case MCL_ISA_AVX512:
    return &mcl_matmul_avx512;
  case MCL_ISA_AVX2:
    return &mcl_matmul_avx2;
#endif
  default:
    return &mcl_matmul_portable;
  }
}

/* ---- Buffers ---- */

static mcl_status state_new(mcl_context *ctx, void *out) { return mcl_alloc_zero(ctx, sizeof(matmul_state), out); }

static void state_free(mcl_context *ctx, void *value) {
  matmul_state *state = value;
  for (int i = 0; i < CELLS; i++) mcl_free(ctx, atomic_load(&state->cell[i]));
  mcl_free(ctx, state);
}

/* NULL only where memory is short. */
static matmul_state *state_of(mcl_context *ctx) {
  static const mcl_keeper keeper = {state_new, state_free};
  return mcl_context_keep(ctx, MCL_SLOT_MATMUL, &keeper);
}

/* Where a thread looks first, so that it tends to get the buffer that lies in its cache. */
static size_t home_cell(void) {
  uint64_t self = (uint64_t)(uintptr_t)pthread_self();
  return (size_t)((self >> 6) * 0x9E3779B97F4A7C15u >> 32) % CELLS;
}

static size_t buffer_floats(const mcl_matmul_kernel *kernel) {
  return (size_t)((kernel->mc + kernel->nc) * kernel->kc);
}

static float *take_buffer(mcl_context *ctx, matmul_state *state, const mcl_matmul_kernel *kernel) {
  size_t home = home_cell();
  for (size_t i = 0; state && i < CELLS; i++) {
    _Atomic(float *) *cell = &state->cell[(home + i) % CELLS];
    if (!atomic_load_explicit(cell, memory_order_relaxed)) continue;
    float *buffer = atomic_exchange(cell, NULL);
    if (buffer) return buffer;
  }
  float *buffer;
  return mcl_alloc(ctx, buffer_floats(kernel) * sizeof *buffer, &buffer) ? NULL : buffer;
}

static void give_buffer(mcl_context *ctx, matmul_state *state, float *buffer) {
  size_t home = home_cell();
  for (size_t i = 0; state && i < CELLS; i++) {
    float *none = NULL;
    if (atomic_compare_exchange_strong(&state->cell[(home + i) % CELLS], &none, buffer)) return;
  }
  mcl_free(ctx, buffer);
}

mcl_status mcl_matmul_reserve(mcl_context *ctx) {
  matmul_state *state = state_of(ctx);
  if (!state) return MCL_ERROR_MEMORY;
  const mcl_matmul_kernel *kernel = kernel_of_machine();
  int kept = 0, wanted = (int)mcl_min_i64(mcl_context_threads(ctx), CELLS);
  for (int i = 0; i < CELLS; i++) kept += atomic_load(&state->cell[i]) != NULL;
  for (; kept < wanted; kept++) {
    float *buffer;
    MCL_TRY(mcl_alloc(ctx, buffer_floats(kernel) * sizeof *buffer, &buffer));
    give_buffer(ctx, state, buffer);
  }
  return MCL_OK;
}

/* ---- One thread ---- */

/* Blocks of a side: `size` cut into as few as `limit` allows, all about as long, a multiple of `unit`. */
static int64_t even_block(int64_t size, int64_t limit, int64_t unit) {
  if (size <= limit) return size;
  return mcl_min_i64(limit, mcl_ceil_div(mcl_ceil_div(size, mcl_ceil_div(size, limit)), unit) * unit);
}

/* A block of op(A): `rows` rows in panels of about equal height, none above mr. Each is packed, or read where it is. */
typedef struct a_block {
  const float *data;
  int64_t rows, panels, step; /* step 0: packed, a panel's step is its height */
  int64_t k;
} a_block;

static int64_t panel_begin(const a_block *a, int64_t panel) { return a->rows * panel / a->panels; }

static a_block pack_a(const mcl_matmul_kernel *kernel, const mcl_matmul *p, int64_t i, int64_t l, int64_t rows,
                      int64_t k, float *buffer) {
  a_block a = {buffer, rows, mcl_ceil_div(rows, kernel->mr), 0, k};
  const float *src = p->transpose_a ? p->a + l * p->lda + i : p->a + i * p->lda + l;
  if (p->packed_a) {
    a.data = p->packed_a + l * p->m + i * k;
    return a;
  }
  if (p->transpose_a ? p->n <= 2 * kernel->nr : rows == 1) {
    a.data = src;
    a.step = p->transpose_a ? p->lda : 1;
    return a;
  }
  for (int64_t panel = 0; panel < a.panels; panel++) {
    int64_t begin = panel_begin(&a, panel);
    int height = (int)(panel_begin(&a, panel + 1) - begin);
    if (p->transpose_a)
      kernel->pack_rows(k, height, height, src + begin, p->lda, buffer + begin * k);
    else
      kernel->pack_columns(k, height, height, src + begin * p->lda, p->lda, buffer + begin * k);
  }
  return a;
}

/* A block of op(B) in panels of nr columns, the last padded with zeros to whole vectors. */
typedef struct b_block {
  float *packed;
  const float *plain; /* not NULL: whole panels are read where they are */
  int64_t columns, k, ld;
} b_block;

static int panel_width(const mcl_matmul_kernel *kernel, int64_t columns) {
  return columns > kernel->width ? kernel->nr : kernel->width;
}

static b_block pack_b(const mcl_matmul_kernel *kernel, const mcl_matmul *p, int64_t l, int64_t j, int64_t k,
                      int64_t columns, float *buffer) {
  b_block b = {buffer, NULL, columns, k, p->ldb};
  if (!p->transpose_b && (p->m <= 2 * kernel->mr || p->ldb <= 4 * kernel->nr)) b.plain = p->b + l * p->ldb + j;
  for (int64_t at = 0; at < columns; at += kernel->nr) {
    int lanes = (int)mcl_min_i64(kernel->nr, columns - at);
    if (b.plain && lanes % kernel->width == 0) continue;
    if (p->transpose_b)
      kernel->pack_columns(k, lanes, panel_width(kernel, lanes), p->b + (j + at) * p->ldb + l, p->ldb, buffer + at * k);
    else
      kernel->pack_rows(k, lanes, panel_width(kernel, lanes), p->b + l * p->ldb + j + at, p->ldb, buffer + at * k);
  }
  return b;
}

static void multiply_blocks(const mcl_matmul_kernel *kernel, const a_block *a, const b_block *b, float *c, int64_t ldc,
                            float alpha, float beta) {
  for (int64_t panel = 0; panel < a->panels; panel++) {
    int64_t begin = panel_begin(a, panel), height = panel_begin(a, panel + 1) - begin;
    mcl_micro_tile tile = {.k = a->k, .ldc = ldc, .alpha = alpha, .beta = beta};
    tile.a = a->step ? a->data + begin : a->data + begin * a->k;
    tile.a_step = a->step ? a->step : height;
    for (int64_t at = 0; at < b->columns; at += kernel->nr) {
      tile.columns = (int)mcl_min_i64(kernel->nr, b->columns - at);
      bool plain = b->plain && tile.columns % kernel->width == 0;
      tile.b = plain ? b->plain + at : b->packed + at * b->k;
      tile.b_step = plain ? b->ld : panel_width(kernel, tile.columns);
      tile.c = c + begin * ldc + at;
      kernel->tile[height - 1][tile.columns > kernel->width](&tile);
    }
  }
}

int64_t mcl_matmul_packed_floats(int64_t m, int64_t k) { return m * k; }

/* Block by block in the order of multiply, below. */
void mcl_matmul_pack_a(const mcl_matmul *p, float *packed) {
  const mcl_matmul_kernel *kernel = kernel_of_machine();
  mcl_matmul whole = *p;
  whole.packed_a = NULL;
  whole.n = INT64_MAX; /* worth packing */
  int64_t kb = even_block(p->k, kernel->kc, 4), mb = even_block(p->m, kernel->mc, 1);
  for (int64_t l = 0; l < p->k; l += kb)
    for (int64_t i = 0; i < p->m; i += mb) {
      int64_t k = mcl_min_i64(kb, p->k - l), rows = mcl_min_i64(mb, p->m - i);
      a_block a = pack_a(kernel, &whole, i, l, rows, k, packed + l * p->m + i * k);
      if (a.step) memcpy(packed + l * p->m + i * k, a.data, (size_t)k * sizeof *packed); /* a single row */
    }
}

/* Buffers hold mc × kc and kc × nc. */
static void multiply(const mcl_matmul_kernel *kernel, const mcl_matmul *p, int64_t mc, int64_t nc, float *a_buffer,
                     float *b_buffer) {
  int64_t kb = even_block(p->k, kernel->kc, 4), mb = even_block(p->m, mc, 1), nb = even_block(p->n, nc, kernel->nr);
  for (int64_t j = 0; j < p->n; j += nb) {
    int64_t columns = mcl_min_i64(nb, p->n - j);
    for (int64_t l = 0; l < p->k; l += kb) {
      int64_t k = mcl_min_i64(kb, p->k - l);
      b_block b = pack_b(kernel, p, l, j, k, columns, b_buffer);
      for (int64_t i = 0; i < p->m; i += mb) {
        a_block a = pack_a(kernel, p, i, l, mcl_min_i64(mb, p->m - i), k, a_buffer);
        multiply_blocks(kernel, &a, &b, p->c + i * p->ldc + j, p->ldc, p->alpha, l == 0 ? p->beta : 1);
      }
    }
  }
}

static __attribute__((noinline)) void multiply_on_stack(const mcl_matmul_kernel *kernel, const mcl_matmul *p) {
  float a_buffer[STACK_A] __attribute__((aligned(64))), b_buffer[STACK_B] __attribute__((aligned(64)));
  int64_t kb = even_block(p->k, kernel->kc, 4);
  int64_t nc = STACK_B / kb / kernel->nr * kernel->nr;
  multiply(kernel, p, STACK_A / kb, nc, a_buffer, b_buffer);
}

static void scale(const mcl_matmul *p) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) p->c[i * p->ldc + j] = p->beta == 0 ? 0 : p->beta * p->c[i * p->ldc + j];
}

static void put(float *c, float sum, float alpha, float beta) {
  *c = beta == 0 ? alpha * sum : alpha * sum + beta * *c;
}

/* Few rows of x times rows of y, both contiguous along k: dot products, nothing packed. C's strides are given, since
 * a product with one column is one with one row, transposed. */
static void multiply_by_dots(const mcl_matmul_kernel *kernel, const mcl_matmul *p, const float *x, int64_t ldx,
                             int64_t rows, const float *y, int64_t ldy, int64_t count, int64_t row_step,
                             int64_t column_step) {
  float sums[64];
  for (int64_t j = 0; j < count; j += 64)
    for (int64_t i = 0; i < rows; i++) {
      int64_t some = mcl_min_i64(64, count - j);
      kernel->dots(p->k, x + i * ldx, y + j * ldy, ldy, some, sums);
      for (int64_t t = 0; t < some; t++) put(p->c + i * row_step + (j + t) * column_step, sums[t], p->alpha, p->beta);
    }
}

#define DOT_ROWS 3 /* up to here the packing of the other side would cost more than it saves */

void mcl_matmul_serial(mcl_context *ctx, const mcl_matmul *p) { mcl_matmul_with(ctx, kernel_of_machine(), p); }

void mcl_matmul_with(mcl_context *ctx, const mcl_matmul_kernel *kernel, const mcl_matmul *p) {
  if (p->m <= 0 || p->n <= 0) return;
  if (p->k <= 0) {
    scale(p);
    return;
  }
  if (p->m <= DOT_ROWS && p->transpose_b && (!p->transpose_a || p->lda == 1)) {
    multiply_by_dots(kernel, p, p->a, p->transpose_a ? p->k : p->lda, p->m, p->b, p->ldb, p->n, p->ldc, 1);
    return;
  }
  if (p->n == 1 && !p->transpose_a && (p->transpose_b || p->ldb == 1)) {
    multiply_by_dots(kernel, p, p->b, p->ldb, 1, p->a, p->lda, p->m, 1, p->ldc);
    return;
  }
  int64_t kb = even_block(p->k, kernel->kc, 4), padded = mcl_ceil_div(p->n, kernel->nr) * kernel->nr;
  if (p->packed_a || p->m * kb > STACK_A || padded * kb > STACK_B) {
    matmul_state *state = state_of(ctx);
    float *buffer = take_buffer(ctx, state, kernel);
    if (buffer) {
      multiply(kernel, p, kernel->mc, kernel->nc, buffer, buffer + kernel->mc * kernel->kc);
      give_buffer(ctx, state, buffer);
      return;
    }
  }
  mcl_matmul plain = *p;
  plain.packed_a = NULL; /* it was made for larger blocks */
  multiply_on_stack(kernel, &plain);
}

/* ---- All threads ---- */

/* C is cut into row_splits × column_splits tiles; boundaries are whole panels of 32 columns and groups of 4 rows. */
typedef struct tiling {
  mcl_context *ctx;
  const mcl_matmul *p;
  int64_t row_splits, column_splits;
} tiling;

static int64_t boundary(int64_t size, int64_t unit, int64_t splits, int64_t at) {
  return mcl_min_i64(size, mcl_ceil_div(mcl_ceil_div(size, unit) * at, splits) * unit);
}

static void choose_splits(tiling *t) {
  const mcl_matmul *p = t->p;
  t->row_splits = t->column_splits = 1;
  for (;;) {
    int64_t rows = mcl_ceil_div(p->m, t->row_splits), columns = mcl_ceil_div(p->n, t->column_splits);
    bool large = rows > TILE_SIDE || columns > TILE_SIDE;
    bool many = t->row_splits * t->column_splits >= MOST_SPLITS, is_whole = t->row_splits * t->column_splits == 1;
    if (rows <= 8 && columns <= 64) return;
    if (!large && (many || rows * columns < 2 * (is_whole ? HALF_WORK : TILE_WORK) / p->k)) return;
    /* B's packing is paid by each split of rows, A's by each of columns: keep tiles square */
    if (columns > 64 && (columns >= rows || rows <= 8))
      t->column_splits *= 2;
    else
      t->row_splits *= 2;
  }
}

static mcl_status run_tile(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const tiling *t = arg;
  mcl_matmul p = *t->p;
  int64_t row = chunk / t->column_splits, column = chunk % t->column_splits;
  int64_t i = boundary(p.m, 4, t->row_splits, row), j = boundary(p.n, 32, t->column_splits, column);
  p.m = boundary(p.m, 4, t->row_splits, row + 1) - i;
  p.n = boundary(p.n, 32, t->column_splits, column + 1) - j;
  p.a += p.transpose_a ? i : i * p.lda;
  if (p.m != t->p->m) p.packed_a = NULL; /* a part of the rows has other blocks */
  p.b += p.transpose_b ? j * p.ldb : j;
  p.c += i * p.ldc + j;
  if (p.m > 0 && p.n > 0) mcl_matmul_serial(t->ctx, &p);
  return MCL_OK;
}

mcl_status mcl_matmul_run(mcl_context *ctx, const mcl_matmul *p) {
  MCL_TRY(mcl_check_cancel(ctx));
  tiling t = {ctx, p, 1, 1};
  if (p->m > 0 && p->n > 0 && p->k > 0) choose_splits(&t);
  return mcl_parallel(ctx, t.row_splits * t.column_splits, run_tile, &t);
}
