/* Training. All values are kept, and each value on the way from a trained weight to an output has a gradient. Backward
 * calls the ops in reverse; the first that writes a gradient overwrites it and the others add, which is settled once,
 * when the session is made. */
#include <string.h>

#include "graph/bind.h"
#include "graph/ops_grad.h"

struct mcl_training_session {
  mcl_model *model;
  mcl_context *ctx;
  int64_t batch, rows;
  bool wants_inputs;     /* gradients of the model's inputs */
  mcl_operand *operands; /* one a value */
  mcl_op_call *calls;    /* one a node */
  char *memory;          /* of values, gradients and workspaces */
  mcl_tensor **in_place; /* [weights] retained: the tensor whose memory the operand is; else NULL */
  int *value_of;         /* [weights]: which value a weight is */
};

/* ---- Which gradients are wanted ---- */

/* wanted[v]: a trained weight (or, if asked for, an input) has an influence on it, and it has one on an output. */
static void find_wanted(const mcl_training_session *s, bool *wanted, bool *reaches) {
  const mcl_model *model = s->model;
  for (int v = 0; v < model->value_count; v++) {
    const mcl_value *value = &model->values[v];
    wanted[v] = value->weight >= 0 ? !model->weights[value->weight].is_state : value->producer < 0 && s->wants_inputs;
    reaches[v] = false;
  }
  for (int i = 0; i < model->output_count; i++) reaches[model->outputs[i]] = true;
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; i < model->nodes[n].inputs; i++) {
      int from = model->nodes[n].input[i];
      for (int k = 0; from >= 0 && wanted[from] && k < model->nodes[n].outputs; k++)
        wanted[model->nodes[n].output[k]] = true;
    }
  for (int n = model->node_count - 1; n >= 0; n--) {
    const mcl_node *node = &model->nodes[n];
    bool reached = reaches[node->output[0]] || (node->outputs > 1 && reaches[node->output[1]]);
    for (int i = 0; i < node->inputs && reached; i++)
      if (node->input[i] >= 0) reaches[node->input[i]] = true;
  }
  for (int v = 0; v < model->value_count; v++) wanted[v] = wanted[v] && reaches[v];
  for (int i = 0; i < model->output_count; i++) wanted[model->outputs[i]] = true; /* for the caller to fill */
}

static bool node_goes_back(const mcl_node *node, const bool *wanted) {
  bool out = wanted[node->output[0]] || (node->outputs > 1 && wanted[node->output[1]]), in = false;
  for (int i = 0; i < node->inputs; i++) in |= node->input[i] >= 0 && wanted[node->input[i]];
  return in && out;
}

static mcl_status settle_accumulation(mcl_training_session *s, const bool *wanted, bool *written) {
  const mcl_model *model = s->model;
  memset(written, 0, (size_t)model->value_count * sizeof *written);
  for (int i = 0; i < model->output_count; i++) written[model->outputs[i]] = true;
  for (int n = model->node_count - 1; n >= 0; n--) {
    const mcl_node *node = &model->nodes[n];
    if (!node_goes_back(node, wanted)) continue;
    if (!mcl_op_backward(node->op))
      return mcl_fail(s->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: node \"%s\": %s has no gradient, so the model cannot be trained", model->name, node->name,
                      node->op->name);
    for (int i = 0; i < node->inputs; i++) {
      int value = node->input[i];
      if (value < 0 || !wanted[value]) continue;
      s->calls[n].in[i].accumulate = written[value];
      written[value] = true;
    }
  }
  return MCL_OK;
}

/* ---- Memory ---- */

/* The tensor whose memory can be trained in place: dense f32 of a single owner, not mapped. */
static mcl_tensor *tensor_to_train(const mcl_weight *weight) {
  if (weight->is_state || weight->repr->kind != &mcl_dense_kind || weight->repr->references != 1) return NULL;
  mcl_tensor *values = ((mcl_dense *)weight->repr)->values;
  int owners = 1 + (weight->dense == values);
  return values->dtype == MCL_F32 && values->owns_data && values->references == owners ? values : NULL;
}

/* Adds `size` bytes to a total, returning where they begin; sizes are checked once, at the end, by the allocation. */
static size_t take(size_t *total, size_t size) {
  size_t at = *total;
  if (__builtin_add_overflow(*total, mcl_align_64(size), total)) *total = SIZE_MAX / 2;
  return at;
}

