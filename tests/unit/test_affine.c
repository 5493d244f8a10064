/* Affine codes: errors within half a step, zero exactly kept, clipping as good as a fine search, groups independent of each
 * other. */
#include "unit/weights.h"

static mcl_repr *fit(mcl_tensor *values, mcl_tensor *importance, mcl_affine_options options) {
  mcl_repr *repr;
  assert_ok(mcl_affine_fit(values, importance, &options, &repr));
  return repr;
}

static double error_of(mcl_tensor *values, const float *weights, const mcl_repr *repr) {
  mcl_tensor *decoded = values_of(repr);
  double sum = 0;
  for (int64_t i = 0; i < values->count; i++) {
    double d = (double)mcl_tensor_f32(values)[i] - (double)mcl_tensor_f32(decoded)[i];
    sum += (weights ? (double)weights[i] : 1) * d * d;
  }
  mcl_tensor_release(decoded);
  return sum;
}

static void the_full_range_is_kept_within_half_a_step(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(20, 50), 1);
  for (int bits = 2; bits <= 8; bits++)
    for (int asymmetric = 0; asymmetric < 2; asymmetric++)
      for (int64_t group = -1; group <= 7; group += 4) {
        mcl_repr *repr =
            fit(values, NULL, (mcl_affine_options){.bits = bits, .group = group, .asymmetric = asymmetric});
        const mcl_affine *affine = (const mcl_affine *)repr;
        mcl_tensor *decoded = values_of(repr);
        int64_t length = group < 0 ? 50 : group, per_row = (50 + length - 1) / length;
        for (int64_t i = 0; i < 1000; i++) {
          float scale = affine->scale[i / 50 * per_row + i % 50 / length];
          float d = fabsf(mcl_tensor_f32(decoded)[i] - mcl_tensor_f32(values)[i]);
          /* a zero point that is a code moves the range by up to half a step more */
          assert_true(d <= (asymmetric ? 1.001f : 0.501f) * scale);
        }
        mcl_tensor_release(decoded);
        mcl_repr_release(repr);
      }
  mcl_tensor_release(values);
}

static void zero_stays_zero(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(10, 30), 2);
  for (int64_t i = 0; i < 300; i += 3) mcl_tensor_f32(values)[i] = 0;
  for (int64_t i = 1; i < 300; i += 3) mcl_tensor_f32(values)[i] = fabsf(mcl_tensor_f32(values)[i]);
  for (int bits = 2; bits <= 8; bits++)
    for (int flags = 0; flags < 4; flags++) {
      mcl_repr *repr =
          fit(values, NULL, (mcl_affine_options){.bits = bits, .asymmetric = flags & 1, .minimise = flags & 2});
      mcl_tensor *decoded = values_of(repr);
      for (int64_t i = 0; i < 300; i += 3) assert_true(mcl_tensor_f32(decoded)[i] == 0);
      mcl_tensor_release(decoded);
      mcl_repr_release(repr);
    }
  mcl_tensor_release(values);
}

/* The least error of symmetric codes over 4,000 scales. */
static double fine_search(mcl_tensor *values, const float *weights, int bits) {
  double most = 0, best = INFINITY, low = -(1 << (bits - 1)), high = (1 << (bits - 1)) - 1;
  for (int64_t i = 0; i < values->count; i++) most = fmax(most, fabs((double)mcl_tensor_f32(values)[i]));
  for (int step = 1; step <= 4000; step++) {
    double scale = most * step / 4000 / high, error = 0;
    for (int64_t i = 0; i < values->count; i++) {
      double v = (double)mcl_tensor_f32(values)[i], code = fmax(low, fmin(high, rint(v / scale)));
      error += (weights ? (double)weights[i] : 1) * (v - scale * code) * (v - scale * code);
    }
    best = fmin(best, error);
  }
  return best;
}

