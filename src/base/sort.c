/* Sorting that can be cancelled: runs of a few elements by insertion, then merged, from one array to another and back. */
#include <string.h>

#include "base/context.h"

#define RUN ((size_t)8)

typedef int (*compare_fn)(const void *a, const void *b);

typedef struct sorting {
  size_t size; /* of an element */
  compare_fn compare;
} sorting;

static void insert(const sorting *s, uint8_t *base, size_t count, uint8_t *spare) {
  for (size_t i = 1; i < count; i++) {
    size_t at = i;
    while (at > 0 && s->compare(base + (at - 1) * s->size, base + i * s->size) > 0) at--;
    if (at == i) continue;
    memcpy(spare, base + i * s->size, s->size);
    memmove(base + (at + 1) * s->size, base + at * s->size, (i - at) * s->size);
    memcpy(base + at * s->size, spare, s->size);
  }
}

/* from[0, middle) and from[middle, end) into `to`; equal elements keep their order. */
static mcl_status merge(mcl_context *ctx, const sorting *s, const uint8_t *from, size_t middle, size_t end, uint8_t *to,
                        int64_t *work) {
  size_t left = 0, right = middle;
  for (size_t i = 0; i < end; i++) {
    bool take_left = right == end || (left < middle && s->compare(from + left * s->size, from + right * s->size) <= 0);
    memcpy(to + i * s->size, from + (take_left ? left++ : right++) * s->size, s->size);
    MCL_TRY(mcl_worked(ctx, work, 16));
  }
  return MCL_OK;
}

static mcl_status merge_runs(mcl_context *ctx, const sorting *s, uint8_t *base, size_t count, uint8_t *other) {
  int64_t work = 0;
  uint8_t *from = base, *to = other;
  for (size_t run = RUN; run < count; run *= 2) {
    for (size_t first = 0; first < count; first += 2 * run) {
      size_t end = count - first < 2 * run ? count - first : 2 * run, middle = end < run ? end : run;
      MCL_TRY(merge(ctx, s, from + first * s->size, middle, end, to + first * s->size, &work));
    }
    uint8_t *merged = to;
    to = from, from = merged;
  }
  return from == base ? MCL_OK : mcl_copy(ctx, base, from, count * s->size);
}

mcl_status mcl_sort(mcl_context *ctx, void *base, size_t count, size_t size, compare_fn compare) {
  sorting s = {size, compare};
  uint8_t *spare;
  int64_t work = 0;
  if (count < 2) return MCL_OK;
  MCL_TRY(mcl_alloc_array(ctx, count, size, &spare));
  mcl_status status = MCL_OK;
  for (size_t first = 0; first < count && !status; first += RUN) {
    insert(&s, (uint8_t *)base + first * size, count - first < RUN ? count - first : RUN, spare);
    status = mcl_worked(ctx, &work, 16 * RUN);
  }
  if (!status) status = merge_runs(ctx, &s, base, count, spare);
  mcl_free(ctx, spare);
  return status;
}
