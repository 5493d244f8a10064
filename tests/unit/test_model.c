/* Models: names, lookup, weights, copies; and what is refused, with a message that names the node and what to do. */
#include <math.h>
#include <stdlib.h>

#include "nets.h"
#include "repr/fit.h"
#include "unit/faults.h"

/* ---- Building ---- */

static mcl_model *small_net(mcl_context *ctx) {
  mcl_model *model = new_model(ctx);
  int x = add_input(model, "x", SHAPE(-1, 3, 8, 8)), w = add_weight(model, "conv.weight", SHAPE(4, 3, 3, 3));
  int a = NODE(model, "relu", "relu", NULL, NODE(model, "conv", "conv", NULL, x, w));
  int fc = add_weight(model, "fc.weight", SHAPE(10, 144)), bias = add_weight(model, "fc.bias", SHAPE(10));
  add_output(model, NODE(model, "linear", "fc", NULL, NODE(model, "flatten", "flat", NULL, a), fc, bias));
  return model;
}

static void infers_shapes_and_finds_by_name(void **state) {
  mcl_model *model = small_net(*state);
  assert_int_equal(mcl_model_inputs(model), 1);
  assert_int_equal(mcl_model_outputs(model), 1);
  assert_string_equal(mcl_model_input_name(model, 0), "x");
  assert_string_equal(mcl_model_output_name(model, 0), "fc");
  assert_true(mcl_shape_equal(mcl_model_output_shape(model, 0), SHAPE(-1, 10)));
  assert_true(mcl_shape_equal(model->values[mcl_model_find_value(model, "conv")].shape, SHAPE(-1, 4, 6, 6)));
  assert_int_equal(mcl_model_find_value(model, "nothing"), -1);
  assert_int_equal(mcl_model_find_weight(model, "fc.weight"), 1);
  assert_int_equal(mcl_model_find_weight(model, "relu"), -1);
  int input;
  assert_string_equal(model->nodes[mcl_model_weight_node(model, 2, &input)].name, "fc");
  assert_int_equal(input, 2);
  assert_int_equal(mcl_model_parameters(model), 4 * 27 + 1440 + 10);
  assert_int_equal(mcl_model_multiply_adds(model), 36 * 4 * 27 + 1440);
  mcl_model_free(model);
}

static void holds_many_names(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 1));
  char name[32];
  for (int i = 0; i < 3000; i++) {
    snprintf(name, sizeof name, "node %d", i);
    x = NODE(model, "relu", name, NULL, x);
  }
  for (int i = 0; i < 3000; i++) {
    snprintf(name, sizeof name, "node %d", i);
    assert_int_equal(mcl_model_find_value(model, name), i + 1);
  }
  mcl_model_free(model);
}

static void refuses_names_that_are_taken_or_empty(void **state) {
  mcl_model *model = small_net(*state);
  int value, in = 0, values = model->value_count;
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"fc.bias\": the name is taken",
               mcl_model_add_input(model, "fc.bias", SHAPE(1), &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"relu\": the name is taken",
               mcl_model_add_node(model, mcl_op_by_name("relu"), "relu", NULL, 1, &in, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "without a name", mcl_model_add_input(model, "", SHAPE(1), &value));
  assert_int_equal(model->value_count, values);
  mcl_model_free(model);
}

/* ---- What nodes refuse ---- */

typedef struct refusal {
  const char *op;
  int inputs;
  mcl_shape input[5];
  setting settings[3];
  const char *message;
} refusal;

#define S(...)                                                                                                         \
  {                                                                                                                    \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), { __VA_ARGS__ }                                         \
  }

