/* Schemes: what each keeps, how they go together, and what they say where they cannot. */
#include "unit/weights.h"

#include "compress/compress.h"

static mcl_scheme *prune(double density) {
  mcl_scheme *s;
  assert_ok(mcl_scheme_prune(ctx, &(mcl_prune_options){.density = density}, &s));
  return s;
}

static mcl_scheme *share(int bits) {
  mcl_scheme *s;
  assert_ok(mcl_scheme_share(ctx, &(mcl_palette_options){.bits = bits}, &s));
  return s;
}

static mcl_scheme *quantize(mcl_affine_options options) {
  mcl_scheme *s;
  assert_ok(mcl_scheme_quantize(ctx, &options, &s));
  return s;
}

static mcl_scheme *lowrank(int64_t rank, mcl_scheme *factors) { /* takes the reference */
  mcl_scheme *s;
  assert_ok(mcl_scheme_lowrank(ctx, rank, 0, false, factors, &s));
  mcl_scheme_release(factors);
  return s;
}

static mcl_scheme *then(mcl_scheme *a, mcl_scheme *b) {
  mcl_scheme *s;
  assert_ok(mcl_scheme_then(ctx, a, b, &s));
  mcl_scheme_release(a);
  mcl_scheme_release(b);
  return s;
}

static mcl_scheme *sum(mcl_scheme *a, mcl_scheme *b, int alternations) {
  mcl_scheme *s;
  assert_ok(mcl_scheme_sum(ctx, a, b, alternations, &s));
  mcl_scheme_release(a);
  mcl_scheme_release(b);
  return s;
}

/* Takes the scheme's reference. */
static mcl_repr *apply(mcl_scheme *s, const mcl_repr *weight) {
  mcl_repr *out;
  assert_ok(mcl_scheme_apply(s, weight, NULL, &out));
  assert_true(mcl_shape_equal(out->shape, weight->shape));
  mcl_scheme_release(s);
  return out;
}

static mcl_repr *conv_weight(uint64_t seed) {
  return dense_of(random_tensor(mcl_shape_of(4, (int64_t[]){10, 4, 5, 5}), seed));
}

static double distortion(const mcl_repr *a, const mcl_repr *b, const mcl_statistics *statistics) {
  double d;
  assert_ok(mcl_distortion(a, b, statistics, &d));
  return d;
}

static void assert_text(const mcl_repr *repr, const char *wanted) {
  char text[256];
  mcl_repr_text(repr, text, sizeof text);
  assert_string_equal(text, wanted);
}

/* ---- prune ---- */

static void prune_keeps_exactly_the_asked_number_of_largest(void **state) {
  (void)state;
  const double densities[] = {1e-9, 0.0015, 0.08, 0.5, 0.999, 1};
  const int64_t kept[] = {1, 2, 80, 500, 999, 1000}; /* of 1000, rounded, at least 1 */
  mcl_repr *weight = conv_weight(1);
  mcl_tensor *values = values_of(weight);
  for (int i = 0; i < 6; i++) {
    mcl_repr *pruned = apply(prune(densities[i]), weight);
    assert_int_equal(mcl_repr_nonzeros(pruned), kept[i]);
    mcl_tensor *after = values_of(pruned);
    float least_kept = INFINITY, most_cut = 0;
    for (int64_t k = 0; k < 1000; k++) {
      float before = fabsf(mcl_tensor_f32(values)[k]), now = fabsf(mcl_tensor_f32(after)[k]);
      assert_true(now == before || now == 0);
      if (now > 0) least_kept = fminf(least_kept, now);
      if (now == 0) most_cut = fmaxf(most_cut, before);
    }
    assert_true(least_kept > most_cut);
    mcl_tensor_release(after);
    mcl_repr_release(pruned);
  }
  mcl_tensor_release(values);
  mcl_repr_release(weight);
}

