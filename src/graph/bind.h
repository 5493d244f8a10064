/* Binding a model to a batch: a concrete operand for each value, a call for each node. Shared by session.c and
 * session_grad.c. */
#ifndef MCL_GRAPH_BIND_H
#define MCL_GRAPH_BIND_H

#include "graph/ops.h"

/* Shapes with the batch filled in; no memory yet. MCL_ERROR_ARGUMENT where the model does not take that batch. */
mcl_status mcl_bind_operands(const mcl_model *model, int64_t batch, mcl_operand **out);
/* Calls of those operands, to be freed with mcl_free. */
mcl_status mcl_bind_calls(const mcl_model *model, const mcl_operand *operands, bool for_backward, mcl_op_call **out);
/* After operands changed; leaves `accumulate` as it is. */
void mcl_bind_refresh(const mcl_model *model, const mcl_operand *operands, mcl_op_call *calls);
/* Another number of rows, at most the batch that was bound. */
mcl_status mcl_bind_rows(const mcl_model *model, int64_t batch, int64_t rows, mcl_operand *operands,
                         mcl_op_call *calls);
void mcl_bind_seed(const mcl_model *model, mcl_op_call *calls, uint64_t seed);

/* Bytes of an operand's values, a multiple of 64; fails on overflow. */
mcl_status mcl_operand_size(mcl_context *ctx, const mcl_operand *operand, size_t *out);
/* Takes what a run would take at its first call: the thread pool, the products' buffers. */
mcl_status mcl_bind_warm(mcl_context *ctx);

#endif
