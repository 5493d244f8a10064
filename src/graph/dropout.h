/* What dropout multiplies by. Shared by dropout.c and dropout_grad.c. */
#ifndef MCL_GRAPH_DROPOUT_H
#define MCL_GRAPH_DROPOUT_H

#include "graph/ops.h"

#define MCL_DROPOUT_BLOCK 512 /* a multiple of 4 */

/* Of elements first …, first a multiple of 4: 0, or 1 / (1 − rate). */
void mcl_dropout_factors(const mcl_op_call *call, int64_t first, int64_t count, float *factor);

#endif
