/* The gradient of every op agrees with finite differences, in training and as in inference; and the checker finds a
 * gradient that is wrong. */
#include "nets.h"

#define TOLERANCE 2e-3 /* f32 outputs, central differences: rounding and curvature together stay below this */

static bool checked[256]; /* by id of the op, for the last test */

static void check_model(mcl_model *model, int64_t batch) {
  for (int i = 0; i < model->node_count; i++) checked[model->nodes[i].op->id] = true;
  double worst;
  char where[256];
  assert_ok(model->ctx, mcl_check_gradients(model, batch, 40, 3, &worst, where, sizeof where));
  if (worst > TOLERANCE) fail_msg("%s: off by %g at %s", model->nodes[0].name, worst, where);
  mcl_model_free(model);
}

/* A model of one node of x, and perhaps a weight and a bias. */
static void check_layer(mcl_context *ctx, const char *op, const setting *settings, mcl_shape x, mcl_shape weight,
                        int64_t bias) {
  mcl_model *model = new_model(ctx);
  int input[3] = {add_input(model, "x", x)}, inputs = 1;
  if (weight.rank) input[inputs++] = add_weight(model, "weight", weight);
  if (bias) input[inputs++] = add_weight(model, "bias", SHAPE(bias));
  add_output(model, add_node(model, op, op, settings, inputs, input));
  check_model(model, 3);
}

static const mcl_shape none = {0};

static void of_linear(void **state) {
  check_layer(*state, "linear", NULL, SHAPE(-1, 5), SHAPE(4, 5), 4);
  check_layer(*state, "linear", NULL, SHAPE(-1, 2, 5), SHAPE(4, 5), 0);
  check_layer(*state, "linear", NULL, SHAPE(-1, 30), SHAPE(100, 30), 100);
}

static void of_conv(void **state) {
  mcl_shape x = SHAPE(-1, 2, 6, 5), w = SHAPE(3, 2, 3, 3);
  check_layer(*state, "conv", NULL, x, w, 3);
  check_layer(*state, "conv", SET({"stride", 2, {2, 1}, 0}, {"pad", 4, {1, 0, 2, 1}, 0}), x, w, 0);
  check_layer(*state, "conv", SET({"dilation", 2, {2, 1}, 0}, {"pad", 4, {1, 2, 1, 2}, 0}), x, w, 3);
  check_layer(*state, "conv", NULL, x, SHAPE(4, 2, 1, 1), 4);                                        /* pointwise */
  check_layer(*state, "conv", SET({"groups", 1, {2}, 0}), SHAPE(-1, 4, 5, 5), SHAPE(6, 2, 3, 2), 6); /* groups */
  check_layer(*state, "conv", SET({"groups", 1, {2}, 0}, {"pad", 4, {1, 1, 1, 1}, 0}), x, SHAPE(4, 1, 3, 3), 4);
  check_layer(*state, "conv", SET({"groups", 1, {2}, 0}, {"stride", 2, {2, 2}, 0}), x, SHAPE(2, 1, 2, 3), 0);
}

/* More images than there are partial sums, and an image of more than one block. */
static void of_conv_in_many_chunks(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 1, 20, 20)), w = add_weight(model, "w", SHAPE(2, 1, 3, 3));
  int b = add_weight(model, "b", SHAPE(2)), mean = NODE(model, "conv", "conv", NULL, x, w, b);
  add_output(model, NODE(model, "global_average_pool", "mean", NULL, mean));
  check_model(model, 37);
}

static void of_pools(void **state) {
  mcl_shape x = SHAPE(-1, 2, 7, 6);
  const setting *padded = SET({"kernel", 2, {3, 2}, 0}, {"stride", 2, {2, 2}, 0}, {"pad", 4, {1, 0, 1, 1}, 0});
  const setting *dilated = SET({"dilation", 2, {2, 3}, 0}, {"ceil", 1, {1}, 0}, {"stride", 2, {2, 1}, 0});
  const char *ops[] = {"max_pool", "average_pool"};
  for (int i = 0; i < 2; i++) {
    check_layer(*state, ops[i], NULL, x, none, 0);
    check_layer(*state, ops[i], padded, x, none, 0);
    check_layer(*state, ops[i], dilated, x, none, 0);
  }
  check_layer(*state, "average_pool", SET({"count_include_pad", 1, {1}, 0}, {"pad", 4, {1, 1, 1, 1}, 0}), x, none, 0);
  check_layer(*state, "global_average_pool", NULL, x, none, 0);
}

