/* Training under a representation: the gradient of every parameter against differences of Σ direction · W(parameters);
 * masks hold; affine values stay on their grid; the representation takes what was pushed. */
#include "unit/weights.h"

typedef struct trained {
  mcl_repr *repr;
  mcl_trained_repr *t;
  float *dense, *gradient, *direction;
  mcl_parameter *parameter;
  int parameters;
  int64_t count;
} trained;

/* Takes the reference. With or without a binding to the caller's arrays. */
static trained begin(mcl_repr *repr, bool bound) {
  trained x = {.repr = repr, .count = repr->count};
  size_t size = (size_t)repr->count * sizeof(float);
  x.dense = malloc(size), x.gradient = malloc(size), x.direction = malloc(size);
  mcl_random random = mcl_random_at(9, 9);
  for (int64_t i = 0; i < x.count; i++) x.direction[i] = mcl_random_normal(&random);
  assert_ok(mcl_repr_unshare(&x.repr));
  assert_ok(mcl_trained_new(x.repr, &x.t));
  if (bound)
    assert_ok(mcl_trained_bind(x.t, x.dense, x.gradient));
  else
    assert_ok(mcl_trained_push(x.t, x.dense));
  x.parameters = mcl_trained_parameters(x.t, &x.parameter);
  return x;
}

static void end(trained *x) {
  mcl_trained_free(x->t);
  mcl_repr_release(x->repr);
  free(x->dense);
  free(x->gradient);
  free(x->direction);
}

static double value_of(trained *x) {
  assert_ok(mcl_trained_push(x->t, x->dense));
  double sum = 0;
  for (int64_t i = 0; i < x->count; i++) sum += (double)x->direction[i] * (double)x->dense[i];
  return sum;
}

/* The sum is linear in each single parameter, so a wide step is exact but for rounding. */
static void check_gradients(trained *x) {
  memcpy(x->gradient, x->direction, (size_t)x->count * sizeof(float));
  assert_ok(mcl_trained_pull(x->t, x->gradient));
  for (int p = 0; p < x->parameters; p++) {
    float *analytic = malloc((size_t)x->parameter[p].count * sizeof(float));
    memcpy(analytic, x->parameter[p].gradient, (size_t)x->parameter[p].count * sizeof(float));
    for (int64_t i = 0; i < x->parameter[p].count; i++) {
      float *value = &x->parameter[p].values[i], before = *value;
      *value = before + 0.25f;
      double above = value_of(x);
      *value = before - 0.25f;
      double below = value_of(x);
      *value = before;
      double numeric = (above - below) / 0.5;
      if (fabs(numeric - (double)analytic[i]) > 2e-4 * fmax(1, fabs(numeric)))
        fail_msg("parameter %d[%d]: %g, numerically %g", p, (int)i, (double)analytic[i], numeric);
    }
    free(analytic);
  }
  value_of(x);
}

static void assert_stored(trained *x) { /* what the representation decodes to is what was pushed last */
  assert_ok(mcl_trained_store(x->t));
  mcl_tensor *values = values_of(x->repr);
  for (int64_t i = 0; i < x->count; i++) assert_true(fabsf(mcl_tensor_f32(values)[i] - x->dense[i]) < 1e-6f);
  mcl_tensor_release(values);
}

static mcl_repr *example(int kind) {
  mcl_shape shape = mcl_shape_2(6, 15);
  mcl_repr *sparse;
  switch (kind) {
  case 0:
    return dense_of(random_tensor(shape, 1));
  case 1:
    return random_sparse(shape, 0.3, 0, 2);
  case 2:
    return palette_of(shape, 3, false, 3);
  case 3:
    sparse = random_sparse(shape, 0.4, 3, 4);
    return with_values(sparse, palette_of(mcl_shape_1(nonzeros_of(sparse)), 2, false, 5));
  case 4:
    return product_of(dense_of(random_tensor(mcl_shape_2(6, 3), 6)), dense_of(random_tensor(mcl_shape_2(3, 15), 7)),
                      shape);
  case 5:
    return product_of(palette_of(mcl_shape_2(6, 3), 2, false, 8), random_sparse(mcl_shape_2(3, 15), 0.5, 0, 9), shape);
  case 6:
    return sum_of(random_sparse(shape, 0.2, 0, 10), dense_of(random_tensor(shape, 11)));
  default:
    return sum_of(
        product_of(dense_of(random_tensor(mcl_shape_2(6, 1), 12)), palette_of(mcl_shape_2(1, 15), 2, false, 13), shape),
        random_sparse(shape, 0.1, 0, 14));
  }
}

