/* Exact one-dimensional k-means by dynamic programming, in memory and time that do not grow with k (Grønlund, Larsen,
 * Mathiasen, Nielsen, Schneider, Song: "Fast exact k-means, k-medians and Bregman divergence clustering in 1D", 2017).
 *
 * The best split of the first j points into any number of runs, each run paying λ besides its error, is
 *     F(j) = min over i < j of F(i) + error(i, j) + λ.
 * The error of a run is a Monge function, so of two beginnings i < i′ the later one, once better, stays better: a
 * queue of beginnings with the place from which each is the best gives all F in one pass. The least error as a function of
 * the number of runs is convex (Monge again), so each number is optimal for some λ. Two solutions bracket the asked
 * number; the λ at which both cost the same finds one in between, or proves that all in between lie on the line that
 * joins them: then one of exactly the asked number is spliced from the two (Aggarwal, Schieber, Tokuyama 1994). */
#include <math.h>

#include "repr/kmeans.h"

typedef struct solution {
  int64_t runs;
  double error;
  int32_t *start; /* [runs + 1]; NULL: each point is a run */
} solution;

typedef struct pass {
  const mcl_points *points;
  double *best;      /* F [count + 1] */
  int32_t *previous; /* the beginning that gave it */
  int32_t *queue, *from;
} pass;

static inline double run_error(const mcl_points *points, int64_t first, int64_t end) {
  const double *a = points->sum[first], *b = points->sum[end];
  double weight = b[0] - a[0], moment = b[1] - a[1];
  double error = weight > 0 ? b[2] - a[2] - moment * moment / weight : 0;
  return error > 0 ? error : 0;
}

static inline double value_at(const pass *p, int32_t begin, int64_t end) {
  return p->best[begin] + run_error(p->points, begin, end);
}

/* The first end from `low` on at which beginning `newer` is better than `older`; count + 1 where none is. It is
 * looked for by doubling steps, since it is mostly near. */
static int64_t takeover(const pass *p, int32_t older, int32_t newer, int64_t low) {
  int64_t high = low, step = 1, last = p->points->count + 1;
  while (high < last && value_at(p, newer, high) >= value_at(p, older, high)) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  if (high > last) high = last;
  while (low < high) {
    int64_t at = low + (high - low) / 2;
    if (value_at(p, newer, at) < value_at(p, older, at))
      high = at;
    else
      low = at + 1;
  }
  return low;
}

/* Fills best and previous for one λ. */
static mcl_status run_pass(const pass *p, double lambda) {
  int64_t count = p->points->count, head = 0, tail = 0; /* the queue holds head … tail-1 */
  p->best[0] = 0;
  p->queue[tail] = 0;
  p->from[tail++] = 1;
  for (int64_t j = 1; j <= count; j++) {
    if (j % 65536 == 0) MCL_TRY(mcl_check_cancel(p->points->ctx));
    while (head + 1 < tail && p->from[head + 1] <= j) head++;
    p->previous[j] = p->queue[head];
    p->best[j] = value_at(p, p->queue[head], j) + lambda;
    if (j == count) break;
    while (tail > head + 1 &&
           value_at(p, (int32_t)j, p->from[tail - 1]) < value_at(p, p->queue[tail - 1], p->from[tail - 1]))
      tail--;
    int64_t low = p->from[tail - 1] > j ? p->from[tail - 1] : j + 1;
    int64_t place = takeover(p, p->queue[tail - 1], (int32_t)j, low);
    if (place > count) continue;
    p->queue[tail] = (int32_t)j;
    p->from[tail++] = (int32_t)place;
  }
  return MCL_OK;
}

static mcl_status error_of(const mcl_points *points, const int32_t *start, int64_t runs, double *error) {
  int64_t work = 0;
  *error = 0;
  for (int64_t r = 0; r < runs; r++) {
    *error += run_error(points, start[r], start[r + 1]);
    MCL_TRY(mcl_worked(points->ctx, &work, 16));
  }
  return MCL_OK;
}

static mcl_status solve(const pass *p, double lambda, solution *out) {
  MCL_TRY(run_pass(p, lambda));
  mcl_context *ctx = p->points->ctx;
  int64_t runs = 0, work = 0;
  for (int64_t j = p->points->count; j > 0; j = p->previous[j]) {
    runs++;
    MCL_TRY(mcl_worked(ctx, &work, 16));
  }
  *out = (solution){.runs = runs};
  MCL_TRY(mcl_alloc_array(ctx, (size_t)runs + 1, sizeof(int32_t), &out->start));
  int32_t end = (int32_t)p->points->count;
  mcl_status status = MCL_OK;
  for (int64_t r = runs; r >= 0 && !status; r--) {
    out->start[r] = end;
    end = p->previous[end];
    status = mcl_worked(ctx, &work, 16);
  }
  if (!status) status = error_of(p->points, out->start, runs, &out->error);
  if (status) {
    mcl_free(ctx, out->start);
    out->start = NULL;
  }
  return status;
}

