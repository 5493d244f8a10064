/* Expressions: operations against values made by NumPy and PyTorch, broadcasting against index arithmetic, equal bits
 * from every instruction set and any number of threads, text. */
#include "unit/tensor_fixture.h"

#include "tensor/kernels/elementwise.h"
#include "tensor/program.h"

/* ---- Building ---- */

static mcl_tensor *tensor_of(mcl_shape shape, uint64_t seed) {
  mcl_tensor *t;
  OK(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  mcl_random random = mcl_random_at(seed, 1);
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = mcl_random_normal(&random);
  return t;
}

static mcl_tensor *value_of(mcl_expression *e) {
  mcl_tensor *t;
  OK(mcl_expression_evaluate(e, &t));
  mcl_expression_release(e);
  return t;
}

/* ---- Operations ---- */

static const float xs[] = {-3.5f, -1.0f, -0.25f, 0.0f, 0.3f, 1.0f, 2.5f, 7.0f};
static const float ys[] = {2, 0.5f, -3, 0, INFINITY, -1, 3, NAN};

/* numpy: f(xs) in float64, printed as float32; erf by torch.erf */
static const struct {
  mcl_elementwise op;
  float expected[8];
} unary[] = {
    {MCL_E_EXP, {0.0301973838f, 0.36787945f, 0.778800786f, 1, 1.34985888f, 2.71828175f, 12.1824942f, 1096.63318f}},
    {MCL_E_LOG, {NAN, NAN, NAN, -INFINITY, -1.20397282f, 0, 0.91629076f, 1.9459101f}},
    {MCL_E_TANH,
     {-0.998177886f, -0.761594176f, -0.244918659f, 0, 0.291312635f, 0.761594176f, 0.986614287f, 0.999998331f}},
    {MCL_E_SIGMOID,
     {0.0293122306f, 0.268941432f, 0.437823504f, 0.5f, 0.574442506f, 0.731058598f, 0.924141824f, 0.999088943f}},
    {MCL_E_SIN,
     {0.350783229f, -0.841470957f, -0.247403964f, 0, 0.295520216f, 0.841470957f, 0.598472118f, 0.656986594f}},
    {MCL_E_COS, {-0.93645668f, 0.540302277f, 0.968912423f, 1, 0.955336511f, 0.540302277f, -0.801143587f, 0.753902256f}},
    {MCL_E_ERF, {-0.999999285f, -0.842700779f, -0.276326388f, 0, 0.328626782f, 0.842700779f, 0.999593019f, 1}},
    {MCL_E_FLOOR, {-4, -1, -1, 0, 0, 1, 2, 7}},
    {MCL_E_ROUND, {-4, -1, -0.0f, 0, 0, 1, 2, 7}},
    {MCL_E_SIGN, {-1, -1, -1, 0, 1, 1, 1, 1}},
    {MCL_E_RECIPROCAL, {-0.285714298f, -1, -4, INFINITY, 3.33333325f, 1, 0.400000006f, 0.142857149f}},
    {MCL_E_SQRT, {NAN, NAN, NAN, 0, 0.547722578f, 1, 1.58113885f, 2.64575124f}},
    {MCL_E_ABS, {3.5f, 1, 0.25f, 0, 0.3f, 1, 2.5f, 7}},
    {MCL_E_NEG, {3.5f, 1, 0.25f, -0.0f, -0.3f, -1, -2.5f, -7}},
    {MCL_E_SQUARE, {12.25f, 1, 0.0625f, 0, 0.0900000036f, 1, 6.25f, 49}},
    {MCL_E_RELU, {0, 0, 0, 0, 0.3f, 1, 2.5f, 7}},
    {MCL_E_NOT, {0, 0, 0, 1, 0, 0, 0, 0}},
    {MCL_E_IS_NAN, {0, 0, 0, 0, 0, 0, 0, 0}},
};

static const struct {
  mcl_elementwise op;
  float expected[8];
} binary[] = {
    {MCL_E_POW, {12.25f, NAN, -64, 1, 0, 1, 15.625f, NAN}},
    {MCL_E_MIN, {-3.5f, -1, -3, 0, 0.3f, -1, 2.5f, NAN}},
    {MCL_E_MAX, {2, 0.5f, -0.25f, 0, INFINITY, 1, 3, NAN}},
    {MCL_E_DIV, {-1.75f, -2, 0.0833333358f, NAN, 0, -1, 0.833333313f, NAN}},
    {MCL_E_ADD, {-1.5f, -0.5f, -3.25f, 0, INFINITY, 0, 5.5f, NAN}},
    {MCL_E_SUB, {-5.5f, -1.5f, 2.75f, 0, -INFINITY, 2, -0.5f, NAN}},
    {MCL_E_MUL, {-7, -0.5f, 0.75f, 0, INFINITY, -1, 7.5f, NAN}},
    {MCL_E_LT, {1, 1, 0, 0, 1, 0, 1, 0}},
    {MCL_E_LE, {1, 1, 0, 1, 1, 0, 1, 0}},
    {MCL_E_GT, {0, 0, 1, 0, 0, 1, 0, 0}},
    {MCL_E_GE, {0, 0, 1, 1, 0, 1, 0, 0}},
    {MCL_E_EQ, {0, 0, 0, 1, 0, 0, 0, 0}},
    {MCL_E_NE, {1, 1, 1, 0, 1, 1, 1, 1}},
    {MCL_E_AND, {1, 1, 1, 0, 1, 1, 1, 1}},
    {MCL_E_OR, {1, 1, 1, 0, 1, 1, 1, 1}},
};

/* Equal, or at most one unit of the last place apart. */
static void assert_within_a_unit(float got, float expected) {
  if (isnan(expected)) {
    assert_true(isnan(got));
  } else if (isinf(expected)) {
    assert_true(got == expected);
  } else {
    float unit = nextafterf(fabsf(expected), INFINITY) - fabsf(expected);
    if (!(fabsf(got - expected) <= unit)) fail_msg("%.9g is not %.9g", (double)got, (double)expected);
  }
}

static void operations_give_numpys_values(void **state) {
  mcl_tensor *x, *y;
  (void)state;
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(8), (void *)(uintptr_t)xs, &x));
  OK(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(8), (void *)(uintptr_t)ys, &y));
  for (size_t k = 0; k < COUNT(unary); k++) {
    mcl_tensor *out = value_of(apply(unary[k].op, leaf(x), NULL, NULL));
    for (int i = 0; i < 8; i++) assert_within_a_unit(mcl_tensor_f32(out)[i], unary[k].expected[i]);
    mcl_tensor_release(out);
  }
  for (size_t k = 0; k < COUNT(binary); k++) {
    mcl_tensor *out = value_of(apply(binary[k].op, leaf(x), leaf(y), NULL));
    for (int i = 0; i < 8; i++) assert_within_a_unit(mcl_tensor_f32(out)[i], binary[k].expected[i]);
    mcl_tensor_release(out);
  }
  mcl_tensor *out = value_of(apply(MCL_E_WHERE, apply(MCL_E_GT, leaf(x), scalar(0), NULL), leaf(x), scalar(9)));
  for (int i = 0; i < 8; i++) assert_true(mcl_tensor_f32(out)[i] == (xs[i] > 0 ? xs[i] : 9));
  mcl_tensor_release(out);
  mcl_tensor_release(x);
  mcl_tensor_release(y);
}