static void of_activations(void **state) {
  mcl_shape x = SHAPE(-1, 4, 5);
  const char *ops[] = {"relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "silu"};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) check_layer(*state, ops[i], NULL, x, none, 0);
  check_layer(*state, "leaky_relu", SET({"alpha", 0, {0}, 0.3}), x, none, 0);
  check_layer(*state, "elu", SET({"alpha", 0, {0}, 2}), x, none, 0);
  check_layer(*state, "gelu", SET({"tanh", 1, {1}, 0}), x, none, 0);
  check_layer(*state, "clip", SET({"min", 0, {0}, -0.5}, {"max", 0, {0}, 1}), x, none, 0);
}

static void of_softmax(void **state) {
  check_layer(*state, "softmax", NULL, SHAPE(-1, 7), none, 0);
  check_layer(*state, "softmax", SET({"axis", 1, {1}, 0}), SHAPE(-1, 4, 3), none, 0);
  check_layer(*state, "log_softmax", NULL, SHAPE(-1, 7), none, 0);
  check_layer(*state, "log_softmax", SET({"axis", 1, {1}, 0}), SHAPE(-1, 4, 3), none, 0);
}

static void check_batch_norm(mcl_context *ctx, mcl_shape x) {
  mcl_model *model = new_model(ctx);
  int64_t n = x.dim[1];
  int in = add_input(model, "x", x), scale = add_weight(model, "scale", SHAPE(n));
  int bias = add_weight(model, "bias", SHAPE(n)), mean = add_normal(model, "mean", SHAPE(n), 0, 0.1f, true);
  int variance = add_normal(model, "variance", SHAPE(n), 1, 0.01f, true);
  add_output(model, NODE(model, "batch_norm", "batch_norm", NULL, in, scale, bias, mean, variance));
  check_model(model, 5);
}

static void of_normalisation(void **state) {
  check_batch_norm(*state, SHAPE(-1, 3));
  check_batch_norm(*state, SHAPE(-1, 20));      /* more than a chunk of channels */
  check_batch_norm(*state, SHAPE(-1, 3, 4, 5)); /* planes */
  check_batch_norm(*state, SHAPE(-1, 18, 2, 2));
  check_layer(*state, "layer_norm", NULL, SHAPE(-1, 3, 6), SHAPE(6), 6);
  check_layer(*state, "layer_norm", SET({"axis", 1, {1}, 0}), SHAPE(-1, 3, 6), SHAPE(3, 6), 0);
  check_layer(*state, "layer_norm", NULL, SHAPE(-1, 150), SHAPE(150), 150); /* more than a chunk of columns */
}

static void of_dropout(void **state) {
  check_layer(*state, "dropout", SET({"rate", 0, {0}, 0.4}), SHAPE(-1, 700), none, 0);
}

static void check_pair(mcl_context *ctx, const char *op, mcl_shape a, mcl_shape b, bool b_is_weight) {
  mcl_model *model = new_model(ctx);
  int in_a = add_input(model, "a", a), in_b;
  in_b = b_is_weight ? add_normal(model, "b", b, 3, 0.2f, false) : add_input(model, "b", b);
  if (!b_is_weight && strcmp(op, "div") == 0) { /* keeps away from a pole */
    int square = NODE(model, "mul", "square", NULL, in_b, in_b), one = add_normal(model, "one", SHAPE(1), 1, 0, false);
    in_b = NODE(model, "add", "divisor", NULL, square, one);
  }
  add_output(model, NODE(model, op, op, NULL, in_a, in_b));
  check_model(model, 2);
}

static void of_arithmetic(void **state) {
  const char *ops[] = {"add", "sub", "mul", "div"};
  mcl_shape full = SHAPE(-1, 3, 4);
  for (int i = 0; i < 4; i++) {
    check_pair(*state, ops[i], full, full, false);
    check_pair(*state, ops[i], full, SHAPE(4), true);               /* a row */
    check_pair(*state, ops[i], full, SHAPE(3, 1), true);            /* a column */
    check_pair(*state, ops[i], full, SHAPE(1), true);               /* a scalar */
    check_pair(*state, ops[i], SHAPE(-1, 1, 4), SHAPE(3, 1), true); /* both are broadcast */
    check_pair(*state, ops[i], SHAPE(-1, 3, 1), full, false);
  }
}

static void of_layout(void **state) {
  check_layer(*state, "reshape", SET({"shape", 3, {0, 2, -1}, 0}), SHAPE(-1, 3, 4), none, 0);
  check_layer(*state, "flatten", NULL, SHAPE(-1, 3, 4), none, 0);
  check_layer(*state, "identity", NULL, SHAPE(-1, 3, 4), none, 0);
  check_layer(*state, "transpose", SET({"perm", 4, {0, 3, 1, 2}, 0}), SHAPE(-1, 2, 3, 4), none, 0);
  mcl_model *model = new_model(*state);
  int a = add_input(model, "a", SHAPE(-1, 2, 3)), b = add_input(model, "b", SHAPE(-1, 1, 3));
  add_output(model, NODE(model, "concat", "concat", SET({"axis", 1, {1}, 0}), a, b, a));
  check_model(model, 3);
}

static void of_matmul(void **state) {
  check_layer(*state, "matmul", NULL, SHAPE(-1, 3, 4), SHAPE(4, 5), 0);
  mcl_model *model = new_model(*state);
  int a = add_input(model, "a", SHAPE(-1, 2, 3, 4)), b = add_input(model, "b", SHAPE(-1, 2, 4, 2));
  add_output(model, NODE(model, "matmul", "matmul", NULL, a, b));
  check_model(model, 2);
}

/* Values that several nodes read, weights that are shared, outputs that are read again. */
static void of_graphs_that_branch(void **state) {
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 2, 6, 6)), w = add_weight(model, "w", SHAPE(2, 2, 3, 3));
  const setting *same = SET({"pad", 4, {1, 1, 1, 1}, 0});
  int a = NODE(model, "conv", "conv1", same, x, w), b = NODE(model, "tanh", "tanh", NULL, a);
  int c = NODE(model, "conv", "conv2", same, b, w); /* the same weight again */
  int sum = NODE(model, "add", "residual", NULL, c, b), twice = NODE(model, "add", "twice", NULL, sum, sum);
  int pool = NODE(model, "average_pool", "pool", NULL, twice), maximum = NODE(model, "max_pool", "max", NULL, twice);
  add_output(model, sum);
  add_output(model, NODE(model, "concat", "both", NULL, pool, maximum));
  check_model(model, 2);
}

