/* add, sub, mul, div with NumPy's broadcasting. */
#include "graph/arithmetic.h"

/* ---- Broadcasting ---- */

static void input_strides(mcl_shape out, mcl_shape in, int64_t *stride) {
  int64_t step = 1;
  for (int i = out.rank - 1; i >= 0; i--) {
    int at = i - (out.rank - in.rank);
    int64_t dim = at < 0 ? 1 : in.dim[at];
    stride[i] = dim == 1 ? 0 : step;
    step *= dim;
  }
}

mcl_broadcast mcl_broadcast_of(mcl_shape out, mcl_shape a, mcl_shape b) {
  mcl_broadcast walk = {.rank = 0};
  int64_t stride[2][MCL_MAX_RANK];
  input_strides(out, a, stride[0]);
  input_strides(out, b, stride[1]);
  for (int i = 0; i < out.rank; i++) {
    if (out.dim[i] == 1) continue;
    int last = walk.rank - 1;
    bool merges = last >= 0 && walk.stride[0][last] == stride[0][i] * out.dim[i] &&
                  walk.stride[1][last] == stride[1][i] * out.dim[i];
    if (!merges) last = walk.rank++, walk.dim[last] = 1;
    walk.dim[last] *= out.dim[i];
    for (int k = 0; k < 2; k++) walk.stride[k][last] = stride[k][i];
  }
  walk.width = 1, walk.rows = 1;
  if (walk.rank > 0) {
    walk.rank--;
    walk.width = walk.dim[walk.rank];
    for (int k = 0; k < 2; k++) walk.step[k] = walk.stride[k][walk.rank];
  }
  for (int i = 0; i < walk.rank; i++) walk.rows *= walk.dim[i];
  return walk;
}

int64_t mcl_broadcast_at(const mcl_broadcast *walk, int input, int64_t row) {
  int64_t at = 0;
  for (int i = walk->rank - 1; i >= 0; i--) {
    at += row % walk->dim[i] * walk->stride[input][i];
    row /= walk->dim[i];
  }
  return at;
}

/* ---- The ops ---- */

typedef void (*combine_fn)(const float *a, int64_t step_a, const float *b, int64_t step_b, float *y, int64_t n);

/* One loop a combination of steps, so that each vectorises. */
#define COMBINE(word, operator)                                                                                        \
  static void combine_##word(const float *a, int64_t step_a, const float *b, int64_t step_b, float *y, int64_t n) {    \
    if (step_a && step_b) {                                                                                            \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] operator b[i];                                                       \
    } else if (step_a) {                                                                                               \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] operator* b;                                                         \
    } else if (step_b) {                                                                                               \
      for (int64_t i = 0; i < n; i++) y[i] = *a operator b[i];                                                         \
    } else {                                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i] = *a operator* b;                                                           \
    }                                                                                                                  \
  }
COMBINE(add, +)
COMBINE(sub, -)
COMBINE(mul, *)
COMBINE(div, /)

typedef struct combine_work {
  const mcl_op_call *call;
  mcl_broadcast walk;
  combine_fn combine;
} combine_work;

/* Elements first … of the output, row by row; a chunk may begin and end within rows. */
static mcl_status combine_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const combine_work *work = arg;
  const mcl_broadcast *walk = &work->walk;
  const mcl_op_call *call = work->call;
  for (int64_t i = first, end = first + count; i < end;) {
    int64_t row = i / walk->width, within = i % walk->width, n = mcl_min_i64(walk->width - within, end - i);
    const float *a = call->in[0].data + mcl_broadcast_at(walk, 0, row) + within * walk->step[0];
    const float *b = call->in[1].data + mcl_broadcast_at(walk, 1, row) + within * walk->step[1];
    work->combine(a, walk->step[0], b, walk->step[1], call->out[0].data + i, n);
    i += n;
  }
  return MCL_OK;
}

static mcl_status run_combine(const mcl_op_call *call, combine_fn combine) {
  combine_work work = {call, mcl_broadcast_of(call->out[0].shape, call->in[0].shape, call->in[1].shape), combine};
  return mcl_parallel_ranges(call->ctx, mcl_elements(call->out[0].shape), MCL_ELEMENT_CHUNK, combine_range, &work);
}

static mcl_status run_add(const mcl_op_call *call) { return run_combine(call, combine_add); }
static mcl_status run_sub(const mcl_op_call *call) { return run_combine(call, combine_sub); }
static mcl_status run_mul(const mcl_op_call *call) { return run_combine(call, combine_mul); }
static mcl_status run_div(const mcl_op_call *call) { return run_combine(call, combine_div); }

static mcl_status shape_combine(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  return mcl_node_broadcast(ctx, node, in[0], in[1], out);
}

#define ARITHMETIC(number, word)                                                                                       \
  {                                                                                                                    \
    .id = number, .name = #word, .least_inputs = 2, .most_inputs = 2, .outputs = 1, .in_place = true,                  \
    .shape = shape_combine, .forward = run_##word                                                                      \
  }

const mcl_op mcl_op_add = ARITHMETIC(19, add);
const mcl_op mcl_op_sub = ARITHMETIC(20, sub);
const mcl_op mcl_op_mul = ARITHMETIC(21, mul);
const mcl_op mcl_op_div = ARITHMETIC(22, div);
