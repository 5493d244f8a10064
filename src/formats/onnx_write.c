/* ONNX: a model → bytes, of opset 17. An op is a row here: the ONNX op that says the same, or a few that do. Weights are
 * decoded one at a time and written straight through, so a model is exported in the memory of its largest weight;
 * protobuf wants the lengths of messages before their contents, so sizes are summed first. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "formats/arrays.h"
#include "formats/onnx.h"

#define OPSET 17
#define IR_VERSION 8
#define SIZE_LIMIT ((size_t)INT_MAX) /* protobuf's own */

/* ---- Messages ---- */

/* Building bytes cannot fail half-way: the first failure is kept, and what follows it does nothing. */
typedef struct onnx_export {
  mcl_context *ctx;
  mcl_model *model;
  const char *path;
  mcl_buffer nodes;     /* NodeProto fields of the graph */
  mcl_buffer constants; /* small initializers that are no weights: shapes, bounds */
  mcl_buffer node;      /* the node that is being built */
  const char **names;   /* of values, by index */
  int made;             /* names made for values that ops of several nodes need */
  mcl_status status;
} onnx_export;

static void keep(onnx_export *export, mcl_status status) {
  if (!export->status) export->status = status;
}

static void put_key(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_wire_type type) {
  keep(export, mcl_buffer_varint(to, (uint64_t)number << 3 | type));
}

static void put_int(onnx_export *export, mcl_buffer *to, uint32_t number, int64_t value) {
  put_key(export, to, number, MCL_WIRE_VARINT);
  keep(export, mcl_buffer_varint(to, (uint64_t)value));
}

static void put_bytes(onnx_export *export, mcl_buffer *to, uint32_t number, const void *data, size_t size) {
  put_key(export, to, number, MCL_WIRE_BYTES);
  keep(export, mcl_buffer_varint(to, size));
  keep(export, mcl_buffer_append(to, data, size));
}

static void put_text(onnx_export *export, mcl_buffer *to, uint32_t number, const char *text) {
  put_bytes(export, to, number, text, strlen(text));
}

/* A message is built aside, then put into its holder with its length. */
static void put_message(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_buffer *message) {
  put_bytes(export, to, number, message->data, message->size);
  mcl_buffer_free(message);
}

/* ---- Nodes ---- */

static void begin_node(onnx_export *export, const char *op, const char *name) {
  export->node.size = 0;
  put_text(export, &export->node, 4, op);
  if (name) put_text(export, &export->node, 3, name);
}

static void node_input(onnx_export *export, const char *name) { put_text(export, &export->node, 1, name); }

static void end_node(onnx_export *export, const char *output) {
  put_text(export, &export->node, 2, output);
  put_bytes(export, &export->nodes, 1, export->node.data, export->node.size);
}

static void node_int(onnx_export *export, const char *name, int64_t value) {
  mcl_buffer attribute = {.ctx = export->ctx};
  put_text(export, &attribute, 1, name);
  put_int(export, &attribute, 3, value);
  put_int(export, &attribute, 20, 2);
  put_message(export, &export->node, 5, &attribute);
}

static void node_float(onnx_export *export, const char *name, double value) {
  mcl_buffer attribute = {.ctx = export->ctx};
  put_text(export, &attribute, 1, name);
  put_key(export, &attribute, 2, MCL_WIRE_32);
  keep(export, mcl_buffer_f32(&attribute, (float)value));
  put_int(export, &attribute, 20, 1);
  put_message(export, &export->node, 5, &attribute);
}

static void node_ints(onnx_export *export, const char *name, const int64_t *numbers, int count) {
  mcl_buffer attribute = {.ctx = export->ctx};
  put_text(export, &attribute, 1, name);
  for (int i = 0; i < count; i++) put_int(export, &attribute, 8, numbers[i]);
  put_int(export, &attribute, 20, 7);
  put_message(export, &export->node, 5, &attribute);
}

/* A name for a value between the nodes of one op; valid until the next call. */
static const char *between(onnx_export *export, char text[64]) {
  snprintf(text, 64, "mcl::%d", export->made++);
  return text;
}

