/* ONNX: a document → a model. Names are entered into a table, what no output wants is left out, then the nodes are walked in
 * their order, each by its row of the table of ops. Only then are outputs given: a model's output bears the name
 * that ONNX gives it.
 *
 * The batch. A first dimension without a size is the batch. Where no input has one, many files say 1 there only because
 * the exporter was shown one example, so a first dimension of 1 is taken for the batch, if the graph then still holds
 * together; if it does not, the file is read again as it stands. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/whole.h"
#include "formats/onnx_import.h"

#define OPSET_LEAST 6
#define OPSET_TESTED 23

/* ---- The table of names ---- */

static size_t hash_of(const char *name) {
  uint64_t hash = mcl_name_hash(name);
  return (size_t)(hash ^ hash >> 32);
}

onnx_value *mcl_onnx_find(onnx_import *import, const char *name) {
  for (size_t at = hash_of(name);; at++) {
    int value = import->slots[at & (import->slot_count - 1)];
    if (value < 0) return NULL;
    if (!strcmp(import->values[value].name, name)) return &import->values[value];
  }
}

static onnx_value *enter(onnx_import *import, const char *name) {
  size_t at = hash_of(name);
  while (import->slots[at & (import->slot_count - 1)] >= 0) at++;
  import->slots[at & (import->slot_count - 1)] = import->value_count;
  onnx_value *value = &import->values[import->value_count++];
  *value = (onnx_value){.name = name,
                        .origin = name,
                        .root = import->value_count - 1,
                        .as_is = -1,
                        .transposed = -1,
                        .as_image = -1,
                        .value = -1};
  return value;
}

static mcl_status twice(onnx_import *import, const char *name) {
  return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: \"%s\" is computed twice; names must be unique",
                  import->document->path, name);
}

static mcl_status enter_names(onnx_import *import) {
  onnx_document *document = import->document;
  size_t names = (size_t)document->initializer_count + (size_t)document->input_count;
  for (int i = 0; i < document->node_count; i++) names += (size_t)document->nodes[i].output_count;
  import->slot_count = 64;
  while (import->slot_count < names * 2) import->slot_count *= 2;
  MCL_TRY(mcl_onnx_alloc(document, names, sizeof *import->values, &import->values));
  MCL_TRY(mcl_onnx_alloc(document, import->slot_count, sizeof *import->slots, &import->slots));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)document->node_count, 1, &import->is_live));
  MCL_TRY(mcl_onnx_alloc(document, (size_t)document->node_count, 1, &import->is_done));
  memset(import->slots, 0xff, import->slot_count * sizeof *import->slots);
  for (int i = 0; i < document->initializer_count; i++) {
    const onnx_tensor *tensor = &document->initializers[i];
    if (!*tensor->name)
      return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: initializer %d has no name", document->path, i);
    if (mcl_onnx_find(import, tensor->name)) return twice(import, tensor->name);
    onnx_value *value = enter(import, tensor->name);
    value->kind = ONNX_CONSTANT;
    value->tensor = tensor;
    value->is_parameter = true;
  }
  for (int i = 0; i < document->input_count; i++) { /* old files list initializers as inputs too */
    const onnx_value *known = mcl_onnx_find(import, document->inputs[i].name);
    if (!*document->inputs[i].name)
      return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: input %d has no name", document->path, i);
    if (known && known->is_input) return twice(import, known->name);
    if (!known) enter(import, document->inputs[i].name)->is_input = true;
  }
  for (int i = 0; i < document->node_count; i++)
    for (int k = 0; k < document->nodes[i].output_count; k++) {
      const char *name = document->nodes[i].outputs[k];
      if (!*name) continue;
      if (mcl_onnx_find(import, name)) return twice(import, name);
      enter(import, name);
    }
  return MCL_OK;
}

static bool passes_on(const onnx_node *node) {
  static const char *const ops[] = {"Identity", "Transpose", "Cast", "Reshape"};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    if (!strcmp(node->op_type, ops[i]) && node->input_count && node->output_count) return true;
  return false;
}