/* C's own double functions, rounded to float, over every 4099th float there is. */
static void transcendental_functions_are_within_a_unit_of_the_last_place(void **state) {
  static const struct {
    mcl_elementwise op;
    double (*function)(double);
  } functions[] = {{MCL_E_EXP, exp}, {MCL_E_LOG, log}, {MCL_E_TANH, tanh},   {MCL_E_SIN, sin},
                   {MCL_E_COS, cos}, {MCL_E_ERF, erf}, {MCL_E_FLOOR, floor}, {MCL_E_ROUND, rint}};
  const mcl_elementwise_table *kernels = mcl_elementwise_kernels(mcl_cpu_isa());
  float x[1024], y[1024];
  uint64_t bits = 0;
  (void)state;
  while (bits < UINT32_MAX) {
    for (int i = 0; i < 1024; i++, bits += 4099) {
      uint32_t word = (uint32_t)bits;
      memcpy(&x[i], &word, sizeof word);
    }
    for (size_t k = 0; k < COUNT(functions); k++) {
      kernels->apply[functions[k].op](y, (const float *const[]){x}, 1024);
      for (int i = 0; i < 1024; i++) assert_within_a_unit(y[i], (float)functions[k].function((double)x[i]));
    }
  }
}

static void powers_have_cs_special_cases(void **state) {
  static const float values[] = {0,    -0.0f,    1,     -1,     2,        -2,        3,   -3,     0.5f, -0.5f,
                                 2.5f, 16777216, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 1e-30f, -8,   1e-45f};
  const mcl_elementwise_table *kernels = mcl_elementwise_kernels(mcl_cpu_isa());
  (void)state;
  for (size_t i = 0; i < COUNT(values); i++)
    for (size_t j = 0; j < COUNT(values); j++) {
      float got, expected = (float)pow((double)values[i], (double)values[j]);
      kernels->apply[MCL_E_POW](&got, (const float *const[]){&values[i], &values[j]}, 1);
      assert_within_a_unit(got, expected);
      if (expected == 0) assert_int_equal(signbit(got) != 0, signbit(expected) != 0);
    }
}

