/* Tensors: conversions against values made by NumPy and PyTorch, shapes, views, permutation, checks. */
#include "unit/tensor_fixture.h"

static const float samples[] = {0.0f,           -0.0f,       1.0f,     65504.0f, 65519.9f,       65520.0f,
                                6.1e-5f,        5.96e-8f,    2.98e-8f, 2.99e-8f, -1.0009765625f, 1.00048828125f,
                                1.00146484375f, 3.14159274f, 1e-45f,   INFINITY};

/* numpy: np.array(samples, np.float32).astype(np.float16).view(np.uint16) */
static void f32_rounds_to_f16_as_numpy_does(void **state) {
  static const uint16_t expected[] = {0x0, 0x8000, 0x3c00, 0x7bff, 0x7bff, 0x7c00, 0x3ff, 0x1,
                                      0x0, 0x1,    0xbc01, 0x3c00, 0x3c02, 0x4248, 0x0,   0x7c00};
  uint16_t got[COUNT(samples)];
  (void)state;
  mcl_convert(MCL_F32, samples, MCL_F16, got, COUNT(samples));
  for (size_t i = 0; i < COUNT(samples); i++) assert_int_equal(got[i], expected[i]);
}

/* torch: torch.tensor(samples).to(torch.bfloat16).view(torch.int16) */
static void f32_rounds_to_bf16_as_torch_does(void **state) {
  static const uint16_t expected[] = {0x0,    0x8000, 0x3f80, 0x4780, 0x4780, 0x4780, 0x3880, 0x3380,
                                      0x3300, 0x3300, 0xbf80, 0x3f80, 0x3f80, 0x4049, 0x0,    0x7f80};
  uint16_t got[COUNT(samples)];
  (void)state;
  mcl_convert(MCL_F32, samples, MCL_BF16, got, COUNT(samples));
  for (size_t i = 0; i < COUNT(samples); i++) assert_int_equal(got[i], expected[i]);
}

/* A tie of f16 that f64 alone can tell is none: rounding by way of f32 would get these wrong. */
static void f64_rounds_to_f16_once(void **state) {
  const double values[] = {1.00048828125 + 0x1p-40, 1.00048828125 - 0x1p-40, 1.00048828125,
                           0x1p-25 + 0x1p-60,       65520.0 - 0x1p-30,       1e300};
  const uint16_t expected[] = {0x3c01, 0x3c00, 0x3c00, 0x1, 0x7bff, 0x7c00};
  uint16_t got[COUNT(values)];
  (void)state;
  mcl_convert(MCL_F64, values, MCL_F16, got, COUNT(values));
  for (size_t i = 0; i < COUNT(values); i++) assert_int_equal(got[i], expected[i]);
}

static void every_f16_and_bf16_survives_a_round_trip(void **state) {
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    mcl_dtype dtype = kind ? MCL_BF16 : MCL_F16;
    uint16_t infinity = kind ? 0x7f80 : 0x7c00;
    for (uint32_t bits = 0; bits < 0x10000u; bits++) {
      uint16_t in = (uint16_t)bits, out;
      float wide;
      mcl_convert(dtype, &in, MCL_F32, &wide, 1);
      mcl_convert(MCL_F32, &wide, dtype, &out, 1);
      if ((in & 0x7fff) > infinity)
        assert_true(isnan(wide) && (out & 0x7fff) > infinity);
      else
        assert_int_equal(in, out);
    }
  }
}

