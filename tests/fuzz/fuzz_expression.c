/* Expressions: a program of operations over small tensors, by a stack. Computed at once it must give the bits that its
 * operations give one by one, each through memory; reductions of it, those of its values; gradients together, those of
 * each alone. */
#include "fuzz.h"

#include "tensor/program.h"

#define MOST_NODES 24
#define TENSORS 4

typedef struct machine {
  mcl_context *ctx;
  fuzz_bytes bytes;
  mcl_tensor *tensor[TENSORS];
  mcl_expression *lazy[MOST_NODES];  /* the expression so far */
  mcl_expression *eager[MOST_NODES]; /* the same, of a tensor that holds its values */
  int count;
} machine;

static mcl_shape shape_of(fuzz_bytes *bytes) {
  static const mcl_shape shapes[] = {{0, {0}},       {1, {1}},    {1, {5}},       {2, {3, 5}},
                                     {2, {3, 1}},    {2, {1, 5}}, {3, {2, 3, 5}}, {3, {2, 1, 1}},
                                     {3, {1, 3, 5}}, {1, {0}},    {2, {300, 5}},  {4, {2, 2, 3, 5}}};
  return shapes[fuzz_below(bytes, sizeof shapes / sizeof *shapes)];
}

static mcl_status make_tensors(machine *m) {
  for (int i = 0; i < TENSORS; i++) {
    mcl_tensor *f32;
    mcl_shape shape = shape_of(&m->bytes);
    mcl_dtype dtype = (mcl_dtype)(fuzz_byte(&m->bytes) & 7 ? MCL_F32 : fuzz_below(&m->bytes, MCL_DTYPE_COUNT));
    uint8_t step = fuzz_byte(&m->bytes);
    MCL_TRY(mcl_tensor_new(m->ctx, MCL_F32, shape, &f32));
    for (int64_t k = 0; k < f32->count; k++)
      mcl_tensor_f32(f32)[k] = k < 4 ? fuzz_float(&m->bytes) : (float)(k * step % 37 - 18) / 8;
    mcl_status status = mcl_tensor_convert(f32, dtype, &m->tensor[i]);
    mcl_tensor_release(f32);
    MCL_TRY(status);
  }
  return MCL_OK;
}

/* The operation's value by itself, in memory. */
static mcl_status store(mcl_expression *e, mcl_expression **out) {
  mcl_tensor *values;
  MCL_TRY(mcl_expression_evaluate(e, &values));
  mcl_status status = mcl_expression_tensor(values, out);
  mcl_tensor_release(values);
  return status;
}

static mcl_status push_leaf(machine *m) {
  int at = fuzz_below(&m->bytes, TENSORS + 1);
  mcl_expression **lazy = &m->lazy[m->count], **eager = &m->eager[m->count];
  if (at == TENSORS)
    MCL_TRY(mcl_expression_scalar(m->ctx, fuzz_float(&m->bytes), lazy));
  else
    MCL_TRY(mcl_expression_tensor(m->tensor[at], lazy));
  *eager = mcl_expression_retain(*lazy);
  m->count++;
  return MCL_OK;
}

static mcl_status push_operation(machine *m) {
  mcl_elementwise op = (mcl_elementwise)fuzz_below(&m->bytes, MCL_E_COUNT);
  mcl_expression *lazy[3], *eager[3], *one;
  for (int i = 0; i < mcl_elementwise_arity(op); i++) {
    int at = m->count - 1 - fuzz_below(&m->bytes, m->count < 4 ? m->count : 4);
    lazy[i] = m->lazy[at], eager[i] = m->eager[at];
  }
  MCL_TRY(mcl_expression_apply(m->ctx, op, eager, &one));
  mcl_status status = store(one, &m->eager[m->count]);
  mcl_expression_release(one);
  MCL_TRY(status);
  status = mcl_expression_apply(m->ctx, op, lazy, &m->lazy[m->count]);
  if (status) mcl_expression_release(m->eager[m->count]);
  MCL_TRY(status);
  m->count++;
  return MCL_OK;
}

