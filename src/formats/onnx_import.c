/* ONNX: the services that handlers of ops are given (onnx_import.h). */
#include "formats/onnx_import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT 1100 /* a name of the document, and a little more */

/* ---- Failing ---- */

mcl_status mcl_onnx_node_fail(onnx_import *import, const onnx_node *node, mcl_status status, const char *format, ...) {
  char text[1400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (*node->name)
    return mcl_fail(import->ctx, status, "%s: node \"%.200s\": %s", import->document->path, node->name, text);
  return mcl_fail(import->ctx, status, "%s: node %d, which computes \"%.200s\": %s", import->document->path,
                  (int)(node - import->document->nodes), node->output_count ? node->outputs[0] : "", text);
}

/* ---- Inputs ---- */

onnx_value *mcl_onnx_input(onnx_import *import, const onnx_node *node, int index) {
  if (index >= node->input_count || !*node->inputs[index]) return NULL;
  return mcl_onnx_find(import, node->inputs[index]);
}

bool mcl_onnx_is_constant(onnx_import *import, const onnx_node *node, int index) {
  const onnx_value *value = mcl_onnx_input(import, node, index);
  return value && value->kind == ONNX_CONSTANT;
}

mcl_status mcl_onnx_constant(onnx_import *import, const onnx_node *node, int index, mcl_tensor **out) {
  onnx_value *value = mcl_onnx_input(import, node, index);
  *out = NULL;
  if (!value || value->kind != ONNX_CONSTANT)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "input %d%s%.200s%s of op %s must be a constant (an initializer or a Constant node)",
                              index, value ? " (\"" : "", value ? value->name : "", value ? "\")" : "", node->op_type);
  if (!value->constant) {
    mcl_status status = mcl_onnx_tensor_load(import->document, value->tensor, &value->constant);
    if (!status && value->constant->dtype == MCL_F32) {
      char what[TEXT + 256];
      snprintf(what, sizeof what, "%.200s: tensor \"%s\"", import->document->path, value->name);
      status = mcl_tensor_check_finite(value->constant, what);
    }
    if (status) {
      mcl_tensor_release(value->constant);
      value->constant = NULL;
      return status;
    }
  }
  *out = value->constant;
  return MCL_OK;
}

mcl_status mcl_onnx_constant_f32(onnx_import *import, const onnx_node *node, int index, mcl_tensor **out) {
  mcl_tensor *constant;
  *out = NULL;
  MCL_TRY(mcl_onnx_constant(import, node, index, &constant));
  char what[TEXT + 256];
  snprintf(what, sizeof what, "%.200s: tensor \"%s\"", import->document->path,
           mcl_onnx_input(import, node, index)->name);
  return mcl_tensor_narrow(constant, MCL_F32, what, out);
}

mcl_status mcl_onnx_number(onnx_import *import, const onnx_node *node, int index, double *out) {
  mcl_tensor *constant;
  MCL_TRY(mcl_onnx_constant(import, node, index, &constant));
  if (constant->count != 1)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "input %d of op %s must be one number", index,
                              node->op_type);
  *out = constant->dtype == MCL_F32 ? (double)mcl_tensor_f32(constant)[0] : (double)*(int64_t *)constant->data;
  return MCL_OK;
}

mcl_status mcl_onnx_list(onnx_import *import, const onnx_node *node, int index, int64_t *out, int *count) {
  const onnx_value *value = mcl_onnx_input(import, node, index);
  if (value && value->kind == ONNX_LIST) {
    memcpy(out, value->list, sizeof value->list);
    *count = value->list_count;
    return MCL_OK;
  }
  mcl_tensor *constant;
  MCL_TRY(mcl_onnx_constant(import, node, index, &constant));
  if (constant->dtype != MCL_I64 || constant->shape.rank > 1 || constant->count > ONNX_LIST_MOST)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "input %d of op %s must be a list of at most %d whole numbers", index, node->op_type,
                              ONNX_LIST_MOST);
  *count = (int)constant->count;
  if (constant->count) memcpy(out, constant->data, (size_t)constant->count * sizeof *out);
  return MCL_OK;
}