static void integers_are_rounded_to_even_and_clamped(void **state) {
  const float values[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 300.0f, -300.0f, NAN, 127.5f, 1e30f, -1e30f};
  const int8_t as_i8[] = {0, 2, 2, 0, -2, 127, -128, 0, 127, 127, -128};
  const uint8_t as_u8[] = {0, 2, 2, 0, 0, 255, 0, 0, 128, 255, 0};
  const int64_t as_i64[] = {0, 2, 2, 0, -2, 300, -300, 0, 128, INT64_MAX, INT64_MIN};
  const int32_t as_i32[] = {0, 2, 2, 0, -2, 300, -300, 0, 128, INT32_MAX, INT32_MIN};
  const uint8_t as_bool[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  int8_t i8[COUNT(values)];
  uint8_t u8[COUNT(values)];
  int32_t i32[COUNT(values)];
  int64_t i64[COUNT(values)];
  (void)state;
  mcl_convert(MCL_F32, values, MCL_I8, i8, COUNT(values));
  assert_memory_equal(i8, as_i8, sizeof i8);
  mcl_convert(MCL_F32, values, MCL_U8, u8, COUNT(values));
  assert_memory_equal(u8, as_u8, sizeof u8);
  mcl_convert(MCL_F32, values, MCL_I32, i32, COUNT(values));
  assert_memory_equal(i32, as_i32, sizeof i32);
  mcl_convert(MCL_F32, values, MCL_I64, i64, COUNT(values));
  assert_memory_equal(i64, as_i64, sizeof i64);
  mcl_convert(MCL_F32, values, MCL_BOOL, u8, COUNT(values));
  assert_memory_equal(u8, as_bool, sizeof u8);
}

static void integers_convert_to_each_other_exactly(void **state) {
  const int64_t values[] = {0, -1, 255, 256, 1LL << 40, INT64_MIN, 9007199254740993LL};
  const uint8_t as_u8[] = {0, 0, 255, 255, 255, 0, 255};
  const int32_t as_i32[] = {0, -1, 255, 256, INT32_MAX, INT32_MIN, INT32_MAX};
  uint8_t u8[COUNT(values)];
  int32_t i32[COUNT(values)];
  double f64;
  (void)state;
  mcl_convert(MCL_I64, values, MCL_U8, u8, COUNT(values));
  assert_memory_equal(u8, as_u8, sizeof u8);
  mcl_convert(MCL_I64, values, MCL_I32, i32, COUNT(values));
  assert_memory_equal(i32, as_i32, sizeof i32);
  mcl_convert(MCL_I64, &values[6], MCL_F64, &f64, 1);
  assert_true(f64 == 9007199254740992.0);
}

static void small_integers_pass_through_every_dtype_unharmed(void **state) {
  (void)state;
  for (int from = 0; from < MCL_DTYPE_COUNT; from++)
    for (int to = 0; to < MCL_DTYPE_COUNT; to++)
      for (int value = 0; value < 2; value++) {
        int32_t in = value, out = -1;
        uint64_t a[1] = {0}, b[1] = {0};
        mcl_convert(MCL_I32, &in, (mcl_dtype)from, a, 1);
        mcl_convert((mcl_dtype)from, a, (mcl_dtype)to, b, 1);
        mcl_convert((mcl_dtype)to, b, MCL_I32, &out, 1);
        assert_int_equal(out, value);
      }
}

static void a_shape_that_cannot_be_is_refused_with_its_reason(void **state) {
  int64_t count;
  mcl_shape huge = mcl_shape_2(1LL << 40, 1LL << 40), negative = mcl_shape_1(-1);
  mcl_tensor *t;
  (void)state;
  assert_int_equal(mcl_shape_count(ctx, huge, &count), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_shape_count(ctx, negative, &count), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_shape_count(ctx, (mcl_shape){.rank = 9}, &count), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_tensor_new(ctx, MCL_F64, mcl_shape_1(1LL << 61), &t), MCL_ERROR_ARGUMENT);
  assert_null(t);
  assert_non_null(strstr(mcl_context_message(ctx), "f64 2305843009213693952"));
}

static void shapes_broadcast_as_numpys(void **state) {
  mcl_shape out;
  char text[MCL_SHAPE_TEXT];
  (void)state;
  mcl_shape a = mcl_shape_of(3, (int64_t[]){8, 1, 6}), b = mcl_shape_2(7, 1);
  assert_int_equal(mcl_shape_broadcast(ctx, a, b, &out), MCL_OK);
  assert_string_equal(mcl_shape_text(out, text), "8x7x6");
  assert_int_equal(mcl_shape_broadcast(ctx, mcl_shape_1(0), mcl_shape_1(1), &out), MCL_OK);
  assert_int_equal(out.dim[0], 0);
  assert_int_equal(mcl_shape_broadcast(ctx, mcl_shape_1(3), mcl_shape_1(4), &out), MCL_ERROR_ARGUMENT);
  assert_string_equal(mcl_shape_text((mcl_shape){.rank = 0}, text), "scalar");
}

static void a_view_keeps_what_it_views_alive(void **state) {
  mcl_tensor *t, *rows, *view;
  (void)state;
  assert_int_equal(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(4, 3), &t), MCL_OK);
  for (int i = 0; i < 12; i++) mcl_tensor_f32(t)[i] = (float)i;
  assert_int_equal(mcl_tensor_rows(t, 1, 2, &rows), MCL_OK);
  assert_int_equal(mcl_tensor_reshape(rows, mcl_shape_1(6), &view), MCL_OK);
  mcl_tensor_release(t);
  mcl_tensor_release(rows);
  for (int i = 0; i < 6; i++) assert_true(mcl_tensor_f32(view)[i] == (float)(i + 3));
  assert_int_equal(mcl_tensor_rows(view, 4, 3, &rows), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_tensor_reshape(view, mcl_shape_1(7), &rows), MCL_ERROR_ARGUMENT);
  mcl_tensor_release(view);
  assert_int_equal(mcl_context_memory(ctx), 0);
}