static void clipping_is_nearly_as_good_as_a_fine_search(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 10; seed++) {
    mcl_tensor *values = random_tensor(mcl_shape_1(400), 10 + seed),
               *importance = random_tensor(mcl_shape_1(400), 30 + seed);
    for (int64_t i = 0; i < 400; i++) mcl_tensor_f32(importance)[i] *= mcl_tensor_f32(importance)[i];
    for (int bits = 2; bits <= 6; bits++)
      for (int weighted = 0; weighted < 2; weighted++) {
        const float *weights = weighted ? mcl_tensor_f32(importance) : NULL;
        mcl_repr *best =
            fit(values, weighted ? importance : NULL, (mcl_affine_options){.bits = bits, .minimise = true});
        mcl_repr *range = fit(values, NULL, (mcl_affine_options){.bits = bits});
        double error = error_of(values, weights, best);
        assert_true(error <= fine_search(values, weights, bits) * 1.05);
        assert_true(error <= error_of(values, weights, range) * (1 + 1e-6));
        mcl_repr_release(best);
        mcl_repr_release(range);
      }
    mcl_tensor_release(values);
    mcl_tensor_release(importance);
  }
}

static void one_bit_is_the_sign_times_the_mean_magnitude(void **state) {
  (void)state;
  float data[] = {1, -2, 3, -6}; /* |w| has mean 3 */
  mcl_tensor *values;
  assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(4), data, &values));
  mcl_repr *repr = fit(values, NULL, (mcl_affine_options){.bits = 1});
  mcl_tensor *decoded = values_of(repr);
  const float wanted[] = {3, -3, 3, -3};
  assert_memory_equal(decoded->data, wanted, sizeof wanted);
  mcl_tensor_release(decoded);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
}

static void groups_are_fitted_independently(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(6, 70), 3);
  mcl_affine_options options = {.bits = 3, .group = 32, .minimise = true}; /* rows of 32, 32 and 6 */
  mcl_repr *whole = fit(values, NULL, options);
  assert_int_equal(((mcl_affine *)whole)->groups, 18);
  mcl_tensor *decoded = values_of(whole);
  const int64_t first[] = {0, 32, 64}, count[] = {32, 32, 6};
  for (int64_t row = 0; row < 6; row++)
    for (int g = 0; g < 3; g++) {
      mcl_tensor *part;
      int64_t at = row * 70 + first[g];
      assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(count[g]), mcl_tensor_f32(values) + at, &part));
      mcl_repr *alone = fit(part, NULL, (mcl_affine_options){.bits = 3, .minimise = true});
      mcl_tensor *wanted = values_of(alone);
      assert_memory_equal(wanted->data, mcl_tensor_f32(decoded) + at, (size_t)count[g] * sizeof(float));
      mcl_tensor_release(wanted);
      mcl_tensor_release(part);
      mcl_repr_release(alone);
    }
  mcl_tensor_release(decoded);
  mcl_repr_release(whole);
  mcl_tensor_release(values);
}

static void one_sided_values_use_all_codes_where_asymmetric(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(500), 4);
  for (int64_t i = 0; i < 500; i++) mcl_tensor_f32(values)[i] = fabsf(mcl_tensor_f32(values)[i]);
  mcl_repr *asymmetric = fit(values, NULL, (mcl_affine_options){.bits = 4, .asymmetric = true});
  mcl_repr *symmetric = fit(values, NULL, (mcl_affine_options){.bits = 4});
  assert_int_equal(((mcl_affine *)asymmetric)->zero_point[0], 0);
  assert_true(error_of(values, NULL, asymmetric) < error_of(values, NULL, symmetric) / 3);
  mcl_repr_release(asymmetric);
  mcl_repr_release(symmetric);
  mcl_tensor_release(values);
}

