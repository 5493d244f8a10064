/* Gradients of expressions: every operation against finite differences, broadcast operands among them; corners as
 * PyTorch has them. */
#include "unit/tensor_fixture.h"

#include "tensor/program.h"

static mcl_tensor *tensor_of(mcl_shape shape, uint64_t seed, float low, float high) {
  mcl_tensor *t;
  OK(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  mcl_random random = mcl_random_at(seed, 1);
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = low + (high - low) * mcl_random_uniform(&random);
  return t;
}

static mcl_tensor *wrap(float *values, int64_t count) {
  mcl_tensor *t;
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(count), values, &t));
  return t;
}

/* sum(e · seed) */
static double objective(mcl_expression *e, mcl_tensor *seed) {
  mcl_expression *weight = leaf(seed), *product;
  double sum;
  OK(mcl_expression_apply(ctx, MCL_E_MUL, (mcl_expression *const[]){e, weight}, &product));
  OK(mcl_expression_reduce_all(product, MCL_R_SUM, &sum));
  mcl_expression_release(weight);
  mcl_expression_release(product);
  return sum;
}

/* Central differences at every element of every tensor. */
static void check_gradient(mcl_expression *e, mcl_tensor *const *wrt, int count, double tolerance) {
  mcl_tensor *out[4], *seed = tensor_of(mcl_expression_shape(e), 99, 0.5f, 1.5f);
  mcl_expression *seed_expression = leaf(seed);
  OK(mcl_expression_gradient(e, seed_expression, wrt, count, out));
  for (int t = 0; t < count; t++) {
    assert_true(mcl_shape_equal(out[t]->shape, wrt[t]->shape));
    for (int64_t i = 0; i < wrt[t]->count; i++) {
      float *x = &mcl_tensor_f32(wrt[t])[i], before = *x, step = 1e-2f, up = before + step, down = before - step;
      *x = up;
      double above = objective(e, seed);
      *x = down;
      double below = objective(e, seed);
      *x = before;
      double expected = (above - below) / ((double)up - (double)down), got = (double)mcl_tensor_f32(out[t])[i];
      if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected)))) {
        char text[128];
        mcl_expression_text(e, text, sizeof text);
        fail_msg("%s: gradient %d[%d] is %g, differences say %g", text, t, (int)i, got, expected);
      }
    }
    mcl_tensor_release(out[t]);
  }
  mcl_expression_release(seed_expression);
  mcl_tensor_release(seed);
}

static void every_operation_has_the_gradient_that_differences_show(void **state) {
  (void)state;
  for (int op = 0; op < MCL_E_COUNT; op++) {
    int arity = mcl_elementwise_arity((mcl_elementwise)op);
    /* away from corners, poles and jumps: 1.05 … 1.45 against 0.5 … 0.9 */
    mcl_tensor *x = tensor_of(mcl_shape_2(3, 4), 1, 1.05f, 1.45f), *y = tensor_of(mcl_shape_1(4), 2, 0.52f, 0.9f);
    mcl_tensor *z = tensor_of(mcl_shape_2(3, 1), 3, -1, 1), *wrt[3] = {x, y, z};
    mcl_expression *e = arity == 3 ? apply((mcl_elementwise)op, leaf(x), leaf(y), leaf(z))
                                   : apply((mcl_elementwise)op, leaf(x), arity == 2 ? leaf(y) : NULL, NULL);
    check_gradient(e, wrt, 3, 2e-3);
    mcl_expression_release(e);
    mcl_tensor_release(x);
    mcl_tensor_release(y);
    mcl_tensor_release(z);
  }
}

/* softplus-like penalty over shared parts: log(1 + exp(-(w·s + b)²)) · |w| */
static void a_composed_expression_with_shared_parts_differentiates(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_2(5, 7), 1, 0.2f, 1), *s = tensor_of(mcl_shape_1(7), 2, 0.5f, 1);
  mcl_tensor *b = tensor_of(mcl_shape_2(5, 1), 3, -0.5f, 0.5f), *wrt[3] = {w, s, b};
  mcl_expression *one;
  (void)state;
  OK(mcl_expression_scalar(ctx, 1, &one));
  mcl_expression *line = apply(MCL_E_ADD, apply(MCL_E_MUL, leaf(w), leaf(s), NULL), leaf(b), NULL);
  mcl_expression *bell =
      apply(MCL_E_EXP, apply(MCL_E_NEG, apply(MCL_E_SQUARE, line, NULL, NULL), NULL, NULL), NULL, NULL);
  mcl_expression *e = apply(MCL_E_MUL, apply(MCL_E_LOG, apply(MCL_E_ADD, one, bell, NULL), NULL, NULL),
                            apply(MCL_E_ABS, leaf(w), NULL, NULL), NULL);
  check_gradient(e, wrt, 3, 2e-3);
  mcl_expression_release(e);
  mcl_tensor_release(w);
  mcl_tensor_release(s);
  mcl_tensor_release(b);
}

