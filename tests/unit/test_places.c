/* Values that share memory are what they are where each has its own: ops that work in place, every broadcast, and random
 * graphs of all ops, against the same graphs whose every value is an output, which no place is shared by. */
#include <math.h>

#include "unit/nets.h"

/* ---- By hand ---- */

typedef struct sum_of_row {
  const char *op;
  float wanted[6];
} sum_of_row;

/* Relu of [[-1], [2]], broadcast against [10, 20, 30]: two rows fit into the 64 bytes that the input takes. */
static void an_op_does_not_write_over_an_input_that_it_broadcasts(void **state) {
  const sum_of_row rows[] = {{"add", {10, 20, 30, 12, 22, 32}},
                             {"sub", {-10, -20, -30, -8, -18, -28}},
                             {"mul", {0, 0, 0, 20, 40, 60}},
                             {"div", {0, 0, 0, 0.2f, 0.1f, 2.0f / 30}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcl_model *model = new_model(*state);
    int x = add_input(model, "x", SHAPE(-1, 1));
    int c = add_values(model, "c", SHAPE(3), (float[]){10, 20, 30}, false);
    add_output(model, NODE(model, rows[i].op, "y", NULL, NODE(model, "relu", "a", NULL, x), c));
    mcl_session *session;
    assert_ok(*state, mcl_session_new(model, 2, &session));
    memcpy(mcl_session_input(session, 0), (float[]){-1, 2}, 2 * sizeof(float));
    assert_ok(*state, mcl_session_run(session));
    for (int k = 0; k < 6; k++) assert_close(mcl_session_output(session, 0)[k], rows[i].wanted[k], 1e-7);
    mcl_session_free(session);
    mcl_model_free(model);
  }
}

/* ---- Two sessions of one graph ---- */

#define BATCH 2

static int64_t elements_of(mcl_shape shape) {
  int64_t count = 1;
  for (int i = 0; i < shape.rank; i++) count *= shape.dim[i] < 0 ? BATCH : shape.dim[i];
  return count;
}

static void run_on_normal(mcl_model *model, mcl_session *session) {
  for (int i = 0; i < mcl_model_inputs(model); i++) {
    mcl_random random = mcl_random_at(3, (uint64_t)i);
    int64_t count = elements_of(mcl_model_input_shape(model, i));
    for (int64_t k = 0; k < count; k++) mcl_session_input(session, i)[k] = mcl_random_normal(&random);
  }
  assert_ok(model->ctx, mcl_session_run(session));
}

/* The last value of the graph, from a session that shares places, is what one that keeps every value gives. */
static void assert_same_without_sharing(mcl_model *lean) {
  mcl_context *ctx = lean->ctx;
  mcl_model *whole;
  mcl_session *sharing, *keeping;
  int last = lean->nodes[lean->node_count - 1].output[0], at = 0;
  assert_ok(ctx, mcl_model_copy(lean, &whole));
  add_output(lean, last);
  for (int v = 0; v < whole->value_count; v++) {
    if (whole->values[v].producer < 0) continue;
    if (v == last) at = mcl_model_outputs(whole);
    add_output(whole, v);
  }
  assert_ok(ctx, mcl_session_new(lean, BATCH, &sharing));
  assert_ok(ctx, mcl_session_new(whole, BATCH, &keeping));
  run_on_normal(lean, sharing);
  run_on_normal(whole, keeping);
  const float *a = mcl_session_output(sharing, 0), *b = mcl_session_output(keeping, at);
  int64_t count = elements_of(lean->values[last].shape);
  for (int64_t i = 0; i < count; i++)
    if (memcmp(a + i, b + i, sizeof *a) && !(isnan(a[i]) && isnan(b[i]))) {
      const mcl_node *node = &lean->nodes[lean->node_count - 1];
      fail_msg("%s after %d nodes: element %d is %g, not %g", node->op->name, lean->node_count, (int)i, (double)a[i],
               (double)b[i]);
    }
  mcl_session_free(sharing);
  mcl_session_free(keeping);
  mcl_model_free(whole);
}

/* ---- Every broadcast ---- */

static mcl_shape shape_number(int number) { /* 0 … 39: all of up to three dimensions of 1, 2, 3 */
  mcl_shape shape = {.rank = number < 1 ? 0 : number < 4 ? 1 : number < 13 ? 2 : 3};
  number -= shape.rank == 0 ? 0 : shape.rank == 1 ? 1 : shape.rank == 2 ? 4 : 13;
  for (int i = 0; i < shape.rank; i++, number /= 3) shape.dim[i] = number % 3 + 1;
  return shape;
}

static void arithmetic_of_every_broadcast_needs_no_memory_of_its_own(void **state) {
  const char *const ops[] = {"add", "sub", "mul", "div"};
  int tried = 0;
  for (int code = 0; code < 40 * 40 * 4; code++) {
    mcl_shape shape_a = shape_number(code % 40), shape_b = shape_number(code / 40 % 40);
    mcl_model *model = new_model(*state);
    int in[2] = {add_input(model, "x", shape_a), add_input(model, "y", shape_b)}, value;
    add_input(model, "open", SHAPE(-1)); /* or the first dimension of x would be the batch */
    in[0] = NODE(model, "relu", "a", NULL, in[0]);
    if (code % 3) in[1] = NODE(model, "identity", "b", NULL, in[1]);
    const mcl_op *op = mcl_op_by_name(ops[code / 1600]);
    if (!mcl_model_add_node(model, op, "c", NULL, 2, in, &value)) {
      NODE(model, "relu", "d", NULL, value);
      assert_same_without_sharing(model);
      tried++;
    }
    mcl_model_free(model);
  }
  assert_true(tried > 1000);
}

/* ---- Random graphs ---- */

/* What ops may be given besides values: weights of shapes that some op takes. */
static void add_parts(mcl_model *model) {
  add_input(model, "images", SHAPE(-1, 3, 4, 4));
  add_input(model, "rows", SHAPE(-1, 6));
  add_input(model, "words", SHAPE(-1, 2, 3));
  add_input(model, "column", SHAPE(-1, 1));
  add_input(model, "fixed", SHAPE(3, 1));
  add_weight(model, "w0", SHAPE(3, 3, 3, 3));
  add_weight(model, "w1", SHAPE(2, 3, 1, 1));
  add_weight(model, "w2", SHAPE(6, 6));
  add_weight(model, "w3", SHAPE(4, 3));
  add_weight(model, "w4", SHAPE(3));
  add_weight(model, "w5", SHAPE(6));
  add_weight(model, "w6", SHAPE(1));
  add_normal(model, "mean", SHAPE(3), 0, 0.1f, true);
  add_normal(model, "variance", SHAPE(3), 1, 0.1f, true);
}

static void draw_attributes(mcl_random *random, const mcl_op *op, mcl_attribute *attributes) {
  mcl_attribute_presets(op, attributes);
  if (!strcmp(op->name, "reshape")) set_attribute(op, attributes, "shape", 2, (int64_t[]){0, -1}, 0);
  if (!strcmp(op->name, "transpose")) set_attribute(op, attributes, "perm", 3, (int64_t[]){0, 2, 1}, 0);
  if (!strcmp(op->name, "concat")) attributes[0].ints[0] = (int64_t)mcl_random_below(random, 3);
  if (!strcmp(op->name, "conv")) set_attribute(op, attributes, "pad", 4, (int64_t[]){1, 1, 1, 1}, 0);
  if (strstr(op->name, "x_pool") || strstr(op->name, "average_pool"))
    if (mcl_op_find_attribute(op, "kernel") >= 0) set_attribute(op, attributes, "kernel", 2, (int64_t[]){2, 2}, 0);
}

/* A node of any op over any values, the latest more often; false where they do not fit together. */
static bool add_random_node(mcl_random *random, mcl_model *model, const mcl_op *op, int number) {
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  int inputs = op->least_inputs, in[MCL_MAX_INPUTS], value;
  char name[16];
  if (inputs < op->most_inputs && mcl_random_below(random, 2)) inputs++;
  for (int i = 0; i < inputs; i++) {
    uint64_t back = mcl_random_below(random, mcl_random_below(random, 2) ? 3 : (uint64_t)model->value_count);
    in[i] = model->value_count - 1 - (int)back;
    if (op->state_inputs >> i & 1u) in[i] = mcl_model_find_value(model, i == 3 ? "mean" : "variance");
  }
  snprintf(name, sizeof name, "n%d", number);
  draw_attributes(random, op, attributes);
  return mcl_model_add_node(model, op, name, attributes, inputs, in, &value) == MCL_OK;
}

static void random_graphs_of_all_ops_need_no_memory_of_their_own(void **state) {
  int used[64] = {0};
  for (uint64_t seed = 0; seed < 400; seed++) {
    mcl_random random = mcl_random_at(seed, 1);
    mcl_model *model = new_model(*state);
    add_parts(model);
    for (int tries = 0; tries < 6000 && model->node_count < 14; tries++) {
      int row = (int)mcl_random_below(&random, (uint64_t)mcl_op_count);
      if (used[row] > 60 && mcl_random_below(&random, 4)) continue; /* those that seldom fit get more tries */
      used[row] += add_random_node(&random, model, mcl_ops[row], model->node_count);
    }
    assert_same_without_sharing(model);
    mcl_model_free(model);
  }
  for (int row = 0; row < mcl_op_count; row++)
    if (used[row] < 10) fail_msg("%s was tried %d times", mcl_ops[row]->name, used[row]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(an_op_does_not_write_over_an_input_that_it_broadcasts),
      context_test(arithmetic_of_every_broadcast_needs_no_memory_of_its_own),
      context_test(random_graphs_of_all_ops_need_no_memory_of_their_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
