/* Expressions: element-wise arithmetic over tensors, not yet computed. A directed acyclic graph of immutable,
 * reference-counted nodes. What needs numbers compiles it to a block program (program.h) and runs that in one pass
 * over all threads, each input read once; nothing of the size of the result is stored but the result. */
#ifndef MCL_TENSOR_EXPRESSION_H
#define MCL_TENSOR_EXPRESSION_H

#include "tensor/tensor.h"

typedef struct mcl_expression mcl_expression;

/* One row each in the table of expression.c: name, arity, kernel, derivative. */
typedef enum mcl_elementwise {
  /* unary */
  MCL_E_NEG,
  MCL_E_ABS,
  MCL_E_SIGN,
  MCL_E_SQUARE,
  MCL_E_SQRT,
  MCL_E_RECIPROCAL,
  MCL_E_EXP,
  MCL_E_LOG,
  MCL_E_TANH,
  MCL_E_SIGMOID,
  MCL_E_RELU,
  MCL_E_FLOOR,
  MCL_E_ROUND,
  MCL_E_NOT,
  MCL_E_IS_NAN,
  MCL_E_SIN,
  MCL_E_COS,
  MCL_E_ERF,
  /* binary; comparisons give 1 or 0 */
  MCL_E_ADD,
  MCL_E_SUB,
  MCL_E_MUL,
  MCL_E_DIV,
  MCL_E_POW,
  MCL_E_MIN,
  MCL_E_MAX,
  MCL_E_LT,
  MCL_E_LE,
  MCL_E_GT,
  MCL_E_GE,
  MCL_E_EQ,
  MCL_E_NE,
  MCL_E_AND,
  MCL_E_OR,
  /* ternary: where(condition, a, b) */
  MCL_E_WHERE,
  MCL_E_COUNT
} mcl_elementwise;

typedef enum mcl_reduction {
  MCL_R_SUM,
  MCL_R_MEAN,
  MCL_R_MIN,
  MCL_R_MAX,
  MCL_R_SUM_SQUARES,
  MCL_R_COUNT_NONZERO
} mcl_reduction;

#define MCL_AXIS_ALL (-1)

/* Building. Arguments are retained, the result is the caller's. Shapes broadcast as in NumPy. */
mcl_status mcl_expression_tensor(mcl_tensor *t, mcl_expression **out); /* reads t when evaluated, not now */
mcl_status mcl_expression_scalar(mcl_context *ctx, double value, mcl_expression **out);
mcl_status mcl_expression_apply(mcl_context *ctx, mcl_elementwise op, mcl_expression *const *args,
                                mcl_expression **out);
mcl_expression *mcl_expression_retain(mcl_expression *e);
void mcl_expression_release(mcl_expression *e); /* NULL is fine */
mcl_shape mcl_expression_shape(const mcl_expression *e);
bool mcl_elementwise_named(const char *name, mcl_elementwise *out, int *arity); /* "abs", "where" … */
/* "abs(tensor 300x784) * tensor 784"; NUL-terminated, cut to size. */
void mcl_expression_text(const mcl_expression *e, char *text, size_t size);

/* Evaluation: f32 arithmetic, in one pass. */
mcl_status mcl_expression_evaluate(mcl_expression *e, mcl_tensor **out);     /* a new f32 tensor */
mcl_status mcl_expression_evaluate_into(mcl_expression *e, mcl_tensor *out); /* same shape, any dtype */
/* Over all elements: sums in f64 over fixed chunks, so that the threads do not matter. */
mcl_status mcl_expression_reduce_all(mcl_expression *e, mcl_reduction kind, double *out);
mcl_status mcl_expression_reduce(mcl_expression *e, mcl_reduction kind, int axis, mcl_tensor **out); /* axis leaves */
mcl_status mcl_expression_sum_to(mcl_expression *e, mcl_shape shape, mcl_tensor **out); /* undoes broadcasting */

/* The value v such that exactly `keep` elements are chosen by (x > v), or (x == v and its index is below *tie_limit):
 * a threshold for keeping the largest, found by histogram passes, never by sorting; ties go to the lower index.
 * NaN: MCL_ERROR_NUMERIC. keep in 0 … count. */
mcl_status mcl_expression_threshold(mcl_expression *e, int64_t keep, float *v, int64_t *tie_limit);
/* Linear interpolation between order statistics, as numpy.quantile's default; q in 0 … 1. */
mcl_status mcl_expression_quantile(mcl_expression *e, double q, double *out);
/* Scores once more, and says which elements were chosen: bit i of mask, little-endian u64 words, (count+63)/64 of
 * them. NULL mask: only *kept. */
mcl_status mcl_expression_mask(mcl_expression *e, float v, int64_t tie_limit, uint64_t *mask, int64_t *kept);
/* Both at once, as a bool tensor of e's shape: true for the `keep` largest. */
mcl_status mcl_expression_top(mcl_expression *e, int64_t keep, mcl_tensor **out);

/* d sum(e · seed) / d wrt[i], each of the shape of wrt[i] (a tensor leaf of e). seed NULL: ones. A tensor that e does
 * not read gets zeros. */
mcl_status mcl_expression_gradient(mcl_expression *e, mcl_expression *seed, mcl_tensor *const *wrt, int count,
                                   mcl_tensor **out);

#endif