static void check_corner(mcl_elementwise op, const float *for_a, const float *for_b) {
  float as[] = {0, 1, -2, 3}, bs[] = {0, 1, 2, -1};
  mcl_tensor *a = wrap(as, 4), *b = wrap(bs, 4), *wrt[2] = {a, b}, *out[2];
  mcl_expression *e = apply(op, leaf(a), for_b ? leaf(b) : NULL, NULL);
  OK(mcl_expression_gradient(e, NULL, wrt, for_b ? 2 : 1, out));
  assert_memory_equal(out[0]->data, for_a, 4 * sizeof(float));
  if (for_b) assert_memory_equal(out[1]->data, for_b, 4 * sizeof(float));
  for (int i = 0; i < (for_b ? 2 : 1); i++) mcl_tensor_release(out[i]);
  mcl_expression_release(e);
  mcl_tensor_release(a);
  mcl_tensor_release(b);
}

/* torch: f(a[, b]).sum().backward() for a = [0, 1, -2, 3], b = [0, 1, 2, -1] */
static void corners_are_pytorchs(void **state) {
  (void)state;
  check_corner(MCL_E_ABS, (const float[]){0, 1, -1, 1}, NULL);
  check_corner(MCL_E_RELU, (const float[]){0, 1, 0, 1}, NULL);
  check_corner(MCL_E_MIN, (const float[]){0.5f, 0.5f, 1, 0}, (const float[]){0.5f, 0.5f, 0, 1});
  check_corner(MCL_E_MAX, (const float[]){0.5f, 0.5f, 0, 1}, (const float[]){0.5f, 0.5f, 1, 0});
}

static void a_broadcast_operand_gets_the_sum_over_its_uses(void **state) {
  float b_value = 2;
  mcl_tensor *w = tensor_of(mcl_shape_2(30, 40), 1, 0, 1), *b, *out[1];
  (void)state;
  OK(mcl_tensor_wrap(ctx, MCL_F32, (mcl_shape){.rank = 0}, &b_value, &b));
  mcl_expression *e = apply(MCL_E_ADD, leaf(w), leaf(b), NULL);
  OK(mcl_expression_gradient(e, NULL, &b, 1, out));
  assert_int_equal(out[0]->shape.rank, 0);
  assert_true(mcl_tensor_f32(out[0])[0] == 1200);
  mcl_tensor_release(out[0]);
  mcl_expression_release(e);
  mcl_tensor_release(w);
  mcl_tensor_release(b);
}

static void what_is_not_read_gets_zeros_and_a_wrong_seed_is_refused(void **state) {
  float values[] = {1, 2}, others[] = {3, 4, 5};
  mcl_tensor *a = wrap(values, 2), *b = wrap(others, 3), *wrt[2] = {a, b}, *out[2];
  mcl_expression *e = apply(MCL_E_MUL, leaf(a), leaf(a), NULL), *seed = leaf(b);
  (void)state;
  OK(mcl_expression_gradient(e, NULL, wrt, 2, out));
  assert_true(mcl_tensor_f32(out[0])[0] == 2 && mcl_tensor_f32(out[0])[1] == 4);
  for (int i = 0; i < 3; i++) assert_true(mcl_tensor_f32(out[1])[i] == 0);
  mcl_tensor_release(out[0]);
  mcl_tensor_release(out[1]);
  assert_int_equal(mcl_expression_gradient(e, seed, wrt, 2, out), MCL_ERROR_ARGUMENT);
  assert_null(out[0]);
  mcl_expression_release(e);
  mcl_expression_release(seed);
  mcl_tensor_release(a);
  mcl_tensor_release(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_operation_has_the_gradient_that_differences_show, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_composed_expression_with_shared_parts_differentiates, set_up, tear_down),
      cmocka_unit_test_setup_teardown(corners_are_pytorchs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_broadcast_operand_gets_the_sum_over_its_uses, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_not_read_gets_zeros_and_a_wrong_seed_is_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
