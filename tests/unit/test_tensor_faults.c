/* What tensors and expressions do when memory is refused or the work is cancelled: the right status, nothing leaked,
 * nothing written beyond. Every allocation of each operation is made to fail, one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/expression.h"

static int allocations_left; /* before one is refused; negative: never */
static int64_t bytes_held;

static void *allocate(void *user, size_t size, size_t alignment) {
  void *memory;
  (void)user;
  if (allocations_left == 0) return NULL;
  if (allocations_left > 0) allocations_left--;
  if (posix_memalign(&memory, alignment, size)) return NULL;
  memset(memory, 0xa5, size);                                       /* nobody may count on zeros */
  __atomic_fetch_add(&bytes_held, (int64_t)size, __ATOMIC_RELAXED); /* workers allocate, too */
  return memory;
}

static void release(void *user, void *memory, size_t size) {
  (void)user;
  __atomic_fetch_sub(&bytes_held, (int64_t)size, __ATOMIC_RELAXED);
  free(memory);
}

#define ROWS 300
#define COLS 400

typedef struct subject {
  mcl_context *ctx;
  mcl_tensor *w, *s;
  mcl_expression *e;
} subject;

static mcl_status build(subject *x) {
  mcl_expression *w = NULL, *s = NULL, *size = NULL;
  mcl_status status = mcl_tensor_new(x->ctx, MCL_F32, mcl_shape_2(ROWS, COLS), &x->w);
  if (!status) status = mcl_tensor_new(x->ctx, MCL_F32, mcl_shape_1(COLS), &x->s);
  if (!status) status = mcl_expression_tensor(x->w, &w);
  if (!status) status = mcl_expression_tensor(x->s, &s);
  if (!status) status = mcl_expression_apply(x->ctx, MCL_E_ABS, &w, &size);
  if (!status) status = mcl_expression_apply(x->ctx, MCL_E_MUL, (mcl_expression *const[]){size, s}, &x->e);
  mcl_expression_release(w);
  mcl_expression_release(s);
  mcl_expression_release(size);
  return status;
}

static mcl_status evaluate(subject *x) {
  mcl_tensor *out;
  mcl_status status = mcl_expression_evaluate(x->e, &out);
  if (status) assert_null(out);
  mcl_tensor_release(out);
  return status;
}

static mcl_status assign_to_own_row(subject *x) { return mcl_expression_evaluate_into(x->e, x->w); }

static mcl_status reduce(subject *x) {
  mcl_tensor *out;
  double sum;
  mcl_status status = mcl_expression_reduce(x->e, MCL_R_SUM, 0, &out);
  if (status) assert_null(out);
  mcl_tensor_release(out);
  return status ? status : mcl_expression_reduce_all(x->e, MCL_R_MAX, &sum);
}

static mcl_status select_top(subject *x) {
  mcl_tensor *out;
  mcl_status status = mcl_expression_top(x->e, 1000, &out);
  if (status) assert_null(out);
  mcl_tensor_release(out);
  return status;
}

static mcl_status quantile(subject *x) {
  double value;
  return mcl_expression_quantile(x->e, 0.123, &value);
}

static mcl_status gradient(subject *x) {
  mcl_tensor *wrt[2] = {x->w, x->s}, *out[2];
  mcl_status status = mcl_expression_gradient(x->e, NULL, wrt, 2, out);
  for (int i = 0; i < 2; i++) {
    if (status) assert_null(out[i]);
    mcl_tensor_release(out[i]);
  }
  return status;
}

static mcl_status convert_and_move(subject *x) {
  mcl_tensor *half = NULL, *moved = NULL, *view = NULL;
  mcl_status status = mcl_tensor_convert(x->w, MCL_F16, &half);
  if (!status) status = mcl_tensor_transpose(half, &moved);
  if (!status) status = mcl_tensor_reshape(moved, mcl_shape_1(ROWS * COLS), &view);
  mcl_tensor_release(half);
  mcl_tensor_release(moved);
  mcl_tensor_release(view);
  return status;
}

static mcl_status (*const operations[])(subject *) = {evaluate, assign_to_own_row, reduce,          select_top,
                                                      quantile, gradient,          convert_and_move};
#define OPERATIONS (sizeof operations / sizeof operations[0])

static void fill(subject *x) {
  for (int64_t i = 0; i < ROWS * COLS; i++) mcl_tensor_f32(x->w)[i] = (float)(i * 7919 % 1009) - 500;
  for (int64_t i = 0; i < COLS; i++) mcl_tensor_f32(x->s)[i] = (float)(i % 7 + 1);
}

/* One try with the allocation after `left` others refused. */
static mcl_status attempt(mcl_status (*operation)(subject *), int left) {
  subject x = {0};
  allocations_left = -1;
  assert_int_equal(mcl_context_new(&(mcl_options){.threads = 1, .allocate = allocate, .release = release}, &x.ctx),
                   MCL_OK);
  int64_t before = bytes_held;
  mcl_status status = MCL_OK;
  if (!operation) allocations_left = left;
  status = build(&x);
  if (!status && operation) {
    fill(&x);
    allocations_left = left;
    status = operation(&x);
  }
  allocations_left = -1;
  mcl_expression_release(x.e);
  mcl_tensor_release(x.w);
  mcl_tensor_release(x.s);
  assert_int_equal(mcl_context_memory(x.ctx), 0);
  assert_int_equal(bytes_held, before);
  if (status) assert_non_null(strstr(mcl_context_message(x.ctx), "memory"));
  mcl_context_free(x.ctx);
  assert_int_equal(bytes_held, 0);
  return status;
}

static void refused_memory_is_reported_and_nothing_leaks(void **state) {
  (void)state;
  for (size_t i = 0; i <= OPERATIONS; i++) {
    mcl_status (*operation)(subject *) = i < OPERATIONS ? operations[i] : NULL;
    int left = 0;
    for (; left < 1000; left++) {
      mcl_status status = attempt(operation, left);
      if (!status) break;
      assert_int_equal(status, MCL_ERROR_MEMORY);
    }
    assert_in_range(left, 1, 999); /* at least one was refused, and without refusal it works */
  }
}

static bool cancelled(void *user) { return *(bool *)user; }

static void work_that_is_cancelled_says_so(void **state) {
  bool flag = false;
  subject x = {0};
  (void)state;
  allocations_left = -1;
  mcl_options options = {.user = &flag, .threads = 2, .allocate = allocate, .release = release, .cancelled = cancelled};
  assert_int_equal(mcl_context_new(&options, &x.ctx), MCL_OK);
  assert_int_equal(build(&x), MCL_OK);
  fill(&x);
  mcl_context_cancel(x.ctx);
  for (size_t i = 0; i < OPERATIONS; i++) assert_int_equal(operations[i](&x), MCL_ERROR_CANCELLED);
  mcl_context_resume(x.ctx);
  for (size_t i = 0; i < OPERATIONS; i++) assert_int_equal(operations[i](&x), MCL_OK);
  mcl_expression_release(x.e);
  mcl_tensor_release(x.w);
  mcl_tensor_release(x.s);
  mcl_context_free(x.ctx);
  assert_int_equal(bytes_held, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refused_memory_is_reported_and_nothing_leaks),
      cmocka_unit_test(work_that_is_cancelled_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