/* few.runs < wanted < many.runs, both optimal for one λ: some run of `few` contains the run of `many` that stands
 * wanted − few.runs places further on; going along `many` up to it, and along `few` from there, has the wanted number. */
static void splice(const solution *few, const solution *many, int64_t wanted, int64_t *start) {
  int64_t ahead = wanted - few->runs, i = 0;
#define MANY(index) (many->start ? many->start[index] : (index))
  while (MANY(i + ahead + 1) > few->start[i + 1]) i++;
  for (int64_t r = 0; r <= i + ahead; r++) start[r] = MANY(r);
#undef MANY
  for (int64_t r = i + 1; r <= few->runs; r++) start[r + ahead] = few->start[r];
}

/* λ for about k runs where points are dense: the error of k runs is near c / k², c = (Σ weight^⅓ · width^⅔)³ / 12
 * (Panter & Dite 1951), so its slope is −2c / k³. */
static mcl_status first_lambda(const mcl_points *points, int64_t k, double *lambda) {
  enum { BINS = 256 };
  double width = ((double)points->value[points->count - 1] - (double)points->value[0]) / BINS, sum = 0, begin = 0;
  int64_t at = 0, work = 0;
  for (int b = 0; b < BINS; b++) {
    double edge = (double)points->value[0] + width * (b + 1);
    while (at < points->count && ((double)points->value[at] <= edge || b == BINS - 1)) {
      at++;
      MCL_TRY(mcl_worked(points->ctx, &work, 2));
    }
    sum += cbrt((points->sum[at][0] - begin) * width * width);
    begin = points->sum[at][0];
  }
  *lambda = sum * sum * sum / 6 / ((double)k * (double)k * (double)k);
  return MCL_OK;
}

static void take(mcl_context *ctx, solution *place, const solution *found) {
  mcl_free(ctx, place->start);
  *place = *found;
}

/* Narrows few … many around k until one has k runs (*start is then filled), or until they lie on one line. */
static mcl_status narrow(const pass *p, int64_t k, solution *few, solution *many, bool *found) {
  mcl_context *ctx = p->points->ctx;
  double guess;
  MCL_TRY(first_lambda(p->points, k, &guess));
  for (int round = 0; !*found; round++) {
    double slope = (few->error - many->error) / (double)(many->runs - few->runs);
    bool wide = round < 8 && many->runs > 2 * k && guess > 0;
    solution s;
    MCL_TRY(solve(p, wide || (round == 0 && guess > 0) ? guess : slope, &s));
    double ratio = (double)s.runs / (double)k;
    guess = (wide || round == 0 ? guess : slope) * ratio * ratio * ratio;
    if (s.runs == k) {
      *found = true;
      take(ctx, few, &s);
    } else if (s.runs > few->runs && s.runs < k) {
      take(ctx, few, &s);
    } else if (s.runs > k && s.runs < many->runs) {
      take(ctx, many, &s);
    } else {
      mcl_free(ctx, s.start);
      if (!wide && round > 0) return MCL_OK;
    }
  }
  return MCL_OK;
}

mcl_status mcl_kmeans_exact(const mcl_points *points, int clusters, int64_t *start) {
  mcl_context *ctx = points->ctx;
  size_t n = (size_t)points->count;
  if (points->count >= INT32_MAX)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "k-means of more than 2^31 distinct values");
  if (clusters == points->count) {
    for (int64_t i = 0; i <= points->count; i++) start[i] = i;
    return MCL_OK;
  }
  pass p = {.points = points};
  solution few = {.runs = 1, .error = run_error(points, 0, points->count)}, many = {.runs = points->count};
  bool found = clusters == 1;
  mcl_status status = mcl_alloc_array(ctx, 2, sizeof(int32_t), &few.start);
  if (!status) status = mcl_alloc_array(ctx, n + 1, sizeof(double), &p.best);
  if (!status) status = mcl_alloc_array(ctx, n + 1, 3 * sizeof(int32_t), &p.previous);
  if (!status) {
    p.queue = p.previous + n + 1;
    p.from = p.queue + n + 1;
    p.previous[0] = 0;
    few.start[0] = 0, few.start[1] = (int32_t)points->count;
    status = narrow(&p, clusters, &few, &many, &found);
  }
  if (!status && found)
    for (int r = 0; r <= clusters; r++) start[r] = few.start[r];
  if (!status && !found) splice(&few, &many, clusters, start);
  mcl_free(ctx, few.start);
  mcl_free(ctx, many.start);
  mcl_free(ctx, p.best);
  mcl_free(ctx, p.previous);
  return status;
}
