/* Binding a model to a batch. */
#include "graph/bind.h"
#include "base/random.h"
#include "tensor/matmul.h"

/* Whether the model is of one batch size only: no input has a free batch. */
static bool has_fixed_batch(const mcl_model *model) {
  for (int i = 0; i < model->input_count; i++) {
    mcl_shape shape = model->values[model->inputs[i]].shape;
    if (shape.rank > 0 && shape.dim[0] < 0) return false;
  }
  return true;
}

static mcl_status check_batch(const mcl_model *model, int64_t batch) {
  if (batch < 1)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: a batch of %lld; it must be at least 1", model->name,
                    (long long)batch);
  if (!model->input_count || !has_fixed_batch(model)) return MCL_OK;
  mcl_shape shape = model->values[model->inputs[0]].shape;
  if (shape.rank > 0 && shape.dim[0] != batch)
    return mcl_fail(
        model->ctx, MCL_ERROR_ARGUMENT,
        "%s: a batch of %lld, but the model is made for %lld only: feed as many, or export it with an open batch",
        model->name, (long long)batch, (long long)shape.dim[0]);
  return MCL_OK;
}

mcl_status mcl_bind_operands(const mcl_model *model, int64_t batch, mcl_operand **out) {
  *out = NULL;
  MCL_TRY(check_batch(model, batch));
  mcl_operand *operands;
  MCL_TRY(mcl_alloc_zero(model->ctx, (size_t)model->value_count * sizeof *operands, &operands));
  for (int v = 0; v < model->value_count; v++) {
    operands[v].shape = model->values[v].shape;
    if (operands[v].shape.rank > 0 && operands[v].shape.dim[0] < 0) operands[v].shape.dim[0] = batch;
  }
  *out = operands;
  return MCL_OK;
}

void mcl_bind_refresh(const mcl_model *model, const mcl_operand *operands, mcl_op_call *calls) {
  for (int n = 0; n < model->node_count; n++) {
    const mcl_node *node = &model->nodes[n];
    for (int i = 0; i < node->inputs; i++) {
      bool accumulate = calls[n].in[i].accumulate;
      if (node->input[i] >= 0) calls[n].in[i] = operands[node->input[i]];
      calls[n].in[i].accumulate = accumulate;
    }
    for (int i = 0; i < node->outputs; i++) calls[n].out[i] = operands[node->output[i]];
  }
}

void mcl_bind_seed(const mcl_model *model, mcl_op_call *calls, uint64_t seed) {
  for (int n = 0; n < model->node_count; n++)
    calls[n].seed = seed * 0x9e3779b97f4a7c15u + mcl_random_stream(model->nodes[n].name);
}

mcl_status mcl_bind_calls(const mcl_model *model, const mcl_operand *operands, bool for_backward, mcl_op_call **out) {
  *out = NULL;
  mcl_op_call *calls;
  MCL_TRY(mcl_alloc_zero(model->ctx, (size_t)model->node_count * sizeof *calls, &calls));
  for (int n = 0; n < model->node_count; n++) {
    calls[n].ctx = model->ctx;
    calls[n].node = &model->nodes[n];
    calls[n].for_backward = for_backward;
  }
  mcl_bind_seed(model, calls, mcl_context_seed(model->ctx));
  mcl_bind_refresh(model, operands, calls);
  *out = calls;
  return MCL_OK;
}

mcl_status mcl_bind_rows(const mcl_model *model, int64_t batch, int64_t rows, mcl_operand *operands,
                         mcl_op_call *calls) {
  if (rows < 1 || rows > batch || (rows < batch && has_fixed_batch(model)))
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: %lld rows in a session for %lld%s", model->name,
                    (long long)rows, (long long)batch, has_fixed_batch(model) ? ", a fixed number" : "");
  bool changed = false;
  for (int v = 0; v < model->value_count; v++) {
    if (model->values[v].shape.rank == 0 || model->values[v].shape.dim[0] >= 0) continue;
    changed |= operands[v].shape.dim[0] != rows;
    operands[v].shape.dim[0] = rows;
  }
  if (changed) mcl_bind_refresh(model, operands, calls);
  return MCL_OK;
}

mcl_status mcl_operand_size(mcl_context *ctx, const mcl_operand *operand, size_t *out) {
  int64_t count;
  MCL_TRY(mcl_shape_count(ctx, operand->shape, &count));
  if (__builtin_mul_overflow((size_t)count, sizeof(float), out) || *out > SIZE_MAX / 2)
    return mcl_fail(ctx, MCL_ERROR_MEMORY, "a value of %lld elements does not fit in memory; use a smaller batch",
                    (long long)count);
  *out = mcl_align_64(*out);
  return MCL_OK;
}

static mcl_status do_nothing(void *arg, int64_t chunk, int worker) {
  (void)arg, (void)chunk, (void)worker;
  return MCL_OK;
}

mcl_status mcl_bind_warm(mcl_context *ctx) {
  MCL_TRY(mcl_matmul_reserve(ctx));
  return mcl_parallel(ctx, mcl_context_threads(ctx), do_nothing, NULL);
}