/* ---- Constants that are no weights ---- */

static const char *constant_ints(onnx_export *export, const int64_t *numbers, int count, char text[64]) {
  mcl_buffer tensor = {.ctx = export->ctx}, raw = {.ctx = export->ctx};
  between(export, text);
  put_int(export, &tensor, 1, count);
  put_int(export, &tensor, 2, ONNX_INT64);
  put_text(export, &tensor, 8, text);
  for (int i = 0; i < count; i++) keep(export, mcl_buffer_u64(&raw, (uint64_t)numbers[i]));
  put_message(export, &tensor, 9, &raw);
  put_message(export, &export->constants, 5, &tensor);
  return text;
}

static const char *constant_number(onnx_export *export, double number, char text[64]) {
  mcl_buffer tensor = {.ctx = export->ctx}, raw = {.ctx = export->ctx};
  between(export, text);
  put_int(export, &tensor, 2, ONNX_FLOAT);
  put_text(export, &tensor, 8, text);
  keep(export, mcl_buffer_f32(&raw, (float)number));
  put_message(export, &tensor, 9, &raw);
  put_message(export, &export->constants, 5, &tensor);
  return text;
}

/* ---- Ops ---- */

typedef struct export_op export_op;
struct export_op {
  const char *op, *onnx;
  void (*write)(onnx_export *export, const export_op *row, const mcl_node *node);
};

static const char *name_in(const onnx_export *export, const mcl_node *node, int index) {
  return index < node->inputs && node->input[index] >= 0 ? export->names[node->input[index]] : "";
}
static const char *name_out(const onnx_export *export, const mcl_node *node) { return export->names[node->output[0]]; }

static mcl_shape shape_in(const onnx_export *export, const mcl_node *node, int index) {
  return export->model->values[node->input[index]].shape;
}

static const mcl_attribute *attribute_of(const mcl_node *node, const char *name) {
  return &node->attribute[mcl_op_find_attribute(node->op, name)];
}

/* All inputs and no attribute; the others add theirs between begin_same and end_node. */
static void begin_same(onnx_export *export, const export_op *row, const mcl_node *node) {
  int inputs = node->inputs;
  while (inputs && node->input[inputs - 1] < 0) inputs--;
  begin_node(export, row->onnx, node->name);
  for (int i = 0; i < inputs; i++) node_input(export, name_in(export, node, i));
}

static void write_same(onnx_export *export, const export_op *row, const mcl_node *node) {
  begin_same(export, row, node);
  end_node(export, name_out(export, node));
}

static void write_conv(onnx_export *export, const export_op *row, const mcl_node *node) {
  mcl_shape weight = shape_in(export, node, 1);
  begin_same(export, row, node);
  node_ints(export, "kernel_shape", weight.dim + 2, 2);
  node_ints(export, "strides", attribute_of(node, "stride")->ints, 2);
  node_ints(export, "pads", attribute_of(node, "pad")->ints, 4);
  node_ints(export, "dilations", attribute_of(node, "dilation")->ints, 2);
  node_int(export, "group", attribute_of(node, "groups")->ints[0]);
  end_node(export, name_out(export, node));
}

static void write_pool(onnx_export *export, const export_op *row, const mcl_node *node) {
  const int64_t *dilation = attribute_of(node, "dilation")->ints;
  bool is_average = !strcmp(row->op, "average_pool");
  if (is_average && (dilation[0] != 1 || dilation[1] != 1))
    keep(export, mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED,
                          "%s: node \"%s\": average_pool with dilation is not in ONNX of opset %d", export->path,
                          node->name, OPSET));
  begin_same(export, row, node);
  node_ints(export, "kernel_shape", attribute_of(node, "kernel")->ints, 2);
  node_ints(export, "strides", attribute_of(node, "stride")->ints, 2);
  node_ints(export, "pads", attribute_of(node, "pad")->ints, 4);
  if (!is_average) node_ints(export, "dilations", dilation, 2);
  node_int(export, "ceil_mode", attribute_of(node, "ceil")->ints[0]);
  if (is_average) node_int(export, "count_include_pad", attribute_of(node, "count_include_pad")->ints[0]);
  end_node(export, name_out(export, node));
}