static void every_instruction_set_gives_the_same_bits(void **state) {
  enum { N = 1003 }; /* not a multiple of any vector */
  static float in[3][N], out[3][N];
  static double lanes[3][MCL_LANES], sums[3][N];
  mcl_random random = mcl_random_at(5, 1);
  int sets = (int)mcl_cpu_isa() + 1;
  (void)state;
  for (int round = 0; round < 20; round++) {
    for (int k = 0; k < 3; k++)
      for (int i = 0; i < N; i++) {
        uint32_t bits = mcl_random_u32(&random); /* any float at all, or an ordinary one */
        memcpy(&in[k][i], &bits, sizeof bits);
        if (round % 2) in[k][i] = 3 * mcl_random_normal(&random);
        if (round % 2 && i % 7 == 0) in[k][i] = 0;
      }
    const float *args[3] = {in[0], in[1], in[2]};
    for (int op = 0; op < MCL_E_COUNT; op++) {
      for (int s = 0; s < sets; s++) mcl_elementwise_kernels((mcl_isa)s)->apply[op](out[s], args, N);
      for (int s = 1; s < sets; s++)
        for (int i = 0; i < N; i++)
          if (!(isnan(out[0][i]) && isnan(out[s][i]))) assert_memory_equal(&out[s][i], &out[0][i], sizeof(float));
    }
    for (int kind = 0; kind <= MCL_R_COUNT_NONZERO && round % 2; kind++) {
      for (int s = 0; s < sets; s++) {
        for (int i = 0; i < MCL_LANES; i++) lanes[s][i] = i;
        for (int i = 0; i < N; i++) sums[s][i] = i;
        mcl_elementwise_kernels((mcl_isa)s)->gather[kind](lanes[s], in[0], N);
        mcl_elementwise_kernels((mcl_isa)s)->gather_rows[kind](sums[s], in[0], N);
      }
      for (int s = 1; s < sets; s++) {
        assert_memory_equal(lanes[s], lanes[0], sizeof lanes[0]);
        assert_memory_equal(sums[s], sums[0], sizeof sums[0]);
      }
    }
    for (int s = 0; s < sets; s++) {
      mcl_elementwise_kernels((mcl_isa)s)->stream(out[s] + 1, in[0], N - 1);
      assert_memory_equal(out[s] + 1, in[0], (N - 1) * sizeof(float));
    }
  }
}

