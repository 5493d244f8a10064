/* softmax and log_softmax along an axis: each line is shifted by its maximum, so that nothing overflows. */
#include "graph/softmax.h"
#include "tensor/kernels/functions.h"

#define BLOCK 256 /* elements a kernel is given at once */

mcl_lines mcl_softmax_lines(const mcl_node *node, mcl_shape shape) {
  int64_t axis = mcl_node_int(node, 0);
  int at = (int)(axis < 0 ? axis + shape.rank : axis);
  mcl_lines lines = {.length = shape.dim[at], .step = mcl_dims_count(shape, at + 1, shape.rank)};
  lines.count = mcl_dims_count(shape, 0, at) * lines.step;
  lines.grain = mcl_max_i64(1, MCL_ELEMENT_CHUNK / 4 / lines.length);
  return lines;
}

int64_t mcl_softmax_line(const mcl_lines *lines, int64_t line) {
  return line / lines->step * lines->length * lines->step + line % lines->step;
}

static mcl_status shape_softmax(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  int axis;
  MCL_TRY(mcl_node_axis(ctx, node, mcl_node_int(node, 0), in[0].rank, in[0].rank - 1, &axis));
  if (in[0].dim[axis] < 0)
    return mcl_node_fail(ctx, node, "%s along axis %d, the batch; use another axis", node->op->name, axis);
  out[0] = in[0];
  return MCL_OK;
}

/* y = exp(x − shift) along a line, in blocks of the kernels; y may be x, or NULL. Returns the sum. */
static float exponentials(const mcl_lines *lines, const float *x, float shift, float *y) {
  float from[BLOCK], to[BLOCK], sum = 0;
  for (int64_t first = 0; first < lines->length; first += BLOCK) {
    int64_t n = mcl_min_i64(BLOCK, lines->length - first), at = first * lines->step;
    for (int64_t i = 0; i < n; i++) from[i] = x[at + i * lines->step] - shift;
    mcl_apply(MCL_E_EXP, from, to, (size_t)n);
    for (int64_t i = 0; i < n; i++) sum += to[i];
    for (int64_t i = 0; y && i < n; i++) y[at + i * lines->step] = to[i];
  }
  return sum;
}

static mcl_status softmax_lines(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const mcl_op_call *call = arg;
  bool is_log = call->node->op == &mcl_op_log_softmax;
  mcl_lines lines = mcl_softmax_lines(call->node, call->in[0].shape);
  int64_t end = lines.length * lines.step;
  for (int64_t line = first; line < first + count; line++) {
    int64_t at = mcl_softmax_line(&lines, line);
    const float *x = call->in[0].data + at;
    float *y = call->out[0].data + at, most = x[0];
    for (int64_t i = lines.step; i < end; i += lines.step) most = x[i] > most ? x[i] : most;
    float sum = exponentials(&lines, x, most, is_log ? NULL : y);
    float shift = (float)mcl_log_of(sum); /* taken off by itself: most + shift would be rounded as coarsely as most */
    for (int64_t i = 0; i < end; i += lines.step) y[i] = is_log ? x[i] - most - shift : y[i] / sum;
  }
  return MCL_OK;
}

static mcl_status run_softmax(const mcl_op_call *call) {
  mcl_lines lines = mcl_softmax_lines(call->node, call->in[0].shape);
  return mcl_parallel_ranges(call->ctx, lines.count, lines.grain, softmax_lines, (void *)call);
}

static const mcl_attribute_spec softmax_attributes[] = {MCL_INT("axis", -1, -MCL_MAX_RANK, MCL_MAX_RANK - 1),
                                                        MCL_END_OF_ATTRIBUTES};

#define SOFTMAX(number, word)                                                                                          \
  {                                                                                                                    \
    .id = number, .name = word, .least_inputs = 1, .most_inputs = 1, .outputs = 1, .in_place = true,                   \
    .attributes = softmax_attributes, .shape = shape_softmax, .forward = run_softmax                                   \
  }

const mcl_op mcl_op_softmax = SOFTMAX(14, "softmax");
const mcl_op mcl_op_log_softmax = SOFTMAX(15, "log_softmax");
