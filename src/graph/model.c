/* Models: building, lookup, copying, weights. Values, nodes and weights are three growing arrays; a node and its first
 * output have one name, and a table of names keeps lookup and the check for uniqueness fast in graphs of any size. */
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

/* ---- Making and freeing ---- */

mcl_status mcl_model_new(mcl_context *ctx, const char *name, mcl_model **out) {
  *out = NULL;
  mcl_model *model;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *model, &model));
  model->ctx = ctx;
  mcl_status status = mcl_strdup(ctx, name ? name : "model", &model->name);
  if (status) {
    mcl_free(ctx, model);
    return status;
  }
  *out = model;
  return MCL_OK;
}

void mcl_model_free(mcl_model *model) {
  if (!model) return;
  mcl_context *ctx = model->ctx;
  for (int i = 0; i < model->weight_count; i++) {
    mcl_repr_release(model->weights[i].repr);
    mcl_tensor_release(model->weights[i].dense);
    mcl_free(ctx, model->weights[i].name);
  }
  for (int i = 0; i < model->node_count; i++) mcl_free(ctx, model->nodes[i].name);
  for (int i = 0; i < model->value_count; i++) mcl_free(ctx, model->values[i].name);
  if (model->free_source) model->free_source(model->source);
  mcl_free(ctx, model->weights);
  mcl_free(ctx, model->nodes);
  mcl_free(ctx, model->values);
  mcl_free(ctx, model->inputs);
  mcl_free(ctx, model->outputs);
  mcl_free(ctx, model->name_slots);
  mcl_free(ctx, model->name);
  mcl_free(ctx, model);
}

/* ---- Names ---- */

static uint64_t name_hash(const char *name) {
  uint64_t hash = mcl_name_hash(name);
  return hash ^ hash >> 29;
}

static void put_name(mcl_model *model, int value) {
  size_t mask = (size_t)model->name_slot_count - 1;
  size_t at = (size_t)name_hash(model->values[value].name) & mask;
  while (model->name_slots[at] >= 0) at = (at + 1) & mask;
  model->name_slots[at] = value;
}

/* Keeps the table at most half full for `count` values. */
static mcl_status reserve_names(mcl_model *model, int count) {
  if (count * 2 <= model->name_slot_count) return MCL_OK;
  int wanted = model->name_slot_count ? model->name_slot_count * 2 : 64;
  MCL_TRY(mcl_realloc(model->ctx, (size_t)wanted * sizeof *model->name_slots, &model->name_slots));
  model->name_slot_count = wanted;
  for (int i = 0; i < wanted; i++) model->name_slots[i] = -1;
  for (int i = 0; i < model->value_count; i++) put_name(model, i);
  return MCL_OK;
}

int mcl_model_find_value(const mcl_model *model, const char *name) {
  if (!model->name_slot_count) return -1;
  size_t mask = (size_t)model->name_slot_count - 1;
  for (size_t at = (size_t)name_hash(name) & mask;; at = (at + 1) & mask) {
    int value = model->name_slots[at];
    if (value < 0 || strcmp(model->values[value].name, name) == 0) return value;
  }
}

int mcl_model_find_weight(const mcl_model *model, const char *name) {
  int value = mcl_model_find_value(model, name);
  return value < 0 ? -1 : model->values[value].weight;
}

int mcl_model_weight_node(const mcl_model *model, int weight, int *input) {
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; i < model->nodes[n].inputs; i++) {
      int value = model->nodes[n].input[i];
      if (value < 0 || model->values[value].weight != weight) continue;
      if (input) *input = i;
      return n;
    }
  return -1;
}

bool mcl_model_uses(const mcl_model *model, int value) {
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; i < model->nodes[n].inputs; i++)
      if (model->nodes[n].input[i] == value) return true;
  for (int i = 0; i < model->output_count; i++)
    if (model->outputs[i] == value) return true;
  return false;
}

static mcl_status check_name(const mcl_model *model, const char *what, const char *name) {
  if (!name || !*name) return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: a %s without a name", model->name, what);
  if (mcl_model_find_value(model, name) >= 0)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT,
                    "%s: %s \"%s\": the name is taken already; inputs, weights and nodes need names of their own",
                    model->name, what, name);
  return MCL_OK;
}

