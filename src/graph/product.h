/* The sizes of a matmul node's products. Shared by product.c and product_grad.c. */
#ifndef MCL_GRAPH_PRODUCT_H
#define MCL_GRAPH_PRODUCT_H

#include "graph/ops.h"

typedef struct mcl_product {
  int64_t count, m, n, k; /* products, and the sizes of one */
} mcl_product;

mcl_product mcl_product_of(const mcl_op_call *call);

#endif
