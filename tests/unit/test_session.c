/* Sessions: a run allocates nothing, values share memory, results do not depend on threads, short batches are exact,
 * weights are held as the model has them. */
#include <math.h>
#include <stdlib.h>

#include "nets.h"
#include "repr/fit.h"

/* ---- An allocator that counts ---- */

static int allocations;

static void *counting_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void counting_release(void *user, void *memory, size_t size) {
  (void)user, (void)size;
  free(memory);
}

static mcl_context *context_of(int threads) {
  mcl_context *ctx;
  mcl_options options = {.allocate = counting_allocate, .release = counting_release, .threads = threads};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  return ctx;
}

/* ---- Nets ---- */

static int add_fc(mcl_model *model, const char *name, int x, int64_t in, int64_t out) {
  char weight[32], bias[32];
  snprintf(weight, sizeof weight, "%s.weight", name);
  snprintf(bias, sizeof bias, "%s.bias", name);
  int w = add_normal(model, weight, SHAPE(out, in), 0, 0.1f, false), b = add_weight(model, bias, SHAPE(out));
  return NODE(model, "linear", name, NULL, x, w, b);
}

/* A small LeNet with a residual, batch norm and dropout. */
static mcl_model *lenet(mcl_context *ctx) {
  mcl_model *model = new_model(ctx);
  int x = add_input(model, "image", SHAPE(-1, 1, 14, 14));
  int w1 = add_weight(model, "conv1.weight", SHAPE(6, 1, 3, 3)), b1 = add_weight(model, "conv1.bias", SHAPE(6));
  int w2 = add_weight(model, "conv2.weight", SHAPE(6, 6, 3, 3)), scale = add_weight(model, "bn.scale", SHAPE(6));
  int shift = add_weight(model, "bn.bias", SHAPE(6)), mean = add_normal(model, "bn.mean", SHAPE(6), 0, 0.1f, true);
  int variance = add_normal(model, "bn.variance", SHAPE(6), 1, 0.02f, true);
  const setting *same = SET({"pad", 4, {1, 1, 1, 1}, 0}), *half = SET({"stride", 2, {2, 2}, 0});
  int a = NODE(model, "relu", "relu1", NULL, NODE(model, "conv", "conv1", same, x, w1, b1));
  int b =
      NODE(model, "batch_norm", "bn", NULL, NODE(model, "conv", "conv2", same, a, w2), scale, shift, mean, variance);
  int sum = NODE(model, "relu", "relu2", NULL, NODE(model, "add", "residual", NULL, b, a));
  int flat = NODE(model, "flatten", "flat", NULL, NODE(model, "max_pool", "pool", half, sum));
  int hidden = NODE(model, "relu", "relu3", NULL, add_fc(model, "fc1", flat, 294, 40));
  add_output(model, add_fc(model, "fc2", NODE(model, "dropout", "drop", NULL, hidden), 40, 10));
  return model;
}

static void fill_normal(float *to, int64_t n, uint64_t stream) {
  mcl_random random = mcl_random_at(5, stream);
  for (int64_t i = 0; i < n; i++) to[i] = mcl_random_normal(&random);
}

#define IMAGE (14 * 14)

/* ---- Inference ---- */

static void a_run_allocates_nothing(void **state) {
  (void)state;
  mcl_context *ctx = context_of(2);
  mcl_model *model = lenet(ctx);
  mcl_session *session;
  assert_ok(ctx, mcl_session_new(model, 16, &session));
  size_t memory = mcl_context_memory(ctx);
  int before = allocations;
  for (int run = 0; run < 3; run++) assert_ok(ctx, mcl_session_run(session));
  assert_ok(ctx, mcl_session_run_rows(session, 5));
  assert_int_equal(allocations, before);
  assert_int_equal(mcl_context_memory(ctx), memory);
  mcl_session_free(session);
  mcl_model_free(model);
  assert_int_equal(mcl_context_threads(ctx), 2);
  mcl_context_free(ctx);
}