/* ---- Building ---- */

mcl_status mcl_model_check_change(const mcl_model *model) {
  if (!model->lent) return MCL_OK;
  return mcl_fail(
      model->ctx, MCL_ERROR_ARGUMENT,
      "%s: is being trained, and functions that the fit calls cannot change it; change a copy, or wait for the "
      "fit's end",
      model->name);
}

/* Appends a value; takes no part of the model back where it fails. */
static mcl_status add_value(mcl_model *model, const char *name, mcl_shape shape, int weight, int producer, int *out) {
  MCL_TRY(mcl_grow(model->ctx, &model->values, model->value_count, &model->value_capacity, sizeof *model->values));
  MCL_TRY(reserve_names(model, model->value_count + 1));
  mcl_value *value = &model->values[model->value_count];
  MCL_TRY(mcl_strdup(model->ctx, name, &value->name));
  value->shape = shape;
  value->weight = weight;
  value->producer = producer;
  put_name(model, model->value_count);
  *out = model->value_count++;
  return MCL_OK;
}

/* Every dimension is at least 1, but dim[0] may be the batch where `batch` allows; the count does not overflow. */
static mcl_status check_shape(const mcl_model *model, const char *what, const char *name, mcl_shape shape, bool batch) {
  int64_t count;
  mcl_shape concrete = shape;
  bool bad = shape.rank < 0 || shape.rank > MCL_MAX_RANK;
  for (int i = 0; !bad && i < shape.rank; i++) {
    if (batch && i == 0 && shape.dim[0] == -1) concrete.dim[0] = 1;
    bad = concrete.dim[i] < 1;
  }
  char text[MCL_SHAPE_TEXT];
  if (bad)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: %s \"%s\" has the shape %s; %s", model->name, what, name,
                    shape.rank < 0 || shape.rank > MCL_MAX_RANK ? "of a bad rank" : mcl_shape_text(shape, text),
                    batch ? "every dimension must be at least 1, and the first may be -1, the batch"
                          : "every dimension must be at least 1");
  mcl_status status = mcl_shape_count(model->ctx, concrete, &count);
  if (status) return mcl_fail_where(model->ctx, status, "%s: %s \"%s\"", model->name, what, name);
  if (count > MCL_MOST_ELEMENTS)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: %s \"%s\" of %s has more than 2^40 elements", model->name,
                    what, name, mcl_shape_text(shape, text));
  return MCL_OK;
}

mcl_status mcl_model_add_input(mcl_model *model, const char *name, mcl_shape shape, int *value) {
  MCL_TRY(mcl_model_check_change(model));
  MCL_TRY(check_name(model, "input", name));
  MCL_TRY(check_shape(model, "input", name, shape, true));
  MCL_TRY(mcl_grow(model->ctx, &model->inputs, model->input_count, &model->input_capacity, sizeof *model->inputs));
  MCL_TRY(add_value(model, name, shape, -1, -1, value));
  model->inputs[model->input_count++] = *value;
  return MCL_OK;
}

mcl_status mcl_model_add_coded_weight(mcl_model *model, const char *name, mcl_shape shape, bool is_state, int *value) {
  MCL_TRY(mcl_model_check_change(model));
  MCL_TRY(check_name(model, "weight", name));
  MCL_TRY(check_shape(model, "weight", name, shape, false));
  MCL_TRY(mcl_grow(model->ctx, &model->weights, model->weight_count, &model->weight_capacity, sizeof *model->weights));
  mcl_weight weight = {.shape = shape, .is_state = is_state};
  MCL_TRY(mcl_strdup(model->ctx, name, &weight.name));
  mcl_status status = add_value(model, name, shape, model->weight_count, -1, value);
  if (status) {
    mcl_free(model->ctx, weight.name);
    return status;
  }
  model->weights[model->weight_count++] = weight;
  return MCL_OK;
}

mcl_status mcl_model_add_weight(mcl_model *model, const char *name, mcl_repr *repr, bool is_state, int *value) {
  MCL_TRY(mcl_model_add_coded_weight(model, name, repr->shape, is_state, value));
  model->weights[model->weight_count - 1].repr = mcl_repr_retain(repr);
  return MCL_OK;
}