/* What is passed on is used as often as what it is passed on as; users come after what they use. */
static void sum_reaches(onnx_import *import) {
  onnx_document *document = import->document;
  for (int v = 0; v < import->value_count; v++) import->values[v].reach = import->values[v].uses;
  for (int i = document->node_count; i-- > 0;) {
    const onnx_node *node = &document->nodes[i];
    if (!import->is_live[i] || !passes_on(node)) continue;
    const onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
    onnx_value *input = mcl_onnx_find(import, node->inputs[0]);
    if (input && output && __builtin_add_overflow(input->reach, output->reach - 1, &input->reach))
      input->reach = INT_MAX;
  }
}

/* What outputs want, backwards: nodes, and how often each value is used. */
static mcl_status mark_live(onnx_import *import) {
  onnx_document *document = import->document;
  if (!document->output_count)
    return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: the graph has no output", document->path);
  for (int i = 0; i < document->output_count; i++) {
    onnx_value *value = mcl_onnx_find(import, document->outputs[i].name);
    if (!value)
      return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: output \"%s\" is computed by no node", document->path,
                      document->outputs[i].name);
    if (value->is_output)
      return mcl_fail(import->ctx, MCL_ERROR_FORMAT, "%s: output \"%s\" is there twice", document->path, value->name);
    value->is_output = true;
  }
  for (int i = document->node_count; i-- > 0;) {
    const onnx_node *node = &document->nodes[i];
    for (int k = 0; k < node->output_count; k++) {
      const onnx_value *value = mcl_onnx_find(import, node->outputs[k]);
      if (value && (value->is_output || value->uses)) import->is_live[i] = true;
    }
    if (!import->is_live[i]) continue;
    for (int k = 0; k < node->input_count; k++) {
      onnx_value *value = mcl_onnx_find(import, node->inputs[k]);
      if (!value) continue; /* the walk will say so */
      value->uses++;
      value->user = i;
    }
  }
  sum_reaches(import);
  return MCL_OK;
}

/* ---- Inputs ---- */

static bool is_float(int64_t type) {
  return type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_BFLOAT16 || type == ONNX_DOUBLE;
}

static mcl_status input_shape(onnx_import *import, const onnx_value_info *info, mcl_shape *shape) {
  const char *path = import->document->path;
  if (!info->has_shape)
    return mcl_fail(import->ctx, MCL_ERROR_UNSUPPORTED, "%s: input \"%s\" has no shape; export the model with one",
                    path, info->name);
  shape->rank = info->rank;
  for (int i = 0; i < info->rank; i++) {
    shape->dim[i] = info->dims[i];
    if (i == 0 && info->rank >= 2 && info->dims[0] == 1 && import->open_batch) {
      shape->dim[0] = -1;
      import->has_opened = true;
    }
    if (info->dims[i] < 1 && i == 0) shape->dim[0] = -1;
    if (info->dims[i] < 1 && i > 0)
      return mcl_fail(import->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: input \"%s\": dimension %d (%s) has no size; only the first may be left open, as the batch: "
                      "export the model with the others fixed",
                      path, info->name, i, *info->symbols[i] ? info->symbols[i] : "unnamed");
  }
  return MCL_OK;
}

/* The file itself says which dimension is the batch: a 1 beside it is a 1. */
static bool has_open_input(onnx_import *import) {
  const onnx_document *document = import->document;
  for (int i = 0; i < document->input_count; i++) {
    const onnx_value *value = mcl_onnx_find(import, document->inputs[i].name);
    bool is_wanted = value->is_input && (value->uses || value->is_output);
    if (is_wanted && document->inputs[i].has_shape && document->inputs[i].rank && document->inputs[i].dims[0] < 1)
      return true;
  }
  return false;
}

