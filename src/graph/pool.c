/* max_pool, average_pool: windows over planes, as ONNX defines them. global_average_pool: the mean of a plane. A chunk
 * is a run of planes. */
#include <math.h>

#include "graph/pool.h"

/* ---- Geometry ---- */

mcl_pool mcl_pool_of(const mcl_node *node, mcl_shape x, mcl_shape y) {
  mcl_pool pool = {.planes = x.dim[0] * x.dim[1], .in = {x.dim[2], x.dim[3]}, .out = {y.dim[2], y.dim[3]}};
  for (int i = 0; i < 2; i++) {
    pool.kernel[i] = mcl_node_ints(node, MCL_POOL_KERNEL)[i];
    pool.stride[i] = mcl_node_ints(node, MCL_POOL_STRIDE)[i];
    pool.dilation[i] = mcl_node_ints(node, MCL_POOL_DILATION)[i];
  }
  for (int i = 0; i < 4; i++) pool.pad[i] = mcl_node_ints(node, MCL_POOL_PAD)[i];
  pool.counts_pad = mcl_node_int(node, MCL_POOL_COUNT_PAD) != 0; /* a zeroed attribute of max_pool's */
  return pool;
}

mcl_window mcl_pool_window(const mcl_pool *pool, int axis, int64_t out) {
  int64_t dilation = pool->dilation[axis], begin = out * pool->stride[axis] - pool->pad[axis];
  int64_t end = begin + (pool->kernel[axis] - 1) * dilation + 1;
  int64_t padded_end = mcl_min_i64(end, pool->in[axis] + pool->pad[2 + axis]); /* ceil reaches beyond the padding */
  mcl_window window = {.first = begin, .end = mcl_min_i64(end, pool->in[axis])};
  if (begin < 0) window.first += mcl_ceil_div(-begin, dilation) * dilation;
  int64_t inside = window.end > window.first ? mcl_ceil_div(window.end - window.first, dilation) : 0;
  window.counted = pool->counts_pad ? mcl_ceil_div(padded_end - begin, dilation) : inside;
  return window;
}

int64_t mcl_pool_grain(const mcl_pool *pool) {
  int64_t size = mcl_max_i64(pool->in[0] * pool->in[1], 1);
  return mcl_max_i64(1, MCL_ELEMENT_CHUNK / size);
}

static mcl_status shape_pool(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  char text[MCL_SHAPE_TEXT];
  if (in[0].rank != 4)
    return mcl_node_fail(ctx, node, "%s wants an input [batch, channels, height, width], not %s; reshape it",
                         node->op->name, mcl_shape_text(in[0], text));
  out[0] = in[0];
  for (int i = 0; i < 2; i++) {
    int64_t kernel = mcl_node_ints(node, MCL_POOL_KERNEL)[i], stride = mcl_node_ints(node, MCL_POOL_STRIDE)[i];
    int64_t begin = mcl_node_ints(node, MCL_POOL_PAD)[i], end = mcl_node_ints(node, MCL_POOL_PAD)[2 + i];
    int64_t reach = (kernel - 1) * mcl_node_ints(node, MCL_POOL_DILATION)[i] + 1,
            padded = in[0].dim[2 + i] + begin + end;
    if (begin >= reach || end >= reach)
      return mcl_node_fail(ctx, node, "%s: padding %lld and %lld must be smaller than the window of %lld",
                           node->op->name, (long long)begin, (long long)end, (long long)reach);
    if (reach > padded)
      return mcl_node_fail(ctx, node,
                           "window of %lld is larger than its padded input of %lld (%s of %s); use a smaller "
                           "kernel or more padding",
                           (long long)reach, (long long)padded, node->op->name, mcl_shape_text(in[0], text));
    int64_t steps =
        mcl_node_int(node, MCL_POOL_CEIL) ? mcl_ceil_div(padded - reach, stride) : (padded - reach) / stride;
    if (steps * stride >= in[0].dim[2 + i] + begin) steps--; /* a window wholly in the end's padding is left out */
    out[0].dim[2 + i] = steps + 1;
  }
  return MCL_OK;
}

/* Output columns lo … hi-1 whose input, at kernel column k, lies within the plane. */
static void columns_inside(const mcl_pool *pool, int64_t k, int64_t *lo, int64_t *hi) {
  int64_t shift = pool->pad[1] - k * pool->dilation[1], stride = pool->stride[1], out = pool->out[1];
  *lo = shift > 0 ? mcl_min_i64(mcl_ceil_div(shift, stride), out) : 0;
  *hi = pool->in[1] + shift > 0 ? mcl_min_i64(mcl_ceil_div(pool->in[1] + shift, stride), out) : 0;
}

/* ---- max_pool: in training the place of each maximum is kept in the workspace, -1 where there is none. A row of the
 * output is gone over once for each entry of the kernel, without branches, so that vectors serve. ---- */

