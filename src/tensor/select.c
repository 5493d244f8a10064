/* Selecting the k-th largest of values that are computed as they are looked at.
 *
 * 1. A sample, of short runs spread evenly, gives a band (low, high) of values in which the k-th largest lies almost
 *    surely, and about one element in a hundred.
 * 2. One pass over everything counts what is above the band and on its edges, chunk by chunk, and collects what is
 *    inside.
 * 3. Among the collected, histogram passes over digits of the floats' ordered bits narrow the value down to one.
 * Should the band have missed, or hold too much, step 3 is done over everything, computing the values anew in each pass:
 * slower, and as exact. Up to SMALL elements, all are collected at once.
 *
 * Ties are settled by index: the chunk that has the last tie to be taken is computed once more. */
#include "tensor/select.h"

#include "base/whole.h"
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "base/threads.h"
#include "tensor/kernels/select.h"

#define SMALL ((int64_t)1 << 20)
#define SAMPLE_RUNS 4096
#define SAMPLE_RUN 64 /* elements: four cache lines that memory delivers together */
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define PIECE ((size_t)1 << 16) /* of an array, a task */

/* Values kept in memory: what one worker collected, or the sample. */
typedef struct array {
  float *values;
  size_t count, capacity;
} array;

/* What one chunk holds, and where its part of a collection is. */
typedef struct chunk_record {
  mcl_band_count count;
  int worker;
  size_t offset;
} chunk_record;

typedef struct selector {
  const mcl_program *program;
  const mcl_select_table *kernels;
  mcl_program_scratch scratch;
  int workers;
  float low, high;       /* the band */
  chunk_record *records; /* of each chunk */
  array *collected;      /* by each worker */
  size_t collect_limit;  /* of each worker */
  int has_overflowed;
  /* A histogram pass: over arrays, or where there is none, over the program. */
  array *arrays;
  int array_count;
  uint32_t base, digits; /* counted are keys from base on, below base + (digits << shift) */
  int shift;
  uint64_t *histograms; /* of each worker */
} selector;

/* ---- Keys: floats as integers of the same order; both zeros have one ---- */

