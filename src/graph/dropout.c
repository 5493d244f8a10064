/* dropout: in training each element is dropped with probability `rate` and the rest grow by 1 / (1 − rate); otherwise
 * the input passes. Which are dropped is a function of the seed, the step and the element, so backward asks again
 * instead of keeping a mask, and the number of threads changes nothing. */
#include <string.h>

#include "base/random.h"
#include "graph/dropout.h"

void mcl_dropout_factors(const mcl_op_call *call, int64_t first, int64_t count, float *factor) {
  double rate = call->node->attribute[0].number;
  uint32_t limit = (uint32_t)(rate * 4294967296.0);
  float kept = (float)(1 / (1 - rate));
  uint32_t key[2] = {(uint32_t)call->seed, (uint32_t)(call->seed >> 32)}, out[4] = {0};
  for (int64_t i = 0; i < count; i++) { /* first is a multiple of 4 */
    uint64_t block = (uint64_t)(first + i) / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)call->step,
                           (uint32_t)(call->step >> 32)};
    if (i % 4 == 0) mcl_philox(key, counter, out);
    factor[i] = out[i % 4] < limit ? 0 : kept;
  }
}

static mcl_status dropout_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  float factor[MCL_DROPOUT_BLOCK];
  for (int64_t i = first; i < first + count; i += MCL_DROPOUT_BLOCK) {
    int64_t n = mcl_min_i64(MCL_DROPOUT_BLOCK, first + count - i);
    mcl_dropout_factors(call, i, n, factor);
    for (int64_t k = 0; k < n; k++) call->out[0].data[i + k] = factor[k] == 0 ? 0 : factor[k] * call->in[0].data[i + k];
  }
  return MCL_OK;
}

static mcl_status run_dropout(const mcl_op_call *call) {
  int64_t n = mcl_elements(call->out[0].shape);
  if (call->training) return mcl_parallel_ranges(call->ctx, n, MCL_ELEMENT_CHUNK, dropout_range, (void *)call);
  if (call->out[0].data != call->in[0].data) memcpy(call->out[0].data, call->in[0].data, (size_t)n * sizeof(float));
  return MCL_OK;
}

#define BELOW_ONE 0x1.fffffep-1 /* the greatest float */

static const mcl_attribute_spec dropout_attributes[] = {MCL_FLOAT("rate", 0.5, 0, BELOW_ONE), MCL_END_OF_ATTRIBUTES};
const mcl_op mcl_op_dropout = {.id = 18,
                               .name = "dropout",
                               .least_inputs = 1,
                               .most_inputs = 1,
                               .outputs = 1,
                               .in_place = true,
                               .attributes = dropout_attributes,
                               .shape = mcl_shape_same,
                               .forward = run_dropout};
