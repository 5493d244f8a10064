/* Affine representations, from within: their groups, and projection during training. */
#ifndef MCL_REPR_AFFINE_H
#define MCL_REPR_AFFINE_H

#include "repr/repr.h"

int64_t mcl_affine_row_length(mcl_shape shape); /* a tensor of rank 1 is one row */
int64_t mcl_affine_groups(mcl_shape shape, int64_t count, int64_t group);
/* New scales, fitted to the codes that the present ones give, then new codes. affine_fit.c. */
mcl_status mcl_affine_project(mcl_affine *affine, const float *values, bool refits_scales);

/* ---- Fitting one group (affine_group_fit.c) ---- */

typedef struct mcl_affine_group {
  mcl_context *ctx;
  const float *values, *weights; /* weights may be NULL */
  int64_t count;
} mcl_affine_group;

typedef struct mcl_code_range { /* of codes less the zero point */
  float least, most;
} mcl_code_range;

mcl_code_range mcl_affine_range(const mcl_affine *affine, int zero);

/* The code of a value less the zero point, to the nearest, halves to even; inverse: of the scale. */
static inline float mcl_affine_code(float value, float inverse, mcl_code_range range) {
  float x = value * inverse;
  x = x < range.least ? range.least : x;
  x = x > range.most ? range.most : x;
  return (x + 12582912.0f) - 12582912.0f; /* |x| < 2^22 is rounded by adding 1.5 · 2^23 */
}

mcl_status mcl_affine_fit_group(const mcl_affine *affine, const mcl_affine_group *group, bool minimise, float *scale,
                                int *zero);
/* A new scale, fitted to the codes that the present one gives. */
mcl_status mcl_affine_refit_group(const mcl_affine *affine, const mcl_affine_group *group, float *scale, int *zero);

#endif