static void equal_scores_are_kept_from_the_front(void **state) {
  (void)state;
  float data[] = {1, -1, 1, 1, 2, 1, -1, 1};
  mcl_tensor *values;
  assert_ok(mcl_tensor_wrap(ctx, MCL_F32, mcl_shape_2(2, 4), data, &values));
  mcl_repr *weight = dense_of(values), *pruned = apply(prune(0.5), weight);
  const float wanted[] = {1, -1, 1, 0, 2, 0, 0, 0};
  mcl_tensor *after = values_of(pruned);
  assert_memory_equal(after->data, wanted, sizeof wanted);
  mcl_tensor_release(after);
  mcl_repr_release(pruned);
  mcl_repr_release(weight);
}

static void a_threshold_keeps_what_lies_above(void **state) {
  (void)state;
  mcl_repr *weight = conv_weight(2);
  mcl_tensor *values = values_of(weight);
  int64_t above = 0;
  for (int64_t k = 0; k < 1000; k++) above += fabsf(mcl_tensor_f32(values)[k]) > 0.15f;
  mcl_scheme *s;
  assert_ok(mcl_scheme_prune(ctx, &(mcl_prune_options){.has_threshold = true, .threshold = 0.15}, &s));
  mcl_repr *pruned = apply(s, weight);
  assert_int_equal(mcl_repr_nonzeros(pruned), above);
  mcl_repr_release(pruned);
  mcl_tensor_release(values);
  mcl_repr_release(weight);
}

static void pruning_again_never_stores_zeros(void **state) {
  (void)state;
  mcl_repr *weight = conv_weight(3), *tenth = apply(prune(0.1), weight), *half = apply(prune(0.5), tenth);
  assert_int_equal(mcl_repr_nonzeros(half), 100);
  mcl_repr *fifth = apply(prune(0.05), tenth);
  assert_int_equal(mcl_repr_nonzeros(fifth), 50);
  mcl_repr_release(weight);
  mcl_repr_release(tenth);
  mcl_repr_release(half);
  mcl_repr_release(fifth);
}

/* |w| · input_norm, and a count of calls and releases in `user`. */
static mcl_status wanda(void *user, mcl_tensor *weight, const mcl_statistics *statistics, mcl_expression **out) {
  ((int *)user)[0]++;
  assert_int_equal(weight->shape.rank, 2); /* the matrix view, of a convolution too */
  mcl_expression *args[2], *magnitude;
  assert_ok(mcl_expression_tensor(weight, &args[0]));
  assert_ok(mcl_expression_tensor(statistics->input_norm, &args[1]));
  assert_ok(mcl_expression_apply(ctx, MCL_E_ABS, args, &magnitude));
  mcl_expression_release(args[0]);
  args[0] = magnitude;
  mcl_status status = mcl_expression_apply(ctx, MCL_E_MUL, args, out);
  mcl_expression_release(args[0]);
  mcl_expression_release(args[1]);
  return status;
}

static mcl_status scores_of_columns(void *user, mcl_tensor *weight, const mcl_statistics *statistics,
                                    mcl_expression **out) {
  (void)user, (void)weight;
  return mcl_expression_tensor(statistics->input_norm, out);
}

static void count_release(void *user) { ((int *)user)[1]++; }

static void a_criterion_of_ones_own_chooses(void **state) {
  (void)state;
  int calls[2] = {0};
  mcl_repr *weight = conv_weight(4), *pruned;
  mcl_statistics statistics = {.input_norm = random_tensor(mcl_shape_1(100), 5)};
  for (int c = 0; c < 100; c++) mcl_tensor_f32(statistics.input_norm)[c] = c < 20 ? 100 : 0.001f;
  mcl_scheme *s;
  mcl_prune_options options = {
      .density = 0.2, .by = wanda, .user = calls, .release_user = count_release, .by_name = "wanda"};
  assert_ok(mcl_scheme_prune(ctx, &options, &s));
  assert_ok(mcl_scheme_apply(s, weight, &statistics, &pruned));
  mcl_tensor *after = values_of(pruned);
  for (int64_t k = 0; k < 1000; k++) assert_true((mcl_tensor_f32(after)[k] != 0) == (k % 100 < 20));
  char text[64];
  mcl_scheme_text(s, text, sizeof text);
  assert_string_equal(text, "prune{density=0.2, by=wanda}");
  mcl_scheme_release(s);
  assert_int_equal(calls[0], 1);
  assert_int_equal(calls[1], 1);
  options.by = scores_of_columns, options.release_user = NULL;
  assert_ok(mcl_scheme_prune(ctx, &options, &s));
  mcl_repr *bad;
  assert_fails(mcl_scheme_apply(s, weight, &statistics, &bad), MCL_ERROR_ARGUMENT,
               "criterion wanda gives scores of shape 100 for weights of shape 10x100");
  mcl_scheme_release(s);
  mcl_tensor_release(after);
  mcl_tensor_release(statistics.input_norm);
  mcl_repr_release(pruned);
  mcl_repr_release(weight);
}

