/* Every op computes what ONNX Runtime does, over a range of attributes. The expected values are in ops_values.h, made
 * by tests/peer/ops_values.py; the inputs are the formula below, which the script has too. */
#include <math.h>

#include "formats/onnx.h"
#include "nets.h"

typedef enum input_kind { INPUT, WEIGHT, STATE, VARIANCE, DIVISOR } input_kind;

typedef struct op_case {
  const char *name, *op;
  int inputs;
  struct {
    input_kind kind;
    mcl_shape shape;
  } input[5];
  struct {
    const char *name;
    mcl_attribute value;
  } attribute[6];
  mcl_shape shape;
  const float *expected;
} op_case;

#include "ops_values.h"

#define OP_CASES (sizeof op_cases / sizeof *op_cases)

static int64_t count_of(mcl_shape shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.rank; i++) n *= shape.dim[i];
  return n;
}

static void fill(float *to, int64_t n, int input, input_kind kind) {
  for (int64_t i = 0; i < n; i++) {
    float v = (float)((i * 37 + input * 11) % 101 - 50) / 25;
    to[i] = kind == VARIANCE || kind == DIVISOR ? fabsf(v) + 0.5f : v;
  }
}

/* Is it an input of the model? The others are weights. */
static bool is_given(const op_case *c, int input) {
  input_kind kind = c->input[input].kind;
  return kind == INPUT || (kind == DIVISOR && c->input[input].shape.dim[0] != 1);
}

static mcl_model *build(mcl_context *ctx, const op_case *c) {
  mcl_model *model = new_model(ctx);
  int input[5];
  for (int i = 0; i < c->inputs; i++) {
    char name[16];
    mcl_shape shape = c->input[i].shape;
    snprintf(name, sizeof name, "in%d", i);
    bool is_state = c->input[i].kind == STATE || c->input[i].kind == VARIANCE;
    if (is_given(c, i)) {
      shape.dim[0] = -1;
      input[i] = add_input(model, name, shape);
    } else {
      float values[512];
      fill(values, count_of(shape), i, c->input[i].kind);
      input[i] = add_values(model, name, shape, values, is_state);
    }
  }
  const mcl_op *op = mcl_op_by_name(c->op);
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(op, attributes);
  for (int i = 0; i < 6 && c->attribute[i].name; i++)
    attributes[mcl_op_find_attribute(op, c->attribute[i].name)] = c->attribute[i].value;
  int value;
  assert_ok(ctx, mcl_model_add_node(model, op, "y", attributes, c->inputs, input, &value));
  add_output(model, value);
  return model;
}

static int64_t batch_of(const op_case *c) {
  for (int i = 0; i < c->inputs; i++)
    if (c->input[i].kind == INPUT) return c->input[i].shape.dim[0];
  return 1;
}

static void assert_expected(const op_case *c, const float *y) {
  for (int64_t i = 0, n = count_of(c->shape); i < n; i++)
    if (!(fabsf(y[i] - c->expected[i]) <= 2e-6f * fmaxf(1, fabsf(c->expected[i]))))
      fail_msg("%s: output %lld is %.9g, not %.9g", c->name, (long long)i, (double)y[i], (double)c->expected[i]);
}

static mcl_session *session_of(mcl_context *ctx, mcl_model *model, const op_case *c) {
  mcl_session *session;
  assert_ok(ctx, mcl_session_new(model, batch_of(c), &session));
  for (int i = 0, x = 0; i < c->inputs; i++)
    if (is_given(c, i)) fill(mcl_session_input(session, x++), count_of(c->input[i].shape), i, c->input[i].kind);
  return session;
}

static void infers_what_onnx_runtime_does(void **state) {
  for (size_t k = 0; k < OP_CASES; k++) {
    const op_case *c = &op_cases[k];
    mcl_model *model = build(*state, c);
    mcl_shape shape = mcl_model_output_shape(model, 0);
    if (shape.dim[0] == -1) shape.dim[0] = batch_of(c);
    if (!mcl_shape_equal(shape, c->shape)) fail_msg("%s: another shape", c->name);
    mcl_session *session = session_of(*state, model, c);
    for (int run = 0; run < 2; run++) { /* the second, with what the first left in the arena */
      assert_ok(*state, mcl_session_run(session));
      assert_expected(c, mcl_session_output(session, 0));
    }
    mcl_session_free(session);
    mcl_model_free(model);
  }
}

