/* Gradients of expressions, in reverse: from the result down, each operation's adjoint is built as an expression by its
 * row in a table; what arrives at a tensor is evaluated in one pass and summed back to the tensor's shape, which undoes
 * broadcasting. Since the adjoints use the nodes of the expression itself (exp's is its own value), compiling merges
 * them with the forward part, and nothing is kept in between.
 *
 * Where a function has a corner, the adjoint is what PyTorch's is: 0 for |x| and relu at 0, half each for min and max of
 * equals. Adjoints of choices are choices, not products with 0, so that infinity stays on its side. */
#include <math.h>
#include <string.h>

#include "tensor/program.h"

typedef mcl_expression *term;

/* Owns all that is built. After a failure every function gives NULL, so rows need not check. */
typedef struct builder {
  mcl_context *ctx;
  mcl_status status;
  term *owned;
  int64_t count, capacity;
} builder;

static term own(builder *b, mcl_status status, term e) {
  if (!status && b->count == b->capacity) {
    int64_t capacity = b->capacity ? 2 * b->capacity : 64;
    status = mcl_realloc(b->ctx, (size_t)capacity * sizeof *b->owned, &b->owned);
    if (!status) b->capacity = capacity;
  }
  if (status) {
    if (!b->status) b->status = status;
    mcl_expression_release(e);
    return NULL;
  }
  b->owned[b->count++] = e;
  return e;
}

static term apply(builder *b, mcl_elementwise op, term x, term y, term z) {
  term e = NULL, args[3] = {x, y, z};
  for (int i = 0; i < mcl_elementwise_arity(op); i++)
    if (!args[i]) return NULL;
  if (b->status) return NULL;
  mcl_status status = mcl_expression_apply(b->ctx, op, args, &e);
  return own(b, status, e);
}

static term number(builder *b, double value) {
  term e = NULL;
  if (b->status) return NULL;
  mcl_status status = mcl_expression_scalar(b->ctx, value, &e);
  return own(b, status, e);
}

static term unary(builder *b, mcl_elementwise op, term x) { return apply(b, op, x, NULL, NULL); }
static term add(builder *b, term x, term y) { return apply(b, MCL_E_ADD, x, y, NULL); }
static term sub(builder *b, term x, term y) { return apply(b, MCL_E_SUB, x, y, NULL); }
static term mul(builder *b, term x, term y) { return apply(b, MCL_E_MUL, x, y, NULL); }
static term divide(builder *b, term x, term y) { return apply(b, MCL_E_DIV, x, y, NULL); }
static term power(builder *b, term x, term y) { return apply(b, MCL_E_POW, x, y, NULL); }
static term neg(builder *b, term x) { return unary(b, MCL_E_NEG, x); }
static term where(builder *b, term condition, term x, term y) { return apply(b, MCL_E_WHERE, condition, x, y); }
static term less(builder *b, term x, term y) { return apply(b, MCL_E_LT, x, y, NULL); }

/* ---- The table: the adjoint of argument `arg` of node e, whose own adjoint is g ---- */

typedef term (*adjoint_fn)(builder *b, term g, term e, int arg);

/* A is the first argument, B the second, E the value of the node itself. */
#define A (e->args[0])
#define B (e->args[1])
#define ROW(NAME, TERM)                                                                                                \
  static term NAME(builder *b, term g, term e, int arg) {                                                              \
    (void)b, (void)e, (void)arg;                                                                                       \
    return TERM;                                                                                                       \
  }