/* ---- Putting together ---- */

static void then_compresses_the_values_of_the_first(void **state) {
  (void)state;
  mcl_repr *weight = conv_weight(6), *out;
  out = apply(then(prune(0.2), share(4)), weight);
  assert_text(out, "sparse 20.0 % of (palette 16)");
  mcl_repr *pruned = apply(prune(0.2), weight);
  assert_memory_equal(((mcl_sparse *)out)->column, ((mcl_sparse *)pruned)->column, 200 * sizeof(uint32_t));
  mcl_repr_release(pruned);
  mcl_repr_release(out);
  out = apply(then(lowrank(3, NULL), quantize((mcl_affine_options){.bits = 8, .group = -1})), weight);
  assert_text(out, "lowrank 3 of (affine 8 bit per channel)");
  mcl_repr_release(out);
  out = apply(then(then(lowrank(3, NULL), prune(0.5)), share(3)), weight);
  assert_text(out, "lowrank 3 of (sparse 50.0 % of (palette 8))");
  mcl_repr_release(out);
  out = apply(lowrank(3, then(prune(0.5), share(3))), weight); /* the same, said otherwise */
  assert_text(out, "lowrank 3 of (sparse 50.0 % of (palette 8))");
  mcl_repr_release(out);
  mcl_scheme *keep;
  assert_ok(mcl_scheme_keep(ctx, MCL_F16, &keep));
  out = apply(then(prune(0.1), keep), weight);
  assert_text(out, "sparse 10.0 % of (dense f16)");
  mcl_repr_release(out);
  mcl_repr_release(weight);
}

static void then_says_which_order_works(void **state) {
  (void)state;
  mcl_scheme *p = prune(0.1), *s = share(4), *q = quantize((mcl_affine_options){.bits = 4}), *out;
  mcl_scheme *channel = quantize((mcl_affine_options){.bits = 4, .group = -1}), *l = lowrank(2, NULL);
  mcl_scheme *both = then(mcl_scheme_retain(p), mcl_scheme_retain(s));
  assert_fails(mcl_scheme_then(ctx, s, p, &out), MCL_ERROR_ARGUMENT,
               "put it last: prune{density=0.1} .. share{bits=4}");
  assert_fails(mcl_scheme_then(ctx, q, s, &out), MCL_ERROR_ARGUMENT, "quantize gives codes");
  assert_fails(mcl_scheme_then(ctx, both, q, &out), MCL_ERROR_ARGUMENT, "codes, which nothing can follow");
  assert_fails(mcl_scheme_then(ctx, p, p, &out), MCL_ERROR_ARGUMENT, "one prune after another");
  assert_fails(mcl_scheme_then(ctx, p, l, &out), MCL_ERROR_ARGUMENT,
               "prune the factors instead: lowrank{rank=2} .. prune");
  assert_fails(mcl_scheme_then(ctx, p, channel, &out), MCL_ERROR_ARGUMENT, "no channels");
  mcl_scheme *all[] = {p, s, q, channel, l, both};
  for (int i = 0; i < 6; i++) mcl_scheme_release(all[i]);
}

