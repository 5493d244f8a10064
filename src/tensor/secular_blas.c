/* Roots of the secular equation by the middle way (Li 1994): the sums over the poles below and above are each replaced by
 * one pole that has its value and slope, the quadratic is solved, and a bracket keeps the step honest. */
#include "tensor/secular_blas.h"

#include <float.h>
#include <math.h>

#include "base/threads.h"

#define MOST_STEPS 100
#define ROW_WORK ((int64_t)1 << 15) /* poles that a chunk walks over once */

/* f at pole[origin] + offset: 1 + below + above, with the slopes of both. */
typedef struct sums {
  double below, above, below_slope, above_slope;
} sums;

static void add_range(const mcl_secular *s, int64_t first, int64_t end, int64_t origin, double offset, double *value,
                      double *slope) {
  double total = 0, total_slope = 0;
  for (int64_t j = first; j < end; j++) {
    double inverse = 1 / ((s->pole[j] - s->pole[origin]) - offset), part = s->weight[j] * inverse;
    total += part;
    total_slope += part * inverse;
  }
  *value = total;
  *slope = total_slope;
}

static sums sums_at(const mcl_secular *s, int64_t i, int64_t origin, double offset) {
  sums at;
  add_range(s, 0, i + 1, origin, offset, &at.below, &at.below_slope);
  add_range(s, i + 1, s->count, origin, offset, &at.above, &at.above_slope);
  return at;
}

/* The step to the root of the model that has two poles, at the distances lower and upper from here. */
static double middle_way(const sums *at, double lower, double upper) {
  double f = 1 + at->below + at->above, slope = at->below_slope + at->above_slope;
  double c = f - lower * at->below_slope - upper * at->above_slope;
  double a = (lower + upper) * f - lower * upper * slope, b = lower * upper * f;
  double root = sqrt(fmax(a * a - 4 * b * c, 0));
  return a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root);
}

/* The last root has no pole above: the model is a constant and one pole. */
static double last_step(const sums *at, double lower) {
  double f = 1 + at->below, c = f - lower * at->below_slope;
  return lower + at->below_slope * lower * lower / c;
}

static void find_root(const mcl_secular *s, int64_t i) {
  bool is_last = i + 1 == s->count;
  double gap = is_last ? 0 : s->pole[i + 1] - s->pole[i], low = 0, high = gap / 2;
  int64_t origin = i;
  for (int64_t j = 0; is_last && j < s->count; j++) gap += s->weight[j];
  if (is_last) {
    high = gap;
  } else {
    sums middle = sums_at(s, i, i, gap / 2);
    if (1 + middle.below + middle.above < 0) origin = i + 1, low = -gap / 2, high = 0;
  }
  double at = low + (high - low) / 2;
  for (int step = 0; step < MOST_STEPS; step++) {
    sums f = sums_at(s, i, origin, at);
    double value = 1 + f.below + f.above, size = 1 + fabs(f.below) + fabs(f.above);
    if (fabs(value) <= 4 * DBL_EPSILON * size) break;
    if (value < 0)
      low = at;
    else
      high = at;
    double lower = (s->pole[i] - s->pole[origin]) - at;
    double next =
        at + (is_last ? last_step(&f, lower) : middle_way(&f, lower, (s->pole[i + 1] - s->pole[origin]) - at));
    if (!(next > low && next < high)) next = low + (high - low) / 2;
    if (next == at || next == low || next == high) break;
    at = next;
  }
  s->origin[i] = origin;
  s->offset[i] = at;
}

static int64_t rows_of(const mcl_secular *s) { return s->count < ROW_WORK ? ROW_WORK / s->count : 1; }

static mcl_status roots_chunk(void *arg, int64_t chunk, int worker) {
  const mcl_secular *s = arg;
  (void)worker;
  int64_t rows = rows_of(s), end = (chunk + 1) * rows < s->count ? (chunk + 1) * rows : s->count;
  for (int64_t i = chunk * rows; i < end; i++) find_root(s, i);
  return MCL_OK;
}

mcl_status mcl_secular_solve(const mcl_secular *s) {
  if (s->count == 0) return MCL_OK;
  int64_t rows = rows_of(s);
  return mcl_parallel(s->ctx, (s->count + rows - 1) / rows, roots_chunk, (void *)(uintptr_t)s);
}

typedef struct refining {
  const mcl_secular *s;
  double *out;
} refining;

/* Π over i of (root_i − pole_j), over Π over i ≠ j of (pole_i − pole_j), paired so that each factor is near 1. */
static mcl_status refine_chunk(void *arg, int64_t chunk, int worker) {
  const refining *r = arg;
  const mcl_secular *s = r->s;
  (void)worker;
  int64_t rows = rows_of(s), end = (chunk + 1) * rows < s->count ? (chunk + 1) * rows : s->count, last = s->count - 1;
  for (int64_t j = chunk * rows; j < end; j++) {
    double product = -mcl_secular_distance(s, j, last);
    for (int64_t i = 0; i < j; i++) product *= mcl_secular_distance(s, j, i) / (s->pole[j] - s->pole[i]);
    for (int64_t i = j; i < last; i++) product *= mcl_secular_distance(s, j, i) / (s->pole[j] - s->pole[i + 1]);
    r->out[j] = sqrt(fabs(product));
  }
  return MCL_OK;
}

mcl_status mcl_secular_refine(const mcl_secular *s, double *root_of_weight) {
  if (s->count == 0) return MCL_OK;
  refining r = {s, root_of_weight};
  int64_t rows = rows_of(s);
  return mcl_parallel(s->ctx, (s->count + rows - 1) / rows, refine_chunk, &r);
}
