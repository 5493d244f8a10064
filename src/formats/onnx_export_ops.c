/* ONNX: ops of a model → nodes of opset 17. An op is a row: the ONNX op that says the same, or a few that do. */
#include <math.h>
#include <stdio.h>

#include "formats/onnx_export.h"

/* ---- Nodes ---- */

static void begin_node(onnx_export *export, const char *op, const char *name) {
  export->node.size = 0;
  mcl_onnx_put_text(export, &export->node, 4, op);
  if (name) mcl_onnx_put_text(export, &export->node, 3, name);
}

static void node_input(onnx_export *export, const char *name) { mcl_onnx_put_text(export, &export->node, 1, name); }

static void end_node(onnx_export *export, const char *output) {
  mcl_onnx_put_text(export, &export->node, 2, output);
  mcl_onnx_put_bytes(export, &export->nodes, 1, export->node.data, export->node.size);
}

static void node_int(onnx_export *export, const char *name, int64_t value) {
  mcl_buffer attribute = {.ctx = export->ctx};
  mcl_onnx_put_text(export, &attribute, 1, name);
  mcl_onnx_put_int(export, &attribute, 3, value);
  mcl_onnx_put_int(export, &attribute, 20, 2);
  mcl_onnx_put_message(export, &export->node, 5, &attribute);
}

static void node_float(onnx_export *export, const char *name, double value) {
  mcl_buffer attribute = {.ctx = export->ctx};
  mcl_onnx_put_text(export, &attribute, 1, name);
  mcl_onnx_put_key(export, &attribute, 2, MCL_WIRE_32);
  mcl_onnx_keep(export, mcl_buffer_f32(&attribute, (float)value));
  mcl_onnx_put_int(export, &attribute, 20, 1);
  mcl_onnx_put_message(export, &export->node, 5, &attribute);
}

static void node_ints(onnx_export *export, const char *name, const int64_t *numbers, int count) {
  mcl_buffer attribute = {.ctx = export->ctx};
  mcl_onnx_put_text(export, &attribute, 1, name);
  for (int i = 0; i < count; i++) mcl_onnx_put_int(export, &attribute, 8, numbers[i]);
  mcl_onnx_put_int(export, &attribute, 20, 7);
  mcl_onnx_put_message(export, &export->node, 5, &attribute);
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
  mcl_onnx_put_int(export, &tensor, 1, count);
  mcl_onnx_put_int(export, &tensor, 2, ONNX_INT64);
  mcl_onnx_put_text(export, &tensor, 8, text);
  for (int i = 0; i < count; i++) mcl_onnx_keep(export, mcl_buffer_u64(&raw, (uint64_t)numbers[i]));
  mcl_onnx_put_message(export, &tensor, 9, &raw);
  mcl_onnx_put_message(export, &export->constants, 5, &tensor);
  return text;
}

static const char *constant_number(onnx_export *export, double number, char text[64]) {
  mcl_buffer tensor = {.ctx = export->ctx}, raw = {.ctx = export->ctx};
  between(export, text);
  mcl_onnx_put_int(export, &tensor, 2, ONNX_FLOAT);
  mcl_onnx_put_text(export, &tensor, 8, text);
  mcl_onnx_keep(export, mcl_buffer_f32(&raw, (float)number));
  mcl_onnx_put_message(export, &tensor, 9, &raw);
  mcl_onnx_put_message(export, &export->constants, 5, &tensor);
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

/* Rounding up where it makes a difference: a window that would lie in the padding alone is left out by the definition, but
 * not by every reader, so a size that rounding down gives too is asked for in that way. */
static bool rounds_up(const onnx_export *export, const mcl_node *node) {
  mcl_shape in = shape_in(export, node, 0), out = export->model->values[node->output[0]].shape;
  bool differs = false;
  for (int i = 0; i < 2; i++) {
    int64_t reach = (attribute_of(node, "kernel")->ints[i] - 1) * attribute_of(node, "dilation")->ints[i] + 1;
    int64_t padded = in.dim[2 + i] + attribute_of(node, "pad")->ints[i] + attribute_of(node, "pad")->ints[2 + i];
    differs = differs || out.dim[2 + i] != (padded - reach) / attribute_of(node, "stride")->ints[i] + 1;
  }
  return attribute_of(node, "ceil")->ints[0] && differs;
}

static void write_pool(onnx_export *export, const export_op *row, const mcl_node *node) {
  const int64_t *dilation = attribute_of(node, "dilation")->ints;
  bool is_average = !strcmp(row->op, "average_pool");
  if (is_average && (dilation[0] != 1 || dilation[1] != 1))
    mcl_onnx_keep(export, mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED,
                                   "%s: node \"%s\": average_pool with dilation is not in ONNX of opset %d",
                                   export->path, node->name, ONNX_OPSET));
  begin_same(export, row, node);
  node_ints(export, "kernel_shape", attribute_of(node, "kernel")->ints, 2);
  node_ints(export, "strides", attribute_of(node, "stride")->ints, 2);
  node_ints(export, "pads", attribute_of(node, "pad")->ints, 4);
  if (!is_average) node_ints(export, "dilations", dilation, 2);
  node_int(export, "ceil_mode", rounds_up(export, node));
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

mcl_status mcl_onnx_export_node(onnx_export *export, const mcl_node *node) {
  for (size_t i = 0; i < sizeof export_ops / sizeof *export_ops; i++) {
    if (strcmp(export_ops[i].op, node->op->name)) continue;
    export_ops[i].write(export, &export_ops[i], node);
    return export->status;
  }
  return mcl_fail(export->ctx, MCL_ERROR_UNSUPPORTED, "%s: node \"%s\": op %s has no twin in ONNX", export->path,
                  node->name, node->op->name);
}