static void a_sum_is_better_than_its_first_part_and_alternation_helps(void **state) {
  (void)state;
  mcl_repr *weight = conv_weight(7), *alone = apply(lowrank(2, NULL), weight);
  mcl_repr *once = apply(sum(lowrank(2, NULL), prune(0.05), 0), weight);
  mcl_repr *often = apply(sum(lowrank(2, NULL), prune(0.05), 10), weight);
  assert_true(distortion(weight, once, NULL) < distortion(weight, alone, NULL));
  assert_true(distortion(weight, often, NULL) < distortion(weight, once, NULL));
  assert_int_equal(mcl_repr_nonzeros(((mcl_sum *)often)->part[1]), 50);
  mcl_repr_release(alone);
  mcl_repr_release(once);
  mcl_repr_release(often);
  mcl_repr_release(weight);
}

static void text_reads_as_the_recipe_does(void **state) {
  (void)state;
  mcl_scheme *s = sum(lowrank(16, quantize((mcl_affine_options){.bits = 8, .group = 64, .minimise = true})),
                      then(prune(0.02), share(5)), 5);
  char text[256];
  mcl_scheme_text(s, text, sizeof text);
  assert_string_equal(
      text, "lowrank{rank=16, factors=quantize{bits=8, group=64, minimise}} + prune{density=0.02} .. share{bits=5}");
  mcl_scheme_text(s, text, 10);
  assert_string_equal(text, "lowrank{r");
  mcl_scheme_release(s);
}

/* ---- Importance ---- */

static void weighted_schemes_use_the_statistics(void **state) {
  (void)state;
  mcl_scheme *plain = then(prune(0.5), share(2)), *weighted, *s;
  assert_ok(mcl_scheme_share(ctx, &(mcl_palette_options){.bits = 2, .weighted = true}, &s));
  weighted = then(prune(0.5), s);
  mcl_repr *weight = conv_weight(8), *a, *b;
  mcl_statistics statistics = {.input_square = random_tensor(mcl_shape_1(100), 9)};
  for (int c = 0; c < 100; c++) mcl_tensor_f32(statistics.input_square)[c] = c % 2 ? 50 : 0.01f;
  assert_fails(mcl_scheme_apply(weighted, weight, NULL, &b), MCL_ERROR_ARGUMENT, "share: weighted needs statistics");
  assert_ok(mcl_scheme_apply(plain, weight, &statistics, &a));
  assert_ok(mcl_scheme_apply(weighted, weight, &statistics, &b));
  assert_true(distortion(weight, b, &statistics) < distortion(weight, a, &statistics));
  mcl_scheme_release(plain);
  mcl_scheme_release(weighted);
  mcl_tensor_release(statistics.input_square);
  mcl_repr_release(a);
  mcl_repr_release(b);
  mcl_repr_release(weight);
}

static void distortion_is_the_squared_error_of_the_output(void **state) {
  (void)state;
  mcl_repr *weight = dense_of(random_tensor(mcl_shape_2(6, 9), 1)), *coarse;
  coarse = apply(quantize((mcl_affine_options){.bits = 2}), weight);
  mcl_tensor *w = values_of(weight), *c = values_of(coarse), *x = random_tensor(mcl_shape_2(50, 9), 2);
  mcl_statistics statistics = {.rows_seen = 50};
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(9, 9), &statistics.gram));
  double output = 0, plain = 0;
  for (int i = 0; i < 9; i++)
    for (int j = 0; j < 9; j++) {
      double g = 0;
      for (int k = 0; k < 50; k++) g += (double)mcl_tensor_f32(x)[k * 9 + i] * (double)mcl_tensor_f32(x)[k * 9 + j];
      mcl_tensor_f32(statistics.gram)[i * 9 + j] = (float)(g / 50);
    }
  for (int r = 0; r < 6; r++)
    for (int k = 0; k < 50; k++) {
      double y = 0;
      for (int j = 0; j < 9; j++)
        y += ((double)mcl_tensor_f32(w)[r * 9 + j] - (double)mcl_tensor_f32(c)[r * 9 + j]) *
             (double)mcl_tensor_f32(x)[k * 9 + j];
      output += y * y / 50;
    }
  for (int i = 0; i < 54; i++) plain += pow((double)mcl_tensor_f32(w)[i] - (double)mcl_tensor_f32(c)[i], 2);
  assert_true(fabs(distortion(weight, coarse, &statistics) - output) < 1e-5 * output);
  assert_true(fabs(distortion(weight, coarse, NULL) - plain) < 1e-9);
  mcl_tensor_release(statistics.gram);
  mcl_tensor_release(w);
  mcl_tensor_release(c);
  mcl_tensor_release(x);
  mcl_repr_release(weight);
  mcl_repr_release(coarse);
}