static void halves_are_kept_only_where_they_hold_the_scales(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(4, 100), 5);
  mcl_affine_options options = {.bits = 8, .group = 50, .half = true};
  mcl_repr *repr = fit(values, NULL, options);
  assert_true(((mcl_affine *)repr)->half);
  mcl_repr_release(repr);
  for (int64_t i = 0; i < 400; i++)
    mcl_tensor_f32(values)[i] *= 1e-4f; /* scales near 1e-7: below f16's normal numbers */
  repr = fit(values, NULL, options);
  assert_false(((mcl_affine *)repr)->half);
  mcl_repr_release(repr);
  for (int64_t i = 0; i < 400; i++) mcl_tensor_f32(values)[i] = 0;
  repr = fit(values, NULL, options);
  assert_true(((mcl_affine *)repr)->half && error_of(values, NULL, repr) == 0);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
}

static void the_smallest_and_the_largest_floats_do_no_harm(void **state) {
  (void)state;
  float data[] = {1e-40f, -3e-45f, 0, 2e-39f, -1e-38f, 3e38f, -3e38f, 1};
  for (int from = 0; from < 8; from += 5)
    for (int flags = 0; flags < 8; flags++)
      for (int bits = 1; bits <= 8; bits += 7) {
        mcl_tensor *values;
        assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(from ? 3 : 5), data + from, &values));
        mcl_repr *repr =
            fit(values, NULL,
                (mcl_affine_options){.bits = bits, .asymmetric = flags & 1, .minimise = flags & 2, .half = flags & 4});
        mcl_tensor *decoded = values_of(repr);
        for (int64_t i = 0; i < values->count; i++) assert_true(isfinite(mcl_tensor_f32(decoded)[i]));
        mcl_tensor_release(decoded);
        mcl_tensor_release(values);
        mcl_repr_release(repr);
      }
}

static void results_do_not_depend_on_threads(void **state) {
  (void)state;
  mcl_context *mine = ctx, *one;
  mcl_tensor *values = random_tensor(mcl_shape_2(300, 500), 6), *copy;
  mcl_affine_options options = {.bits = 4, .group = 0, .minimise = true};
  mcl_repr *two = fit(values, NULL, options);
  assert_ok(mcl_context_new(&(mcl_options){.threads = 1}, &one));
  assert_ok(mcl_tensor_wrap(one, MCL_F32, values->shape, values->data, &copy));
  ctx = one;
  mcl_repr *alone = fit(copy, NULL, options);
  ctx = mine;
  assert_memory_equal(((mcl_affine *)two)->codes, ((mcl_affine *)alone)->codes, 150000);
  assert_true(((mcl_affine *)two)->scale[0] == ((mcl_affine *)alone)->scale[0]);
  mcl_repr_release(alone);
  mcl_tensor_release(copy);
  mcl_context_free(one);
  mcl_repr_release(two);
  mcl_tensor_release(values);
}

static void bad_requests_say_what_is_wrong(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(10), 1);
  mcl_repr *repr;
  assert_fails(mcl_affine_fit(values, NULL, &(mcl_affine_options){.bits = 0}, &repr), MCL_ERROR_ARGUMENT,
               "bits = 0 is out of range: 1 to 8");
  assert_fails(mcl_affine_fit(values, NULL, &(mcl_affine_options){.bits = 4, .group = -2}, &repr), MCL_ERROR_ARGUMENT,
               "group = -2");
  mcl_tensor_f32(values)[3] = NAN;
  assert_fails(mcl_affine_fit(values, NULL, &(mcl_affine_options){.bits = 4}, &repr), MCL_ERROR_NUMERIC, "weights");
  mcl_tensor_release(values);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_full_range_is_kept_within_half_a_step),
      cmocka_unit_test(zero_stays_zero),
      cmocka_unit_test(clipping_is_nearly_as_good_as_a_fine_search),
      cmocka_unit_test(one_bit_is_the_sign_times_the_mean_magnitude),
      cmocka_unit_test(groups_are_fitted_independently),
      cmocka_unit_test(one_sided_values_use_all_codes_where_asymmetric),
      cmocka_unit_test(halves_are_kept_only_where_they_hold_the_scales),
      cmocka_unit_test(the_smallest_and_the_largest_floats_do_no_harm),
      cmocka_unit_test(results_do_not_depend_on_threads),
      cmocka_unit_test(bad_requests_say_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