static void gradients_are_those_of_the_decoded_values(void **state) {
  (void)state;
  for (int bound = 0; bound < 2; bound++)
    for (int kind = 0; kind < 8; kind++) {
      trained x = begin(example(kind), bound);
      mcl_tensor *values = values_of(x.repr); /* nothing has moved yet */
      for (int64_t i = 0; i < x.count; i++) assert_true(fabsf(mcl_tensor_f32(values)[i] - x.dense[i]) < 1e-6f);
      mcl_tensor_release(values);
      check_gradients(&x);
      for (int p = 0; p < x.parameters; p++)
        for (int64_t i = 0; i < x.parameter[p].count; i++) x.parameter[p].values[i] *= 1.5f;
      value_of(&x);
      assert_stored(&x);
      end(&x);
    }
}

static void dense_weights_are_trained_in_place(void **state) {
  (void)state;
  trained x = begin(example(0), true);
  assert_int_equal(x.parameters, 1);
  assert_ptr_equal(x.parameter[0].values, x.dense);
  assert_ptr_equal(x.parameter[0].gradient, x.gradient);
  end(&x);
}

static void pruned_entries_stay_zero(void **state) {
  (void)state;
  trained x = begin(example(1), true);
  assert_int_equal(x.parameter[0].count, mcl_repr_nonzeros(x.repr));
  mcl_tensor *before = values_of(x.repr);
  for (int step = 0; step < 5; step++) {
    for (int64_t i = 0; i < x.count; i++) x.gradient[i] = 1;
    assert_ok(mcl_trained_pull(x.t, x.gradient));
    for (int64_t i = 0; i < x.parameter[0].count; i++) x.parameter[0].values[i] -= x.parameter[0].gradient[i];
    assert_ok(mcl_trained_push(x.t, x.dense));
  }
  for (int64_t i = 0; i < x.count; i++) {
    float was = mcl_tensor_f32(before)[i];
    assert_true(was == 0 ? x.dense[i] == 0 : fabsf(x.dense[i] - (was - 5)) < 1e-5f);
  }
  assert_stored(&x);
  mcl_tensor_release(before);
  end(&x);
}

/* Four values, sixteen times each, in turn: of weights i, i + 4, … with gradient 1 … 64, the mean of those of entry c is
 * 31 + c. Descent moves the weights by what single weights would have moved, averaged. */
static void a_step_of_a_palette_is_the_mean_step_of_its_weights(void **state) {
  (void)state;
  mcl_tensor *values;
  mcl_repr *repr;
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(8, 8), &values));
  for (int i = 0; i < 64; i++) mcl_tensor_f32(values)[i] = (float)(i % 4);
  assert_ok(mcl_palette_fit(values, NULL, &(mcl_palette_options){.bits = 2}, &repr));
  mcl_tensor_release(values);
  trained x = begin(repr, true);
  for (int i = 0; i < 64; i++) x.gradient[i] = (float)(i + 1);
  assert_ok(mcl_trained_pull(x.t, x.gradient));
  for (int c = 0; c < 4; c++) x.parameter[0].values[c] -= 0.125f * x.parameter[0].gradient[c];
  assert_ok(mcl_trained_push(x.t, x.dense));
  for (int i = 0; i < 64; i++) assert_true(fabs((double)x.dense[i] - (i % 4 - 0.125 * (31 + i % 4))) < 1e-6);
  end(&x);
}

