/* Palettes: the exact k-means is the optimum, found by a plain dynamic program of O(k·n²); errors fall with entries; each
 * value gets its nearest entry. */
#include "unit/weights.h"

static double weight_at(const float *weights, int i) { return weights ? (double)weights[i] : 1; }

static int by_value(const void *a, const void *b) {
  const float *x = a, *y = b;
  return (x[0] > y[0]) - (x[0] < y[0]);
}

/* The least Σ w·(v − mean)² over all splits of the sorted values into at most k runs, straight from the definition. */
static double best_error(const float *values, const float *weights, int n, int k) {
  float pairs[128][2];
  double error[129][129], best[129];
  for (int i = 0; i < n; i++) pairs[i][0] = values[i], pairs[i][1] = (float)weight_at(weights, i);
  qsort(pairs, (size_t)n, sizeof pairs[0], by_value);
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j <= n; j++) {
      double weight = 0, mean = 0, sum = 0;
      for (int m = i; m < j; m++) weight += (double)pairs[m][1], mean += (double)pairs[m][1] * (double)pairs[m][0];
      mean = weight > 0 ? mean / weight : 0;
      for (int m = i; m < j; m++)
        sum += (double)pairs[m][1] * ((double)pairs[m][0] - mean) * ((double)pairs[m][0] - mean);
      error[i][j] = sum;
    }
  for (int j = 0; j <= n; j++) best[j] = j ? error[0][j] : 0;
  for (int c = 2; c <= k; c++)
    for (int j = n; j > 0; j--)
      for (int i = 0; i < j; i++)
        if (best[i] + error[i][j] < best[j])
          best[j] = best[i] + error[i][j]; /* descending j: best[i] is of c − 1 runs */
  return best[n];
}

static double error_of(mcl_tensor *values, const float *weights, const mcl_repr *repr) {
  mcl_tensor *decoded = values_of(repr);
  double sum = 0;
  for (int64_t i = 0; i < values->count; i++) {
    double d = (double)mcl_tensor_f32(values)[i] - (double)mcl_tensor_f32(decoded)[i];
    sum += weight_at(weights, (int)i) * d * d;
  }
  mcl_tensor_release(decoded);
  return sum;
}

static mcl_repr *fit(mcl_tensor *values, mcl_tensor *importance, mcl_palette_options options) {
  mcl_repr *repr;
  assert_ok(mcl_palette_fit(values, importance, &options, &repr));
  return repr;
}

/* Values of several shapes: normal, small integers with many equal ones and equal gaps, clumps, heavy tails. */
static float sample(int shape, mcl_random *random) {
  float normal = mcl_random_normal(random);
  if (shape == 0) return normal;
  if (shape == 1) return (float)mcl_random_below(random, 12);
  if (shape == 2) return (float)mcl_random_below(random, 4) + 0.001f * normal;
  return normal * normal * normal;
}

static void exact_codebooks_are_the_optimum(void **state) {
  (void)state;
  mcl_random random = mcl_random_at(1, 1);
  for (int trial = 0; trial < 400; trial++) {
    int n = 1 + (int)mcl_random_below(&random, 60), k = 1 + (int)mcl_random_below(&random, 12);
    mcl_tensor *values = random_tensor(mcl_shape_1(n), 1), *importance = random_tensor(mcl_shape_1(n), 2);
    for (int i = 0; i < n; i++) {
      mcl_tensor_f32(values)[i] = sample(trial % 4, &random);
      float weight = mcl_random_uniform(&random);
      mcl_tensor_f32(importance)[i] = weight < 0.2f ? 0 : weight * weight;
    }
    const float *weights = trial % 2 ? mcl_tensor_f32(importance) : NULL;
    double best = best_error(mcl_tensor_f32(values), weights, n, k),
           total = best_error(mcl_tensor_f32(values), weights, n, 1);
    mcl_repr *repr = fit(values, weights ? importance : NULL, (mcl_palette_options){.entries = k});
    double error = error_of(values, weights, repr);
    if (fabs(error - best) > 1e-6 * total + 1e-9)
      fail_msg("trial %d: n %d, k %d: error %.9g, the least is %.9g", trial, n, k, error, best);
    mcl_repr_release(repr);
    mcl_tensor_release(values);
    mcl_tensor_release(importance);
  }
}

