/* Lines along an axis. Shared by softmax.c and softmax_grad.c. */
#ifndef MCL_GRAPH_SOFTMAX_H
#define MCL_GRAPH_SOFTMAX_H

#include "graph/ops.h"

typedef struct mcl_lines {
  int64_t count, length, step; /* lines; elements of one; the distance between two of them */
  int64_t grain;               /* lines a chunk */
} mcl_lines;

mcl_lines mcl_softmax_lines(const mcl_node *node, mcl_shape shape);
int64_t mcl_softmax_line(const mcl_lines *lines, int64_t line); /* where it begins */

#endif