static mcl_status add_inputs(onnx_import *import) {
  onnx_document *document = import->document;
  if (has_open_input(import)) import->open_batch = false;
  for (int i = 0; i < document->input_count; i++) {
    const onnx_value_info *info = &document->inputs[i];
    onnx_value *value = mcl_onnx_find(import, info->name);
    mcl_shape shape;
    if (!value->is_input) continue;
    bool is_wanted = value->uses || value->is_output;
    if (!is_wanted && !is_float(info->type)) continue; /* a flag that nothing reads */
    if (!is_float(info->type))
      return mcl_fail(import->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: input \"%s\" has element type %lld; models of float inputs are read", document->path,
                      info->name, (long long)info->type);
    MCL_TRY(input_shape(import, info, &shape));
    mcl_status status = mcl_model_add_input(import->model, info->name, shape, &value->value);
    if (status) return mcl_fail_where(import->ctx, status, "%s", document->path);
    value->kind = ONNX_COMPUTED;
  }
  return MCL_OK;
}

/* ---- Nodes ---- */

static const onnx_op *op_of(const onnx_node *node) {
  for (int i = 0; i < mcl_onnx_op_count; i++)
    if (!strcmp(mcl_onnx_ops[i].name, node->op_type)) return &mcl_onnx_ops[i];
  return NULL;
}

static mcl_status unknown_op(onnx_import *import, const onnx_node *node) {
  char known[768];
  int n = 0;
  for (int i = 0; i < mcl_onnx_op_count && n < (int)sizeof known; i++)
    n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", i ? ", " : "", mcl_onnx_ops[i].name);
  return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op %.64s%s%.64s is not supported; supported are %s",
                            node->domain, *node->domain ? "." : "", node->op_type, known);
}

static bool is_listed(const char *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list; length && (at = strstr(at, name)); at += length)
    if ((at == list || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
  return false;
}

static mcl_status check_node(onnx_import *import, const onnx_node *node, const onnx_op *op) {
  if (import->document->opset < op->since)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op %s of opset %lld is not supported, from opset %d on it is; convert the model",
                              op->name, (long long)import->document->opset, op->since);
  if (node->input_count < op->least_inputs || node->input_count > op->most_inputs)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op %s has %d inputs; it takes %d to %d", op->name,
                              node->input_count, op->least_inputs, op->most_inputs);
  for (int i = 0; i < node->input_count; i++) {
    if (!*node->inputs[i] && i >= op->least_inputs) continue;
    const onnx_value *value = mcl_onnx_find(import, node->inputs[i]);
    if (!value || value->kind == ONNX_UNKNOWN)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op %s uses \"%s\", which no node before it computes",
                                op->name, node->inputs[i]);
  }
  for (int i = 0; i < node->attribute_count; i++)
    if (!is_listed(op->attributes, node->attributes[i].name))
      return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "attribute \"%s\" of op %s is not supported; %s%s",
                                node->attributes[i].name, op->name,
                                *op->attributes ? "supported are " : "it takes none", op->attributes);
  for (int i = 1; i < node->output_count; i++) {
    const onnx_value *value = mcl_onnx_find(import, node->outputs[i]);
    if (value && (value->uses || value->is_output))
      return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                                "output %d (\"%s\") of op %s is used; only the first is "
                                "computed",
                                i, value->name, op->name);
  }
  if (!node->output_count) return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op %s has no output", op->name);
  return MCL_OK;
}

static mcl_status import_node(onnx_import *import, const onnx_node *node) {
  bool is_standard = !*node->domain || !strcmp(node->domain, "ai.onnx");
  const onnx_op *op = is_standard ? op_of(node) : NULL;
  if (!op) return unknown_op(import, node);
  MCL_TRY(check_node(import, node, op));
  MCL_TRY(op->import(import, node));
  return mcl_check_cancel(import->ctx);
}

/* Constants first: handlers that look for a pattern want to know them before their turn comes. */
static mcl_status walk(onnx_import *import) {
  onnx_document *document = import->document;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < document->node_count; i++) {
      const onnx_node *node = &document->nodes[i];
      bool is_first = !strcmp(node->op_type, "Constant");
      if (import->is_live[i] && !import->is_done[i] && is_first == (pass == 0)) MCL_TRY(import_node(import, node));
    }
  return MCL_OK;
}