/* Element [i…] of the result is element [i… permuted] of the source: index arithmetic, apart from the tiles. */
static void check_permutation(mcl_dtype dtype, mcl_shape shape, const int *axes) {
  mcl_tensor *t, *p;
  size_t size = mcl_dtype_size(dtype);
  assert_int_equal(mcl_tensor_new(ctx, dtype, shape, &t), MCL_OK);
  uint8_t *bytes = t->data;
  for (size_t i = 0; i < (size_t)t->count * size; i++) bytes[i] = (uint8_t)(i * 37 + i / 251);
  assert_int_equal(mcl_tensor_permute(t, axes, &p), MCL_OK);
  assert_int_equal(p->count, t->count);
  for (int64_t i = 0; i < p->count; i++) {
    int64_t index[MCL_MAX_RANK], rest = i, from = 0;
    for (int a = p->shape.rank - 1; a >= 0; a--) {
      assert_int_equal(p->shape.dim[a], shape.dim[axes[a]]);
      index[axes[a]] = rest % p->shape.dim[a];
      rest /= p->shape.dim[a];
    }
    for (int a = 0; a < shape.rank; a++) from = from * shape.dim[a] + index[a];
    assert_memory_equal((uint8_t *)p->data + (size_t)i * size, bytes + (size_t)from * size, size);
  }
  mcl_tensor_release(t);
  mcl_tensor_release(p);
}

static void a_permutation_moves_every_element_to_its_place(void **state) {
  (void)state;
  check_permutation(MCL_F32, mcl_shape_2(301, 67), (const int[]){1, 0});
  check_permutation(MCL_U8, mcl_shape_2(5, 700), (const int[]){1, 0});
  check_permutation(MCL_F16, mcl_shape_of(4, (int64_t[]){3, 5, 7, 33}), (const int[]){0, 2, 3, 1});
  check_permutation(MCL_F64, mcl_shape_of(4, (int64_t[]){3, 40, 1, 33}), (const int[]){1, 2, 0, 3});
  check_permutation(MCL_I32, mcl_shape_of(3, (int64_t[]){9, 40, 70}), (const int[]){2, 1, 0});
  check_permutation(MCL_I32, mcl_shape_of(5, (int64_t[]){2, 3, 4, 5, 6}), (const int[]){3, 0, 4, 2, 1});
  check_permutation(MCL_F32, mcl_shape_of(3, (int64_t[]){4, 1, 6}), (const int[]){1, 0, 2});
  check_permutation(MCL_F32, mcl_shape_of(0, NULL), (const int[]){0});
}

static void an_axis_given_twice_is_refused(void **state) {
  mcl_tensor *t, *p;
  (void)state;
  assert_int_equal(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(2, 2), &t), MCL_OK);
  assert_int_equal(mcl_tensor_permute(t, (const int[]){1, 1}, &p), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_tensor_permute(t, (const int[]){0, 2}, &p), MCL_ERROR_ARGUMENT);
  mcl_tensor_release(t);
}

