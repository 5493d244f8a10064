/* Reductions: against plain loops in double, along every axis of many shapes, the same bits from any number of threads. */
#include "unit/tensor_fixture.h"

#include <stdlib.h>

static mcl_tensor *tensor_of(mcl_shape shape) {
  mcl_tensor *t;
  OK(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  mcl_random random = mcl_random_at(7, 1);
  for (int64_t i = 0; i < t->count; i++) {
    mcl_tensor_f32(t)[i] = mcl_random_normal(&random) + 0.25f;
    if (i % 5 == 0) mcl_tensor_f32(t)[i] = 0;
  }
  return t;
}

/* e = t + 0: read through a program, not by its bytes */
static mcl_expression *expression_of(mcl_tensor *t) { return apply(MCL_E_ADD, leaf(t), scalar(0), NULL); }

static double gather(mcl_reduction kind, double so_far, double x, bool first) {
  switch (kind) {
  case MCL_R_MIN:
    return first || x < so_far ? x : so_far;
  case MCL_R_MAX:
    return first || x > so_far ? x : so_far;
  case MCL_R_SUM_SQUARES:
    return so_far + x * x;
  case MCL_R_COUNT_NONZERO:
    return so_far + (x != 0);
  default:
    return so_far + x;
  }
}

static void check_near(double got, double expected, double tolerance) {
  if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected)))) fail_msg("%.17g is not %.17g", got, expected);
}

