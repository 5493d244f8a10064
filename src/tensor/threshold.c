/* What pruning asks of scores: the threshold that keeps a number of them, which ones those are, and quantiles. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "tensor/kernels/select.h"
#include "tensor/select.h"

#define CHUNK_WORDS (MCL_CHUNK / 64)

/* Nothing is kept: no value is above infinity. The scores are looked at all the same, for NaN. */
static mcl_status keep_nothing(mcl_expression *e, float *v, int64_t *tie_limit) {
  double largest;
  *v = INFINITY;
  *tie_limit = 0;
  if (mcl_shape_rows(e->shape) * mcl_shape_cols(e->shape) == 0) return MCL_OK;
  MCL_TRY(mcl_expression_reduce_all(e, MCL_R_MAX, &largest));
  if (isnan(largest))
    return mcl_fail(e->ctx, MCL_ERROR_NUMERIC,
                    "scores hold NaN, which is neither large nor small: mend what they are "
                    "computed from");
  return MCL_OK;
}

mcl_status mcl_expression_threshold(mcl_expression *e, int64_t keep, float *v, int64_t *tie_limit) {
  mcl_program program;
  mcl_selection selection = {0};
  MCL_TRY(mcl_program_compile(e, &program));
  mcl_status status = MCL_OK;
  if (keep < 0 || keep > program.count)
    status = mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "a threshold to keep %lld of %lld elements", (long long)keep,
                      (long long)program.count);
  else if (keep == 0)
    status = keep_nothing(e, v, tie_limit);
  else if (!(status = mcl_select_largest(&program, keep, &selection)))
    *v = selection.value, *tie_limit = selection.tie_limit;
  mcl_program_free(&program);
  return status;
}

/* ---- Quantiles ---- */

/* The smallest element above v. */
static mcl_status next_above(mcl_expression *e, float v, double *out) {
  mcl_context *ctx = e->ctx;
  mcl_expression *bound = NULL, *infinity = NULL, *above = NULL, *chosen = NULL;
  mcl_status status = mcl_expression_scalar(ctx, (double)v, &bound);
  if (!status) status = mcl_expression_scalar(ctx, INFINITY, &infinity);
  if (!status) status = mcl_expression_apply(ctx, MCL_E_GT, (mcl_expression *const[]){e, bound}, &above);
  if (!status) status = mcl_expression_apply(ctx, MCL_E_WHERE, (mcl_expression *const[]){above, e, infinity}, &chosen);
  if (!status) status = mcl_expression_reduce_all(chosen, MCL_R_MIN, out);
  mcl_expression_release(bound);
  mcl_expression_release(infinity);
  mcl_expression_release(above);
  mcl_expression_release(chosen);
  return status;
}

mcl_status mcl_expression_quantile(mcl_expression *e, double q, double *out) {
  mcl_program program;
  mcl_selection selection = {0};
  *out = 0;
  if (!(q >= 0 && q <= 1)) return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "quantile %g; 0 to 1 are possible", q);
  MCL_TRY(mcl_program_compile(e, &program));
  int64_t count = program.count;
  double place = q * (double)(count - 1), below = floor(place), part = place - below;
  int64_t k = count - (int64_t)below; /* the order statistic below, counted from the largest */
  mcl_status status = MCL_OK;
  if (count == 0)
    status = mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "a quantile of no elements");
  else
    status = mcl_select_largest(&program, k, &selection);
  mcl_program_free(&program);
  if (status) return status;
  double low = (double)selection.value, high = low;
  if (part > 0 && k - 1 <= selection.above) MCL_TRY(next_above(e, selection.value, &high));
  *out = part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part); /* as numpy.quantile adds */
  if (low == high) *out = low;                                                      /* infinities, too */
  return MCL_OK;
}

/* ---- Masks ---- */

typedef struct masking {
  const mcl_program *program;
  const mcl_select_table *kernels;
  mcl_program_scratch scratch;
  float value;
  int64_t tie_limit;
  uint64_t *mask; /* where the bits go; NULL: nowhere */
  uint8_t *bools; /* where a byte for each element goes; NULL: nowhere */
  int64_t kept;
} masking;