static void values_share_the_arena_by_their_lives(void **state) {
  mcl_model *model = new_model(*state);
  enum { WIDTH = 4096, LAYERS = 12 };
  int x = add_input(model, "x", SHAPE(-1, WIDTH));
  for (int i = 0; i < LAYERS; i++) {
    char name[16];
    snprintf(name, sizeof name, "t%d", i);
    x = NODE(model, "transpose", name, SET({"perm", 2, {0, 1}, 0}), x); /* never in place */
  }
  add_output(model, x);
  mcl_session *session;
  assert_ok(*state, mcl_session_new(model, 2, &session));
  size_t value = 2 * WIDTH * sizeof(float);
  assert_int_equal(mcl_session_arena(session), 3 * value); /* the input, and two that take turns */
  fill_normal(mcl_session_input(session, 0), 2 * WIDTH, 1);
  assert_ok(*state, mcl_session_run(session));
  assert_memory_equal(mcl_session_input(session, 0), mcl_session_output(session, 0), value); /* the input is kept */
  mcl_session_free(session);
  mcl_model_free(model);
}

static void a_value_that_is_needed_later_is_not_written_over(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 3)), a = NODE(model, "identity", "a", NULL, x);
  int b = NODE(model, "relu", "b", NULL, a); /* a is read again below */
  int c = NODE(model, "reshape", "c", SET({"shape", 3, {0, 3, 1}, 0}), b);
  int d = NODE(model, "sub", "d", NULL, a, b);
  int e = NODE(model, "relu", "e", NULL, d); /* d is an output */
  add_output(model, d);
  add_output(model, NODE(model, "add", "f", NULL, e, NODE(model, "flatten", "g", NULL, c)));
  mcl_session *session;
  assert_ok(*state, mcl_session_new(model, 1, &session));
  memcpy(mcl_session_input(session, 0), (float[]){-1, 2, -3}, 3 * sizeof(float));
  assert_ok(*state, mcl_session_run(session));
  const float wanted_d[] = {-1, 0, -3}, wanted_f[] = {0, 2, 0};
  for (int i = 0; i < 3; i++) {
    assert_close(mcl_session_output(session, 0)[i], wanted_d[i], 0);
    assert_close(mcl_session_output(session, 1)[i], wanted_f[i], 0);
  }
  mcl_session_free(session);
  mcl_model_free(model);
}

static void threads_do_not_change_a_bit(void **state) {
  (void)state;
  enum { BATCH = 19 };
  static float outputs[3][BATCH * 10], gradients[3][294 * 40 + 6 * 6 * 9];
  const int threads[] = {1, 2, 4};
  for (int t = 0; t < 3; t++) {
    mcl_context *ctx = context_of(threads[t]);
    mcl_model *model = lenet(ctx);
    mcl_training_session *s;
    assert_ok(ctx, mcl_training_session_new(model, BATCH, &s));
    fill_normal(mcl_training_session_input(s, 0), BATCH * IMAGE, 2);
    assert_ok(ctx, mcl_training_session_forward(s, BATCH, 7, true));
    memcpy(outputs[t], mcl_training_session_output(s, 0), sizeof outputs[t]);
    fill_normal(mcl_training_session_output_gradient(s, 0), BATCH * 10, 3);
    assert_ok(ctx, mcl_training_session_backward(s));
    int fc = mcl_model_find_weight(model, "fc1.weight"), conv = mcl_model_find_weight(model, "conv2.weight");
    memcpy(gradients[t], mcl_training_session_weight_gradient(s, fc), 294 * 40 * sizeof(float));
    memcpy(gradients[t] + 294 * 40, mcl_training_session_weight_gradient(s, conv), 6 * 6 * 9 * sizeof(float));
    mcl_training_session_free(s);
    mcl_model_free(model);
    mcl_context_free(ctx);
  }
  for (int t = 1; t < 3; t++) {
    assert_memory_equal(outputs[t], outputs[0], sizeof outputs[0]);
    assert_memory_equal(gradients[t], gradients[0], sizeof gradients[0]);
  }
}