static const refusal refusals[] = {
    {"conv", 2, {S(-1, 1, 5, 5), S(2, 1, 7, 7)}, {{0}}, "kernel 7x7 is larger than its padded input 5x5"},
    {"conv", 2, {S(-1, 1, 5, 5), S(2, 1, 3, 3)}, {{"dilation", 2, {1, 3}, 0}}, "kernel 3x7 is larger"},
    {"conv", 2, {S(-1, 2, 5, 5), S(2, 1, 3, 3)}, {{0}}, "wants 1 channels, not 2"},
    {"conv", 2, {S(-1, 4, 5, 5), S(3, 2, 3, 3)}, {{"groups", 1, {2}, 0}}, "3 outputs do not divide into 2 groups"},
    {"conv", 2, {S(-1, 25), S(2, 1, 3, 3)}, {{0}}, "wants an input [batch, channels, height, width]"},
    {"conv", 3, {S(-1, 1, 5, 5), S(2, 1, 3, 3), S(3)}, {{0}}, "wants a bias of 2 elements, not 3"},
    {"conv", 2, {S(-1, 1, 5, 5), S(2, 1, 3, 3)}, {{"stride", 2, {1, 0}, 0}}, "stride holds 0; it must be from 1 to"},
    {"conv", 2, {S(-1, 1, 5, 5), S(2, 1, 3, 3)}, {{"pad", 2, {1, 1}, 0}}, "pad has 2 numbers; it must have 4"},
    {"conv", 1, {S(-1, 1, 5, 5)}, {{0}}, "conv takes 2 to 3 inputs, not 1"},
    {"conv", 2, {S(-1, 1, 1 << 19, 1 << 20), S(1, 1, 1 << 18, 8)}, {{0}}, "more elements than can be held"},
    {"linear", 2, {S(-1, 5), S(4, 6)}, {{0}}, "-1x5 with a weight 4x6: the last dimensions must be equal"},
    {"linear", 2, {S(-1, 2, 3), S(4, 6)}, {{0}}, "flatten the input"},
    {"linear", 2, {S(6), S(4, 6)}, {{0}}, "wants an input [batch, …, in], not 6"},
    {"linear", 2, {S(-1, 6), S(4, 6, 1)}, {{0}}, "wants a weight [out, in], not 4x6x1"},
    {"linear", 3, {S(-1, 6), S(4, 6), S(4, 1)}, {{0}}, "wants a bias of 4 elements, not 4x1"},
    {"max_pool", 1, {S(-1, 1, 3, 3)}, {{"kernel", 2, {4, 2}, 0}}, "window of 4 is larger than its padded input of 3"},
    {"max_pool", 1, {S(-1, 1, 3, 3)}, {{"pad", 4, {2, 0, 0, 0}, 0}}, "padding 2 and 0 must be smaller than the window"},
    {"average_pool", 1, {S(-1, 9)}, {{0}}, "wants an input [batch, channels, height, width], not -1x9"},
    {"global_average_pool", 1, {S(-1, 9)}, {{0}}, "wants an input [batch, channels, height, …], not -1x9"},
    {"clip", 1, {S(-1, 9)}, {{"min", 0, {0}, 2}, {"max", 0, {0}, 1}}, "min 2 is above max 1"},
    {"leaky_relu", 1, {S(-1, 9)}, {{"alpha", 0, {0}, NAN}}, "alpha is nan; it must be from"},
    {"dropout", 1, {S(-1, 9)}, {{"rate", 0, {0}, 1}}, "rate is 1; it must be from 0 to 0.999"},
    {"softmax", 1, {S(-1, 9)}, {{"axis", 1, {2}, 0}}, "axis 2 is outside an input of 2 dimensions; use -2 to 1"},
    {"softmax", 1, {S(-1, 9)}, {{"axis", 1, {0}, 0}}, "along axis 0, the batch"},
    {"layer_norm", 2, {S(-1, 3, 4), S(3)}, {{0}}, "wants scale and bias of these dimensions, not 3"},
    {"add", 2, {S(-1, 3, 4), S(3)}, {{0}}, "add of -1x3x4 and 3: the shapes do not broadcast"},
    {"mul", 2, {S(-1, 3), S(4, 1, 3)}, {{0}}, "do not broadcast"},
    {"concat", 2, {S(-1, 3, 4), S(-1, 3, 5)}, {{0}}, "concat of -1x3x4 and -1x3x5 along axis 1: all other"},
    {"concat", 2, {S(-1, 3), S(-1, 3)}, {{"axis", 1, {0}, 0}}, "would join batches"},
    {"reshape", 1, {S(-1, 3, 4)}, {{"shape", 2, {0, 11}, 0}}, "reshape of -1x3x4 to 0x11: the number of elements"},
    {"reshape", 1, {S(-1, 3, 4)}, {{"shape", 2, {1, 12}, 0}}, "begin the shape with 0"},
    {"reshape", 1, {S(-1, 3, 4)}, {{"shape", 3, {0, -1, -1}, 0}}, "only one dimension can be -1"},
    {"reshape", 1, {S(-1, 3, 4)}, {{"shape", 3, {0, -1, 5}, 0}}, "do not divide"},
    {"reshape", 1, {S(3)}, {{"shape", 2, {3, 0}, 0}}, "a dimension that the input does not have"},
    {"flatten", 1, {S(-1, 3, 4)}, {{"axis", 1, {2}, 0}}, "would mix the batch"},
    {"transpose", 1, {S(-1, 3, 4)}, {{"perm", 3, {0, 1, 1}, 0}}, "perm must name each of its 3 axes once"},
    {"transpose", 1, {S(-1, 3, 4)}, {{"perm", 3, {1, 0, 2}, 0}}, "moves the batch"},
    {"transpose", 1, {S(-1, 3, 4)}, {{0}}, "moves the batch"},
    {"matmul", 2, {S(-1, 3, 4), S(5, 2)}, {{0}}, "matmul of -1x3x4 and 5x2"},
    {"matmul", 2, {S(-1, 3), S(-1, 3)}, {{0}}, "matmul of"},
    {"batch_norm", 5, {S(-1, 3), S(3), S(3), S(3), S(3)}, {{0}}, "input 3 (\"in3\") must be a weight that is a state"},
};

