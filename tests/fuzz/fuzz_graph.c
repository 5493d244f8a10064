/* Graphs, built node by node as the input says; nodes that do not fit are refused. What was built must run, and give the
 * same bits where no value shares memory with another (all of them are outputs then), after a journey through a
 * container, and in a training session that behaves as in inference; a backward pass ends. */
#include "fuzz.h"

#include "artifact/artifact.h"
#include "graph/ops.h"

#define MOST_NODES 10
#define BATCH 3

typedef struct builder {
  mcl_context *ctx;
  fuzz_bytes bytes;
  mcl_model *model;
} builder;

static mcl_status add_weight(builder *b, int *value) {
  mcl_tensor *values;
  mcl_repr *repr;
  char name[16];
  mcl_shape shape = {.rank = fuzz_below(&b->bytes, 5)};
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = 1 + fuzz_below(&b->bytes, 6);
  uint8_t step = fuzz_byte(&b->bytes);
  bool is_state = step & 1;
  snprintf(name, sizeof name, "w%d", b->model->weight_count);
  MCL_TRY(mcl_tensor_new(b->ctx, MCL_F32, shape, &values));
  for (int64_t i = 0; i < values->count; i++)
    mcl_tensor_f32(values)[i] = (float)((i + 1) * step % 23 - (is_state ? 0 : 11)) / 8;
  mcl_status status = mcl_dense_new(values, &repr);
  mcl_tensor_release(values);
  MCL_TRY(status);
  status = mcl_model_add_weight(b->model, name, repr, is_state, value);
  mcl_repr_release(repr);
  return status;
}

static mcl_status add_input(builder *b) {
  static const mcl_shape shapes[] = {{2, {-1, 6}},    {4, {-1, 2, 5, 5}}, {3, {-1, 4, 3}}, {1, {-1}},
                                     {2, {BATCH, 4}}, {4, {-1, 1, 1, 6}}, {0, {0}},        {2, {-1, 1}}};
  char name[16];
  int value;
  snprintf(name, sizeof name, "x%d", b->model->input_count);
  return mcl_model_add_input(b->model, name, shapes[fuzz_below(&b->bytes, 8)], &value);
}

/* Small numbers, now and then one that is out of range. */
static void choose_attributes(builder *b, const mcl_op *op, mcl_attribute *attributes) {
  mcl_attribute_presets(op, attributes);
  for (int a = 0, n = mcl_op_attributes(op); a < n; a++) {
    uint8_t habit = fuzz_byte(&b->bytes);
    if (habit < 128) continue;
    if (op->attributes[a].type == MCL_ATTRIBUTE_FLOAT) {
      attributes[a].number = habit > 250 ? -1e30 : (double)fuzz_byte(&b->bytes) / 128;
      continue;
    }
    if (!attributes[a].count) attributes[a].count = fuzz_below(&b->bytes, 5);
    for (int i = 0; i < attributes[a].count; i++)
      attributes[a].ints[i] = habit > 250 ? INT64_MAX >> fuzz_byte(&b->bytes) % 63 : fuzz_below(&b->bytes, 6) - 1;
  }
}

/* A weight that was there, or a new one; most ops take weights of one shape, which later bytes may hit. */
static int choose_input(builder *b, bool is_first) {
  int habit = fuzz_byte(&b->bytes), value;
  if (!is_first && habit < 24) return -1;
  if (!is_first && habit < 140 && !add_weight(b, &value)) return value;
  return b->model->value_count - 1 - habit % b->model->value_count;
}

/* The weights that a layer of this input wants, so that most of them can be built. */
static int fitting_weight(builder *b, const mcl_op *op, int x, int input) {
  mcl_shape in = b->model->values[x].shape, shape = {.rank = 1, .dim = {3}};
  int64_t channels = in.rank > 1 ? in.dim[1] : 1;
  int value;
  if (input == 1 && !strcmp(op->name, "conv"))
    shape = (mcl_shape){4, {3, channels, 2, 2}};
  else if (input == 1 && !strcmp(op->name, "linear"))
    shape = (mcl_shape){2, {3, in.rank ? in.dim[in.rank - 1] : 1}};
  else if (strstr(op->name, "norm"))
    shape.dim[0] = strstr(op->name, "layer") ? in.dim[in.rank - 1] : channels;
  if (shape.dim[0] < 1 || shape.dim[1] < 0 || mcl_dims_count(shape, 0, shape.rank) > 1000) return -1;
  mcl_tensor *values;
  mcl_repr *repr;
  char name[16];
  bool is_state = op->state_inputs >> input & 1u;
  snprintf(name, sizeof name, "w%d", b->model->weight_count);
  if (mcl_tensor_new(b->ctx, MCL_F32, shape, &values)) return -1;
  for (int64_t i = 0; i < values->count; i++)
    mcl_tensor_f32(values)[i] = (float)(i * 7 % 23 - (is_state ? 0 : 11)) / 16;
  mcl_status status = mcl_dense_new(values, &repr);
  mcl_tensor_release(values);
  if (status) return -1;
  status = mcl_model_add_weight(b->model, name, repr, is_state, &value);
  mcl_repr_release(repr);
  return status ? -1 : value;
}