mcl_shape mcl_onnx_shape(const onnx_import *import, int value) { return import->model->values[value].shape; }

mcl_status mcl_onnx_computed(onnx_import *import, const onnx_node *node, int index, int *value) {
  const onnx_value *input = mcl_onnx_input(import, node, index);
  if (input && input->is_padded)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "input %d of op %s comes from op Pad, which is supported before Conv alone", index,
                              node->op_type);
  if (input && input->kind == ONNX_COMPUTED) return *value = input->value, MCL_OK;
  if (!input || input->kind != ONNX_CONSTANT)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "input %d of op %s is %s; it must be a tensor of numbers", index, node->op_type,
                              input ? "made from shapes" : "left out");
  return mcl_onnx_weight(import, node, index, "constant", ONNX_AS_IS, !input->is_parameter, value);
}

mcl_status mcl_onnx_padded(onnx_import *import, const onnx_node *node, int index, int *value, int64_t pad[4]) {
  const onnx_value *input = mcl_onnx_input(import, node, index);
  memset(pad, 0, 4 * sizeof *pad);
  if (!input || !input->is_padded) return mcl_onnx_computed(import, node, index, value);
  memcpy(pad, input->pad, 4 * sizeof *pad);
  *value = input->value;
  return MCL_OK;
}

const onnx_node *mcl_onnx_only_user(onnx_import *import, const onnx_node *node) {
  const onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (!output || output->uses != 1 || output->is_output || import->is_done[output->user]) return NULL;
  return &import->document->nodes[output->user];
}

void mcl_onnx_take(onnx_import *import, const onnx_node *node) {
  import->is_done[node - import->document->nodes] = true;
}

/* ---- Attributes ---- */

const onnx_attribute *mcl_onnx_attribute(const onnx_node *node, const char *name) {
  for (int i = 0; i < node->attribute_count; i++)
    if (!strcmp(node->attributes[i].name, name)) return &node->attributes[i];
  return NULL;
}

static mcl_status attribute_of_type(onnx_import *import, const onnx_node *node, const char *name, int64_t type,
                                    const onnx_attribute **out) {
  *out = mcl_onnx_attribute(node, name);
  if (!*out || (*out)->type == type) return MCL_OK;
  return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                            "attribute \"%s\" of op %s has type %lld where %lld belongs", name, node->op_type,
                            (long long)(*out)->type, (long long)type);
}

mcl_status mcl_onnx_int(onnx_import *import, const onnx_node *node, const char *name, int64_t preset, int64_t *out) {
  const onnx_attribute *attribute;
  MCL_TRY(attribute_of_type(import, node, name, 2, &attribute));
  *out = attribute ? attribute->i : preset;
  return MCL_OK;
}

mcl_status mcl_onnx_float(onnx_import *import, const onnx_node *node, const char *name, double preset, double *out) {
  const onnx_attribute *attribute;
  MCL_TRY(attribute_of_type(import, node, name, 1, &attribute));
  *out = attribute ? (double)attribute->f : preset;
  return MCL_OK;
}

mcl_status mcl_onnx_text(onnx_import *import, const onnx_node *node, const char *name, const char *preset,
                         const char **out) {
  const onnx_attribute *attribute;
  MCL_TRY(attribute_of_type(import, node, name, 3, &attribute));
  *out = attribute ? attribute->s : preset;
  return MCL_OK;
}