static void what_is_exported_to_onnx_infers_the_same_when_read_back(void **state) {
  for (size_t k = 0; k < OP_CASES; k++) {
    const op_case *c = &op_cases[k];
    mcl_model *model = build(*state, c), *again;
    mcl_buffer bytes = {.ctx = *state};
    assert_ok(*state, mcl_onnx_encode(model, &bytes));
    mcl_status status = mcl_onnx_read(*state, "op.onnx", NULL, bytes.data, bytes.size, &again);
    if (status) fail_msg("%s: %s", c->name, mcl_context_message(*state));
    mcl_session *session = session_of(*state, again, c);
    assert_ok(*state, mcl_session_run(session));
    assert_expected(c, mcl_session_output(session, 0));
    mcl_session_free(session);
    mcl_buffer_free(&bytes);
    mcl_model_free(again);
    mcl_model_free(model);
  }
}

/* So that the tests above, which walk the cases, walk the table of ops. */
static void every_op_has_a_case(void **state) {
  (void)state;
  for (int i = 0; i < mcl_op_count; i++) {
    bool found = false;
    for (size_t k = 0; k < OP_CASES && !found; k++) found = !strcmp(op_cases[k].op, mcl_ops[i]->name);
    if (!found) fail_msg("%s has no case: tests/peer/ops_values.py", mcl_ops[i]->name);
  }
}

static void a_training_session_infers_the_same(void **state) {
  for (size_t k = 0; k < OP_CASES; k++) {
    const op_case *c = &op_cases[k];
    mcl_model *model = build(*state, c);
    mcl_training_session *session;
    assert_ok(*state, mcl_training_session_new(model, batch_of(c), &session));
    for (int i = 0, x = 0; i < c->inputs; i++)
      if (is_given(c, i))
        fill(mcl_training_session_input(session, x++), count_of(c->input[i].shape), i, c->input[i].kind);
    assert_ok(*state, mcl_training_session_forward(session, batch_of(c), 0, false));
    assert_expected(c, mcl_training_session_output(session, 0));
    mcl_training_session_free(session);
    mcl_model_free(model);
  }
}

/* ---- What training changes ---- */

/* torch 2: bn = torch.nn.BatchNorm1d(2, eps=1e-3, affine=False, momentum=0.25); x = [[1, 10], [2, 30], [6, 20]].
 * Output: bn(x). Running statistics, with ONNX's variance over n: 0.75 · (0, 1) + 0.25 · (3, 20) and (14/3, 200/3). */
static void batch_norm_takes_the_batch_in_training(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 2));
  int scale = add_values(model, "scale", SHAPE(2), (float[]){1, 1}, false);
  int bias = add_values(model, "bias", SHAPE(2), (float[]){0, 0}, false);
  int mean = add_values(model, "mean", SHAPE(2), (float[]){0, 0}, true);
  int variance = add_values(model, "variance", SHAPE(2), (float[]){1, 1}, true);
  add_output(model, NODE(model, "batch_norm", "y", SET({"epsilon", 0, {0}, 1e-3}, {"momentum", 0, {0}, 0.75}), x, scale,
                         bias, mean, variance));
  mcl_training_session *session;
  assert_ok(*state, mcl_training_session_new(model, 3, &session));
  memcpy(mcl_training_session_input(session, 0), (float[]){1, 10, 2, 30, 6, 20}, 6 * sizeof(float));
  assert_ok(*state, mcl_training_session_forward(session, 3, 0, true));
  const float expected[] = {-0.925721f, -1.224736f, -0.462860f, 1.224736f, 1.388581f, 0};
  for (int i = 0; i < 6; i++) assert_close(mcl_training_session_output(session, 0)[i], expected[i], 1e-5);
  mcl_tensor *values;
  assert_ok(*state, mcl_weight_values(model, mcl_model_find_weight(model, "mean"), &values));
  assert_close(mcl_tensor_f32(values)[0], 0, 0); /* the model changes only when told to */
  assert_ok(*state, mcl_training_session_store_states(session));
  assert_ok(*state, mcl_weight_values(model, mcl_model_find_weight(model, "mean"), &values));
  assert_close(mcl_tensor_f32(values)[0], 0.75, 1e-6);
  assert_close(mcl_tensor_f32(values)[1], 5, 1e-6);
  assert_ok(*state, mcl_weight_values(model, mcl_model_find_weight(model, "variance"), &values));
  assert_close(mcl_tensor_f32(values)[0], 0.75 + 0.25 * 14 / 3, 1e-6);
  assert_close(mcl_tensor_f32(values)[1], 0.75 + 0.25 * 200 / 3, 1e-5);
  mcl_training_session_free(session);
  mcl_model_free(model);
}

/* One value a channel has no variance: (x − mean) / √(variance + ε) by the running ones, which stay as they are, and the
 * gradient of that. Of two rows, or of planes, there are statistics. */