/* Lays out all that the session owns; `base` NULL only measures. */
static mcl_status lay_out(mcl_training_session *s, const bool *wanted, char *base, size_t *total) {
  const mcl_model *model = s->model;
  *total = 0;
  for (int v = 0; v < model->value_count; v++) {
    const mcl_value *value = &model->values[v];
    mcl_operand *operand = &s->operands[v];
    size_t size;
    MCL_TRY(mcl_operand_size(s->ctx, operand, &size));
    mcl_tensor *in_place = value->weight >= 0 ? s->in_place[value->weight] : NULL;
    size_t data = in_place ? 0 : take(total, size), gradient = wanted[v] ? take(total, size) : 0;
    if (!base) continue;
    operand->data = in_place ? mcl_tensor_f32(in_place) : (float *)(void *)(base + data);
    operand->gradient = wanted[v] ? (float *)(void *)(base + gradient) : NULL;
  }
  size_t shared = 0;
  for (int n = 0; n < model->node_count; n++) {
    const mcl_op *op = model->nodes[n].op;
    size_t size = op->workspace ? op->workspace(&s->calls[n]) : 0;
    size_t at = op->keeps_workspace ? take(total, size) : 0;
    if (!op->keeps_workspace && size > shared) shared = size;
    if (base && op->keeps_workspace) s->calls[n].workspace = base + at;
  }
  size_t at = take(total, shared);
  for (int n = 0; base && n < model->node_count; n++)
    if (!model->nodes[n].op->keeps_workspace) s->calls[n].workspace = base + at;
  return MCL_OK;
}

static mcl_status load_weights(mcl_training_session *s) {
  mcl_model *model = s->model;
  for (int v = 0; v < model->value_count; v++) {
    int index = model->values[v].weight;
    if (index < 0) continue;
    MCL_TRY(mcl_weight_load(model, index));
    s->value_of[index] = v;
    mcl_tensor *tensor = tensor_to_train(&model->weights[index]);
    if (tensor) s->in_place[index] = mcl_tensor_retain(tensor);
  }
  return MCL_OK;
}

static mcl_status decode_weights(mcl_training_session *s) {
  const mcl_model *model = s->model;
  for (int w = 0; w < model->weight_count; w++) {
    if (s->in_place[w]) continue;
    mcl_status status = mcl_repr_decode_all(model->weights[w].repr, s->operands[s->value_of[w]].data);
    if (status) return mcl_fail_where(s->ctx, status, "%s: weight \"%s\"", model->name, model->weights[w].name);
  }
  return MCL_OK;
}

/* ---- The session ---- */

static mcl_status prepare(mcl_training_session *s) {
  mcl_model *model = s->model;
  bool *wanted = NULL, *other = NULL;
  size_t total;
  MCL_TRY(mcl_alloc_zero(s->ctx, (size_t)model->weight_count * sizeof *s->in_place, &s->in_place));
  MCL_TRY(mcl_alloc_zero(s->ctx, (size_t)model->weight_count * sizeof *s->value_of, &s->value_of));
  MCL_TRY(load_weights(s));
  MCL_TRY(mcl_bind_operands(model, s->batch, &s->operands));
  MCL_TRY(mcl_bind_calls(model, s->operands, true, &s->calls));
  mcl_status status = mcl_alloc_zero(s->ctx, (size_t)model->value_count, &wanted);
  if (!status) status = mcl_alloc_zero(s->ctx, (size_t)model->value_count, &other);
  if (status) goto done;
  find_wanted(s, wanted, other);
  if ((status = settle_accumulation(s, wanted, other))) goto done;
  if ((status = lay_out(s, wanted, NULL, &total))) goto done;
  if ((status = mcl_alloc_zero(s->ctx, total, &s->memory))) goto done;
  if ((status = lay_out(s, wanted, s->memory, &total))) goto done;
  mcl_bind_refresh(model, s->operands, s->calls);
  if ((status = decode_weights(s))) goto done;
  status = mcl_bind_warm(s->ctx);
done:
  mcl_free(s->ctx, wanted);
  mcl_free(s->ctx, other);
  return status;
}

static mcl_status session_new(mcl_model *model, int64_t batch, bool wants_inputs, mcl_training_session **out) {
  *out = NULL;
  mcl_training_session *s;
  MCL_TRY(mcl_model_check_runs(model));
  MCL_TRY(mcl_alloc_zero(model->ctx, sizeof *s, &s));
  s->model = model;
  s->ctx = model->ctx;
  s->batch = s->rows = batch;
  s->wants_inputs = wants_inputs;
  mcl_status status = prepare(s);
  if (status) {
    mcl_training_session_free(s);
    return status;
  }
  *out = s;
  return MCL_OK;
}