/* ---- Shapes ---- */

/* Where element i of the broadcast shape lies in a tensor of shape `of`. */
static int64_t broadcast_index(mcl_shape shape, mcl_shape of, int64_t i) {
  int64_t at = 0, stride = 1;
  for (int back = 1; back <= shape.rank; back++) {
    int64_t index = i % shape.dim[shape.rank - back];
    i /= shape.dim[shape.rank - back];
    if (back > of.rank) continue;
    if (of.dim[of.rank - back] > 1) at += index * stride;
    stride *= of.dim[of.rank - back];
  }
  return at;
}

static void check_broadcast(mcl_shape a_shape, mcl_shape b_shape, mcl_shape c_shape) {
  mcl_tensor *a = tensor_of(a_shape, 1), *b = tensor_of(b_shape, 2), *c = tensor_of(c_shape, 3);
  mcl_tensor *out = value_of(apply(MCL_E_ADD, apply(MCL_E_MUL, leaf(a), leaf(b), NULL), leaf(c), NULL));
  for (int64_t i = 0; i < out->count; i++) {
    float product = mcl_tensor_f32(a)[broadcast_index(out->shape, a_shape, i)] *
                    mcl_tensor_f32(b)[broadcast_index(out->shape, b_shape, i)];
    float sum = product + mcl_tensor_f32(c)[broadcast_index(out->shape, c_shape, i)];
    assert_true(mcl_tensor_f32(out)[i] == sum);
  }
  mcl_tensor_release(a);
  mcl_tensor_release(b);
  mcl_tensor_release(c);
  mcl_tensor_release(out);
}

static mcl_shape s4(int64_t a, int64_t b, int64_t c, int64_t d) { return mcl_shape_of(4, (int64_t[]){a, b, c, d}); }

static void shapes_broadcast_in_every_layout(void **state) {
  mcl_shape none = {.rank = 0};
  (void)state;
  check_broadcast(mcl_shape_2(70, 3000), mcl_shape_1(3000), mcl_shape_2(70, 1)); /* long rows */
  check_broadcast(mcl_shape_2(3000, 37), mcl_shape_1(37), mcl_shape_2(3000, 1)); /* short rows, gathered */
  check_broadcast(mcl_shape_2(100000, 1), mcl_shape_2(1, 3), none);              /* neither has the whole shape */
  check_broadcast(s4(5, 1, 7, 1), s4(1, 6, 1, 8), s4(5, 6, 7, 8));
  check_broadcast(s4(2, 1, 1, 900), s4(1, 3, 4, 1), mcl_shape_2(4, 1));
  check_broadcast(s4(1, 1, 1, 1), none, mcl_shape_1(1));
  check_broadcast(mcl_shape_1(70001), none, mcl_shape_1(1));
  check_broadcast(mcl_shape_2(0, 3), mcl_shape_1(3), none);
}

static void other_dtypes_are_read_and_written(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_2(300, 400), 4), *half, *bytes, *out;
  (void)state;
  OK(mcl_tensor_convert(w, MCL_F16, &half));
  OK(mcl_tensor_new(ctx, MCL_I8, mcl_shape_2(300, 1), &bytes));
  for (int i = 0; i < 300; i++) ((int8_t *)bytes->data)[i] = (int8_t)(i - 150);
  OK(mcl_tensor_new(ctx, MCL_BF16, w->shape, &out));
  mcl_expression *e = apply(MCL_E_MUL, leaf(half), leaf(bytes), NULL);
  OK(mcl_expression_evaluate_into(e, out));
  mcl_expression_release(e);
  for (int64_t i = 0; i < w->count; i++) {
    float h, product;
    uint16_t expected;
    mcl_convert(MCL_F16, (uint16_t *)half->data + i, MCL_F32, &h, 1);
    product = h * (float)((int8_t *)bytes->data)[i / 400];
    mcl_convert(MCL_F32, &product, MCL_BF16, &expected, 1);
    assert_int_equal(((uint16_t *)out->data)[i], expected);
  }
  mcl_tensor_release(w);
  mcl_tensor_release(half);
  mcl_tensor_release(bytes);
  mcl_tensor_release(out);
}

