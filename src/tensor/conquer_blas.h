/* What both divide-and-conquer methods do at a merge, in double: sort the poles of the two halves, set aside those that the
 * merge does not move (deflation), and solve the secular equation for the others. */
#ifndef MCL_TENSOR_CONQUER_BLAS_H
#define MCL_TENSOR_CONQUER_BLAS_H

#include "tensor/secular_blas.h"

/* Which half a vector has its entries in; in this order, so that the products skip what is zero. */
typedef enum mcl_half { MCL_HALF_LEFT, MCL_HALF_BOTH, MCL_HALF_RIGHT } mcl_half;

typedef struct mcl_pole {
  double value, z; /* the pole, and its part of the vector that joins the halves */
  int64_t row;     /* of the matrix of vectors */
  mcl_half half;
} mcl_pole;

typedef struct mcl_conquest {
  mcl_context *ctx;
  int64_t count, kept;                        /* poles, and those that the merge moves */
  mcl_pole *pole;                             /* [count], ascending; after deflation the kept ones, then the others */
  int64_t *place;                             /* [kept] of each kept one in the order of halves */
  int64_t halves[3];                          /* how many are of each */
  double *square, *weight, *refined, *offset; /* [count]: poles of the secular equation, and what it gives */
  int64_t *origin;
  mcl_secular secular;
} mcl_conquest;

mcl_status mcl_conquest_new(mcl_context *ctx, int64_t most, mcl_conquest *out);
void mcl_conquest_free(mcl_conquest *c);
mcl_status mcl_conquest_sort(mcl_conquest *c);
/* Orders the kept by halves, and solves; square and weight are filled. */
mcl_status mcl_conquest_solve(mcl_conquest *c);

#endif
