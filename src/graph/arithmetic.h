/* Broadcasting, shared by arithmetic.c and its gradient. */
#ifndef MCL_GRAPH_ARITHMETIC_H
#define MCL_GRAPH_ARITHMETIC_H

#include "graph/ops.h"

/* A walk over an output of two broadcast inputs, its dimensions merged wherever both inputs allow: rows of `width`
 * elements; an input's step within a row is 0 or 1. */
typedef struct mcl_broadcast {
  int rank; /* of the outer dimensions, those before a row */
  int64_t dim[MCL_MAX_RANK], stride[2][MCL_MAX_RANK];
  int64_t rows, width, step[2];
} mcl_broadcast;

mcl_broadcast mcl_broadcast_of(mcl_shape out, mcl_shape a, mcl_shape b);
/* Where row `row` of input `input` begins. */
int64_t mcl_broadcast_at(const mcl_broadcast *walk, int input, int64_t row);

#endif