/* ---- Errors ---- */

static void bad_options_are_refused_when_the_scheme_is_made(void **state) {
  (void)state;
  mcl_scheme *s;
  assert_fails(mcl_scheme_prune(ctx, &(mcl_prune_options){.density = 0}, &s), MCL_ERROR_ARGUMENT,
               "density = 0 is out of range");
  assert_fails(mcl_scheme_prune(ctx, &(mcl_prune_options){.density = 1.5}, &s), MCL_ERROR_ARGUMENT, "density = 1.5");
  assert_fails(mcl_scheme_prune(ctx, &(mcl_prune_options){.density = NAN}, &s), MCL_ERROR_ARGUMENT, "density");
  assert_fails(mcl_scheme_share(ctx, &(mcl_palette_options){.bits = 9}, &s), MCL_ERROR_ARGUMENT, "bits = 9");
  assert_fails(mcl_scheme_quantize(ctx, &(mcl_affine_options){.bits = 0}, &s), MCL_ERROR_ARGUMENT, "bits = 0");
  assert_fails(mcl_scheme_lowrank(ctx, -1, 0, false, NULL, &s), MCL_ERROR_ARGUMENT, "rank = -1");
  assert_fails(mcl_scheme_lowrank(ctx, 0, 0, false, NULL, &s), MCL_ERROR_ARGUMENT, "energy = 0");
  assert_fails(mcl_scheme_keep(ctx, MCL_I8, &s), MCL_ERROR_ARGUMENT, "i8");
}

static void bad_weights_are_refused_when_it_is_applied(void **state) {
  (void)state;
  mcl_repr *weight = conv_weight(1), *out;
  mcl_scheme *thick = lowrank(11, NULL), *white, *p = prune(0.5);
  assert_fails(mcl_scheme_apply(thick, weight, NULL, &out), MCL_ERROR_ARGUMENT, "min(rows, cols) = min(10, 100)");
  assert_ok(mcl_scheme_lowrank(ctx, 2, 0, true, NULL, &white));
  assert_fails(mcl_scheme_apply(white, weight, NULL, &out), MCL_ERROR_ARGUMENT, "calibrate \"gram\" first");
  mcl_tensor_f32(((mcl_dense *)weight)->values)[17] = NAN;
  assert_fails(mcl_scheme_apply(p, weight, NULL, &out), MCL_ERROR_NUMERIC, "17");
  mcl_scheme_release(thick);
  mcl_scheme_release(white);
  mcl_scheme_release(p);
  mcl_repr_release(weight);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(prune_keeps_exactly_the_asked_number_of_largest),
      cmocka_unit_test(equal_scores_are_kept_from_the_front),
      cmocka_unit_test(a_threshold_keeps_what_lies_above),
      cmocka_unit_test(pruning_again_never_stores_zeros),
      cmocka_unit_test(a_criterion_of_ones_own_chooses),
      cmocka_unit_test(then_compresses_the_values_of_the_first),
      cmocka_unit_test(then_says_which_order_works),
      cmocka_unit_test(a_sum_is_better_than_its_first_part_and_alternation_helps),
      cmocka_unit_test(text_reads_as_the_recipe_does),
      cmocka_unit_test(weighted_schemes_use_the_statistics),
      cmocka_unit_test(distortion_is_the_squared_error_of_the_output),
      cmocka_unit_test(bad_options_are_refused_when_the_scheme_is_made),
      cmocka_unit_test(bad_weights_are_refused_when_it_is_applied),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