/* Of a matrix: Gemm. Of more dimensions, or where the weight is not [out, in] as it lies: a product with it turned. */
static void write_linear(onnx_export *export, const export_op *row, const mcl_node *node) {
  const int64_t perm[2] = {1, 0};
  char turned[64], product[64];
  const char *bias = name_in(export, node, 2);
  if (shape_in(export, node, 0).rank == 2) {
    begin_same(export, row, node);
    node_int(export, "transB", 1);
    end_node(export, name_out(export, node));
    return;
  }
  begin_node(export, "Transpose", NULL);
  node_input(export, name_in(export, node, 1));
  node_ints(export, "perm", perm, 2);
  end_node(export, between(export, turned));
  begin_node(export, "MatMul", node->name);
  node_input(export, name_in(export, node, 0));
  node_input(export, turned);
  end_node(export, *bias ? between(export, product) : name_out(export, node));
  if (!*bias) return;
  begin_node(export, "Add", NULL);
  node_input(export, product);
  node_input(export, bias);
  end_node(export, name_out(export, node));
}

static void write_alpha(onnx_export *export, const export_op *row, const mcl_node *node) {
  begin_same(export, row, node);
  node_float(export, "alpha", attribute_of(node, "alpha")->number);
  end_node(export, name_out(export, node));
}

static void write_axis(onnx_export *export, const export_op *row, const mcl_node *node) {
  begin_same(export, row, node);
  node_int(export, "axis", attribute_of(node, "axis")->ints[0]);
  end_node(export, name_out(export, node));
}

static void write_clip(onnx_export *export, const export_op *row, const mcl_node *node) {
  char least[64], most[64];
  begin_same(export, row, node);
  node_input(export, constant_number(export, attribute_of(node, "min")->number, least));
  node_input(export, constant_number(export, attribute_of(node, "max")->number, most));
  end_node(export, name_out(export, node));
}

static void write_batch_norm(onnx_export *export, const export_op *row, const mcl_node *node) {
  begin_same(export, row, node);
  node_float(export, "epsilon", attribute_of(node, "epsilon")->number);
  node_float(export, "momentum", attribute_of(node, "momentum")->number);
  end_node(export, name_out(export, node));
}

static void write_layer_norm(onnx_export *export, const export_op *row, const mcl_node *node) {
  begin_same(export, row, node);
  node_int(export, "axis", attribute_of(node, "axis")->ints[0]);
  node_float(export, "epsilon", attribute_of(node, "epsilon")->number);
  end_node(export, name_out(export, node));
}

static void write_dropout(onnx_export *export, const export_op *row, const mcl_node *node) {
  char rate[64];
  begin_same(export, row, node);
  node_input(export, constant_number(export, attribute_of(node, "rate")->number, rate));
  end_node(export, name_out(export, node));
}

static void write_reshape(onnx_export *export, const export_op *row, const mcl_node *node) {
  const mcl_attribute *shape = attribute_of(node, "shape");
  char dims[64];
  begin_same(export, row, node);
  node_input(export, constant_ints(export, shape->ints, shape->count, dims));
  end_node(export, name_out(export, node));
}

static void write_transpose(onnx_export *export, const export_op *row, const mcl_node *node) {
  const mcl_attribute *perm = attribute_of(node, "perm");
  begin_same(export, row, node);
  if (perm->count) node_ints(export, "perm", perm->ints, perm->count);
  end_node(export, name_out(export, node));
}

static void binary(onnx_export *export, const char *op, const char *name, const char *a, const char *b,
                   const char *out) {
  begin_node(export, op, name);
  node_input(export, a);
  node_input(export, b);
  end_node(export, out);
}

static void unary(onnx_export *export, const char *op, const char *a, const char *out) {
  begin_node(export, op, NULL);
  node_input(export, a);
  end_node(export, out);
}