static void what_is_not_finite_is_named_with_its_first_place(void **state) {
  mcl_tensor *t, *half;
  (void)state;
  assert_int_equal(mcl_tensor_new(ctx, MCL_F32, mcl_shape_1(500000), &t), MCL_OK);
  assert_int_equal(mcl_tensor_check_finite(t, "w"), MCL_OK);
  mcl_tensor_f32(t)[400001] = INFINITY;
  mcl_tensor_f32(t)[300007] = NAN;
  assert_int_equal(mcl_tensor_check_finite(t, "conv1.weight"), MCL_ERROR_NUMERIC);
  assert_non_null(strstr(mcl_context_message(ctx), "conv1.weight: NaN at element 300007"));
  assert_int_equal(mcl_tensor_convert(t, MCL_F16, &half), MCL_OK);
  mcl_tensor_release(t);
  assert_int_equal(mcl_tensor_check_finite(half, "h"), MCL_ERROR_NUMERIC);
  ((uint16_t *)half->data)[300007] = 0x3c00;
  assert_int_equal(mcl_tensor_check_finite(half, "h"), MCL_ERROR_NUMERIC);
  assert_non_null(strstr(mcl_context_message(ctx), "infinity at element 400001"));
  mcl_tensor_release(half);
}

static void a_conversion_over_threads_equals_one_over_one_block(void **state) {
  mcl_tensor *t, *a, *b;
  int64_t n = 200001;
  (void)state;
  assert_int_equal(mcl_tensor_new(ctx, MCL_I32, mcl_shape_1(n), &t), MCL_OK);
  for (int64_t i = 0; i < n; i++) ((int32_t *)t->data)[i] = (int32_t)(i * 7919 - 800000000);
  assert_int_equal(mcl_tensor_convert(t, MCL_BF16, &a), MCL_OK);
  assert_int_equal(mcl_tensor_new(ctx, MCL_BF16, mcl_shape_1(n), &b), MCL_OK);
  mcl_convert(MCL_I32, t->data, MCL_BF16, b->data, (size_t)n);
  assert_memory_equal(a->data, b->data, (size_t)n * 2);
  mcl_tensor_release(t);
  mcl_tensor_release(a);
  mcl_tensor_release(b);
}

static void wrapped_memory_is_checked_and_not_freed(void **state) {
  float values[3] = {1, 2, 3};
  mcl_tensor *t;
  (void)state;
  assert_int_equal(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(3), values, &t), MCL_OK);
  assert_ptr_equal(mcl_tensor_data(t), values);
  mcl_tensor_release(t);
  assert_int_equal(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(2), (char *)values + 1, &t), MCL_ERROR_ARGUMENT);
  assert_int_equal(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(2), NULL, &t), MCL_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(f32_rounds_to_f16_as_numpy_does, set_up, tear_down),
      cmocka_unit_test_setup_teardown(f32_rounds_to_bf16_as_torch_does, set_up, tear_down),
      cmocka_unit_test_setup_teardown(f64_rounds_to_f16_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_f16_and_bf16_survives_a_round_trip, set_up, tear_down),
      cmocka_unit_test_setup_teardown(integers_are_rounded_to_even_and_clamped, set_up, tear_down),
      cmocka_unit_test_setup_teardown(integers_convert_to_each_other_exactly, set_up, tear_down),
      cmocka_unit_test_setup_teardown(small_integers_pass_through_every_dtype_unharmed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_shape_that_cannot_be_is_refused_with_its_reason, set_up, tear_down),
      cmocka_unit_test_setup_teardown(shapes_broadcast_as_numpys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_view_keeps_what_it_views_alive, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_permutation_moves_every_element_to_its_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_axis_given_twice_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_not_finite_is_named_with_its_first_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_conversion_over_threads_equals_one_over_one_block, set_up, tear_down),
      cmocka_unit_test_setup_teardown(wrapped_memory_is_checked_and_not_freed, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