static void a_short_batch_computes_its_rows_alone(void **state) {
  mcl_model *model = lenet(*state);
  mcl_session *full, *exact;
  assert_ok(*state, mcl_session_new(model, 16, &full));
  assert_ok(*state, mcl_session_new(model, 5, &exact));
  fill_normal(mcl_session_input(full, 0), 16 * IMAGE, 4);
  memcpy(mcl_session_input(exact, 0), mcl_session_input(full, 0), 5 * IMAGE * sizeof(float));
  assert_ok(*state, mcl_session_run(full));
  assert_ok(*state, mcl_session_run_rows(full, 5));
  assert_ok(*state, mcl_session_run(exact));
  assert_memory_equal(mcl_session_output(full, 0), mcl_session_output(exact, 0), 50 * sizeof(float));
  mcl_session_free(full);
  mcl_session_free(exact);
  mcl_model_free(model);
}

static void a_session_takes_only_batches_that_fit(void **state) {
  mcl_model *model = lenet(*state), *fixed = new_model(*state);
  mcl_session *session;
  assert_fails(*state, MCL_ERROR_ARGUMENT, "batch of 0", mcl_session_new(model, 0, &session));
  assert_ok(*state, mcl_session_new(model, 4, &session));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "5 rows in a session for 4", mcl_session_run_rows(session, 5));
  mcl_session_free(session);
  mcl_model_free(model);
  int x = add_input(fixed, "x", SHAPE(2, 3));
  add_output(fixed, NODE(fixed, "relu", "y", NULL, x));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "made for 2 only", mcl_session_new(fixed, 3, &session));
  assert_ok(*state, mcl_session_new(fixed, 2, &session));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "a fixed number", mcl_session_run_rows(session, 1));
  mcl_session_free(session);
  mcl_model_free(fixed);
}

static void a_cancel_stops_a_run(void **state) {
  mcl_model *model = lenet(*state);
  mcl_session *session;
  assert_ok(*state, mcl_session_new(model, 1, &session));
  mcl_context_cancel(*state);
  assert_int_equal(mcl_session_run(session), MCL_ERROR_CANCELLED);
  mcl_context_resume(*state);
  assert_ok(*state, mcl_session_run(session));
  mcl_session_free(session);
  mcl_model_free(model);
}

static void a_batch_beyond_memory_is_refused(void **state) {
  mcl_model *model = lenet(*state);
  mcl_session *session;
  assert_int_not_equal(mcl_session_new(model, INT64_MAX / 64, &session), MCL_OK);
  assert_null(session);
  mcl_model_free(model);
}

/* ---- How weights are held ---- */

/* fc1's weight with one entry in `keep` kept. */
static mcl_repr *sparse_of(mcl_context *ctx, mcl_model *model, const char *name, int keep) {
  mcl_tensor *values;
  mcl_repr *repr;
  uint64_t *mask;
  assert_ok(ctx, mcl_weight_values(model, mcl_model_find_weight(model, name), &values));
  assert_ok(ctx, mcl_alloc_zero(ctx, (size_t)(values->count / 64 + 1) * sizeof *mask, &mask));
  for (int64_t i = 0; i < values->count; i += keep) mask[i / 64] |= (uint64_t)1 << (i % 64);
  assert_ok(ctx, mcl_sparse_fit(values, mask, &repr));
  mcl_free(ctx, mask);
  return repr;
}

/* The same positions, the values a palette of 4 bits. */
static void share_values(mcl_context *ctx, mcl_repr **sparse) {
  mcl_tensor *kept;
  mcl_repr *palette, *shared;
  assert_ok(ctx, mcl_repr_values(((mcl_sparse *)*sparse)->values, &kept));
  assert_ok(ctx, mcl_palette_fit(kept, NULL, &(mcl_palette_options){.bits = 4}, &palette));
  assert_ok(ctx, mcl_sparse_with((mcl_sparse *)*sparse, palette, &shared));
  mcl_repr_release(palette);
  mcl_repr_release(*sparse);
  mcl_tensor_release(kept);
  *sparse = shared;
}