static void every_number_of_entries_is_reached_on_equal_gaps(void **state) { /* where many splits cost the same */
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(100), 1);
  for (int i = 0; i < 100; i++) mcl_tensor_f32(values)[i] = (float)i;
  for (int k = 1; k <= 100; k++) {
    mcl_repr *repr = fit(values, NULL, (mcl_palette_options){.entries = k});
    assert_int_equal(((mcl_palette *)repr)->entries, k);
    /* r runs of q + 1 and k − r of q: Σ (q³ − q) / 12 */
    int q = 100 / k, r = 100 % k;
    double best = (r * ((q + 1.0) * (q + 1.0) * (q + 1.0) - (q + 1.0)) + (k - r) * ((double)q * q * q - q)) / 12;
    assert_true(fabs(error_of(values, NULL, repr) - best) < 1e-6 * (1 + best));
    mcl_repr_release(repr);
  }
  mcl_tensor_release(values);
}

static void more_entries_never_cost_more_error(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(100, 100), 3);
  double last = INFINITY;
  for (int k = 1; k <= 256; k++) {
    mcl_repr *repr = fit(values, NULL, (mcl_palette_options){.entries = k});
    double error = error_of(values, NULL, repr);
    assert_true(error < last);
    last = error;
    mcl_repr_release(repr);
  }
  mcl_tensor_release(values);
}

static void exact_is_at_least_as_good_as_lloyd_from_any_beginning(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(5000), 4);
  const mcl_codebook_init inits[] = {MCL_CODEBOOK_LINEAR, MCL_CODEBOOK_DENSITY, MCL_CODEBOOK_RANDOM};
  for (int bits = 1; bits <= 8; bits++) {
    mcl_repr *exact = fit(values, NULL, (mcl_palette_options){.bits = bits});
    double least = error_of(values, NULL, exact);
    for (int i = 0; i < 3; i++) {
      mcl_repr *other = fit(values, NULL, (mcl_palette_options){.bits = bits, .init = inits[i], .seed = 5});
      assert_true(((mcl_palette *)other)->entries <= 1 << bits);
      assert_true(error_of(values, NULL, other) >= least * (1 - 1e-6));
      mcl_repr_release(other);
    }
    mcl_repr_release(exact);
  }
  mcl_tensor_release(values);
}

static void linear_begins_evenly_between_least_and_greatest(void **state) {
  (void)state;
  float data[] = {0, 0.1f, 4.9f, 5.1f, 10}; /* centres 0, 5, 10 hold {0, .1}, {4.9, 5.1}, {10}: Lloyd moves one, once */
  mcl_tensor *values;
  assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(5), data, &values));
  mcl_repr *repr = fit(values, NULL, (mcl_palette_options){.entries = 3, .init = MCL_CODEBOOK_LINEAR});
  const float *codebook = ((mcl_palette *)repr)->codebook;
  assert_true(fabsf(codebook[0] - 0.05f) < 1e-6f && fabsf(codebook[1] - 5) < 1e-6f && codebook[2] == 10);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
}

static void a_codebook_of_all_values_loses_nothing(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(300), 6);
  for (int i = 0; i < 300; i++) mcl_tensor_f32(values)[i] = 0.37f * (float)(i % 20) - 1;
  mcl_repr *repr = fit(values, NULL, (mcl_palette_options){.bits = 5});
  assert_int_equal(((mcl_palette *)repr)->entries, 20);
  assert_int_equal(((mcl_palette *)repr)->bits, 5);
  assert_true(error_of(values, NULL, repr) == 0);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
}