static void batch_norm_of_one_value_a_channel_goes_by_the_running_statistics(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 2));
  int scale = add_values(model, "scale", SHAPE(2), (float[]){2, 1}, false);
  int bias = add_values(model, "bias", SHAPE(2), (float[]){0, 3}, false);
  int mean = add_values(model, "mean", SHAPE(2), (float[]){1, 0}, true);
  int variance = add_values(model, "variance", SHAPE(2), (float[]){3, 0.25f}, true);
  add_output(model, NODE(model, "batch_norm", "y", SET({"epsilon", 0, {0}, 1}), x, scale, bias, mean, variance));
  mcl_training_session *session;
  assert_ok(*state, mcl_training_session_new_full(model, 2, &session));
  memcpy(mcl_training_session_input(session, 0), (float[]){5, 10, 7, 20}, 4 * sizeof(float));
  assert_ok(*state, mcl_training_session_forward(session, 1, 0, true));
  const float *y = mcl_training_session_output(session, 0), *dx = mcl_training_session_input_gradient(session, 0);
  assert_close(y[0], 2 * (5 - 1) / 2.0, 1e-6);
  assert_close(y[1], 3 + 10 / sqrt(1.25), 1e-5);
  memcpy(mcl_training_session_output_gradient(session, 0), (float[]){1, 1}, 2 * sizeof(float));
  assert_ok(*state, mcl_training_session_backward(session));
  assert_close(dx[0], 1, 1e-6);
  assert_close(dx[1], 1 / sqrt(1.25), 1e-6);
  const float *running = mcl_training_session_weight(session, mcl_model_find_weight(model, "variance"));
  assert_close(running[0], 3, 0);
  assert_ok(*state, mcl_training_session_forward(session, 2, 1, true));
  assert_true(running[0] < 3);
  mcl_training_session_free(session);
  mcl_model_free(model);
}

static void dropout_drops_its_rate_and_keeps_the_mean(void **state) {
  enum { WIDTH = 50000 };
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, WIDTH));
  add_output(model, NODE(model, "dropout", "y", SET({"rate", 0, {0}, 0.3}), x));
  mcl_training_session *session;
  assert_ok(*state, mcl_training_session_new(model, 1, &session));
  for (int i = 0; i < WIDTH; i++) mcl_training_session_input(session, 0)[i] = 1;
  int differing = 0;
  float *first;
  assert_ok(*state, mcl_alloc(*state, WIDTH * sizeof *first, &first));
  for (uint64_t step = 0; step < 3; step++) {
    assert_ok(*state, mcl_training_session_forward(session, 1, step, true));
    const float *y = mcl_training_session_output(session, 0);
    int dropped = 0;
    for (int i = 0; i < WIDTH; i++) {
      if (y[i] != 0) assert_close(y[i], 1 / 0.7, 1e-6);
      dropped += y[i] == 0;
      if (step == 1) differing += y[i] != first[i];
    }
    assert_close((double)dropped / WIDTH, 0.3, 0.01); /* five deviations of a binomial count */
    if (step == 0) memcpy(first, y, WIDTH * sizeof *first);
  }
  assert_close((double)differing / WIDTH, 2 * 0.3 * 0.7, 0.02); /* steps are independent */
  assert_ok(*state, mcl_training_session_forward(session, 1, 0, true));
  assert_memory_equal(first, mcl_training_session_output(session, 0), WIDTH * sizeof *first); /* and repeatable */
  mcl_free(*state, first);
  mcl_training_session_free(session);
  mcl_model_free(model);
}

static void every_op_has_an_id_a_name_and_a_gradient_of_its_own(void **state) {
  (void)state;
  for (int i = 0; i < mcl_op_count; i++) {
    assert_int_not_equal(mcl_ops[i]->id, 0);
    assert_ptr_equal(mcl_op_by_id(mcl_ops[i]->id), mcl_ops[i]);
    assert_ptr_equal(mcl_op_by_name(mcl_ops[i]->name), mcl_ops[i]);
    assert_true(mcl_op_attributes(mcl_ops[i]) <= MCL_MAX_ATTRIBUTES);
    assert_non_null(mcl_op_backward(mcl_ops[i]));
  }
  assert_null(mcl_op_by_name("no_such_op"));
  assert_null(mcl_op_by_id(0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(infers_what_onnx_runtime_does),
      context_test(what_is_exported_to_onnx_infers_the_same_when_read_back),
      cmocka_unit_test(every_op_has_a_case),
      context_test(a_training_session_infers_the_same),
      context_test(batch_norm_takes_the_batch_in_training),
      context_test(batch_norm_of_one_value_a_channel_goes_by_the_running_statistics),
      context_test(dropout_drops_its_rate_and_keeps_the_mean),
      cmocka_unit_test(every_op_has_an_id_a_name_and_a_gradient_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