mcl_status mcl_model_add_output(mcl_model *model, int value) {
  MCL_TRY(mcl_model_check_change(model));
  if (value < 0 || value >= model->value_count)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: output %d: there is no value %d", model->name,
                    model->output_count, value);
  if (model->values[value].weight >= 0)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT,
                    "%s: output \"%s\" is a weight; let a node compute the output (identity will do)", model->name,
                    model->values[value].name);
  MCL_TRY(mcl_grow(model->ctx, &model->outputs, model->output_count, &model->output_capacity, sizeof *model->outputs));
  model->outputs[model->output_count++] = value;
  return MCL_OK;
}

/* ---- Nodes ---- */

static bool is_within(const mcl_attribute_spec *spec, double number) {
  return number >= spec->least && number <= spec->most; /* false of NaN */
}

static mcl_status check_attribute(mcl_context *ctx, const mcl_node *node, const mcl_attribute_spec *spec,
                                  const mcl_attribute *attribute) {
  if (spec->type == MCL_ATTRIBUTE_FLOAT) {
    if (is_within(spec, attribute->number)) return MCL_OK;
    return mcl_node_fail(ctx, node, "%s: %s is %.9g; it must be from %.9g to %.9g", node->op->name, spec->name,
                         attribute->number, spec->least, spec->most);
  }
  int wanted = spec->preset.count;
  if (wanted ? attribute->count != wanted : attribute->count < 0 || attribute->count > MCL_MAX_RANK)
    return mcl_node_fail(ctx, node, "%s: %s has %d numbers; it must have %s%d", node->op->name, spec->name,
                         attribute->count, wanted ? "" : "at most ", wanted ? wanted : MCL_MAX_RANK);
  for (int i = 0; i < attribute->count; i++)
    if (!is_within(spec, (double)attribute->ints[i]))
      return mcl_node_fail(ctx, node, "%s: %s holds %lld; it must be from %.0f to %.0f", node->op->name, spec->name,
                           (long long)attribute->ints[i], spec->least, spec->most);
  return MCL_OK;
}

/* Fills in[] with the shapes of the inputs; checks that they exist and are what the op takes. */
static mcl_status check_inputs(const mcl_model *model, const mcl_node *node, mcl_shape *in) {
  const mcl_op *op = node->op;
  if (node->inputs < op->least_inputs || node->inputs > op->most_inputs)
    return mcl_node_fail(model->ctx, node, "%s takes %d to %d inputs, not %d", op->name, op->least_inputs,
                         op->most_inputs, node->inputs);
  for (int i = 0; i < node->inputs; i++) {
    int index = node->input[i];
    if (index == -1 && i >= op->least_inputs) continue; /* left out */
    if (index < 0 || index >= model->value_count)
      return mcl_node_fail(model->ctx, node, "%s: input %d is value %d, which is not there", op->name, i, index);
    const mcl_value *value = &model->values[index];
    in[i] = value->shape;
    bool is_state = value->weight >= 0 && model->weights[value->weight].is_state;
    if ((op->state_inputs >> i & 1u) && !is_state)
      return mcl_node_fail(model->ctx, node, "%s: input %d (\"%s\") must be a weight that is a state", op->name, i,
                           value->name);
  }
  return MCL_OK;
}

static mcl_status check_node(const mcl_model *model, mcl_node *node, const mcl_attribute *attributes, mcl_shape *out) {
  mcl_shape in[MCL_MAX_INPUTS] = {{0}};
  MCL_TRY(check_inputs(model, node, in));
  mcl_attribute_presets(node->op, node->attribute);
  for (int i = 0, n = mcl_op_attributes(node->op); i < n; i++) {
    if (attributes) node->attribute[i] = attributes[i];
    MCL_TRY(check_attribute(model->ctx, node, &node->op->attributes[i], &node->attribute[i]));
  }
  MCL_TRY(node->op->shape(model->ctx, node, in, out));
  for (int i = 0; i < node->op->outputs; i++) MCL_TRY(check_shape(model, "output of node", node->name, out[i], true));
  return MCL_OK;
}

