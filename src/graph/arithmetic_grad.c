/* Gradients of add, sub, mul, div. Where an input was broadcast its gradient is a sum: over a row in double precision,
 * over rows in their order. */
#include "graph/arithmetic.h"
#include "graph/ops_grad.h"

#define BLOCK 512 /* elements whose gradient is made at once */

typedef struct terms {
  const float *a, *b, *dy;
  int64_t step_a, step_b;
} terms;

/* d[i] = the gradient of one input at n elements, as if nothing were broadcast. */
typedef void (*term_fn)(const terms *t, float *d, int64_t n);

static void term_pass(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = t->dy[i];
}
static void term_negate(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = -t->dy[i];
}
static void term_times_a(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = t->dy[i] * t->a[i * t->step_a];
}
static void term_times_b(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = t->dy[i] * t->b[i * t->step_b];
}
static void term_over_b(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = t->dy[i] / t->b[i * t->step_b];
}
static void term_divisor(const terms *t, float *d, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float b = t->b[i * t->step_b];
    d[i] = -t->dy[i] * t->a[i * t->step_a] / (b * b);
  }
}

typedef struct term_work {
  const mcl_op_call *call;
  const mcl_broadcast *walk;
  term_fn term;
  int input;
} term_work;

/* Elements first … of the output into the gradient of one input. */
static mcl_status term_range(void *arg, int64_t first, int64_t count, int worker) {
  (void)worker;
  const term_work *work = arg;
  const mcl_broadcast *walk = work->walk;
  const mcl_op_call *call = work->call;
  const mcl_operand *in = &call->in[work->input];
  int64_t elements = mcl_elements(in->shape);
  bool whole = elements == mcl_elements(call->out[0].shape);
  float block[BLOCK];
  for (int64_t i = first, end = first + count; i < end;) {
    int64_t row = i / walk->width, within = i % walk->width;
    int64_t n = mcl_min_i64(mcl_min_i64(walk->width - within, end - i), BLOCK);
    terms t = {.a = call->in[0].data + mcl_broadcast_at(walk, 0, row) + within * walk->step[0],
               .b = call->in[1].data + mcl_broadcast_at(walk, 1, row) + within * walk->step[1],
               .dy = call->out[0].gradient + i,
               .step_a = walk->step[0],
               .step_b = walk->step[1]};
    work->term(&t, block, n);
    int64_t step = walk->step[work->input];
    float *to = in->gradient + mcl_broadcast_at(walk, work->input, row) + within * step;
    if (step || n == 1) {
      mcl_gradient_put(to, block, n, !whole || in->accumulate);
    } else {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) sum += block[k];
      *to += (float)sum;
    }
    i += n;
  }
  return MCL_OK;
}

static mcl_status put_gradient(const mcl_op_call *call, const mcl_broadcast *walk, int input, term_fn term) {
  const mcl_operand *in = &call->in[input];
  if (!in->gradient) return MCL_OK;
  term_work work = {call, walk, term, input};
  int64_t n = mcl_elements(call->out[0].shape);
  if (mcl_elements(in->shape) == n) return mcl_parallel_ranges(call->ctx, n, MCL_ELEMENT_CHUNK, term_range, &work);
  mcl_gradient_begin(in);
  return term_range(&work, 0, n, 0); /* a sum: one thread, one order */
}

static mcl_status run_backward(const mcl_op_call *call, term_fn first, term_fn second) {
  mcl_broadcast walk = mcl_broadcast_of(call->out[0].shape, call->in[0].shape, call->in[1].shape);
  MCL_TRY(put_gradient(call, &walk, 0, first));
  return put_gradient(call, &walk, 1, second);
}

mcl_status mcl_add_backward(const mcl_op_call *call) { return run_backward(call, term_pass, term_pass); }
mcl_status mcl_sub_backward(const mcl_op_call *call) { return run_backward(call, term_pass, term_negate); }
mcl_status mcl_mul_backward(const mcl_op_call *call) { return run_backward(call, term_times_b, term_times_a); }
mcl_status mcl_div_backward(const mcl_op_call *call) { return run_backward(call, term_over_b, term_divisor); }