mcl_status mcl_onnx_ints(onnx_import *import, const onnx_node *node, const char *name, int most, int64_t *out,
                         int *count) {
  const onnx_attribute *attribute;
  MCL_TRY(attribute_of_type(import, node, name, 7, &attribute));
  if (!attribute) return MCL_OK;
  if (attribute->count > (size_t)most)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "attribute \"%s\" of op %s has %zu numbers; at most %d are "
                              "supported",
                              name, node->op_type, attribute->count, most);
  *count = (int)attribute->count;
  if (attribute->count) memcpy(out, attribute->ints, attribute->count * sizeof *out);
  return MCL_OK;
}

/* ---- Names ---- */

/* "conv1.weight" → "conv1": how a layer is called by those who trained it. */
static bool stem_of(const char *weight, char stem[TEXT]) {
  static const char *const suffixes[] = {".weight", "_weight", ".kernel", "_kernel", ".W", "_W"};
  size_t length = strlen(weight);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    size_t tail = strlen(suffixes[i]);
    if (length <= tail || strcmp(weight + length - tail, suffixes[i])) continue;
    snprintf(stem, TEXT, "%.*s", (int)(length - tail), weight);
    return true;
  }
  return false;
}

/* "/layer1/layer1.0/conv1/Conv" → "layer1.0.conv1": PyTorch's scopes, each within its outer one's name. */
static void name_of_scopes(const char *name, char out[TEXT]) {
  out[0] = 0;
  size_t length = 0;
  for (const char *part = name + 1, *slash; (slash = strchr(part, '/')); part = slash + 1) {
    size_t size = (size_t)(slash - part);
    bool is_within = length && size > length && !strncmp(part, out, length) && part[length] == '.';
    length = (size_t)(is_within || !length ? snprintf(out, TEXT, "%.*s", (int)size, part)
                                           : snprintf(out + length, TEXT - length, ".%.*s", (int)size, part)) +
             (is_within ? 0 : length);
    if (length >= TEXT) length = TEXT - 1;
  }
  if (!length) snprintf(out, TEXT, "%s", name + 1);
}

static void name_of_node(onnx_import *import, const onnx_node *node, bool is_layer, char out[TEXT]) {
  const onnx_value *weight = is_layer ? mcl_onnx_input(import, node, 1) : NULL;
  const onnx_value *output = node->output_count ? mcl_onnx_find(import, node->outputs[0]) : NULL;
  if (weight && weight->is_parameter && stem_of(weight->origin, out)) return;
  if (!is_layer && output && output->is_output)
    snprintf(out, TEXT, "%s", output->name);
  else if (node->name[0] == '/')
    name_of_scopes(node->name, out);
  else if (*node->name)
    snprintf(out, TEXT, "%s", node->name);
  else
    snprintf(out, TEXT, "%s_%d", node->op_type, (int)(node - import->document->nodes));
}

/* A name that nothing else has, and that no output wants but `own`. */
static void make_unique(onnx_import *import, const char *own, char name[TEXT]) {
  char base[TEXT - 16];
  snprintf(base, sizeof base, "%s", name);
  for (int i = 2;; i++) {
    const onnx_value *value = mcl_onnx_find(import, name);
    bool is_wanted = value && (value->is_output || value->is_input) && strcmp(name, own);
    if (!is_wanted && mcl_model_find_value(import->model, name) < 0) return;
    snprintf(name, TEXT, "%s_%d", base, i < 16 ? i : i + import->model->value_count); /* many of one name: leap */
  }
}

/* ---- Weights ---- */

static mcl_status add_weight(onnx_import *import, const onnx_node *node, char name[TEXT], mcl_tensor *values,
                             bool is_state, int *value) {
  mcl_repr *repr;
  make_unique(import, "", name);
  mcl_status status = mcl_dense_new(values, &repr);
  if (!status) {
    status = mcl_model_add_weight(import->model, name, repr, is_state, value);
    mcl_repr_release(repr);
  }
  if (!status) return MCL_OK;
  return mcl_fail_where(import->ctx, status, "%s: node \"%.200s\"", import->document->path, node->name);
}