static void a_tensor_may_be_assigned_from_itself(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_2(100, 1100), 6), *before, *row;
  (void)state;
  OK(mcl_tensor_copy(w, &before));
  mcl_expression *e = apply(MCL_E_ADD, apply(MCL_E_MUL, leaf(w), scalar(2), NULL), leaf(w), NULL);
  OK(mcl_expression_evaluate_into(e, w));
  mcl_expression_release(e);
  for (int64_t i = 0; i < w->count; i++)
    assert_true(mcl_tensor_f32(w)[i] == mcl_tensor_f32(before)[i] * 2 + mcl_tensor_f32(before)[i]);
  /* its own last row, read by all rows */
  OK(mcl_tensor_rows(w, 50, 1, &row));
  mcl_tensor_release(before);
  OK(mcl_tensor_copy(w, &before));
  e = apply(MCL_E_ADD, leaf(w), leaf(row), NULL);
  OK(mcl_expression_evaluate_into(e, w));
  mcl_expression_release(e);
  for (int64_t i = 0; i < w->count; i++)
    assert_true(mcl_tensor_f32(w)[i] == mcl_tensor_f32(before)[i] + mcl_tensor_f32(before)[50 * 1100 + i % 1100]);
  mcl_tensor_release(w);
  mcl_tensor_release(before);
  mcl_tensor_release(row);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  mcl_tensor *a = tensor_of(mcl_shape_2(2, 3), 1), *b = tensor_of(mcl_shape_2(4, 3), 2);
  mcl_expression *e, *args[2] = {leaf(a), leaf(b)};
  (void)state;
  assert_int_equal(mcl_expression_apply(ctx, MCL_E_ADD, args, &e), MCL_ERROR_ARGUMENT);
  assert_null(e);
  assert_non_null(strstr(mcl_context_message(ctx), "2x3 and 4x3"));
  assert_int_equal(mcl_expression_evaluate_into(args[0], b), MCL_ERROR_ARGUMENT);
  mcl_expression_release(args[0]);
  mcl_expression_release(args[1]);
  mcl_tensor_release(a);
  mcl_tensor_release(b);
}

/* ---- Programs ---- */

static void equal_parts_become_one_instruction(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_1(10), 1);
  mcl_program program;
  (void)state;
  /* |w|·(1+1) + (|w|·2)^1 - 0: abs, mul, add */
  mcl_expression *left =
      apply(MCL_E_MUL, apply(MCL_E_ABS, leaf(w), NULL, NULL), apply(MCL_E_ADD, scalar(1), scalar(1), NULL), NULL);
  mcl_expression *right = apply(MCL_E_MUL, scalar(2), apply(MCL_E_ABS, leaf(w), NULL, NULL), NULL);
  mcl_expression *e = apply(MCL_E_ADD, left, apply(MCL_E_POW, right, scalar(1), NULL), NULL);
  e = apply(MCL_E_SUB, e, scalar(0), NULL);
  OK(mcl_program_compile(e, &program));
  assert_int_equal(program.code_count, 3);
  assert_int_equal(program.input_count, 1);
  assert_int_equal(program.constant_count, 1);
  mcl_program_free(&program);
  mcl_expression_release(e);
  mcl_tensor_release(w);
}

static void a_chain_of_any_length_needs_few_registers_and_no_stack(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_1(100), 1);
  mcl_expression *e = leaf(w);
  mcl_program program;
  char text[64];
  (void)state;
  for (int i = 0; i < 200000; i++) e = apply(MCL_E_ADD, e, scalar(i % 100), NULL);
  OK(mcl_program_compile(e, &program));
  assert_in_range(program.slots, 102, 104); /* 100 constants, the input */
  mcl_program_free(&program);
  mcl_expression_text(e, text, sizeof text);
  assert_int_equal(strlen(text), 63);
  mcl_expression_release(e);
  mcl_tensor_release(w);
}