ROW(of_neg, neg(b, g))
ROW(of_abs, mul(b, g, unary(b, MCL_E_SIGN, A)))
ROW(of_square, mul(b, g, mul(b, number(b, 2), A)))
ROW(of_sqrt, divide(b, mul(b, number(b, 0.5), g), e))
ROW(of_reciprocal, neg(b, mul(b, g, unary(b, MCL_E_SQUARE, e))))
ROW(of_exp, mul(b, g, e))
ROW(of_log, divide(b, g, A))
ROW(of_tanh, mul(b, g, sub(b, number(b, 1), unary(b, MCL_E_SQUARE, e))))
ROW(of_sigmoid, mul(b, g, mul(b, e, sub(b, number(b, 1), e))))
ROW(of_relu, where(b, less(b, number(b, 0), A), g, number(b, 0)))
ROW(of_sin, mul(b, g, unary(b, MCL_E_COS, A)))
ROW(of_cos, neg(b, mul(b, g, unary(b, MCL_E_SIN, A))))
ROW(of_erf, mul(b, g, mul(b, number(b, M_2_SQRTPI), unary(b, MCL_E_EXP, neg(b, unary(b, MCL_E_SQUARE, A))))))
ROW(of_add, g)
ROW(of_sub, arg == 0 ? g : neg(b, g))
ROW(of_mul, mul(b, g, arg == 0 ? B : A))
ROW(of_div, arg == 0 ? divide(b, g, B) : neg(b, divide(b, mul(b, g, e), B)))
ROW(of_where, arg == 1 ? where(b, A, g, number(b, 0)) : arg == 2 ? where(b, A, number(b, 0), g) : NULL)

static term of_pow(builder *b, term g, term e, int arg) {
  if (arg == 0) return mul(b, g, mul(b, B, power(b, A, sub(b, B, number(b, 1)))));
  term positive = less(b, number(b, 0), A); /* 0^b stays 0 for b > 0, and a negative a has only single points b */
  return where(b, positive, mul(b, g, mul(b, e, unary(b, MCL_E_LOG, A))), number(b, 0));
}

static term of_min_max(builder *b, term g, term e, int arg) {
  bool first_when_less = (e->op == MCL_E_MIN) == (arg == 0);
  term is_chosen = first_when_less ? less(b, A, B) : less(b, B, A);
  term half = where(b, apply(b, MCL_E_EQ, A, B, NULL), mul(b, g, number(b, 0.5)), number(b, 0));
  return where(b, is_chosen, g, half);
}

#undef A
#undef B
#undef ROW

/* Operations without a row are constant almost everywhere. */
static const adjoint_fn adjoints[MCL_E_COUNT] = {
    [MCL_E_NEG] = of_neg,
    [MCL_E_ABS] = of_abs,
    [MCL_E_SQUARE] = of_square,
    [MCL_E_SQRT] = of_sqrt,
    [MCL_E_RECIPROCAL] = of_reciprocal,
    [MCL_E_EXP] = of_exp,
    [MCL_E_LOG] = of_log,
    [MCL_E_TANH] = of_tanh,
    [MCL_E_SIGMOID] = of_sigmoid,
    [MCL_E_RELU] = of_relu,
    [MCL_E_SIN] = of_sin,
    [MCL_E_COS] = of_cos,
    [MCL_E_ERF] = of_erf,
    [MCL_E_ADD] = of_add,
    [MCL_E_SUB] = of_sub,
    [MCL_E_MUL] = of_mul,
    [MCL_E_DIV] = of_div,
    [MCL_E_POW] = of_pow,
    [MCL_E_MIN] = of_min_max,
    [MCL_E_MAX] = of_min_max,
    [MCL_E_WHERE] = of_where,
};

/* ---- The walk ---- */

typedef struct backward {
  builder b;
  term *nodes;
  int64_t count;
  term *adjoint;  /* of each node; NULL: none has arrived */
  bool *is_asked; /* the node reads one of the tensors asked for */
} backward;

static bool is_among(const mcl_tensor *t, mcl_tensor *const *wrt, int count) {
  for (int i = 0; i < count; i++)
    if (wrt[i] == t) return true;
  return false;
}

static void mark_asked(backward *w, mcl_tensor *const *wrt, int count) {
  for (int64_t i = 0; i < w->count; i++) {
    const mcl_expression *e = w->nodes[i];
    w->is_asked[i] = e->kind == MCL_NODE_TENSOR && is_among(e->tensor, wrt, count);
    for (int a = 0; a < 3 && e->args[a]; a++) w->is_asked[i] = w->is_asked[i] || w->is_asked[e->args[a]->number];
  }
}