/* ---- Outputs ---- */

static mcl_status add_outputs(onnx_import *import) {
  onnx_document *document = import->document;
  mcl_model *model = import->model;
  for (int i = 0; i < document->output_count; i++) {
    const onnx_value *value = mcl_onnx_find(import, document->outputs[i].name);
    if (value->kind != ONNX_COMPUTED)
      return mcl_fail(import->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: output \"%s\" is a constant; nothing computes it from an input", document->path,
                      value->name);
    if (value->is_padded)
      return mcl_fail(import->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: output \"%s\" comes from op Pad, which is supported before Conv alone", document->path,
                      value->name);
    int output = value->value;
    bool is_free = model->values[output].weight < 0;
    for (int k = 0; k < i; k++) is_free = is_free && model->outputs[k] != output;
    if (!is_free || strcmp(model->values[output].name, value->name)) { /* a layer keeps its own name */
      const char *name = value->name;
      char renamed[64];
      if (mcl_model_find_value(model, name) >= 0) {
        snprintf(renamed, sizeof renamed, "output_%d", i), name = renamed;
        mcl_log(import->ctx, MCL_LOG_WARNING, "%s: output \"%.200s\" is called \"%s\": its name is taken",
                document->path, value->name, name);
      }
      mcl_status status = mcl_model_add_node(model, mcl_op_by_name("identity"), name, NULL, 1, &output, &output);
      if (status) return mcl_fail_where(import->ctx, status, "%s", document->path);
    }
    MCL_TRY(mcl_model_add_output(model, output));
  }
  return MCL_OK;
}

/* ---- The whole ---- */

static void free_import(onnx_import *import) {
  for (int i = 0; i < import->value_count; i++) mcl_tensor_release(import->values[i].constant);
}

static mcl_status import_graph(onnx_document *document, bool open_batch, bool *has_opened, mcl_model **out) {
  onnx_import import = {.ctx = document->ctx, .document = document, .open_batch = open_batch};
  mcl_status status = mcl_model_new(document->ctx, document->path, &import.model);
  if (!status) status = enter_names(&import);
  if (!status) status = mark_live(&import);
  if (!status) status = add_inputs(&import);
  if (!status) status = walk(&import);
  if (!status) status = add_outputs(&import);
  free_import(&import);
  *has_opened = import.has_opened;
  if (status)
    mcl_model_free(import.model);
  else
    *out = import.model;
  return status;
}

mcl_status mcl_onnx_read(mcl_context *ctx, const char *path, const char *folder, const uint8_t *data, size_t size,
                         mcl_model **out) {
  onnx_document *document;
  bool has_opened;
  *out = NULL;
  MCL_TRY(mcl_onnx_parse(ctx, path, folder, data, size, &document));
  mcl_status status = MCL_OK;
  if (document->opset < OPSET_LEAST)
    status = mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: opset %lld is not read, %d and later are; convert the model",
                      path, (long long)document->opset, OPSET_LEAST);
  if (document->opset > OPSET_TESTED)
    mcl_log(ctx, MCL_LOG_WARNING, "%s: opset %lld is newer than %d, the last that was tested", path,
            (long long)document->opset, OPSET_TESTED);
  if (!status)
    status = import_graph(document, true, &has_opened, out);
  else
    has_opened = false;
  if (status && has_opened && status != MCL_ERROR_MEMORY && status != MCL_ERROR_CANCELLED)
    status = import_graph(document, false, &has_opened, out);
  mcl_onnx_document_free(document);
  return status;
}

mcl_status mcl_onnx_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  mcl_file_map *map;
  char *folder = NULL;
  *out = NULL;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_strdup(ctx, strchr(path, '/') ? path : "./", &folder);
  if (!status) {
    strrchr(folder, '/')[1] = 0;
    status = mcl_onnx_read(ctx, path, folder, map->data, map->size, out);
  }
  mcl_free(ctx, folder);
  mcl_file_map_release(map);
  return status;
}
