/* The points of one-dimensional k-means: values sorted by radix passes over their ordered bits, equal ones merged,
 * weights and moments as prefix sums. */
#include <math.h>
#include <string.h>

#include "repr/kmeans.h"

typedef struct entry {
  uint32_t key; /* the float's bits, so changed that integers compare as the floats do */
  float weight;
} entry;

static uint32_t key_of(float value) {
  uint32_t bits;
  value += 0.0f; /* −0 becomes 0 */
  memcpy(&bits, &value, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key) {
  uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

enum { CHECK = 1 << 20 }; /* elements between two looks at cancel */

/* Three passes of 11, 11 and 10 bits, stable; the sorted entries end in `b`. */
static mcl_status radix_sort(mcl_context *ctx, entry *a, entry *b, size_t count) {
  for (int pass = 0; pass < 3; pass++) {
    int shift = 11 * pass;
    size_t start[2049] = {0};
    for (size_t i = 0; i < count; i++) {
      if (i % CHECK == 0) MCL_TRY(mcl_check_cancel(ctx));
      start[(a[i].key >> shift & 2047) + 1]++;
    }
    for (int d = 0; d < 2048; d++) start[d + 1] += start[d];
    for (size_t i = 0; i < count; i++) {
      if (i % CHECK == 0) MCL_TRY(mcl_check_cancel(ctx));
      b[start[a[i].key >> shift & 2047]++] = a[i];
    }
    entry *other = a;
    a = b, b = other;
  }
  return MCL_OK;
}

static mcl_status accumulate(mcl_points *points, const double *weight) {
  double total = 0, moment = 0;
  for (int64_t i = 0; i < points->count; i++) {
    if (i % CHECK == 0) MCL_TRY(mcl_check_cancel(points->ctx));
    total += weight[i], moment += weight[i] * (double)points->value[i];
  }
  points->center = total > 0 ? moment / total : 0;
  memset(points->sum[0], 0, sizeof points->sum[0]);
  for (int64_t i = 0; i < points->count; i++) {
    if (i % CHECK == 0) MCL_TRY(mcl_check_cancel(points->ctx));
    double distance = (double)points->value[i] - points->center;
    points->sum[i + 1][0] = points->sum[i][0] + weight[i];
    points->sum[i + 1][1] = points->sum[i][1] + weight[i] * distance;
    points->sum[i + 1][2] = points->sum[i][2] + weight[i] * distance * distance;
  }
  return MCL_OK;
}

void mcl_points_free(mcl_points *points) {
  mcl_free(points->ctx, points->value);
  mcl_free(points->ctx, points->sum);
  points->value = NULL;
  points->sum = NULL;
}

static mcl_status fill(mcl_context *ctx, const float *values, const float *weights, int64_t count, entry *to,
                       size_t *kept) {
  *kept = 0;
  for (int64_t i = 0; i < count; i++) {
    if (i % CHECK == 0) MCL_TRY(mcl_check_cancel(ctx));
    if (!weights || weights[i] > 0) to[(*kept)++] = (entry){key_of(values[i]), weights ? weights[i] : 1};
  }
  return MCL_OK;
}

mcl_status mcl_points_new(mcl_context *ctx, const float *values, const float *weights, int64_t count, mcl_points *out) {
  *out = (mcl_points){.ctx = ctx};
  size_t n = (size_t)count, kept = 0;
  entry *entries;
  double *weight = NULL;
  MCL_TRY(mcl_alloc_array(ctx, n, 2 * sizeof(entry), &entries));
  mcl_status status = fill(ctx, values, weights, count, entries, &kept);
  if (!status && !kept) status = fill(ctx, values, NULL, count, entries, &kept);
  const entry *sorted = entries + n; /* an odd number of passes: the result is in the second half */
  if (!status) status = radix_sort(ctx, entries, entries + n, kept);
  if (!status) status = mcl_alloc_array(ctx, kept, sizeof(float), &out->value);
  if (!status) status = mcl_alloc_array(ctx, kept, sizeof(double), &weight);
  if (!status) status = mcl_alloc_array(ctx, kept + 1, sizeof out->sum[0], &out->sum);
  for (size_t i = 0; i < kept && !status; i++) {
    if (i % CHECK == 0) status = mcl_check_cancel(ctx);
    bool again = i && sorted[i].key == sorted[i - 1].key;
    if (!again) out->value[out->count] = value_of(sorted[i].key), weight[out->count++] = 0;
    weight[out->count - 1] += (double)sorted[i].weight;
  }
  if (!status) status = accumulate(out, weight);
  mcl_free(ctx, weight);
  mcl_free(ctx, entries);
  if (status) mcl_points_free(out);
  return status;
}

double mcl_points_mean(const mcl_points *points, int64_t first, int64_t end) {
  double weight = points->sum[end][0] - points->sum[first][0];
  if (end - first == 1 || !(weight > 0)) return (double)points->value[first];
  return points->center + (points->sum[end][1] - points->sum[first][1]) / weight;
}

/* The first point past the middle between two centres. */
static int64_t boundary(const mcl_points *points, float below, float above) {
  double middle = 0.5 * ((double)below + (double)above);
  int64_t low = 0, high = points->count;
  while (low < high) {
    int64_t at = low + (high - low) / 2;
    if ((double)points->value[at] <= middle)
      low = at + 1;
    else
      high = at;
  }
  return low;
}

mcl_status mcl_kmeans_lloyd(const mcl_points *points, int clusters, int iterations, float *centre) {
  for (int i = 0; i < iterations; i++) {
    MCL_TRY(mcl_check_cancel(points->ctx));
    bool moved = false;
    int64_t first = 0;
    float last = centre[0];
    for (int c = 0; c < clusters; c++) {
      int64_t end = c + 1 < clusters ? boundary(points, centre[c], centre[c + 1]) : points->count;
      if (end < first) end = first;
      last = centre[c];
      if (end > first) centre[c] = (float)mcl_points_mean(points, first, end);
      moved = moved || centre[c] != last;
      first = end;
    }
    if (!moved) break;
  }
  return MCL_OK;
}