static void refuses_nodes_that_cannot_be(void **state) {
  for (size_t k = 0; k < sizeof refusals / sizeof *refusals; k++) {
    const refusal *r = &refusals[k];
    mcl_model *model = new_model(*state);
    int input[5], value;
    for (int i = 0; i < r->inputs; i++) {
      char name[16];
      snprintf(name, sizeof name, "in%d", i);
      input[i] = add_input(model, name, r->input[i]);
    }
    const mcl_op *op = mcl_op_by_name(r->op);
    mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
    mcl_attribute_presets(op, attributes);
    for (int i = 0; i < 3 && r->settings[i].name; i++)
      set_attribute(op, attributes, r->settings[i].name, r->settings[i].count, r->settings[i].ints,
                    r->settings[i].number);
    assert_fails(*state, MCL_ERROR_ARGUMENT, r->message,
                 mcl_model_add_node(model, op, "the node", attributes, r->inputs, input, &value));
    assert_non_null(strstr(mcl_context_message(*state), "\"the node\""));
    assert_int_equal(model->node_count, 0); /* nothing is left behind */
    assert_int_equal(mcl_model_find_value(model, "the node"), -1);
    mcl_model_free(model);
  }
}

static void refuses_values_that_are_not_there(void **state) {
  mcl_model *model = small_net(*state);
  int value, missing[] = {99}, left_out[] = {-1};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "input 0 is value 99, which is not there",
               mcl_model_add_node(model, mcl_op_by_name("relu"), "a", NULL, 1, missing, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "input 0 is value -1",
               mcl_model_add_node(model, mcl_op_by_name("relu"), "a", NULL, 1, left_out, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "there is no value 99", mcl_model_add_output(model, 99));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "is a weight", mcl_model_add_output(model, 1));
  mcl_model_free(model);
}

static void refuses_shapes_that_cannot_be(void **state) {
  mcl_model *model = new_model(*state);
  int value;
  assert_fails(*state, MCL_ERROR_ARGUMENT, "at least 1", mcl_model_add_input(model, "x", SHAPE(-1, 0), &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "at least 1", mcl_model_add_input(model, "x", SHAPE(2, -1), &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "bad rank", mcl_model_add_input(model, "x", (mcl_shape){.rank = 9}, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"w\"",
               mcl_model_add_coded_weight(model, "w", SHAPE(-1, 3), false, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"w\"",
               mcl_model_add_coded_weight(model, "w", SHAPE(INT64_MAX, INT64_MAX), false, &value));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "2^40",
               mcl_model_add_coded_weight(model, "w", SHAPE((int64_t)1 << 41), false, &value));
  assert_int_equal(model->value_count, 0);
  mcl_model_free(model);
}

/* ---- Weights ---- */

static void weights_change_only_to_their_own_shape(void **state) {
  mcl_model *model = small_net(*state);
  int fc = mcl_model_find_weight(model, "fc.weight");
  mcl_tensor *values, *tensor;
  mcl_repr *repr;
  assert_ok(*state, mcl_weight_values(model, fc, &values));
  assert_ptr_equal(values, ((mcl_dense *)model->weights[fc].repr)->values); /* no copy of dense f32 */
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, SHAPE(144, 10), &tensor));
  assert_ok(*state, mcl_dense_new(tensor, &repr));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"fc.weight\" has the shape 10x144 and cannot become 144x10",
               mcl_weight_set(model, fc, repr));
  mcl_repr_release(repr);
  mcl_tensor_release(tensor);
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, SHAPE(10, 144), &tensor));
  assert_ok(*state, mcl_dense_new(tensor, &repr));
  assert_ok(*state, mcl_weight_set(model, fc, repr));
  assert_ok(*state, mcl_weight_values(model, fc, &values));
  assert_close(mcl_tensor_f32(values)[0], 0, 0);
  mcl_repr_release(repr);
  mcl_tensor_release(tensor);
  mcl_model_free(model);
}

static mcl_status load_from_nothing(mcl_model *model, int weight) {
  return mcl_fail(model->ctx, MCL_ERROR_FORMAT, "weight %d is damaged", weight);
}