/* Puts the bits of n elements at bit `at` of words, which are still zero there. */
static void put_bits(uint64_t *words, int64_t at, const uint64_t *bits, size_t n) {
  int shift = (int)(at % 64);
  words += at / 64;
  for (size_t i = 0; i < (n + 63) / 64; i++) {
    words[i] |= bits[i] << shift;
    if (shift > 0) words[i + 1] |= bits[i] >> (64 - shift);
  }
}

/* Eight bits at a time: byte i keeps bit i of eight copies, and what is not zero there becomes 1. */
static void spread_bits(const uint64_t *words, int64_t n, uint8_t *bools) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t kept = (words[i / 64] >> (i % 64) & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
    mcl_store_u64(bools + i, (kept + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u);
  }
  for (; i < n; i++) bools[i] = words[i / 64] >> (i % 64) & 1;
}

static mcl_status mask_chunk(void *arg, int64_t chunk, int worker) {
  masking *m = arg;
  const mcl_program *p = m->program;
  uint64_t words[CHUNK_WORDS + 1] = {0}, bits[MCL_BLOCK / 64];
  int64_t begin = chunk * MCL_CHUNK, end = begin + MCL_CHUNK < p->count ? begin + MCL_CHUNK : p->count, kept = 0;
  MCL_TRY(mcl_check_cancel(p->ctx));
  for (int64_t first = begin; first < end;) {
    size_t n = mcl_program_block_size(p, first, end), done = 0;
    const float *block = mcl_program_block(p, &m->scratch, worker, first, n);
    while (done < n) { /* in one, but for the block that has the limit within */
      int64_t at = first + (int64_t)done;
      bool ties = at < m->tie_limit;
      size_t run = ties && m->tie_limit - at < (int64_t)(n - done) ? (size_t)(m->tie_limit - at) : n - done;
      m->kernels->compare(block + done, run, m->value, ties, bits);
      put_bits(words, at - begin, bits, run);
      done += run;
    }
    first += (int64_t)n;
  }
  size_t used = (size_t)(end - begin + 63) / 64;
  for (size_t i = 0; i < used; i++) kept += __builtin_popcountll(words[i]);
  __atomic_fetch_add(&m->kept, kept, __ATOMIC_RELAXED);
  if (m->mask) memcpy(m->mask + chunk * CHUNK_WORDS, words, used * sizeof *words);
  if (m->bools) spread_bits(words, end - begin, m->bools + begin);
  return MCL_OK;
}

static mcl_status run_mask(mcl_expression *e, masking *m) {
  mcl_program program;
  MCL_TRY(mcl_program_compile(e, &program));
  m->program = &program;
  m->kernels = mcl_select_kernels(mcl_cpu_isa());
  mcl_status status = mcl_program_scratch_new(&program, &m->scratch);
  if (!status) status = mcl_program_parallel(e->ctx, mcl_chunks(program.count), mask_chunk, m);
  mcl_program_scratch_free(&m->scratch);
  mcl_program_free(&program);
  return status;
}

mcl_status mcl_expression_mask(mcl_expression *e, float v, int64_t tie_limit, uint64_t *mask, int64_t *kept) {
  masking m = {.value = v, .tie_limit = tie_limit, .mask = mask};
  mcl_status status = run_mask(e, &m);
  if (kept) *kept = m.kept;
  return status;
}

mcl_status mcl_expression_top(mcl_expression *e, int64_t keep, mcl_tensor **out) {
  masking m = {0};
  *out = NULL;
  MCL_TRY(mcl_expression_threshold(e, keep, &m.value, &m.tie_limit));
  MCL_TRY(mcl_tensor_new_raw(e->ctx, MCL_BOOL, e->shape, out));
  m.bools = (*out)->data;
  mcl_status status = run_mask(e, &m);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}