static void add_node(builder *b) {
  const mcl_op *op = mcl_ops[fuzz_below(&b->bytes, mcl_op_count)];
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  int inputs = op->least_inputs + fuzz_below(&b->bytes, 3), input[MCL_MAX_INPUTS], value;
  char name[16];
  if (inputs > op->most_inputs) inputs = op->most_inputs;
  choose_attributes(b, op, attributes);
  bool fits = fuzz_byte(&b->bytes) & 1;
  for (int i = 0; i < inputs; i++) {
    bool is_weight = i > 0 && (op->weight_input || op->state_inputs);
    input[i] = is_weight && fits ? fitting_weight(b, op, input[0], i) : choose_input(b, i == 0);
    if (i == 0 && input[0] < 0) return;
  }
  snprintf(name, sizeof name, "n%d", b->model->value_count);
  (void)mcl_model_add_node(b->model, op, name, attributes, inputs, input, &value);
}

static void fill(float *to, int64_t count, int step) {
  for (int64_t i = 0; i < count; i++) to[i] = (float)((i + step) * (step + 5) % 41 - 20) / 8;
}

static int64_t elements_of(const mcl_model *model, int value) {
  mcl_shape shape = model->values[value].shape;
  if (shape.rank > 0 && shape.dim[0] < 0) shape.dim[0] = BATCH;
  return mcl_elements(shape);
}

static mcl_status run(mcl_model *model, mcl_session **out) {
  MCL_TRY(mcl_session_new(model, BATCH, out));
  for (int i = 0; i < model->input_count; i++)
    fill(mcl_session_input(*out, i), elements_of(model, model->inputs[i]), i);
  return mcl_session_run(*out);
}

/* Runs `other`, a form of the same graph, whose first outputs are those of `session`. */
static void compare(mcl_model *model, mcl_session *session, mcl_model *other) {
  mcl_session *again;
  mcl_status status = run(other, &again);
  if (status && status != MCL_ERROR_MEMORY) abort();
  for (int i = 0; i < model->output_count && !status; i++)
    if (!fuzz_same(mcl_session_output(session, i), mcl_session_output(again, i), elements_of(model, model->outputs[i])))
      abort();
  mcl_session_free(again);
}

static void compare_without_sharing(mcl_model *model, mcl_session *session) {
  mcl_model *apart;
  if (mcl_model_copy(model, &apart)) return;
  for (int v = 0; v < apart->value_count; v++)
    if (apart->values[v].weight < 0 && mcl_model_add_output(apart, v)) abort();
  compare(model, session, apart);
  mcl_model_free(apart);
}

static void compare_written(mcl_model *model, mcl_session *session) {
  mcl_buffer file = {.ctx = model->ctx};
  mcl_model *again = NULL;
  mcl_status status = mcl_artifact_encode(model, NULL, &file);
  if (!status) status = mcl_model_open_memory(model->ctx, file.data, file.size, &again);
  if (status && status != MCL_ERROR_MEMORY) {
    fprintf(stderr, "the graph cannot be written and read: %s\n", mcl_context_message(model->ctx));
    abort();
  }
  if (!status) compare(model, session, again);
  mcl_model_free(again);
  mcl_buffer_free(&file);
}

static void train(mcl_model *model, mcl_session *session) {
  mcl_training_session *training;
  if (mcl_training_session_new_full(model, BATCH, &training)) return; /* an op without a gradient */
  for (int i = 0; i < model->input_count; i++)
    fill(mcl_training_session_input(training, i), elements_of(model, model->inputs[i]), i);
  mcl_status status = mcl_training_session_forward(training, BATCH, 0, false);
  for (int i = 0; i < model->output_count && !status; i++) {
    int64_t count = elements_of(model, model->outputs[i]);
    if (!fuzz_same(mcl_session_output(session, i), mcl_training_session_output(training, i), count)) abort();
    if (mcl_training_session_output_gradient(training, i))
      fill(mcl_training_session_output_gradient(training, i), count, i);
  }
  if (!status) status = mcl_training_session_backward(training);
  if (!status && !mcl_training_session_forward(training, BATCH, 1, true)) (void)mcl_training_session_backward(training);
  mcl_training_session_free(training);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  builder b = {.ctx = fuzz_context((size_t)4 << 20), .bytes = {data, size, 0}};
  mcl_session *session = NULL;
  if (mcl_model_new(b.ctx, "fuzz", &b.model)) return 0;
  int inputs = 1 + fuzz_below(&b.bytes, 2);
  for (int i = 0; i < inputs; i++) (void)add_input(&b);
  while (b.model->value_count && b.model->node_count < MOST_NODES && !fuzz_is_empty(&b.bytes)) add_node(&b);
  if (b.model->node_count && !mcl_model_add_output(b.model, b.model->nodes[b.model->node_count - 1].output[0]) &&
      !run(b.model, &session)) {
    compare_without_sharing(b.model, session);
    compare_written(b.model, session);
    train(b.model, session);
  }
  mcl_session_free(session);
  mcl_model_free(b.model);
  return 0;
}