mcl_status mcl_model_add_node(mcl_model *model, const mcl_op *op, const char *name, const mcl_attribute *attributes,
                              int inputs, const int *input, int *value) {
  MCL_TRY(mcl_model_check_change(model));
  MCL_TRY(check_name(model, "node", name));
  if (inputs < 0 || inputs > MCL_MAX_INPUTS)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "node \"%s\": %s of %d inputs; a node has at most %d", name,
                    op->name, inputs, MCL_MAX_INPUTS);
  MCL_TRY(mcl_grow(model->ctx, &model->nodes, model->node_count, &model->node_capacity, sizeof *model->nodes));
  mcl_node node = {.op = op, .inputs = inputs, .outputs = op->outputs};
  if (inputs) memcpy(node.input, input, (size_t)inputs * sizeof *input);
  MCL_TRY(mcl_strdup(model->ctx, name, &node.name));
  mcl_shape out[2];
  int first_value = model->value_count;
  mcl_status status = check_node(model, &node, attributes, out);
  for (int i = 0; !status && i < op->outputs; i++) {
    char text[512];
    if (i) snprintf(text, sizeof text, "%s:%d", name, i);
    status = i ? check_name(model, "output", text) : MCL_OK;
    if (!status) status = add_value(model, i ? text : name, out[i], -1, model->node_count, &node.output[i]);
  }
  if (status) {
    while (model->value_count > first_value) { /* only after the first of two outputs was added */
      mcl_free(model->ctx, model->values[--model->value_count].name);
      for (int i = 0; i < model->name_slot_count; i++) model->name_slots[i] = -1;
      for (int i = 0; i < model->value_count; i++) put_name(model, i);
    }
    mcl_free(model->ctx, node.name);
    return status;
  }
  model->nodes[model->node_count++] = node;
  *value = node.output[0];
  return MCL_OK;
}

/* ---- Weights ---- */

mcl_status mcl_weight_load(mcl_model *model, int weight) {
  mcl_weight *w = &model->weights[weight];
  if (w->repr) return MCL_OK;
  if (!model->load_weight)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: weight \"%s\" has no values yet; set them first", model->name,
                    w->name);
  MCL_TRY(model->load_weight(model, weight));
  return w->repr ? MCL_OK
                 : mcl_fail(model->ctx, MCL_ERROR_FORMAT, "%s: weight \"%s\" was not found", model->name, w->name);
}

mcl_status mcl_weight_values(mcl_model *model, int weight, mcl_tensor **out) {
  mcl_weight *w = &model->weights[weight];
  *out = NULL;
  if (!w->dense) {
    MCL_TRY(mcl_weight_load(model, weight));
    if (w->repr->kind == &mcl_dense_kind && ((mcl_dense *)w->repr)->values->dtype == MCL_F32) {
      w->dense = mcl_tensor_retain(((mcl_dense *)w->repr)->values);
    } else {
      MCL_TRY(mcl_repr_values(w->repr, &w->dense));
    }
  }
  *out = w->dense;
  return MCL_OK;
}

mcl_status mcl_weight_take(mcl_model *model, int weight, mcl_repr **out) {
  *out = NULL;
  MCL_TRY(mcl_weight_load(model, weight));
  mcl_repr *repr = mcl_repr_retain(model->weights[weight].repr);
  mcl_status status = model->lent ? model->lent(&repr) : MCL_OK;
  if (status)
    mcl_repr_release(repr);
  else
    *out = repr;
  return status;
}

mcl_status mcl_weight_set(mcl_model *model, int weight, mcl_repr *repr) {
  MCL_TRY(mcl_model_check_change(model));
  mcl_weight *w = &model->weights[weight];
  if (!mcl_shape_equal(w->shape, repr->shape)) {
    char have[MCL_SHAPE_TEXT], given[MCL_SHAPE_TEXT];
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: weight \"%s\" has the shape %s and cannot become %s",
                    model->name, w->name, mcl_shape_text(w->shape, have), mcl_shape_text(repr->shape, given));
  }
  mcl_repr *before = w->repr;
  w->repr = mcl_repr_retain(repr);
  mcl_repr_release(before);
  mcl_tensor_release(w->dense);
  w->dense = NULL;
  return MCL_OK;
}

/* ---- Copying ---- */

