/* The element-wise kernels themselves; included by elementwise.c, elementwise_avx2.c and elementwise_avx512.c, each of
 * which names its table in MCL_TABLE and says how it streams in MCL_STREAM.
 *
 * Loops are plain so that the compiler turns them into vectors of whatever width the file is compiled for: both sides
 * of a choice are computed, then one is taken. Transcendental functions are computed in double and rounded once, which
 * leaves them within 0.51 units of the last place; their polynomials need no more than some 1e-9 for that. */
#include <math.h>
#include <string.h>

#include "tensor/kernels/elementwise.h"
#include "tensor/kernels/functions.h"

/* ---- One function an operation ---- */

#define UNARY(NAME, EXPRESSION)                                                                                        \
  static void NAME(float *restrict out, const float *const *args, size_t n) {                                          \
    const float *restrict p = args[0];                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      float a = p[i];                                                                                                  \
      out[i] = (EXPRESSION);                                                                                           \
    }                                                                                                                  \
  }

#define BINARY(NAME, EXPRESSION)                                                                                       \
  static void NAME(float *restrict out, const float *const *args, size_t n) {                                          \
    const float *p = args[0], *q = args[1];                                                                            \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      float a = p[i], b = q[i];                                                                                        \
      out[i] = (EXPRESSION);                                                                                           \
    }                                                                                                                  \
  }

UNARY(apply_neg, -a)
UNARY(apply_abs, fabsf(a))
UNARY(apply_sign, a > 0 ? 1.0f : a < 0 ? -1.0f : a) /* NaN stays, and so does -0 */
UNARY(apply_square, a *a)
UNARY(apply_sqrt, sqrtf(a))
UNARY(apply_reciprocal, 1.0f / a)
UNARY(apply_exp, (float)mcl_exp(a))
UNARY(apply_log, (float)mcl_log_of(a))
UNARY(apply_tanh, (float)mcl_tanh(a))
UNARY(apply_sigmoid, (float)(1.0 / (1.0 + mcl_exp(-(double)a))))
UNARY(apply_relu, a < 0 ? 0.0f : a)
UNARY(apply_floor, mcl_floor(a))
UNARY(apply_round, mcl_round(a))
UNARY(apply_not, a == 0 ? 1.0f : 0.0f)
UNARY(apply_is_nan, a != a ? 1.0f : 0.0f)
UNARY(apply_erf, (float)mcl_erf(a))

BINARY(apply_add, a + b)
BINARY(apply_sub, a - b)
BINARY(apply_mul, a *b)
BINARY(apply_div, a / b)
BINARY(apply_pow, (float)mcl_pow(a, b))
BINARY(apply_min, ((a < b) | (a != a)) ? a : b) /* NaN wins, from either side */
BINARY(apply_max, ((a > b) | (a != a)) ? a : b)
BINARY(apply_lt, a < b ? 1.0f : 0.0f)
BINARY(apply_le, a <= b ? 1.0f : 0.0f)
BINARY(apply_gt, a > b ? 1.0f : 0.0f)
BINARY(apply_ge, a >= b ? 1.0f : 0.0f)
BINARY(apply_eq, a == b ? 1.0f : 0.0f)
BINARY(apply_ne, a != b ? 1.0f : 0.0f)
BINARY(apply_and, ((a != 0) & (b != 0)) ? 1.0f : 0.0f)
BINARY(apply_or, ((a != 0) | (b != 0)) ? 1.0f : 0.0f)

static void apply_where(float *restrict out, const float *const *args, size_t n) {
  const float *condition = args[0], *p = args[1], *q = args[2];
  for (size_t i = 0; i < n; i++) {
    float a = p[i], b = q[i];
    out[i] = condition[i] != 0 ? a : b;
  }
}

/* Angles beyond where three-part reduction is exact go to the C library, one by one: they are rare. */
static void apply_angle(float *restrict out, const float *restrict p, size_t n, bool cosine) {
  int beyond = 0;
  for (size_t i = 0; i < n; i++) {
    out[i] = (float)mcl_sin(p[i], cosine);
    beyond |= !(fabsf(p[i]) <= MCL_ANGLE_LIMIT);
  }
  for (size_t i = 0; beyond && i < n; i++)
    if (!(fabsf(p[i]) <= MCL_ANGLE_LIMIT)) out[i] = (float)(cosine ? cos(p[i]) : sin(p[i]));
}