static inline uint32_t key_of(float f) {
  uint32_t bits;
  f += 0.0f;
  memcpy(&bits, &f, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static float float_of(uint32_t key) {
  uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* ---- Histogram passes ---- */

/* Two histograms in turn, so that equal digits next to each other do not wait for one another. */
typedef struct digit_counts {
  uint32_t of[2][DIGITS + 1]; /* the last: outside of what is counted */
} digit_counts;

static void count_digits(const selector *s, const float *x, size_t n, digit_counts *counts) {
  uint32_t base = s->base, digits = s->digits;
  int shift = s->shift;
  for (size_t i = 0; i < n; i++) {
    uint32_t digit = (key_of(x[i]) - base) >> shift;
    counts->of[i & 1][digit < digits ? digit : DIGITS]++;
  }
}

static void add_digits(const selector *s, const digit_counts *counts, int worker) {
  uint64_t *histogram = s->histograms + (size_t)worker * DIGITS;
  for (int i = 0; i < DIGITS; i++) histogram[i] += (uint64_t)counts->of[0][i] + counts->of[1][i];
}

static mcl_status count_piece(void *arg, int64_t piece, int worker) {
  const selector *s = arg;
  digit_counts counts = {0};
  size_t at = (size_t)piece;
  const array *a = s->arrays;
  while (at >= a->count / PIECE + 1) at -= a++->count / PIECE + 1; /* each has a last piece, maybe empty */
  size_t first = at * PIECE, n = a->count - first < PIECE ? a->count - first : PIECE;
  if (n == 0) return MCL_OK;
  count_digits(s, a->values + first, n, &counts);
  add_digits(s, &counts, worker);
  return MCL_OK;
}

static mcl_status count_chunk(void *arg, int64_t chunk, int worker) {
  selector *s = arg;
  digit_counts counts = {0};
  int64_t first = chunk * MCL_CHUNK, end = mcl_min_i64(first + MCL_CHUNK, s->program->count);
  MCL_TRY(mcl_check_cancel(s->program->ctx));
  while (first < end) {
    size_t n = mcl_program_block_size(s->program, first, end);
    count_digits(s, mcl_program_block(s->program, &s->scratch, worker, first, n), n, &counts);
    first += (int64_t)n;
  }
  add_digits(s, &counts, worker);
  return MCL_OK;
}

static mcl_status histogram_pass(selector *s, uint64_t *histogram) {
  mcl_context *ctx = s->program->ctx;
  int64_t pieces = 0;
  memset(s->histograms, 0, (size_t)s->workers * DIGITS * sizeof *s->histograms);
  for (int i = 0; i < s->array_count; i++) pieces += (int64_t)(s->arrays[i].count / PIECE + 1);
  if (s->array_count > 0)
    MCL_TRY(mcl_program_parallel(ctx, pieces, count_piece, s));
  else
    MCL_TRY(mcl_program_parallel(ctx, mcl_chunks(s->program->count), count_chunk, s));
  memset(histogram, 0, DIGITS * sizeof *histogram);
  for (int worker = 0; worker < s->workers; worker++)
    for (int i = 0; i < DIGITS; i++) histogram[i] += s->histograms[worker * DIGITS + i];
  return MCL_OK;
}

/* The k-th largest key from low to high, both included, which has it. */
static mcl_status narrow(selector *s, uint32_t low, uint32_t high, uint64_t k, uint32_t *key) {
  uint64_t histogram[DIGITS];
  int bits = 0;
  while (bits < 32 && (high - low) >> bits) bits++;
  s->base = low;
  while (bits > 0) {
    s->shift = bits > DIGIT_BITS ? bits - DIGIT_BITS : 0;
    s->digits = bits > DIGIT_BITS ? DIGITS : 1u << bits;
    MCL_TRY(histogram_pass(s, histogram));
    uint32_t digit = s->digits - 1;
    while (digit > 0 && histogram[digit] < k) k -= histogram[digit--];
    s->base += digit << s->shift;
    bits = s->shift;
  }
  *key = s->base;
  return MCL_OK;
}

static mcl_status narrow_arrays(selector *s, array *arrays, int count, float low, float high, int64_t k, float *value) {
  uint32_t key = 0;
  s->arrays = arrays;
  s->array_count = count;
  mcl_status status = narrow(s, key_of(low), key_of(high), (uint64_t)k, &key);
  s->array_count = 0;
  *value = float_of(key);
  return status;
}

/* ---- The sample and the band ---- */

static void take_sample(selector *s, array *sample, size_t *run_end) {
  const mcl_program *p = s->program;
  mcl_random random = mcl_random_at(0, mcl_random_stream("select"));
  for (int run = 0; run < SAMPLE_RUNS; run++) { /* somewhere in each of as many equal parts */
    int64_t part = p->count / SAMPLE_RUNS;
    int64_t first = run * part + (int64_t)mcl_random_below(&random, (uint64_t)(part - SAMPLE_RUN + 1));
    size_t n = mcl_program_block_size(p, first, first + SAMPLE_RUN);
    memcpy(sample->values + sample->count, mcl_program_block(p, &s->scratch, 0, first, n), n * sizeof(float));
    sample->count += n;
    run_end[run] = sample->count;
  }
}

/* How far the sample may be off, in elements of it: five standard errors of the number above `middle`, from how that
 * number differs between runs, since elements of a run may be alike. */
static int64_t margin_of(const array *sample, const size_t *run_end, float middle) {
  double sum = 0, squares = 0;
  size_t at = 0;
  for (int run = 0; run < SAMPLE_RUNS; run++) {
    double above = 0;
    for (; at < run_end[run]; at++) above += sample->values[at] > middle;
    sum += above;
    squares += above * above;
  }
  double variance = squares - sum * sum / SAMPLE_RUNS;
  return 32 + (int64_t)(5 * sqrt(variance > 0 ? variance : 0));
}

static mcl_status choose_band(selector *s, int64_t k) {
  array sample = {0};
  size_t *run_end = NULL;
  float middle = 0;
  s->low = -INFINITY;
  s->high = INFINITY;
  if (s->program->count <= SMALL) return MCL_OK;
  mcl_context *ctx = s->program->ctx;
  mcl_status status = mcl_alloc_array(ctx, SAMPLE_RUNS * SAMPLE_RUN, sizeof(float), &sample.values);
  if (!status) status = mcl_alloc_array(ctx, SAMPLE_RUNS, sizeof *run_end, &run_end);
  if (status) goto done;
  take_sample(s, &sample, run_end);
  int64_t size = (int64_t)sample.count;
  int64_t rank = (int64_t)((double)k / (double)s->program->count * (double)size);
  rank = rank < 1 ? 1 : rank;
  status = narrow_arrays(s, &sample, 1, -INFINITY, INFINITY, rank, &middle);
  if (status) goto done;
  int64_t margin = margin_of(&sample, run_end, middle);
  if (rank - margin >= 1) status = narrow_arrays(s, &sample, 1, -INFINITY, INFINITY, rank - margin, &s->high);
  if (!status && rank + margin <= size)
    status = narrow_arrays(s, &sample, 1, -INFINITY, INFINITY, rank + margin, &s->low);
done:
  mcl_free(ctx, sample.values);
  mcl_free(ctx, run_end);
  return status;
}

/* ---- The pass over everything ---- */

static mcl_status fail_nan(const mcl_program *p, mcl_program_scratch *scratch, int worker, int64_t first) {
  char text[MCL_SHAPE_TEXT];
  while (first < p->count) { /* there is one in the chunk that begins at `first` */
    size_t n = mcl_program_block_size(p, first, p->count);
    const float *block = mcl_program_block(p, scratch, worker, first, n);
    for (size_t i = 0; i < n; i++)
      if (block[i] != block[i])
        return mcl_fail(p->ctx, MCL_ERROR_NUMERIC,
                        "element %lld (counted from 0, of %s) is NaN, which is neither large nor small: mend what it "
                        "is computed from",
                        (long long)(first + (int64_t)i), mcl_shape_text(p->shape, text));
    first += (int64_t)n;
  }
  return mcl_check_cancel(p->ctx); /* a cancel left the block unfinished that had it */
}

static mcl_status reserve(selector *s, array *a, size_t n) {
  size_t needed = a->count + n + MCL_SELECT_ROOM;
  if (needed <= a->capacity) return MCL_OK;
  size_t capacity = 2 * needed;
  MCL_TRY(mcl_realloc(s->program->ctx, capacity * sizeof(float), &a->values));
  a->capacity = capacity;
  return MCL_OK;
}

static mcl_status band_chunk(void *arg, int64_t chunk, int worker) {
  selector *s = arg;
  const mcl_program *p = s->program;
  array *collected = &s->collected[worker];
  chunk_record *record = &s->records[chunk];
  int64_t begin = chunk * MCL_CHUNK, end = mcl_min_i64(begin + MCL_CHUNK, p->count);
  MCL_TRY(mcl_check_cancel(p->ctx));
  *record = (chunk_record){.worker = worker, .offset = collected->count};
  for (int64_t first = begin; first < end;) {
    if (collected->count > s->collect_limit) __atomic_store_n(&s->has_overflowed, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&s->has_overflowed, __ATOMIC_RELAXED)) return MCL_OK;
    size_t n = mcl_program_block_size(p, first, end);
    const float *block = mcl_program_block(p, &s->scratch, worker, first, n);
    int64_t before = record->count.inside;
    MCL_TRY(reserve(s, collected, n));
    s->kernels->band(block, n, s->low, s->high, &record->count, collected->values + collected->count);
    collected->count += (size_t)(record->count.inside - before);
    first += (int64_t)n;
  }
  return record->count.nans > 0 ? fail_nan(p, &s->scratch, worker, begin) : MCL_OK;
}

static mcl_status band_pass(selector *s, mcl_band_count *total) {
  int64_t chunks = mcl_chunks(s->program->count);
  for (int i = 0; i < s->workers; i++) s->collected[i].count = 0;
  s->has_overflowed = 0;
  MCL_TRY(mcl_program_parallel(s->program->ctx, chunks, band_chunk, s));
  *total = (mcl_band_count){0};
  for (int64_t i = 0; i < chunks; i++) {
    const mcl_band_count *count = &s->records[i].count;
    total->above += count->above;
    total->at_high += count->at_high;
    total->inside += count->inside;
    total->at_low += count->at_low;
  }
  return MCL_OK;
}

/* ---- The value, then the ties ---- */

/* Over everything: three passes, then one that counts around the value found. */
static mcl_status select_from_all(selector *s, int64_t k, float *value, mcl_band_count *total) {
  uint32_t key = 0;
  MCL_TRY(narrow(s, 0, UINT32_MAX, (uint64_t)k, &key));
  *value = s->low = s->high = float_of(key);
  return band_pass(s, total);
}

static mcl_status select_value(selector *s, int64_t k, float *value, mcl_band_count *total) {
  MCL_TRY(choose_band(s, k));
  MCL_TRY(band_pass(s, total));
  int64_t rest = k - total->above;
  if (s->has_overflowed || rest < 1 || rest > total->at_high + total->inside + total->at_low)
    return select_from_all(s, k, value, total);
  *value = s->high;
  if (rest <= total->at_high) return MCL_OK;
  *value = s->low;
  if (rest > total->at_high + total->inside) return MCL_OK;
  return narrow_arrays(s, s->collected, s->workers, s->low, s->high, rest - total->at_high, value);
}

/* Elements of a chunk that equal `value`, and that are greater: from its record, without computing them again. */
static int64_t count_equal(const selector *s, const chunk_record *record, float value, int64_t *greater) {
  int64_t equal = 0;
  *greater = record->count.above;
  if (value == s->high) return record->count.at_high;
  *greater += record->count.at_high;
  if (value == s->low) {
    *greater += record->count.inside;
    return record->count.at_low;
  }
  const float *values = s->collected[record->worker].values + record->offset;
  for (int64_t i = 0; i < record->count.inside; i++) {
    equal += values[i] == value;
    *greater += values[i] > value;
  }
  return equal;
}

/* Behind the `rank`-th element, from 1, of a chunk that equals `value`. */
static int64_t limit_in_chunk(selector *s, int64_t chunk, float value, int64_t rank) {
  const mcl_program *p = s->program;
  int64_t first = chunk * MCL_CHUNK, end = mcl_min_i64(first + MCL_CHUNK, p->count);
  while (first < end) {
    size_t n = mcl_program_block_size(p, first, end);
    const float *block = mcl_program_block(p, &s->scratch, 0, first, n);
    for (size_t i = 0; i < n; i++)
      if (block[i] == value && --rank == 0) return first + (int64_t)i + 1;
    first += (int64_t)n;
  }
  return end;
}

static mcl_status settle_ties(selector *s, int64_t k, mcl_selection *out) {
  int64_t chunks = mcl_chunks(s->program->count), greater, chunk = 0, work = 0;
  out->above = 0;
  for (int64_t i = 0; i < chunks; i++) {
    s->records[i].count.at_low = count_equal(s, &s->records[i], out->value, &greater);
    out->above += greater;
    MCL_TRY(mcl_worked(s->program->ctx, &work, 1 + s->records[i].count.inside));
  }
  int64_t ties = k - out->above;
  while (s->records[chunk].count.at_low < ties) ties -= s->records[chunk++].count.at_low;
  out->tie_limit = limit_in_chunk(s, chunk, out->value, ties);
  return mcl_check_cancel(s->program->ctx);
}

mcl_status mcl_select_largest(const mcl_program *p, int64_t k, mcl_selection *out) {
  mcl_context *ctx = p->ctx;
  selector s = {.program = p, .kernels = mcl_select_kernels(mcl_cpu_isa()), .workers = mcl_context_threads(ctx)};
  mcl_band_count total;
  s.collect_limit = (size_t)(p->count / 8 > SMALL ? p->count / 8 : SMALL);
  mcl_status status = mcl_program_scratch_new(p, &s.scratch);
  if (!status) status = mcl_alloc_array(ctx, (size_t)mcl_chunks(p->count), sizeof *s.records, &s.records);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)s.workers * sizeof *s.collected, &s.collected);
  if (!status) status = mcl_alloc_array(ctx, (size_t)s.workers, DIGITS * sizeof *s.histograms, &s.histograms);
  if (!status) status = select_value(&s, k, &out->value, &total);
  if (!status) status = settle_ties(&s, k, out);
  for (int i = 0; s.collected && i < s.workers; i++) mcl_free(ctx, s.collected[i].values);
  mcl_free(ctx, s.collected);
  mcl_free(ctx, s.records);
  mcl_free(ctx, s.histograms);
  mcl_program_scratch_free(&s.scratch);
  return status;
}
