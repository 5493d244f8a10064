/* Gradients of the pools: to the place of the maximum; in equal shares to what was averaged. */
#include "graph/ops_grad.h"
#include "graph/pool.h"

static void begin_plane(const mcl_operand *x, float *dx, int64_t size) {
  if (x->accumulate) return;
  for (int64_t i = 0; i < size; i++) dx[i] = 0;
}

static mcl_status max_planes(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  int64_t size = pool.in[0] * pool.in[1], outputs = pool.out[0] * pool.out[1];
  for (int64_t plane = first; plane < first + count; plane++) {
    float *dx = call->in[0].gradient + plane * size;
    const float *dy = call->out[0].gradient + plane * outputs;
    const int32_t *place = (const int32_t *)call->workspace + plane * outputs;
    begin_plane(&call->in[0], dx, size);
    for (int64_t i = 0; i < outputs; i++)
      if (place[i] >= 0) dx[place[i]] += dy[i];
  }
  return MCL_OK;
}

static mcl_status average_planes(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  int64_t size = pool.in[0] * pool.in[1];
  for (int64_t plane = first; plane < first + count; plane++) {
    float *dx = call->in[0].gradient + plane * size;
    const float *dy = call->out[0].gradient + plane * pool.out[0] * pool.out[1];
    begin_plane(&call->in[0], dx, size);
    for (int64_t row = 0; row < pool.out[0]; row++) {
      mcl_window v = mcl_pool_window(&pool, 0, row);
      for (int64_t column = 0; column < pool.out[1]; column++) {
        mcl_window h = mcl_pool_window(&pool, 1, column);
        float share = *dy++ / (float)mcl_max_i64(v.counted * h.counted, 1);
        for (int64_t i = v.first; i < v.end; i += pool.dilation[0])
          for (int64_t j = h.first; j < h.end; j += pool.dilation[1]) dx[i * pool.in[1] + j] += share;
      }
    }
  }
  return MCL_OK;
}

static mcl_status run_planes(const mcl_op_call *call, mcl_range_fn planes) {
  if (!call->in[0].gradient) return MCL_OK;
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  return mcl_parallel_ranges(call->ctx, pool.planes, mcl_pool_grain(&pool), planes, (void *)call);
}

mcl_status mcl_max_pool_backward(const mcl_op_call *call) { return run_planes(call, max_planes); }
mcl_status mcl_average_pool_backward(const mcl_op_call *call) { return run_planes(call, average_planes); }

mcl_status mcl_global_average_pool_backward(const mcl_op_call *call) {
  const mcl_operand *x = &call->in[0];
  if (!x->gradient) return MCL_OK;
  int64_t planes = mcl_elements(call->out[0].shape), size = mcl_dims_count(x->shape, 2, x->shape.rank);
  begin_plane(x, x->gradient, planes * size);
  for (int64_t plane = 0; plane < planes; plane++) {
    float share = call->out[0].gradient[plane] / (float)size;
    for (int64_t i = 0; i < size; i++) x->gradient[plane * size + i] += share;
  }
  return MCL_OK;
}