mcl_status mcl_onnx_new_weight(onnx_import *import, const onnx_node *node, const char *role, mcl_tensor *values,
                               bool is_state, int *value) {
  char base[TEXT], name[TEXT], what[TEXT + 256];
  name_of_node(import, node, true, base);
  snprintf(name, sizeof name, "%.*s.%s", TEXT - 64, base, role);
  snprintf(what, sizeof what, "%.200s: weight \"%s\", as it is made from the file's", import->document->path, name);
  MCL_TRY(mcl_tensor_check_finite(values, what)); /* a factor may have taken it beyond f32 */
  return add_weight(import, node, name, values, is_state, value);
}

mcl_status mcl_onnx_scalar(onnx_import *import, const onnx_node *node, const char *role, double number, int *value) {
  mcl_tensor *t;
  MCL_TRY(mcl_tensor_new(import->ctx, MCL_F32, mcl_shape_1(1), &t));
  mcl_tensor_f32(t)[0] = (float)number;
  mcl_status status = mcl_onnx_new_weight(import, node, role, t, true, value);
  mcl_tensor_release(t);
  return status;
}

static bool is_telling(const char *name) { return *name && !strstr(name, "::") && !(*name >= '0' && *name <= '9'); }

/* Where the root of a constant keeps the weight made of it in this layout of the constant. */
static int *weight_slot(onnx_import *import, const onnx_value *input, onnx_layout layout) {
  onnx_value *root = &import->values[input->root];
  return input->is_turned == (layout == ONNX_TRANSPOSED) ? &root->as_is : &root->transposed;
}

int mcl_onnx_turned_weight(onnx_import *import, const onnx_node *node, int index, onnx_layout layout) {
  const onnx_value *input = mcl_onnx_input(import, node, index);
  if (!input || *weight_slot(import, input, layout) >= 0) return -1;
  int turned = *weight_slot(import, input, layout == ONNX_AS_IS ? ONNX_TRANSPOSED : ONNX_AS_IS);
  return turned >= 0 && mcl_onnx_shape(import, turned).rank == 2 ? turned : -1;
}

bool mcl_onnx_is_shared(onnx_import *import, const onnx_node *node, int index) {
  const onnx_value *input = mcl_onnx_input(import, node, index);
  return input && import->values[input->root].reach > 1;
}

/* For an op that wants the matrix itself: the one weight, turned each time that it is read. */
static mcl_status turn_back(onnx_import *import, const onnx_node *node, int turned, int *value) {
  onnx_put put = mcl_onnx_op("transpose");
  const int64_t perm[2] = {1, 0};
  mcl_onnx_set_ints(&put, "perm", perm, 2);
  mcl_onnx_add_input(&put, turned);
  return mcl_onnx_place(import, node, &put, "turned", value);
}

/* What holds a constant in the file: its numbers where they lie in one piece, else the message that has them. */
static size_t bytes_in_file(const onnx_tensor *tensor) {
  if (!tensor) return 0;
  if (tensor->has_raw) return tensor->raw_size;
  if (tensor->is_external) return (size_t)tensor->length;
  return (size_t)(tensor->message.end - tensor->message.at);
}