static void affine_values_stay_on_their_grid_and_follow_the_latent_ones(void **state) {
  (void)state;
  for (int flags = 0; flags < 8; flags++) {
    mcl_affine_options options = {.bits = flags & 4 ? 1 : 4, .group = 5, .asymmetric = flags & 1, .half = flags & 2};
    trained x = begin(affine_of(mcl_shape_2(6, 15), options, 3), true);
    mcl_tensor *before = values_of(x.repr);
    assert_memory_equal(before->data, x.dense, (size_t)x.count * sizeof(float)); /* a push alone moves nothing */
    mcl_tensor *target = random_tensor(mcl_shape_2(6, 15), 4);
    double first = 0, last = 0;
    for (int step = 0; step < 200; step++) { /* descent on ½‖Ŵ − target‖² through the rounding */
      last = 0;
      for (int64_t i = 0; i < x.count; i++) {
        x.gradient[i] = x.dense[i] - mcl_tensor_f32(target)[i];
        last += (double)x.gradient[i] * (double)x.gradient[i];
      }
      first = step ? first : last;
      assert_ok(mcl_trained_pull(x.t, x.gradient));
      for (int64_t i = 0; i < x.count; i++) x.parameter[0].values[i] -= 0.1f * x.parameter[0].gradient[i];
      assert_ok(mcl_trained_push(x.t, x.dense));
    }
    assert_true(last < first * (flags & 4 ? 0.75 : 0.05));
    assert_stored(&x);
    mcl_tensor_release(before);
    mcl_tensor_release(target);
    end(&x);
  }
}

static void narrow_floats_are_rounded_from_latent_ones(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_1(50), 5);
  mcl_repr *repr;
  assert_ok(mcl_dense_fit(values, MCL_BF16, &repr));
  mcl_tensor_release(values);
  trained x = begin(repr, true);
  float start = x.dense[0];
  for (int step = 0; step < 100; step++) { /* steps far below a bf16's last bit add up all the same */
    for (int64_t i = 0; i < x.count; i++) x.gradient[i] = -1e-5f;
    assert_ok(mcl_trained_pull(x.t, x.gradient));
    for (int64_t i = 0; i < x.count; i++) x.parameter[0].values[i] -= x.parameter[0].gradient[i];
    assert_ok(mcl_trained_push(x.t, x.dense));
  }
  assert_true(fabsf(x.dense[0] - start - 1e-3f) < 0.004f * fabsf(start) + 1e-5f);
  assert_stored(&x);
  end(&x);
}

static void half_codebooks_stay_halves(void **state) {
  (void)state;
  trained x = begin(palette_of(mcl_shape_2(9, 11), 3, true, 1), true);
  for (int64_t i = 0; i < x.parameter[0].count; i++) x.parameter[0].values[i] *= 1.0001f;
  value_of(&x);
  assert_stored(&x);
  size_t bytes;
  mcl_repr_writer writer;
  mcl_repr *again;
  assert_ok(mcl_repr_bytes(x.repr, NULL, &bytes));
  assert_ok(mcl_repr_write_begin(ctx, NULL, false, &writer));
  assert_ok(mcl_repr_write(x.repr, &writer));
  assert_ok(read_back(&writer, x.repr->shape, &again));
  assert_memory_equal(((mcl_palette *)again)->codebook, ((mcl_palette *)x.repr)->codebook, 8 * sizeof(float));
  mcl_repr_write_end(&writer);
  mcl_repr_release(again);
  end(&x);
}

static void shared_weights_are_copied_before_they_are_trained(void **state) {
  (void)state;
  mcl_repr *shared = example(3), *mine = mcl_repr_retain(shared);
  mcl_tensor *before = values_of(shared);
  assert_ok(mcl_repr_unshare(&mine));
  assert_ptr_not_equal(mine, shared);
  trained x = begin(mine, true);
  for (int p = 0; p < x.parameters; p++)
    for (int64_t i = 0; i < x.parameter[p].count; i++) x.parameter[p].values[i] += 1;
  value_of(&x);
  assert_ok(mcl_trained_store(x.t));
  mcl_tensor *after = values_of(shared);
  assert_memory_equal(before->data, after->data, (size_t)before->count * sizeof(float));
  mcl_tensor_release(before);
  mcl_tensor_release(after);
  mcl_repr_release(shared);
  end(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_those_of_the_decoded_values),
      cmocka_unit_test(dense_weights_are_trained_in_place),
      cmocka_unit_test(pruned_entries_stay_zero),
      cmocka_unit_test(a_step_of_a_palette_is_the_mean_step_of_its_weights),
      cmocka_unit_test(affine_values_stay_on_their_grid_and_follow_the_latent_ones),
      cmocka_unit_test(narrow_floats_are_rounded_from_latent_ones),
      cmocka_unit_test(half_codebooks_stay_halves),
      cmocka_unit_test(shared_weights_are_copied_before_they_are_trained),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