static void apply_sin(float *out, const float *const *args, size_t n) { apply_angle(out, args[0], n, false); }
static void apply_cos(float *out, const float *const *args, size_t n) { apply_angle(out, args[0], n, true); }

/* ---- Reductions: `s` gathers `x` ---- */

#define GATHER(NAME, EXPRESSION)                                                                                       \
  static void NAME(double *restrict lanes, const float *restrict p, size_t n) {                                        \
    double kept[MCL_LANES];                                                                                            \
    memcpy(kept, lanes, sizeof kept);                                                                                  \
    size_t at = 0;                                                                                                     \
    for (; at + MCL_LANES <= n; at += MCL_LANES) {                                                                     \
      _Pragma("GCC unroll 1") /* the loop becomes vectors only while it is one */                                      \
          for (size_t i = 0; i < MCL_LANES; i++) {                                                                     \
        double s = kept[i], x = p[at + i];                                                                             \
        kept[i] = (EXPRESSION);                                                                                        \
      }                                                                                                                \
    }                                                                                                                  \
    for (size_t i = 0; at + i < n; i++) {                                                                              \
      double s = kept[i], x = p[at + i];                                                                               \
      kept[i] = (EXPRESSION);                                                                                          \
    }                                                                                                                  \
    memcpy(lanes, kept, sizeof kept);                                                                                  \
  }                                                                                                                    \
  static void NAME##_rows(double *restrict sums, const float *restrict p, size_t n) {                                  \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      double s = sums[i], x = p[i];                                                                                    \
      sums[i] = (EXPRESSION);                                                                                          \
    }                                                                                                                  \
  }

GATHER(gather_sum, s + x)
GATHER(gather_min, x != x ? x : x < s ? x : s)
GATHER(gather_max, x != x ? x : x > s ? x : s)
GATHER(gather_squares, s + x * x) /* the product of two floats is exact in double */
GATHER(gather_nonzero, s + (x != 0 ? 1.0 : 0.0))

const mcl_elementwise_table MCL_TABLE = {
    .apply = {[MCL_E_NEG] = apply_neg,         [MCL_E_ABS] = apply_abs,   [MCL_E_SIGN] = apply_sign,
              [MCL_E_SQUARE] = apply_square,   [MCL_E_SQRT] = apply_sqrt, [MCL_E_RECIPROCAL] = apply_reciprocal,
              [MCL_E_EXP] = apply_exp,         [MCL_E_LOG] = apply_log,   [MCL_E_TANH] = apply_tanh,
              [MCL_E_SIGMOID] = apply_sigmoid, [MCL_E_RELU] = apply_relu, [MCL_E_FLOOR] = apply_floor,
              [MCL_E_ROUND] = apply_round,     [MCL_E_NOT] = apply_not,   [MCL_E_IS_NAN] = apply_is_nan,
              [MCL_E_SIN] = apply_sin,         [MCL_E_COS] = apply_cos,   [MCL_E_ERF] = apply_erf,
              [MCL_E_ADD] = apply_add,         [MCL_E_SUB] = apply_sub,   [MCL_E_MUL] = apply_mul,
              [MCL_E_DIV] = apply_div,         [MCL_E_POW] = apply_pow,   [MCL_E_MIN] = apply_min,
              [MCL_E_MAX] = apply_max,         [MCL_E_LT] = apply_lt,     [MCL_E_LE] = apply_le,
              [MCL_E_GT] = apply_gt,           [MCL_E_GE] = apply_ge,     [MCL_E_EQ] = apply_eq,
              [MCL_E_NE] = apply_ne,           [MCL_E_AND] = apply_and,   [MCL_E_OR] = apply_or,
              [MCL_E_WHERE] = apply_where},
    .gather = {[MCL_R_SUM] = gather_sum,
               [MCL_R_MEAN] = gather_sum,
               [MCL_R_MIN] = gather_min,
               [MCL_R_MAX] = gather_max,
               [MCL_R_SUM_SQUARES] = gather_squares,
               [MCL_R_COUNT_NONZERO] = gather_nonzero},
    .gather_rows = {[MCL_R_SUM] = gather_sum_rows,
                    [MCL_R_MEAN] = gather_sum_rows,
                    [MCL_R_MIN] = gather_min_rows,
                    [MCL_R_MAX] = gather_max_rows,
                    [MCL_R_SUM_SQUARES] = gather_squares_rows,
                    [MCL_R_COUNT_NONZERO] = gather_nonzero_rows},
    .stream = MCL_STREAM,
};