mcl_status mcl_training_session_new(mcl_model *model, int64_t batch, mcl_training_session **out) {
  return session_new(model, batch, false, out);
}

mcl_status mcl_training_session_new_full(mcl_model *model, int64_t batch, mcl_training_session **out) {
  return session_new(model, batch, true, out);
}

void mcl_training_session_free(mcl_training_session *s) {
  if (!s) return;
  for (int w = 0; s->in_place && w < s->model->weight_count; w++) mcl_tensor_release(s->in_place[w]);
  mcl_free(s->ctx, s->in_place);
  mcl_free(s->ctx, s->value_of);
  mcl_free(s->ctx, s->operands);
  mcl_free(s->ctx, s->calls);
  mcl_free(s->ctx, s->memory);
  mcl_free(s->ctx, s);
}

void mcl_training_session_set_seed(mcl_training_session *s, uint64_t seed) { mcl_bind_seed(s->model, s->calls, seed); }

float *mcl_training_session_input(mcl_training_session *s, int index) {
  return s->operands[s->model->inputs[index]].data;
}
const float *mcl_training_session_output(mcl_training_session *s, int index) {
  return s->operands[s->model->outputs[index]].data;
}
float *mcl_training_session_output_gradient(mcl_training_session *s, int index) {
  return s->operands[s->model->outputs[index]].gradient;
}
float *mcl_training_session_input_gradient(mcl_training_session *s, int index) {
  return s->operands[s->model->inputs[index]].gradient;
}
float *mcl_training_session_weight(mcl_training_session *s, int weight) {
  return s->operands[s->value_of[weight]].data;
}
float *mcl_training_session_weight_gradient(mcl_training_session *s, int weight) {
  return s->operands[s->value_of[weight]].gradient;
}
const mcl_operand *mcl_training_session_value(const mcl_training_session *s, int value) { return &s->operands[value]; }

mcl_status mcl_training_session_forward(mcl_training_session *s, int64_t rows, uint64_t step, bool training) {
  const mcl_model *model = s->model;
  MCL_TRY(mcl_bind_rows(model, s->batch, rows, s->operands, s->calls));
  s->rows = rows;
  for (int n = 0; n < model->node_count; n++) {
    MCL_TRY(mcl_check_cancel(s->ctx));
    s->calls[n].step = step;
    s->calls[n].training = training;
    mcl_status status = model->nodes[n].op->forward(&s->calls[n]);
    if (status) return mcl_fail_where(s->ctx, status, "%s: node \"%s\"", model->name, model->nodes[n].name);
  }
  return MCL_OK;
}

mcl_status mcl_training_session_backward(mcl_training_session *s) {
  const mcl_model *model = s->model;
  for (int n = model->node_count - 1; n >= 0; n--) {
    const mcl_op_call *call = &s->calls[n];
    bool wanted = false;
    for (int i = 0; i < call->node->inputs; i++) wanted |= call->in[i].gradient != NULL;
    if (!wanted || (!call->out[0].gradient && !call->out[1].gradient)) continue;
    MCL_TRY(mcl_check_cancel(s->ctx));
    mcl_status status = mcl_op_backward(call->node->op)(call);
    if (status) return mcl_fail_where(s->ctx, status, "%s: gradient of node \"%s\"", model->name, call->node->name);
  }
  return MCL_OK;
}

/* A dense weight that holds what the session has. */
static mcl_status store_state(mcl_training_session *s, int weight) {
  mcl_tensor *values;
  mcl_repr *repr = NULL;
  MCL_TRY(mcl_tensor_new_raw(s->ctx, MCL_F32, s->model->weights[weight].shape, &values));
  memcpy(values->data, mcl_training_session_weight(s, weight), (size_t)values->count * sizeof(float));
  mcl_status status = mcl_dense_new(values, &repr);
  if (!status) status = mcl_weight_set(s->model, weight, repr);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  return status;
}

mcl_status mcl_training_session_store_states(mcl_training_session *s) {
  for (int w = 0; w < s->model->weight_count; w++)
    if (s->model->weights[w].is_state) MCL_TRY(store_state(s, w));
  return MCL_OK;
}
