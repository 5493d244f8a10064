/* One-dimensional weighted k-means: exact, and Lloyd's from a given beginning. The engine's (kmeans_fit.c). */
#ifndef MCL_REPR_KMEANS_H
#define MCL_REPR_KMEANS_H

#include "base/context.h"

/* Distinct values, ascending, and prefix sums over them: of weights, of weight × (value − center), and of weight ×
 * (value − center)². Entry i stands for values before i, so that a run's error is three differences. */
typedef struct mcl_points {
  mcl_context *ctx;
  int64_t count;
  float *value;     /* [count] */
  double (*sum)[3]; /* [count + 1] */
  double center;
} mcl_points;

/* Sorts values and merges equal ones; weights may be NULL (1 each), are not negative, and values of weight 0 are left
 * out unless all are. The caller has checked that all are finite. */
mcl_status mcl_points_new(mcl_context *ctx, const float *values, const float *weights, int64_t count, mcl_points *out);
void mcl_points_free(mcl_points *points);

/* Splits points into `clusters` ≤ count runs of the least Σ weight · (value − mean)²: start[0] = 0 … start[clusters] =
 * count. */
mcl_status mcl_kmeans_exact(const mcl_points *points, int clusters, int64_t *start);
/* Lloyd's iterations from ascending centres, until none moves. A centre that loses all its points stays. */
mcl_status mcl_kmeans_lloyd(const mcl_points *points, int clusters, int iterations, float *centre);
/* The weighted mean of points first … end-1. */
double mcl_points_mean(const mcl_points *points, int64_t first, int64_t end);

#endif