static void compressed_weights_infer_as_their_values_do(void **state) {
  for (int k = 0; k < 3; k++) { /* decoded; used from the compressed form; that with values of 16 kinds */
    int keep = k ? 20 : 2;
    mcl_model *model = lenet(*state), *dense = NULL;
    int fc = mcl_model_find_weight(model, "fc1.weight");
    mcl_repr *sparse = sparse_of(*state, model, "fc1.weight", keep), *values = NULL;
    mcl_tensor *tensor;
    if (k == 2) share_values(*state, &sparse);
    assert_ok(*state, mcl_model_copy(model, &dense));
    assert_ok(*state, mcl_repr_values(sparse, &tensor));
    assert_ok(*state, mcl_dense_new(tensor, &values));
    assert_ok(*state, mcl_weight_set(model, fc, sparse));
    assert_ok(*state, mcl_weight_set(dense, fc, values));
    mcl_repr_release(sparse);
    mcl_repr_release(values);
    mcl_tensor_release(tensor);
    mcl_session *a, *b;
    assert_ok(*state, mcl_session_new(model, 20, &a));
    assert_ok(*state, mcl_session_new(dense, 20, &b));
    fill_normal(mcl_session_input(a, 0), 20 * IMAGE, 6);
    memcpy(mcl_session_input(b, 0), mcl_session_input(a, 0), 20 * IMAGE * sizeof(float));
    assert_ok(*state, mcl_session_run(a));
    assert_ok(*state, mcl_session_run(b));
    for (int i = 0; i < 200; i++) assert_close(mcl_session_output(a, 0)[i], mcl_session_output(b, 0)[i], 1e-4);
    mcl_session_free(a);
    mcl_session_free(b);
    mcl_model_free(model);
    mcl_model_free(dense);
  }
}

static void a_session_keeps_the_weights_it_was_made_with(void **state) {
  mcl_model *model = lenet(*state);
  mcl_session *session;
  assert_ok(*state, mcl_session_new(model, 1, &session));
  fill_normal(mcl_session_input(session, 0), IMAGE, 8);
  assert_ok(*state, mcl_session_run(session));
  float before[10];
  memcpy(before, mcl_session_output(session, 0), sizeof before);
  mcl_repr *sparse = sparse_of(*state, model, "fc1.weight", 7);
  assert_ok(*state, mcl_weight_set(model, mcl_model_find_weight(model, "fc1.weight"), sparse));
  mcl_repr_release(sparse);
  assert_ok(*state, mcl_session_run(session));
  assert_memory_equal(before, mcl_session_output(session, 0), sizeof before);
  mcl_session_free(session);
  mcl_model_free(model);
}

/* ---- Training ---- */

static void the_gradient_of_a_short_batch_is_that_of_its_rows(void **state) {
  mcl_model *model = lenet(*state);
  mcl_training_session *full, *exact;
  assert_ok(*state, mcl_training_session_new(model, 40, &full));
  assert_ok(*state, mcl_training_session_new(model, 23, &exact));
  fill_normal(mcl_training_session_input(full, 0), 40 * IMAGE, 9);
  memcpy(mcl_training_session_input(exact, 0), mcl_training_session_input(full, 0), 23 * IMAGE * sizeof(float));
  assert_ok(*state, mcl_training_session_forward(full, 40, 1, true));
  fill_normal(mcl_training_session_output_gradient(full, 0), 400, 10);
  assert_ok(*state, mcl_training_session_backward(full));
  memcpy(mcl_training_session_output_gradient(exact, 0), mcl_training_session_output_gradient(full, 0),
         230 * sizeof(float));
  assert_ok(*state, mcl_training_session_forward(full, 23, 2, true));
  assert_ok(*state, mcl_training_session_forward(exact, 23, 2, true));
  assert_ok(*state, mcl_training_session_backward(full));
  assert_ok(*state, mcl_training_session_backward(exact));
  for (int w = 0; w < model->weight_count; w++) {
    const float *a = mcl_training_session_weight_gradient(full, w), *b = mcl_training_session_weight_gradient(exact, w);
    if (model->weights[w].is_state) assert_null(a);
    int64_t n = mcl_shape_rows(model->weights[w].shape) * mcl_shape_cols(model->weights[w].shape);
    for (int64_t i = 0; a && i < n; i++) assert_close(a[i], b[i], 1e-5 * fmax(1, fabs((double)b[i])));
  }
  mcl_training_session_free(full);
  mcl_training_session_free(exact);
  mcl_model_free(model);
}

