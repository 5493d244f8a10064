/* What the tests of tensors and expressions share: one context of two threads for all tests of a program, and short ways
 * to build expressions. */
#ifndef MCL_TESTS_TENSOR_FIXTURE_H
#define MCL_TESTS_TENSOR_FIXTURE_H

#include "unit/check.h"

#include <math.h>

#include "base/random.h"
#include "tensor/expression.h"

static mcl_context *ctx;

static inline int set_up(void **state) {
  (void)state;
  return mcl_context_new(&(mcl_options){.threads = 2}, &ctx) != MCL_OK;
}

static inline int tear_down(void **state) {
  (void)state;
  mcl_context_free(ctx);
  return 0;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define OK(call) assert_ok(ctx, call)

static inline mcl_expression *leaf(mcl_tensor *t) {
  mcl_expression *e;
  OK(mcl_expression_tensor(t, &e));
  return e;
}

static inline mcl_expression *scalar(double value) {
  mcl_expression *e;
  OK(mcl_expression_scalar(ctx, value, &e));
  return e;
}

/* Takes over its arguments. */
static inline mcl_expression *apply(mcl_elementwise op, mcl_expression *a, mcl_expression *b, mcl_expression *c) {
  mcl_expression *e, *args[3] = {a, b, c};
  OK(mcl_expression_apply(ctx, op, args, &e));
  for (int i = 0; i < 3; i++) mcl_expression_release(args[i]);
  return e;
}

#endif