static void check_axis(mcl_shape shape, int axis) {
  mcl_tensor *t = tensor_of(shape);
  mcl_expression *e = expression_of(t);
  int64_t outer = 1, inner = 1, reduced = shape.dim[axis];
  for (int i = 0; i < axis; i++) outer *= shape.dim[i];
  for (int i = axis + 1; i < shape.rank; i++) inner *= shape.dim[i];
  for (int kind = 0; kind <= MCL_R_COUNT_NONZERO; kind++) {
    mcl_tensor *out;
    OK(mcl_expression_reduce(e, (mcl_reduction)kind, axis, &out));
    assert_int_equal(out->shape.rank, shape.rank - 1);
    assert_int_equal(out->count, outer * inner);
    for (int64_t o = 0; o < outer; o++)
      for (int64_t i = 0; i < inner; i++) {
        double expected = 0;
        for (int64_t j = 0; j < reduced; j++)
          expected =
              gather((mcl_reduction)kind, expected, (double)mcl_tensor_f32(t)[(o * reduced + j) * inner + i], j == 0);
        if (kind == MCL_R_MEAN) expected /= (double)reduced;
        check_near((double)mcl_tensor_f32(out)[o * inner + i], expected, 1e-6);
      }
    mcl_tensor_release(out);
  }
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void every_axis_of_many_shapes_is_reduced(void **state) {
  (void)state;
  check_axis(mcl_shape_2(300, 784), 0);
  check_axis(mcl_shape_2(300, 784), 1);
  check_axis(mcl_shape_2(40, 3000), 0); /* wider than a block: tiles */
  check_axis(mcl_shape_2(3, 90000), 1); /* longer than a chunk: strips */
  check_axis(mcl_shape_2(90000, 3), 0);
  check_axis(mcl_shape_2(90000, 3), 1);
  check_axis(mcl_shape_1(100000), 0);
  for (int axis = 0; axis < 4; axis++) check_axis(mcl_shape_of(4, (int64_t[]){11, 13, 5, 17}), axis);
  check_axis(mcl_shape_of(3, (int64_t[]){4, 1, 6}), 1);
}

static void all_elements_are_reduced(void **state) {
  mcl_tensor *t = tensor_of(mcl_shape_2(517, 1033));
  mcl_expression *e = expression_of(t);
  (void)state;
  for (int kind = 0; kind <= MCL_R_COUNT_NONZERO; kind++) {
    double got, expected = 0;
    for (int64_t i = 0; i < t->count; i++)
      expected = gather((mcl_reduction)kind, expected, (double)mcl_tensor_f32(t)[i], i == 0);
    if (kind == MCL_R_MEAN) expected /= (double)t->count;
    OK(mcl_expression_reduce_all(e, (mcl_reduction)kind, &got));
    check_near(got, expected, 1e-12);
    mcl_tensor *out;
    OK(mcl_expression_reduce(e, (mcl_reduction)kind, MCL_AXIS_ALL, &out));
    assert_int_equal(out->shape.rank, 0);
    assert_true(mcl_tensor_f32(out)[0] == (float)got);
    mcl_tensor_release(out);
  }
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

/* 16,777,217 ones: f32 sums stop at 2^24. */
static void sums_are_kept_in_double(void **state) {
  mcl_tensor *t;
  mcl_expression *e;
  double sum;
  (void)state;
  OK(mcl_tensor_new(ctx, MCL_U8, mcl_shape_1((1 << 24) + 1), &t));
  memset(t->data, 1, (size_t)t->count);
  e = expression_of(t);
  OK(mcl_expression_reduce_all(e, MCL_R_SUM, &sum));
  assert_true(sum == 16777217.0);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void a_nan_is_not_lost_by_min_and_max(void **state) {
  mcl_tensor *t = tensor_of(mcl_shape_1(200000));
  double value;
  (void)state;
  for (int64_t at = 0; at < t->count; at += 66666) {
    float before = mcl_tensor_f32(t)[at];
    mcl_tensor_f32(t)[at] = NAN;
    mcl_expression *e = expression_of(t);
    OK(mcl_expression_reduce_all(e, MCL_R_MIN, &value));
    assert_true(isnan(value));
    OK(mcl_expression_reduce_all(e, MCL_R_MAX, &value));
    assert_true(isnan(value));
    mcl_expression_release(e);
    mcl_tensor_f32(t)[at] = before;
  }
  mcl_tensor_release(t);
}

static void check_sum_to(mcl_shape from, mcl_shape to) {
  mcl_tensor *t = tensor_of(from), *out;
  mcl_expression *e = expression_of(t);
  OK(mcl_expression_sum_to(e, to, &out));
  assert_true(mcl_shape_equal(out->shape, to));
  double *expected = calloc((size_t)out->count + 1, sizeof *expected);
  for (int64_t i = 0; i < t->count; i++) {
    int64_t rest = i, at = 0, stride = 1;
    for (int back = 1; back <= from.rank; back++) {
      int64_t index = rest % from.dim[from.rank - back];
      rest /= from.dim[from.rank - back];
      if (back > to.rank) continue;
      if (to.dim[to.rank - back] > 1) at += index * stride;
      stride *= to.dim[to.rank - back];
    }
    expected[at] += (double)mcl_tensor_f32(t)[i];
  }
  for (int64_t i = 0; i < out->count; i++) check_near((double)mcl_tensor_f32(out)[i], expected[i], 1e-6);
  free(expected);
  mcl_expression_release(e);
  mcl_tensor_release(t);
  mcl_tensor_release(out);
}

static void sums_undo_a_broadcast(void **state) {
  mcl_shape from = mcl_shape_of(4, (int64_t[]){6, 5, 7, 9});
  (void)state;
  check_sum_to(mcl_shape_2(300, 784), mcl_shape_1(784));
  check_sum_to(mcl_shape_2(300, 784), mcl_shape_2(300, 1));
  check_sum_to(mcl_shape_2(300, 784), mcl_shape_2(300, 784));
  check_sum_to(mcl_shape_2(300, 784), (mcl_shape){.rank = 0});
  check_sum_to(from, mcl_shape_of(4, (int64_t[]){1, 5, 1, 1}));
  check_sum_to(from, mcl_shape_of(4, (int64_t[]){6, 1, 7, 1}));
  check_sum_to(from, mcl_shape_of(3, (int64_t[]){1, 7, 9}));
  check_sum_to(from, mcl_shape_of(4, (int64_t[]){6, 1, 1, 9}));
  check_sum_to(from, mcl_shape_1(1));
  mcl_tensor *t = tensor_of(from), *out;
  mcl_expression *e = expression_of(t);
  assert_int_equal(mcl_expression_sum_to(e, mcl_shape_1(8), &out), MCL_ERROR_ARGUMENT);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void nothing_has_a_sum_but_no_mean(void **state) {
  mcl_tensor *t = tensor_of(mcl_shape_2(0, 4)), *out;
  mcl_expression *e = expression_of(t);
  double value = 1;
  (void)state;
  OK(mcl_expression_reduce_all(e, MCL_R_SUM, &value));
  assert_true(value == 0);
  assert_int_equal(mcl_expression_reduce_all(e, MCL_R_MEAN, &value), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_expression_reduce_all(e, MCL_R_MAX, &value), MCL_ERROR_ARGUMENT);
  OK(mcl_expression_reduce(e, MCL_R_SUM, 0, &out));
  assert_int_equal(out->count, 4);
  mcl_tensor_release(out);
  assert_int_equal(mcl_expression_reduce(e, MCL_R_SUM, 2, &out), MCL_ERROR_ARGUMENT);
  mcl_expression_release(e);
  mcl_tensor_release(t);
}

static void threads_do_not_change_a_bit(void **state) {
  double sums[3];
  float columns[3][1200];
  (void)state;
  for (int threads = 1; threads <= 3; threads++) {
    mcl_context_free(ctx);
    OK(mcl_context_new(&(mcl_options){.threads = threads}, &ctx));
    mcl_tensor *t = tensor_of(mcl_shape_2(900, 1200)), *out;
    mcl_expression *e = expression_of(t);
    OK(mcl_expression_reduce_all(e, MCL_R_SUM, &sums[threads - 1]));
    OK(mcl_expression_reduce(e, MCL_R_SUM, 0, &out));
    memcpy(columns[threads - 1], out->data, sizeof columns[0]);
    mcl_tensor_release(out);
    mcl_expression_release(e);
    mcl_tensor_release(t);
  }
  assert_memory_equal(&sums[0], &sums[1], sizeof(double));
  assert_memory_equal(&sums[0], &sums[2], sizeof(double));
  assert_memory_equal(columns[0], columns[1], sizeof columns[0]);
  assert_memory_equal(columns[0], columns[2], sizeof columns[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_axis_of_many_shapes_is_reduced, set_up, tear_down),
      cmocka_unit_test_setup_teardown(all_elements_are_reduced, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sums_are_kept_in_double, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_nan_is_not_lost_by_min_and_max, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sums_undo_a_broadcast, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nothing_has_a_sum_but_no_mean, set_up, tear_down),
      cmocka_unit_test_setup_teardown(threads_do_not_change_a_bit, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