static void max_entry(const float *x, int64_t stride, float *best, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    float value = x[j * stride];
    best[j] = ((value > best[j]) | (value != value)) ? value : best[j]; /* NaN stays, to be found */
  }
}

static void max_entry_with_place(const float *x, int64_t stride, float *best, int64_t n, int64_t at, int32_t *place) {
  for (int64_t j = 0; j < n; j++) {
    float value = x[j * stride];
    bool more = (value > best[j]) | (value != value);
    best[j] = more ? value : best[j];
    place[j] = more ? (int32_t)(at + j * stride) : place[j];
  }
}

/* The commonest window, 2 × 2 by steps of 2 without padding: all four entries at once, in their order. */
static bool is_halving(const mcl_pool *pool) {
  for (int axis = 0; axis < 2; axis++)
    if (pool->kernel[axis] != 2 || pool->stride[axis] != 2 || pool->dilation[axis] != 1 || pool->pad[axis] != 0 ||
        pool->in[axis] < 2 * pool->out[axis])
      return false;
  return true;
}

static inline bool is_more(float value, float best) { return (value > best) | (value != value); }

static void halve_row(const float *restrict upper, const float *restrict lower, float *restrict best, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    float a = upper[2 * j], b = upper[2 * j + 1], c = lower[2 * j], d = lower[2 * j + 1];
    a = is_more(b, a) ? b : a;
    a = is_more(c, a) ? c : a;
    best[j] = is_more(d, a) ? d : a;
  }
}

static void halve_row_with_place(const float *restrict upper, const float *restrict lower, float *restrict best,
                                 int32_t *restrict place, int32_t at, int32_t width, int64_t n) {
  int32_t count = (int32_t)n;
  for (int32_t j = 0; j < count; j++) {
    float a = upper[2 * j], b = upper[2 * j + 1], c = lower[2 * j], d = lower[2 * j + 1];
    int32_t from = at + 2 * j;
    from = is_more(b, a) ? at + 2 * j + 1 : from;
    a = is_more(b, a) ? b : a;
    from = is_more(c, a) ? at + 2 * j + width : from;
    a = is_more(c, a) ? c : a;
    from = is_more(d, a) ? at + 2 * j + width + 1 : from;
    best[j] = is_more(d, a) ? d : a;
    place[j] = from;
  }
}

static void halve_plane(const mcl_pool *pool, const float *x, float *best, int32_t *place) {
  int64_t width = pool->in[1], n = pool->out[1];
  for (int64_t row = 0; row < pool->out[0]; row++, best += n) {
    const float *upper = x + 2 * row * width;
    if (place)
      halve_row_with_place(upper, upper + width, best, place + row * n, (int32_t)(2 * row * width), (int32_t)width, n);
    else
      halve_row(upper, upper + width, best, n);
  }
}

static void max_row(const mcl_pool *pool, const float *x, int64_t row, float *best, int32_t *place) {
  mcl_window v = mcl_pool_window(pool, 0, row);
  int64_t lo, hi, stride = pool->stride[1];
  for (int64_t j = 0; j < pool->out[1]; j++) best[j] = -INFINITY;
  for (int64_t j = 0; place && j < pool->out[1]; j++) place[j] = -1;
  for (int64_t i = v.first; i < v.end; i += pool->dilation[0])
    for (int64_t k = 0; k < pool->kernel[1]; k++) {
      columns_inside(pool, k, &lo, &hi);
      int64_t at = i * pool->in[1] + lo * stride - pool->pad[1] + k * pool->dilation[1];
      if (lo >= hi) continue;
      if (place)
        max_entry_with_place(x + at, stride, best + lo, hi - lo, at, place + lo);
      else
        max_entry(x + at, stride, best + lo, hi - lo);
    }
}

static mcl_status max_planes(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  bool halves = is_halving(&pool);
  for (int64_t plane = first; plane < first + count; plane++) {
    const float *x = call->in[0].data + plane * pool.in[0] * pool.in[1];
    int64_t outputs = pool.out[0] * pool.out[1], at = plane * outputs;
    float *y = call->out[0].data + at;
    int32_t *place = call->for_backward ? (int32_t *)call->workspace + at : NULL;
    if (halves) halve_plane(&pool, x, y, place);
    for (int64_t row = 0; !halves && row < pool.out[0]; row++)
      max_row(&pool, x, row, y + row * pool.out[1], place ? place + row * pool.out[1] : NULL);
  }
  return MCL_OK;
}

static size_t workspace_max_pool(const mcl_op_call *call) {
  return call->for_backward ? (size_t)mcl_elements(call->out[0].shape) * sizeof(int32_t) : 0;
}