static void compare_values(mcl_expression *lazy, mcl_expression *eager) {
  mcl_tensor *a = NULL, *b = NULL;
  if (!mcl_expression_evaluate(lazy, &a) && !mcl_expression_evaluate(eager, &b) &&
      !fuzz_same(mcl_tensor_f32(a), mcl_tensor_f32(b), a->count))
    abort();
  mcl_tensor_release(a);
  mcl_tensor_release(b);
}

static void compare_reductions(machine *m, mcl_expression *lazy, mcl_expression *eager) {
  mcl_reduction kind = (mcl_reduction)fuzz_below(&m->bytes, MCL_R_COUNT_NONZERO + 1);
  double a, b;
  mcl_status first = mcl_expression_reduce_all(lazy, kind, &a), second = mcl_expression_reduce_all(eager, kind, &b);
  if (first != second || (!first && memcmp(&a, &b, sizeof a) && (a == a || b == b))) abort();
  int axis = fuzz_below(&m->bytes, 4);
  mcl_tensor *x = NULL, *y = NULL;
  if (mcl_expression_reduce(lazy, kind, axis, &x) != mcl_expression_reduce(eager, kind, axis, &y)) abort();
  if (x && y && !fuzz_same(mcl_tensor_f32(x), mcl_tensor_f32(y), x->count)) abort();
  mcl_tensor_release(x);
  mcl_tensor_release(y);
}

/* Exactly as many are chosen as were asked for. */
static void check_threshold(machine *m, mcl_expression *e) {
  int64_t count, keep, tie_limit, kept;
  float value;
  if (mcl_shape_count(m->ctx, mcl_expression_shape(e), &count)) abort();
  keep = count * fuzz_byte(&m->bytes) / 255;
  if (mcl_expression_threshold(e, keep, &value, &tie_limit)) return;
  if (mcl_expression_mask(e, value, tie_limit, NULL, &kept) || kept != keep) abort();
}

static void compare_gradients(machine *m, mcl_expression *e) {
  mcl_tensor *together[TENSORS] = {NULL}, *alone = NULL;
  mcl_status status = mcl_expression_gradient(e, NULL, m->tensor, TENSORS, together);
  for (int i = 0; i < TENSORS && !status; i++) {
    status = mcl_expression_gradient(e, NULL, &m->tensor[i], 1, &alone);
    if (!status && !fuzz_same(mcl_tensor_f32(alone), mcl_tensor_f32(together[i]), alone->count)) abort();
    mcl_tensor_release(alone);
    alone = NULL;
  }
  for (int i = 0; i < TENSORS; i++) mcl_tensor_release(together[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  machine m = {.ctx = fuzz_context((size_t)4 << 20), .bytes = {data, size, 0}};
  mcl_status status = make_tensors(&m);
  if (!status) status = push_leaf(&m);
  while (!status && m.count < MOST_NODES && !fuzz_is_empty(&m.bytes)) {
    if (fuzz_below(&m.bytes, 3))
      (void)push_operation(&m); /* shapes that do not go together: the next */
    else
      status = push_leaf(&m);
  }
  if (m.count > 0) {
    mcl_expression *lazy = m.lazy[m.count - 1], *eager = m.eager[m.count - 1];
    char text[256];
    mcl_expression_text(lazy, text, sizeof text);
    compare_values(lazy, eager);
    compare_reductions(&m, lazy, eager);
    check_threshold(&m, lazy);
    compare_gradients(&m, lazy);
  }
  for (int i = 0; i < m.count; i++) {
    mcl_expression_release(m.lazy[i]);
    mcl_expression_release(m.eager[i]);
  }
  for (int i = 0; i < TENSORS; i++) mcl_tensor_release(m.tensor[i]);
  if (mcl_context_memory(m.ctx)) abort();
  return 0;
}