static void values_take_their_nearest_entry(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(70, 1001), 7);
  for (int half = 0; half < 2; half++) {
    mcl_repr *repr = fit(values, NULL, (mcl_palette_options){.entries = 37, .half = half});
    const mcl_palette *palette = (const mcl_palette *)repr;
    for (int64_t i = 0; i < values->count; i++) {
      float v = mcl_tensor_f32(values)[i], nearest = INFINITY;
      for (int c = 0; c < palette->entries; c++) {
        float d = fabsf(v - palette->codebook[c]);
        nearest = d < nearest ? d : nearest;
      }
      assert_true(fabsf(v - palette->codebook[palette->codes[i]]) <= nearest * (1 + 1e-6f));
    }
    for (int c = 0; half && c < palette->entries; c++) {
      uint16_t f16;
      float back;
      mcl_convert(MCL_F32, &palette->codebook[c], MCL_F16, &f16, 1);
      mcl_convert(MCL_F16, &f16, MCL_F32, &back, 1);
      assert_true(back == palette->codebook[c]);
    }
    mcl_repr_release(repr);
  }
  mcl_tensor_release(values);
}

static void importance_moves_the_codebook(void **state) {
  (void)state;
  float data[] = {0, 1, 10, 11}, weight[] = {1, 3, 0, 1};
  mcl_tensor *values, *importance;
  assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(4), data, &values));
  assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_1(4), weight, &importance));
  mcl_repr *repr = fit(values, importance, (mcl_palette_options){.bits = 1});
  const mcl_palette *palette = (const mcl_palette *)repr;
  assert_true(palette->codebook[0] == 0.75f && palette->codebook[1] == 11); /* 10 weighs nothing, and is coded as 11 */
  assert_int_equal(palette->codes[2], 1);
  mcl_repr_release(repr);
  for (int i = 0; i < 4; i++) weight[i] = 0; /* nothing matters: as if all did */
  repr = fit(values, importance, (mcl_palette_options){.bits = 1});
  assert_true(((mcl_palette *)repr)->codebook[0] == 0.5f);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  mcl_tensor_release(importance);
}

static void bad_requests_say_what_is_wrong(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(10), 1), *other = random_tensor(mcl_shape_1(9), 1);
  mcl_repr *repr;
  assert_fails(mcl_palette_fit(values, NULL, &(mcl_palette_options){.bits = 9}, &repr), MCL_ERROR_ARGUMENT,
               "bits = 9 is out of range: 1 to 8");
  assert_fails(mcl_palette_fit(values, NULL, &(mcl_palette_options){.entries = 257}, &repr), MCL_ERROR_ARGUMENT,
               "entries = 257 is out of range");
  assert_fails(mcl_palette_fit(values, other, &(mcl_palette_options){.bits = 2}, &repr), MCL_ERROR_ARGUMENT,
               "9 elements for 10 values");
  mcl_tensor_f32(values)[3] = NAN;
  assert_fails(mcl_palette_fit(values, NULL, &(mcl_palette_options){.bits = 2}, &repr), MCL_ERROR_NUMERIC, "weights");
  mcl_tensor_release(values);
  mcl_tensor_release(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_codebooks_are_the_optimum),
      cmocka_unit_test(every_number_of_entries_is_reached_on_equal_gaps),
      cmocka_unit_test(more_entries_never_cost_more_error),
      cmocka_unit_test(exact_is_at_least_as_good_as_lloyd_from_any_beginning),
      cmocka_unit_test(linear_begins_evenly_between_least_and_greatest),
      cmocka_unit_test(a_codebook_of_all_values_loses_nothing),
      cmocka_unit_test(values_take_their_nearest_entry),
      cmocka_unit_test(importance_moves_the_codebook),
      cmocka_unit_test(bad_requests_say_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