static mcl_status run_max_pool(const mcl_op_call *call) {
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  return mcl_parallel_ranges(call->ctx, pool.planes, mcl_pool_grain(&pool), max_planes, (void *)call);
}

/* ---- average_pool ---- */

static void average_row(const mcl_pool *pool, const float *x, int64_t row, float *y) {
  mcl_window v = mcl_pool_window(pool, 0, row);
  int64_t lo, hi, stride = pool->stride[1];
  for (int64_t j = 0; j < pool->out[1]; j++) y[j] = 0;
  for (int64_t i = v.first; i < v.end; i += pool->dilation[0])
    for (int64_t k = 0; k < pool->kernel[1]; k++) {
      columns_inside(pool, k, &lo, &hi);
      int64_t at = i * pool->in[1] + k * pool->dilation[1] - pool->pad[1];
      for (int64_t j = lo; j < hi; j++) y[j] += x[at + j * stride];
    }
  for (int64_t j = 0; j < pool->out[1]; j++)
    y[j] /= (float)mcl_max_i64(v.counted * mcl_pool_window(pool, 1, j).counted, 1);
}

static mcl_status average_planes(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  for (int64_t plane = first; plane < first + count; plane++)
    for (int64_t row = 0; row < pool.out[0]; row++)
      average_row(&pool, call->in[0].data + plane * pool.in[0] * pool.in[1], row,
                  call->out[0].data + (plane * pool.out[0] + row) * pool.out[1]);
  return MCL_OK;
}

static mcl_status run_average_pool(const mcl_op_call *call) {
  mcl_pool pool = mcl_pool_of(call->node, call->in[0].shape, call->out[0].shape);
  return mcl_parallel_ranges(call->ctx, pool.planes, mcl_pool_grain(&pool), average_planes, (void *)call);
}

/* ---- global_average_pool: [batch, channels, …] to [batch, channels, 1 …] ---- */

static mcl_status shape_global(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  char text[MCL_SHAPE_TEXT];
  if (in[0].rank < 3)
    return mcl_node_fail(ctx, node, "global_average_pool wants an input [batch, channels, height, …], not %s",
                         mcl_shape_text(in[0], text));
  out[0] = in[0];
  for (int i = 2; i < in[0].rank; i++) out[0].dim[i] = 1;
  return MCL_OK;
}

static mcl_status global_planes(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  int64_t size = mcl_dims_count(call->in[0].shape, 2, call->in[0].shape.rank);
  for (int64_t plane = first; plane < first + count; plane++) {
    const float *x = call->in[0].data + plane * size;
    double sum = 0;
    for (int64_t i = 0; i < size; i++) sum += x[i];
    call->out[0].data[plane] = (float)(sum / (double)size);
  }
  return MCL_OK;
}

static mcl_status run_global(const mcl_op_call *call) {
  int64_t size = mcl_dims_count(call->in[0].shape, 2, call->in[0].shape.rank);
  int64_t grain = mcl_max_i64(1, MCL_ELEMENT_CHUNK / size);
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), grain, global_planes, (void *)call);
}

/* ---- Rows ---- */

#define WINDOW_ATTRIBUTES                                                                                              \
  MCL_INTS("kernel", 2, 2, 2, 0, 0, 1, 1e6), MCL_INTS("stride", 2, 1, 1, 0, 0, 1, 1e6),                                \
      MCL_INTS("pad", 4, 0, 0, 0, 0, 0, 1e6), MCL_INTS("dilation", 2, 1, 1, 0, 0, 1, 1e6), MCL_INT("ceil", 0, 0, 1)

static const mcl_attribute_spec max_pool_attributes[] = {WINDOW_ATTRIBUTES, MCL_END_OF_ATTRIBUTES};
static const mcl_attribute_spec average_pool_attributes[] = {WINDOW_ATTRIBUTES, MCL_INT("count_include_pad", 0, 0, 1),
                                                             MCL_END_OF_ATTRIBUTES};

const mcl_op mcl_op_max_pool = {.id = 3,
                                .name = "max_pool",
                                .least_inputs = 1,
                                .most_inputs = 1,
                                .outputs = 1,
                                .keeps_workspace = true,
                                .attributes = max_pool_attributes,
                                .shape = shape_pool,
                                .workspace = workspace_max_pool,
                                .forward = run_max_pool};
const mcl_op mcl_op_average_pool = {.id = 4,
                                    .name = "average_pool",
                                    .least_inputs = 1,
                                    .most_inputs = 1,
                                    .outputs = 1,
                                    .attributes = average_pool_attributes,
                                    .shape = shape_pool,
                                    .forward = run_average_pool};
const mcl_op mcl_op_global_average_pool = {.id = 5,
                                           .name = "global_average_pool",
                                           .least_inputs = 1,
                                           .most_inputs = 1,
                                           .outputs = 1,
                                           .shape = shape_global,
                                           .forward = run_global};