static void pass_down(backward *w, int64_t at) {
  term e = w->nodes[at], g = w->adjoint[at];
  if (e->kind != MCL_NODE_APPLY || !g || !adjoints[e->op]) return;
  for (int a = 0; a < 3 && e->args[a]; a++) {
    int64_t to = e->args[a]->number;
    if (!w->is_asked[to]) continue;
    term part = adjoints[e->op](&w->b, g, e, a);
    if (!part) continue; /* a condition; or a failure, which the builder remembers */
    w->adjoint[to] = w->adjoint[to] ? add(&w->b, w->adjoint[to], part) : part;
  }
}

/* The seed in the shape of e, so that every adjoint has that shape and sums count each broadcast use. */
static term make_seed(builder *b, mcl_expression *e, mcl_expression *seed) {
  term ones = NULL;
  mcl_shape shape;
  if (seed) {
    b->status = mcl_shape_broadcast(b->ctx, e->shape, seed->shape, &shape);
    if (!b->status && !mcl_shape_equal(shape, e->shape)) {
      char text[MCL_SHAPE_TEXT], seed_text[MCL_SHAPE_TEXT];
      b->status = mcl_fail(b->ctx, MCL_ERROR_ARGUMENT, "a seed of shape %s for the gradient of an expression of %s",
                           mcl_shape_text(seed->shape, seed_text), mcl_shape_text(e->shape, text));
    }
  }
  if (b->status) return NULL;
  mcl_status status = mcl_expression_constant(b->ctx, 1, e->shape, &ones);
  ones = own(b, status, ones);
  return seed ? mul(b, seed, ones) : ones;
}

/* Adds what arrived at each leaf of one tensor, and evaluates. */
static mcl_status finish(backward *w, mcl_tensor *t, mcl_tensor **out) {
  term sum = NULL;
  for (int64_t i = 0; i < w->count; i++) {
    if (w->nodes[i]->kind != MCL_NODE_TENSOR || w->nodes[i]->tensor != t || !w->adjoint[i]) continue;
    sum = sum ? add(&w->b, sum, w->adjoint[i]) : w->adjoint[i];
  }
  if (w->b.status) return w->b.status;
  if (!sum) return mcl_tensor_new(t->ctx, MCL_F32, t->shape, out);
  return mcl_expression_sum_to(sum, t->shape, out);
}

mcl_status mcl_expression_gradient(mcl_expression *e, mcl_expression *seed, mcl_tensor *const *wrt, int count,
                                   mcl_tensor **out) {
  mcl_context *ctx = e->ctx;
  backward w = {.b = {.ctx = ctx}};
  for (int i = 0; i < count; i++) out[i] = NULL;
  MCL_TRY(mcl_walk_begin(e, &w.nodes, &w.count));
  mcl_status status = mcl_alloc_zero(ctx, (size_t)w.count * sizeof *w.adjoint, &w.adjoint);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)w.count * sizeof *w.is_asked, &w.is_asked);
  if (!status) {
    mark_asked(&w, wrt, count);
    w.adjoint[w.count - 1] = make_seed(&w.b, e, seed);
    for (int64_t i = w.count - 1; i >= 0 && !w.b.status; i--)
      if (w.is_asked[i]) pass_down(&w, i);
    status = w.b.status;
  }
  for (int64_t i = 0; i < w.count; i++) w.nodes[i]->number = MCL_NO_NUMBER; /* evaluation walks the same nodes */
  for (int i = 0; i < count && !status; i++) status = finish(&w, wrt[i], &out[i]);
  for (int i = 0; i < count && status; i++) {
    mcl_tensor_release(out[i]);
    out[i] = NULL;
  }
  for (int64_t i = w.b.count - 1; i >= 0; i--) mcl_expression_release(w.b.owned[i]);
  mcl_free(ctx, w.b.owned);
  mcl_free(ctx, w.adjoint);
  mcl_free(ctx, w.is_asked);
  mcl_walk_end(ctx, w.nodes, w.count);
  return status;
}