static void coded_weights_are_loaded_when_needed(void **state) {
  mcl_model *model = new_model(*state), *copy;
  mcl_tensor *values;
  mcl_session *session;
  int w, x = add_input(model, "x", SHAPE(-1, 3));
  assert_ok(*state, mcl_model_add_coded_weight(model, "w", SHAPE(2, 3), false, &w));
  add_output(model, NODE(model, "linear", "y", NULL, x, w));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "\"w\" has no values yet", mcl_weight_values(model, 0, &values));
  model->load_weight = load_from_nothing;
  assert_fails(*state, MCL_ERROR_FORMAT, "damaged", mcl_weight_values(model, 0, &values));
  assert_fails(*state, MCL_ERROR_FORMAT, "damaged", mcl_model_copy(model, &copy));
  assert_fails(*state, MCL_ERROR_FORMAT, "damaged", mcl_session_new(model, 1, &session));
  mcl_model_free(model);
}

static void a_copy_shares_representations_until_one_changes(void **state) {
  mcl_model *model = small_net(*state), *copy;
  assert_ok(*state, mcl_model_copy(model, &copy));
  assert_int_equal(copy->node_count, model->node_count);
  assert_int_equal(copy->value_count, model->value_count);
  for (int w = 0; w < model->weight_count; w++) assert_ptr_equal(copy->weights[w].repr, model->weights[w].repr);
  mcl_tensor *zeros;
  mcl_repr *repr;
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, SHAPE(10), &zeros));
  assert_ok(*state, mcl_dense_new(zeros, &repr));
  assert_ok(*state, mcl_weight_set(copy, 2, repr));
  assert_ptr_not_equal(copy->weights[2].repr, model->weights[2].repr);
  mcl_repr_release(repr);
  mcl_tensor_release(zeros);
  mcl_model_free(model); /* the copy lives on */
  assert_string_equal(mcl_model_output_name(copy, 0), "fc");
  assert_string_equal(copy->nodes[0].name, "conv");
  mcl_model_free(copy);
}

/* ---- Memory that runs out ---- */

static mcl_status build_and_run(mcl_context *ctx) {
  mcl_model *model = NULL, *copy = NULL;
  mcl_session *session = NULL;
  mcl_training_session *training = NULL;
  mcl_tensor *values = NULL;
  mcl_repr *repr = NULL;
  int x, w, y;
  mcl_status status = mcl_model_new(ctx, "net", &model);
  if (!status) status = mcl_model_add_input(model, "x", SHAPE(-1, 3, 6, 6), &x);
  if (!status) status = mcl_tensor_new(ctx, MCL_F32, SHAPE(2, 3, 3, 3), &values);
  if (!status) status = mcl_dense_new(values, &repr);
  if (!status) status = mcl_model_add_weight(model, "w", repr, false, &w);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  if (!status) status = mcl_model_add_node(model, mcl_op_by_name("conv"), "y", NULL, 2, (int[]){x, w}, &y);
  if (!status) status = mcl_model_add_output(model, y);
  if (!status) status = mcl_model_copy(model, &copy);
  if (!status) status = mcl_session_new(copy, 2, &session);
  if (!status) status = mcl_session_run(session);
  if (!status) status = mcl_training_session_new(copy, 2, &training);
  if (!status) status = mcl_training_session_forward(training, 2, 0, true);
  if (!status) status = mcl_training_session_backward(training);
  mcl_training_session_free(training);
  mcl_session_free(session);
  mcl_model_free(copy);
  mcl_model_free(model);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  bool whole = false;
  for (int n = 1; !whole && n <= 500; n++) {
    mcl_context *ctx;
    counter held = {.for_good = true};
    mcl_options options = {.user = &held, .allocate = counted_allocate, .release = counted_release, .threads = 1};
    assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
    refuse_request(&held, n);
    mcl_status status = build_and_run(ctx);
    whole = status == MCL_OK && held.calls < n;
    if (status && status != MCL_ERROR_MEMORY) fail_msg("allocation %d: %s", n, mcl_context_message(ctx));
    mcl_context_free(ctx);
    assert_int_equal(held.bytes, 0);
  }
  assert_true(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(infers_shapes_and_finds_by_name),
      context_test(holds_many_names),
      context_test(refuses_names_that_are_taken_or_empty),
      context_test(refuses_nodes_that_cannot_be),
      context_test(refuses_values_that_are_not_there),
      context_test(refuses_shapes_that_cannot_be),
      context_test(weights_change_only_to_their_own_shape),
      context_test(coded_weights_are_loaded_when_needed),
      context_test(a_copy_shares_representations_until_one_changes),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