/* ---- Ops of the user's ---- */

static mcl_status square_shape(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  (void)ctx, (void)node;
  out[0] = in[0];
  return MCL_OK;
}

static int64_t elements(const mcl_op_call *call) {
  int64_t n = 1;
  for (int i = 0; i < call->in[0].shape.rank; i++) n *= call->in[0].shape.dim[i];
  return n;
}

static mcl_status square_forward(const mcl_op_call *call) {
  for (int64_t i = 0, n = elements(call); i < n; i++) call->out[0].data[i] = call->in[0].data[i] * call->in[0].data[i];
  return MCL_OK;
}

static mcl_status square_scaled(const mcl_op_call *call, float factor) {
  const mcl_operand *x = &call->in[0];
  for (int64_t i = 0, n = elements(call); i < n; i++)
    x->gradient[i] = (x->accumulate ? x->gradient[i] : 0) + factor * x->data[i] * call->out[0].gradient[i];
  return MCL_OK;
}

static mcl_status right_backward(const mcl_op_call *call) { return square_scaled(call, 2); }
static mcl_status wrong_backward(const mcl_op_call *call) { return square_scaled(call, 1.9f); }

static double check_square(mcl_context *ctx, mcl_status (*backward)(const mcl_op_call *), char *where, size_t size) {
  mcl_op op = {.name = "square",
               .least_inputs = 1,
               .most_inputs = 1,
               .outputs = 1,
               .shape = square_shape,
               .forward = square_forward,
               .backward = backward};
  mcl_model *model = new_model(ctx);
  int x = add_input(model, "x", SHAPE(-1, 4)), w = add_weight(model, "w", SHAPE(6, 4)), value;
  int y = NODE(model, "linear", "fc", NULL, x, w);
  assert_ok(ctx, mcl_model_add_node(model, &op, "square", NULL, 1, &y, &value));
  add_output(model, value);
  double worst;
  assert_ok(ctx, mcl_check_gradients(model, 3, 0, 1, &worst, where, size));
  mcl_model_free(model);
  return worst;
}

static void the_checker_serves_ops_of_the_users(void **state) {
  char where[256];
  assert_true(check_square(*state, right_backward, where, sizeof where) < TOLERANCE);
}

static void the_checker_finds_a_wrong_gradient(void **state) {
  char where[256];
  assert_true(check_square(*state, wrong_backward, where, sizeof where) > 0.04); /* 5 % of a slope of 1 and more */
  assert_non_null(strstr(where, "entry"));
  assert_non_null(strstr(where, "analytic"));
}

static void an_op_without_a_gradient_cannot_be_trained(void **state) {
  mcl_op op = {.name = "square", .least_inputs = 1, .most_inputs = 1, .outputs = 1};
  op.shape = square_shape, op.forward = square_forward;
  mcl_model *model = new_model(*state);
  int x = add_input(model, "x", SHAPE(-1, 4)), w = add_weight(model, "w", SHAPE(6, 4)), value;
  int y = NODE(model, "linear", "fc", NULL, x, w);
  assert_ok(*state, mcl_model_add_node(model, &op, "sq", NULL, 1, &y, &value));
  add_output(model, value);
  mcl_training_session *session;
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "node \"sq\": square has no gradient",
               mcl_training_session_new(model, 1, &session));
  mcl_model_free(model);
}

static void every_op_was_checked(void **state) {
  (void)state;
  for (int i = 0; i < mcl_op_count; i++)
    if (!checked[mcl_ops[i]->id]) fail_msg("the gradient of %s was not checked", mcl_ops[i]->name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(of_linear),
      context_test(of_conv),
      context_test(of_conv_in_many_chunks),
      context_test(of_pools),
      context_test(of_activations),
      context_test(of_softmax),
      context_test(of_normalisation),
      context_test(of_dropout),
      context_test(of_arithmetic),
      context_test(of_layout),
      context_test(of_matmul),
      context_test(of_graphs_that_branch),
      cmocka_unit_test(every_op_was_checked), /* after those above */
      context_test(the_checker_serves_ops_of_the_users),
      context_test(the_checker_finds_a_wrong_gradient),
      context_test(an_op_without_a_gradient_cannot_be_trained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
