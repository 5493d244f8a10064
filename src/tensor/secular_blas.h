/* The secular equation, the heart of divide and conquer: where is 1 + Σ weight_j / (pole_j − λ) = 0? One root lies above
 * each pole, below the next. A root is held as its distance from the nearer pole, so that its distance from every pole is known
 * to almost all digits, however close they are; and vectors are made not for the weights that were given but for those
 * of which the computed roots are the exact ones, so they are orthogonal whatever the roots' own errors (Gu & Eisenstat
 * 1994). */
#ifndef MCL_TENSOR_SECULAR_BLAS_H
#define MCL_TENSOR_SECULAR_BLAS_H

#include "base/context.h"

typedef struct mcl_secular {
  mcl_context *ctx;
  int64_t count;
  const double *pole;   /* ascending, none twice */
  const double *weight; /* above 0 */
  int64_t *origin;      /* of each root: the pole that it is measured from */
  double *offset;       /* root = pole[origin] + offset */
} mcl_secular;

/* Fills origin and offset. */
mcl_status mcl_secular_solve(const mcl_secular *s);
/* Square roots of the weights whose roots the computed ones exactly are. */
mcl_status mcl_secular_refine(const mcl_secular *s, double *root_of_weight);

/* pole[j] − root[i] */
static inline double mcl_secular_distance(const mcl_secular *s, int64_t j, int64_t i) {
  return (s->pole[j] - s->pole[s->origin[i]]) - s->offset[i];
}

#endif