static void write_silu(onnx_export *export, const export_op *row, const mcl_node *node) {
  const char *x = name_in(export, node, 0);
  char gate[64];
  (void)row;
  unary(export, "Sigmoid", x, between(export, gate));
  binary(export, "Mul", node->name, x, gate, name_out(export, node));
}

/* Gelu is an op of its own only since opset 20: before, x · (1 + erf(x / √2)) · 0.5, or its form with tanh. */
static void write_gelu(onnx_export *export, const export_op *row, const mcl_node *node) {
  const char *x = name_in(export, node, 0);
  char a[64], b[64], c[64], d[64], n[64];
  (void)row;
  if (!attribute_of(node, "tanh")->ints[0]) {
    binary(export, "Div", NULL, x, constant_number(export, sqrt(2), n), between(export, a));
    unary(export, "Erf", a, between(export, b));
  } else { /* tanh(√(2/π) · (x + 0.044715 · x³)) */
    binary(export, "Mul", NULL, x, x, between(export, a));
    binary(export, "Mul", NULL, a, x, between(export, b));
    binary(export, "Mul", NULL, b, constant_number(export, 0.044715, n), between(export, c));
    binary(export, "Add", NULL, x, c, between(export, d));
    binary(export, "Mul", NULL, d, constant_number(export, sqrt(2 / 3.14159265358979323846), n), between(export, a));
    unary(export, "Tanh", a, between(export, b));
  }
  binary(export, "Add", NULL, b, constant_number(export, 1, n), between(export, c));
  binary(export, "Mul", NULL, x, c, between(export, d));
  binary(export, "Mul", node->name, d, constant_number(export, 0.5, n), name_out(export, node));
}

static const export_op export_ops[] = {
    {"add", "Add", write_same},
    {"average_pool", "AveragePool", write_pool},
    {"batch_norm", "BatchNormalization", write_batch_norm},
    {"clip", "Clip", write_clip},
    {"concat", "Concat", write_axis},
    {"conv", "Conv", write_conv},
    {"div", "Div", write_same},
    {"dropout", "Dropout", write_dropout},
    {"elu", "Elu", write_alpha},
    {"flatten", "Flatten", write_axis},
    {"gelu", "Gelu", write_gelu},
    {"global_average_pool", "GlobalAveragePool", write_same},
    {"identity", "Identity", write_same},
    {"layer_norm", "LayerNormalization", write_layer_norm},
    {"leaky_relu", "LeakyRelu", write_alpha},
    {"linear", "Gemm", write_linear},
    {"log_softmax", "LogSoftmax", write_axis},
    {"matmul", "MatMul", write_same},
    {"max_pool", "MaxPool", write_pool},
    {"mul", "Mul", write_same},
    {"relu", "Relu", write_same},
    {"reshape", "Reshape", write_reshape},
    {"sigmoid", "Sigmoid", write_same},
    {"silu", "Mul", write_silu},
    {"softmax", "Softmax", write_axis},
    {"sub", "Sub", write_same},
    {"tanh", "Tanh", write_same},
    {"transpose", "Transpose", write_transpose},
};

static mcl_status export_node(onnx_export *export, const mcl_node *node) {
  for (size_t i = 0; i < sizeof export_ops / sizeof *export_ops; i++) {
    if (strcmp(export_ops[i].op, node->op->name)) continue;
    export_ops[i].write(export, &export_ops[i], node);
    return export->status;
  }
  return mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED, "%s: node \"%s\": op %s has no twin in ONNX", export->path,
                  node->name, node->op->name);
}

/* ---- Names ---- */

static bool is_used(const mcl_model *model, int value, int but) {
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; n != but && i < model->nodes[n].inputs; i++)
      if (model->nodes[n].input[i] == value) return true;
  for (int i = 0; i < model->output_count; i++)
    if (model->outputs[i] == value) return true;
  return false;
}

/* An identity that only gives an output its name: the value before it gets the name instead. */
static bool only_names(const mcl_model *model, int n) {
  const mcl_node *node = &model->nodes[n];
  if (strcmp(node->op->name, "identity") || is_used(model, node->input[0], n)) return false;
  bool is_output = false;
  for (int i = 0; i < model->output_count; i++) is_output = is_output || model->outputs[i] == node->output[0];
  return is_output && model->values[node->input[0]].producer >= 0;
}

