/* The geometry of a pooling window over planes. Shared by pool.c and pool_grad.c. */
#ifndef MCL_GRAPH_POOL_H
#define MCL_GRAPH_POOL_H

#include "graph/ops.h"

enum { MCL_POOL_KERNEL, MCL_POOL_STRIDE, MCL_POOL_PAD, MCL_POOL_DILATION, MCL_POOL_CEIL, MCL_POOL_COUNT_PAD };

typedef struct mcl_pool {
  int64_t planes, in[2], out[2]; /* images · channels; height, width */
  int64_t kernel[2], stride[2], dilation[2], pad[4];
  bool counts_pad;
} mcl_pool;

mcl_pool mcl_pool_of(const mcl_node *node, mcl_shape x, mcl_shape y);

/* A window along one axis: inputs first, first + dilation … below end; counted is their number, or, where padding
 * counts, that of the padded input's. */
typedef struct mcl_window {
  int64_t first, end, counted;
} mcl_window;
mcl_window mcl_pool_window(const mcl_pool *pool, int axis, int64_t out);

/* Planes a chunk. */
int64_t mcl_pool_grain(const mcl_pool *pool);

#endif