static void dense_weights_of_one_owner_are_trained_in_place(void **state) {
  mcl_model *model = lenet(*state), *copy;
  int fc = mcl_model_find_weight(model, "fc1.weight"), mean = mcl_model_find_weight(model, "bn.mean");
  mcl_training_session *s;
  assert_ok(*state, mcl_training_session_new(model, 2, &s));
  mcl_dense *dense = (mcl_dense *)model->weights[fc].repr;
  assert_ptr_equal(mcl_training_session_weight(s, fc), dense->values->data);
  assert_ptr_not_equal(mcl_training_session_weight(s, mean), ((mcl_dense *)model->weights[mean].repr)->values->data);
  mcl_training_session_free(s);
  assert_ok(*state, mcl_model_copy(model, &copy)); /* now they have two owners */
  assert_ok(*state, mcl_training_session_new(model, 2, &s));
  assert_ptr_not_equal(mcl_training_session_weight(s, fc), dense->values->data);
  assert_memory_equal(mcl_training_session_weight(s, fc), dense->values->data, 294 * 40 * sizeof(float));
  mcl_training_session_free(s);
  mcl_model_free(copy);
  mcl_model_free(model);
}

static void inputs_have_gradients_only_where_asked_for(void **state) {
  mcl_model *model = lenet(*state);
  mcl_training_session *s;
  assert_ok(*state, mcl_training_session_new(model, 1, &s));
  assert_null(mcl_training_session_input_gradient(s, 0));
  mcl_training_session_free(s);
  assert_ok(*state, mcl_training_session_new_full(model, 1, &s));
  assert_non_null(mcl_training_session_input_gradient(s, 0));
  mcl_training_session_free(s);
  mcl_model_free(model);
}

static void training_lowers_a_loss(void **state) {
  enum { BATCH = 32 };
  mcl_model *model = lenet(*state);
  mcl_training_session *s;
  assert_ok(*state, mcl_training_session_new(model, BATCH, &s));
  fill_normal(mcl_training_session_input(s, 0), BATCH * IMAGE, 11);
  double first = 0, loss = 0;
  for (uint64_t step = 0; step < 60; step++) { /* squared error against one-hot targets, plain gradient descent */
    assert_ok(*state, mcl_training_session_forward(s, BATCH, step, false));
    const float *y = mcl_training_session_output(s, 0);
    float *gradient = mcl_training_session_output_gradient(s, 0);
    loss = 0;
    for (int i = 0; i < BATCH * 10; i++) {
      float gap = y[i] - (i % 10 == i / 10 % 10 ? 1.0f : 0.0f);
      loss += (double)(gap * gap);
      gradient[i] = 2 * gap / BATCH;
    }
    if (step == 0) first = loss;
    assert_ok(*state, mcl_training_session_backward(s));
    for (int w = 0; w < model->weight_count; w++) {
      const float *g = mcl_training_session_weight_gradient(s, w);
      int64_t n = mcl_shape_rows(model->weights[w].shape) * mcl_shape_cols(model->weights[w].shape);
      for (int64_t i = 0; g && i < n; i++) mcl_training_session_weight(s, w)[i] -= 0.002f * g[i];
    }
  }
  assert_true(loss < first / 4);
  mcl_training_session_free(s);
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_allocates_nothing),
      context_test(values_share_the_arena_by_their_lives),
      context_test(a_value_that_is_needed_later_is_not_written_over),
      cmocka_unit_test(threads_do_not_change_a_bit),
      context_test(a_short_batch_computes_its_rows_alone),
      context_test(a_session_takes_only_batches_that_fit),
      context_test(a_cancel_stops_a_run),
      context_test(a_batch_beyond_memory_is_refused),
      context_test(compressed_weights_infer_as_their_values_do),
      context_test(a_session_keeps_the_weights_it_was_made_with),
      context_test(the_gradient_of_a_short_batch_is_that_of_its_rows),
      context_test(dense_weights_of_one_owner_are_trained_in_place),
      context_test(inputs_have_gradients_only_where_asked_for),
      context_test(training_lowers_a_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