static mcl_status name_values(onnx_export *export) {
  mcl_model *model = export->model;
  MCL_TRY(mcl_alloc_array(export->ctx, (size_t)model->value_count, sizeof *export->names, &export->names));
  for (int i = 0; i < model->value_count; i++) export->names[i] = model->values[i].name;
  for (int n = model->node_count; n-- > 0;)
    if (only_names(model, n)) export->names[model->nodes[n].input[0]] = export->names[model->nodes[n].output[0]];
  return MCL_OK;
}

/* ---- Inputs, outputs, weights ---- */

static void put_value_info(onnx_export *export, mcl_buffer *to, uint32_t number, const char *name, mcl_shape shape) {
  mcl_buffer info = {.ctx = export->ctx}, type = {.ctx = export->ctx}, tensor = {.ctx = export->ctx},
             dims = {.ctx = export->ctx}, dim = {.ctx = export->ctx};
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] < 0)
      put_text(export, &dim, 2, "batch");
    else
      put_int(export, &dim, 1, shape.dim[i]);
    put_message(export, &dims, 1, &dim);
  }
  put_int(export, &tensor, 1, ONNX_FLOAT);
  put_message(export, &tensor, 2, &dims);
  put_message(export, &type, 1, &tensor);
  put_text(export, &info, 1, name);
  put_message(export, &info, 2, &type);
  put_message(export, to, number, &info);
}

static void put_ends(onnx_export *export, mcl_buffer *to) {
  mcl_model *model = export->model;
  for (int i = 0; i < model->input_count; i++) {
    const mcl_value *value = &model->values[model->inputs[i]];
    put_value_info(export, to, 11, value->name, value->shape);
  }
  for (int i = 0; i < model->output_count; i++)
    put_value_info(export, to, 12, export->names[model->outputs[i]], model->values[model->outputs[i]].shape);
}

/* All of a weight's initializer but its elements, which follow it. */
static void put_weight_head(onnx_export *export, mcl_buffer *to, const mcl_weight *weight, size_t elements) {
  mcl_buffer head = {.ctx = export->ctx};
  for (int i = 0; i < weight->shape.rank; i++) put_int(export, &head, 1, weight->shape.dim[i]);
  put_int(export, &head, 2, ONNX_FLOAT);
  put_text(export, &head, 8, weight->name);
  put_key(export, &head, 9, MCL_WIRE_BYTES);
  keep(export, mcl_buffer_varint(&head, elements));
  put_key(export, to, 5, MCL_WIRE_BYTES);
  keep(export, mcl_buffer_varint(to, head.size + elements));
  keep(export, mcl_buffer_append(to, head.data, head.size));
  mcl_buffer_free(&head);
}

static size_t weight_bytes(mcl_model *model, int weight) {
  size_t count = 1;
  for (int i = 0; i < model->weights[weight].shape.rank; i++) count *= (size_t)model->weights[weight].shape.dim[i];
  return count * sizeof(float);
}

/* ---- The whole ---- */

/* Where bytes go: a file, or memory. */
typedef struct onnx_sink {
  mcl_file_writer *file;
  mcl_buffer *memory;
} onnx_sink;

static mcl_status sink(const onnx_sink *to, const void *data, size_t size) {
  return to->file ? mcl_file_write(to->file, data, size) : mcl_buffer_append(to->memory, data, size);
}

static mcl_status sink_elements(onnx_export *export, const onnx_sink *to, mcl_tensor *values) {
  float swapped[256];
  const float *data = mcl_tensor_f32(values);
  if (!mcl_machine_is_big_endian()) return sink(to, data, (size_t)values->count * sizeof *data);
  for (int64_t i = 0; i < values->count; i += 256) {
    size_t n = values->count - i < 256 ? (size_t)(values->count - i) : 256;
    mcl_copy_swapped(swapped, data + i, sizeof *data, n);
    MCL_TRY(sink(to, swapped, n * sizeof *data));
  }
  return mcl_check_cancel(export->ctx);
}