static mcl_status copy_parts(mcl_model *model, mcl_model *copy) {
  int value = 0;
  for (int v = 0; v < model->value_count; v++) { /* in order, so that indices stay */
    const mcl_value *from = &model->values[v];
    if (from->weight >= 0) {
      const mcl_weight *weight = &model->weights[from->weight];
      mcl_repr *repr;
      MCL_TRY(mcl_weight_take(model, from->weight, &repr));
      mcl_status status = mcl_model_add_weight(copy, weight->name, repr, weight->is_state, &value);
      mcl_repr_release(repr);
      MCL_TRY(status);
    } else if (from->producer < 0) {
      MCL_TRY(mcl_model_add_input(copy, from->name, from->shape, &value));
    } else if (model->nodes[from->producer].output[0] == v) {
      const mcl_node *node = &model->nodes[from->producer];
      MCL_TRY(mcl_model_add_node(copy, node->op, node->name, node->attribute, node->inputs, node->input, &value));
    }
  }
  for (int i = 0; i < model->output_count; i++) MCL_TRY(mcl_model_add_output(copy, model->outputs[i]));
  return MCL_OK;
}

mcl_status mcl_model_copy(mcl_model *model, mcl_model **out) {
  *out = NULL;
  mcl_model *copy;
  MCL_TRY(mcl_model_new(model->ctx, model->name, &copy));
  mcl_status status = copy_parts(model, copy);
  if (status) {
    mcl_model_free(copy);
    return status;
  }
  *out = copy;
  return MCL_OK;
}

/* ---- Asking ---- */

int mcl_model_inputs(const mcl_model *model) { return model->input_count; }
int mcl_model_outputs(const mcl_model *model) { return model->output_count; }

/* NULL where there is no such value: an index comes from a host, and a file may have none. */
static const mcl_value *value_at(const mcl_model *model, const int *list, int count, int index) {
  return index >= 0 && index < count ? &model->values[list[index]] : NULL;
}

static const char *name_of(const mcl_value *value) { return value ? value->name : NULL; }
static mcl_shape shape_of(const mcl_value *value) { return value ? value->shape : (mcl_shape){0}; }

const char *mcl_model_input_name(const mcl_model *model, int index) {
  return name_of(value_at(model, model->inputs, model->input_count, index));
}
const char *mcl_model_output_name(const mcl_model *model, int index) {
  return name_of(value_at(model, model->outputs, model->output_count, index));
}
mcl_shape mcl_model_input_shape(const mcl_model *model, int index) {
  return shape_of(value_at(model, model->inputs, model->input_count, index));
}
mcl_shape mcl_model_output_shape(const mcl_model *model, int index) {
  return shape_of(value_at(model, model->outputs, model->output_count, index));
}

mcl_status mcl_model_check_runs(mcl_model *model) {
  if (model->output_count) return MCL_OK;
  return mcl_fail(model->ctx, MCL_ERROR_UNSUPPORTED, "%s: holds weights and no graph, so it cannot be run",
                  model->name);
}

int64_t mcl_model_parameters(const mcl_model *model) {
  int64_t total = 0;
  for (int i = 0; i < model->weight_count; i++) total += mcl_elements(model->weights[i].shape);
  return total;
}

int64_t mcl_model_multiply_adds(const mcl_model *model) {
  int64_t total = 0;
  for (int n = 0; n < model->node_count; n++) {
    const mcl_node *node = &model->nodes[n];
    if (!node->op->multiply_adds) continue;
    mcl_shape in[MCL_MAX_INPUTS] = {{0}}, out[2];
    for (int i = 0; i < node->inputs; i++)
      if (node->input[i] >= 0) in[i] = model->values[node->input[i]].shape;
    for (int i = 0; i < node->outputs; i++) out[i] = model->values[node->output[i]].shape;
    for (int i = 0; i < node->inputs; i++)
      if (in[i].rank && in[i].dim[0] < 0) in[i].dim[0] = 1;
    for (int i = 0; i < node->outputs; i++)
      if (out[i].rank && out[i].dim[0] < 0) out[i].dim[0] = 1;
    if (__builtin_add_overflow(total, node->op->multiply_adds(node, in, out), &total)) return INT64_MAX;
  }
  return total;
}
