/* Containers decoded in slices of a time budget, and weight by weight. */
#include "unit/models.h"

#include "artifact/container.h"

/* Calls until all is decoded. */
static int decode_in_slices(mcl_model *model) {
  bool finished = false;
  int calls = 0;
  for (; !finished; calls++) assert_ok(mcl_model_decode(model, 1, &finished));
  return calls;
}

static void a_model_is_decoded_in_slices(void **state) {
  (void)state;
  mcl_model *models[] = {zoo(16), small_net(), one_layer(palette_of(mcl_shape_2(900, 800), 5, false, 1))};
  for (int i = 0; i < 3; i++) {
    mcl_model *again;
    mcl_buffer file = encoded(models[i], &(mcl_artifact_options){.coder = "huffman"});
    assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
    assert_true(decode_in_slices(again) > again->weight_count); /* a step is a checksum, a block, or the end */
    for (int w = 0; w < again->weight_count; w++) assert_non_null(again->weights[w].repr);
    assert_same_weights(models[i], again);
    mcl_model_free(again);
    assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again)); /* given up half-way */
    bool finished;
    for (int calls = 0; calls < 5; calls++) assert_ok(mcl_model_decode(again, 1, &finished));
    assert_same_weights(models[i], again);
    mcl_model_free(again);
    mcl_buffer_free(&file);
    mcl_model_free(models[i]);
  }
}

static void positions_of_a_large_sparse_weight_are_made_in_slices(void **state) {
  (void)state;
  mcl_model *model = one_layer(random_sparse(mcl_shape_2(1500, 1000), 0.5, 0, 3)), *again; /* 750,000 entries */
  mcl_buffer file = encoded(model, &(mcl_artifact_options){.coder = "huffman"});
  assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
  size_t before = mcl_context_memory(ctx);
  /* three blocks of values, one of symbols at least; and six steps each to find, to count and to place the entries */
  assert_true(decode_in_slices(again) > 22);
  assert_same_weights(model, again);
  mcl_model_free(again);
  assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
  for (int stop = 1; stop < 40; stop++) { /* given up anywhere, nothing is left */
    mcl_model *half;
    bool finished = false;
    before = mcl_context_memory(ctx);
    assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &half));
    for (int calls = 0; calls < stop && !finished; calls++) assert_ok(mcl_model_decode(half, 1, &finished));
    mcl_model_free(half);
    assert_int_equal(mcl_context_memory(ctx), before);
  }
  mcl_model_free(again);
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

static void a_weight_is_read_alone_by_its_name(void **state) {
  (void)state;
  mcl_model *model = small_net(), *again;
  mcl_buffer file = encoded(model, NULL);
  assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
  assert_int_equal(mcl_model_weights(again), model->weight_count);
  size_t before = mcl_context_memory(ctx);
  for (int w = 0; w < model->weight_count; w++) {
    mcl_tensor *expected;
    const float *lent;
    float *values;
    assert_ok(mcl_weight_values(model, w, &expected));
    int index = mcl_model_weight_index(again, model->weights[w].name);
    assert_true(index >= 0);
    assert_string_equal(mcl_model_weight_name(again, index), model->weights[w].name);
    assert_true(mcl_shape_equal(mcl_model_weight_shape(again, index), model->weights[w].shape));
    size_t count = (size_t)expected->count;
    before = mcl_context_memory(ctx);
    assert_ok(mcl_alloc_array(ctx, count, sizeof *values, &values));
    assert_ok(mcl_model_weight_read(again, index, values, count));
    assert_memory_equal(values, expected->data, count * sizeof *values);
    mcl_free(ctx, values);
    assert_int_equal(mcl_context_memory(ctx), before); /* and nothing of it is kept */
    assert_int_equal(mcl_model_weight_read(again, index, NULL, count + 1), MCL_ERROR_ARGUMENT);
    assert_ok(mcl_model_weight_values(again, index, &lent));
    assert_memory_equal(lent, expected->data, count * sizeof *values);
  }
  const float *lent;
  assert_int_equal(mcl_model_weight_index(again, "no such weight"), -1);
  assert_null(mcl_model_weight_name(again, -1));
  assert_int_equal(mcl_model_weight_shape(again, 1000).rank, 0);
  assert_int_equal(mcl_model_weight_values(again, 1000, &lent), MCL_ERROR_ARGUMENT);
  assert_non_null(strstr(mcl_context_message(ctx), "there is no weight 1000"));
  mcl_model_free(again);
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

static void a_damaged_weight_does_not_bar_the_others(void **state) {
  (void)state;
  mcl_model *model = small_net(), *again;
  mcl_buffer file = encoded(model, NULL);
  float values[4096];
  assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
  const mcl_container_weight *first = &mcl_container_of(again)->weights[0];
  file.data[first->start + 1] ^= 1;
  for (int w = 0; w < model->weight_count; w++) {
    int64_t count;
    assert_ok(mcl_shape_count(ctx, model->weights[w].shape, &count));
    assert_true(count <= 4096);
    assert_int_equal(mcl_model_weight_read(again, w, values, (size_t)count), w ? MCL_OK : MCL_ERROR_FORMAT);
  }
  mcl_model_free(again);
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_is_decoded_in_slices),
      cmocka_unit_test(positions_of_a_large_sparse_weight_are_made_in_slices),
      cmocka_unit_test(a_weight_is_read_alone_by_its_name),
      cmocka_unit_test(a_damaged_weight_does_not_bar_the_others),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