static mcl_status sink_weight(onnx_export *export, const onnx_sink *to, int index) {
  mcl_model *model = export->model;
  mcl_buffer head = {.ctx = export->ctx};
  mcl_tensor *values = NULL;
  MCL_TRY(mcl_weight_load(model, index));
  put_weight_head(export, &head, &model->weights[index], weight_bytes(model, index));
  mcl_status status = export->status;
  if (!status) status = sink(to, head.data, head.size);
  if (!status) status = mcl_repr_values(model->weights[index].repr, &values);
  if (!status) status = sink_elements(export, to, values);
  mcl_tensor_release(values);
  mcl_buffer_free(&head);
  return status;
}

static mcl_status graph_size(onnx_export *export, size_t *out) {
  mcl_model *model = export->model;
  size_t total = export->nodes.size + export->constants.size;
  for (int i = 0; i < model->weight_count; i++) {
    mcl_buffer head = {.ctx = export->ctx};
    put_weight_head(export, &head, &model->weights[i], weight_bytes(model, i));
    total += head.size + weight_bytes(model, i);
    mcl_buffer_free(&head);
    if (total > SIZE_LIMIT)
      return mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED,
                      "%s: ONNX files end at 2 GB, this model is larger; save it as .bin", export->path);
  }
  *out = total;
  return export->status;
}

static mcl_status write_to(onnx_export *export, const onnx_sink *to) {
  mcl_buffer head = {.ctx = export->ctx}, opset = {.ctx = export->ctx};
  size_t size;
  MCL_TRY(graph_size(export, &size));
  put_int(export, &head, 1, IR_VERSION);
  put_text(export, &head, 2, "mcl");
  put_text(export, &head, 3, MCL_VERSION);
  put_text(export, &opset, 1, "");
  put_int(export, &opset, 2, OPSET);
  put_message(export, &head, 8, &opset);
  put_key(export, &head, 7, MCL_WIRE_BYTES);
  keep(export, mcl_buffer_varint(&head, size));
  mcl_status status = export->status;
  if (!status) status = sink(to, head.data, head.size);
  if (!status) status = sink(to, export->nodes.data, export->nodes.size);
  for (int i = 0; !status && i < export->model->weight_count; i++) status = sink_weight(export, to, i);
  if (!status) status = sink(to, export->constants.data, export->constants.size);
  mcl_buffer_free(&head);
  return status;
}

static mcl_status write_model(mcl_model *model, const char *path, const onnx_sink *to) {
  mcl_context *ctx = model->ctx;
  onnx_export export = {
      .ctx = ctx, .model = model, .path = path, .nodes = {.ctx = ctx}, .constants = {.ctx = ctx}, .node = {.ctx = ctx}};
  mcl_status status = name_values(&export);
  for (int n = 0; !status && n < model->node_count; n++)
    if (!only_names(model, n)) status = export_node(&export, &model->nodes[n]);
  if (!status) {
    put_text(&export, &export.nodes, 2, "mcl");
    put_ends(&export, &export.constants);
    status = export.status;
  }
  if (!status) status = write_to(&export, to);
  mcl_buffer_free(&export.nodes);
  mcl_buffer_free(&export.constants);
  mcl_buffer_free(&export.node);
  mcl_free(ctx, export.names);
  return status;
}

mcl_status mcl_onnx_encode(mcl_model *model, mcl_buffer *out) {
  const onnx_sink to = {.memory = out};
  return write_model(model, model->name, &to);
}

mcl_status mcl_onnx_save_model(mcl_model *model, const char *path, int zstd_level) {
  onnx_sink to = {0};
  if (zstd_level)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: an ONNX file has no zstd wrap; leave zstd out, or save a .mcl",
                    path);
  MCL_TRY(mcl_file_writer_open(model->ctx, path, &to.file));
  mcl_status status = write_model(model, path, &to);
  if (!status) return mcl_file_commit(to.file);
  mcl_file_abandon(to.file);
  return status;
}