mcl_status mcl_onnx_weight(onnx_import *import, const onnx_node *node, int index, const char *role, onnx_layout layout,
                           bool is_state, int *value) {
  onnx_value *input = mcl_onnx_input(import, node, index);
  int *made = input ? weight_slot(import, input, layout) : NULL;
  if (made && *made >= 0) return *value = *made, MCL_OK;
  int turned = mcl_onnx_turned_weight(import, node, index, layout);
  if (turned >= 0) return turn_back(import, node, turned, value);
  mcl_tensor *t = NULL, *changed = NULL;
  MCL_TRY(mcl_onnx_constant_f32(import, node, index, &t));
  mcl_status status = MCL_OK;
  if (layout == ONNX_TRANSPOSED)
    status = mcl_tensor_transpose(t, &changed);
  else if (t->shape.rank == 0)
    status = mcl_tensor_reshape(t, mcl_shape_1(1), &changed);
  mcl_tensor *values = changed ? changed : t;
  char name[TEXT];
  if (!status && input->is_parameter && is_telling(input->origin)) {
    snprintf(name, sizeof name, "%s", input->origin);
    status = add_weight(import, node, name, values, is_state, value);
  } else if (!status) {
    status = mcl_onnx_new_weight(import, node, role, values, is_state, value);
  }
  mcl_tensor_release(changed);
  mcl_tensor_release(t);
  if (status) return status;
  const onnx_value *root = &import->values[input->root];
  if (root->as_is < 0 && root->transposed < 0) /* else another weight has been made of the same numbers */
    import->model->weights[import->model->values[*value].weight].file_bytes = bytes_in_file(root->tensor);
  *made = *value;
  return MCL_OK;
}

/* ---- Nodes ---- */

onnx_put mcl_onnx_op(const char *op) {
  onnx_put put = {.op = mcl_op_by_name(op)};
  mcl_attribute_presets(put.op, put.attribute);
  return put;
}

void mcl_onnx_set_ints(onnx_put *put, const char *name, const int64_t *numbers, int count) {
  mcl_attribute *attribute = &put->attribute[mcl_op_find_attribute(put->op, name)];
  attribute->count = count;
  if (count) memcpy(attribute->ints, numbers, (size_t)count * sizeof *numbers);
}

void mcl_onnx_set_float(onnx_put *put, const char *name, double number) {
  put->attribute[mcl_op_find_attribute(put->op, name)].number = number;
}

void mcl_onnx_add_input(onnx_put *put, int value) { put->input[put->inputs++] = value; }

mcl_status mcl_onnx_place(onnx_import *import, const onnx_node *node, const onnx_put *put, const char *part,
                          int *value) {
  char name[TEXT], base[TEXT];
  const char *own = part || !node->output_count ? "" : node->outputs[0];
  name_of_node(import, node, put->op->weight_input > 0, base);
  snprintf(name, sizeof name, "%.*s%s%s", TEXT - 64, base, part ? "." : "", part ? part : "");
  make_unique(import, own, name);
  mcl_status status = mcl_model_add_node(import->model, put->op, name, put->attribute, put->inputs, put->input, value);
  if (!status) return MCL_OK;
  if (!*node->name || !strcmp(node->name, name))
    return mcl_fail_where(import->ctx, status, "%s", import->document->path);
  return mcl_fail_where(import->ctx, status, "%s: %.64s \"%.200s\"", import->document->path, node->op_type, node->name);
}

mcl_status mcl_onnx_place_binary(onnx_import *import, const onnx_node *node, const char *op, int a, int b,
                                 const char *part, int *value) {
  onnx_put put = mcl_onnx_op(op);
  mcl_onnx_add_input(&put, a);
  mcl_onnx_add_input(&put, b);
  return mcl_onnx_place(import, node, &put, part, value);
}

void mcl_onnx_bind(onnx_import *import, const onnx_node *node, int value) {
  onnx_value *output = mcl_onnx_find(import, node->outputs[0]);
  if (!output) return; /* a node whose first output has no name */
  output->kind = ONNX_COMPUTED;
  output->value = value;
}

mcl_status mcl_onnx_finish(onnx_import *import, const onnx_node *node, const onnx_put *put) {
  int value;
  MCL_TRY(mcl_onnx_place(import, node, put, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

mcl_status mcl_onnx_reshape(onnx_import *import, const onnx_node *node, int from, const int64_t *dims, int count,
                            const char *part, int *value) {
  onnx_put put = mcl_onnx_op("reshape");
  mcl_onnx_set_ints(&put, "shape", dims, count);
  mcl_onnx_add_input(&put, from);
  return mcl_onnx_place(import, node, &put, part, value);
}