static void threads_do_not_change_a_bit(void **state) {
  static float values[3][700 * 613];
  (void)state;
  for (int threads = 1; threads <= 3; threads++) {
    mcl_context_free(ctx);
    OK(mcl_context_new(&(mcl_options){.threads = threads}, &ctx));
    mcl_tensor *w = tensor_of(mcl_shape_2(700, 613), 9), *s = tensor_of(mcl_shape_1(613), 8);
    mcl_tensor *out = value_of(apply(MCL_E_MUL, apply(MCL_E_TANH, leaf(w), NULL, NULL), leaf(s), NULL));
    memcpy(values[threads - 1], out->data, sizeof values[0]);
    assert_memory_equal(values[threads - 1], values[0], sizeof values[0]);
    mcl_tensor_release(w);
    mcl_tensor_release(s);
    mcl_tensor_release(out);
  }
}

static void nothing_is_left_in_memory(void **state) {
  mcl_context *alone;
  mcl_tensor *t, *out;
  mcl_expression *a, *b;
  (void)state;
  OK(mcl_context_new(&(mcl_options){.threads = 1}, &alone));
  OK(mcl_tensor_new(alone, MCL_F32, mcl_shape_1(5000), &t));
  OK(mcl_expression_tensor(t, &a));
  mcl_tensor_release(t);
  OK(mcl_expression_apply(alone, MCL_E_MUL, (mcl_expression *const[]){a, a}, &b));
  mcl_expression_release(a);
  OK(mcl_expression_evaluate(b, &out));
  mcl_expression_release(b);
  mcl_tensor_release(out);
  assert_int_equal(mcl_context_memory(alone), 0);
  mcl_context_free(alone);
}

/* ---- Text ---- */

static void an_expression_prints_as_it_is_written(void **state) {
  mcl_tensor *w = tensor_of(mcl_shape_2(300, 784), 1), *s = tensor_of(mcl_shape_1(784), 2);
  char text[128];
  (void)state;
  mcl_expression *e = apply(MCL_E_MUL, apply(MCL_E_ABS, leaf(w), NULL, NULL), leaf(s), NULL);
  mcl_expression_text(e, text, sizeof text);
  assert_string_equal(text, "abs(tensor 300x784) * tensor 784");
  mcl_expression_text(e, text, 12);
  assert_string_equal(text, "abs(tensor ");
  e = apply(MCL_E_SUB, scalar(1), apply(MCL_E_SUB, e, scalar(0.5), NULL), NULL);
  mcl_expression_text(e, text, sizeof text);
  assert_string_equal(text, "1 - (abs(tensor 300x784) * tensor 784 - 0.5)");
  mcl_expression_release(e);
  mcl_elementwise op;
  int arity;
  assert_true(mcl_elementwise_named("where", &op, &arity));
  assert_int_equal(op, MCL_E_WHERE);
  assert_int_equal(arity, 3);
  assert_false(mcl_elementwise_named("arcosh", &op, &arity));
  mcl_tensor_release(w);
  mcl_tensor_release(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(operations_give_numpys_values, set_up, tear_down),
      cmocka_unit_test_setup_teardown(transcendental_functions_are_within_a_unit_of_the_last_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(powers_have_cs_special_cases, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_instruction_set_gives_the_same_bits, set_up, tear_down),
      cmocka_unit_test_setup_teardown(shapes_broadcast_in_every_layout, set_up, tear_down),
      cmocka_unit_test_setup_teardown(other_dtypes_are_read_and_written, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_tensor_may_be_assigned_from_itself, set_up, tear_down),
      cmocka_unit_test_setup_teardown(shapes_that_do_not_fit_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(equal_parts_become_one_instruction, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_chain_of_any_length_needs_few_registers_and_no_stack, set_up, tear_down),
      cmocka_unit_test_setup_teardown(threads_do_not_change_a_bit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nothing_is_left_in_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_expression_prints_as_it_is_written, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
