/* ONNX: the table of ops that are read, and the handlers of the element-wise ones. An op is a row here and a handler; those of
 * layers are in onnx_layers.c, those that move numbers about in onnx_shapes.c. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "formats/onnx_import.h"

/* ---- Activations ---- */

static mcl_status finish_unary(onnx_import *import, const onnx_node *node, onnx_put *put) {
  int x;
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_onnx_add_input(put, x);
  return mcl_onnx_finish(import, node, put);
}

/* Ops whose twin in the engine has another name, and no attribute. */
static mcl_status import_plain(onnx_import *import, const onnx_node *node) {
  static const struct { const char *onnx, *op; } twins[] = {{"Relu", "relu"}, {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"}};
  for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
    if (!strcmp(twins[i].onnx, node->op_type)) {
      onnx_put put = mcl_onnx_op(twins[i].op);
      return finish_unary(import, node, &put);
    }
  return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op %s has no twin", node->op_type);
}

static mcl_status import_alpha(onnx_import *import, const onnx_node *node) {
  bool is_elu = !strcmp(node->op_type, "Elu");
  onnx_put put = mcl_onnx_op(is_elu ? "elu" : "leaky_relu");
  double alpha;
  MCL_TRY(mcl_onnx_float(import, node, "alpha", is_elu ? 1 : 0.01, &alpha));
  mcl_onnx_set_float(&put, "alpha", alpha);
  return finish_unary(import, node, &put);
}

static mcl_status import_gelu(onnx_import *import, const onnx_node *node) {
  onnx_put put = mcl_onnx_op("gelu");
  const char *form;
  MCL_TRY(mcl_onnx_text(import, node, "approximate", "none", &form));
  const int64_t is_tanh = !strcmp(form, "tanh");
  if (!is_tanh && strcmp(form, "none"))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "Gelu of approximate=\"%.32s\"; none and tanh are supported", form);
  mcl_onnx_set_ints(&put, "tanh", &is_tanh, 1);
  return finish_unary(import, node, &put);
}

/* Bounds are attributes before opset 11, inputs since. */
static mcl_status import_clip(onnx_import *import, const onnx_node *node) {
  double least = -(double)FLT_MAX, most = (double)FLT_MAX;
  onnx_put put = mcl_onnx_op("clip");
  MCL_TRY(mcl_onnx_float(import, node, "min", least, &least));
  MCL_TRY(mcl_onnx_float(import, node, "max", most, &most));
  if (mcl_onnx_input(import, node, 1)) MCL_TRY(mcl_onnx_number(import, node, 1, &least));
  if (mcl_onnx_input(import, node, 2)) MCL_TRY(mcl_onnx_number(import, node, 2, &most));
  if (most < least) least = most; /* as ONNX: then everything is max */
  mcl_onnx_set_float(&put, "min", least);
  mcl_onnx_set_float(&put, "max", most);
  return finish_unary(import, node, &put);
}

/* ---- Arithmetic ---- */

static mcl_status finish_binary(onnx_import *import, const onnx_node *node, const char *op, int a, int b) {
  int value;
  MCL_TRY(mcl_onnx_place_binary(import, node, op, a, b, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

/* A constant of this one number, which adds no dimension to a value of `rank`. */
static bool is_number(onnx_import *import, const onnx_node *node, int index, int rank, double expected) {
  double number;
  mcl_tensor *constant;
  if (!mcl_onnx_is_constant(import, node, index) || mcl_onnx_constant(import, node, index, &constant) ||
      constant->count != 1 || constant->shape.rank > rank || mcl_onnx_number(import, node, index, &number))
    return false;
  return fabs(number - expected) <= 1e-5 * fabs(expected);
}

/* The other input of a node with two, one of which is named so; -1: none is. */
static int other_input(const onnx_node *node, const char *name) {
  if (node->input_count != 2) return -1;
  return !strcmp(node->inputs[0], name) ? 1 : !strcmp(node->inputs[1], name) ? 0 : -1;
}

static bool is_op(const onnx_node *node, const char *op) {
  return node && !*node->domain && !strcmp(node->op_type, op);
}

/* GELU as exporters spell it before opset 20: x / √2 → Erf → + 1 → · x → · 0.5. The nodes after `node`, the division, in
 * that order; false where it is not that pattern. */
static bool is_erf_gelu(onnx_import *import, const onnx_node *node, const onnx_node *chain[4]) {
  static const char *const ops[4] = {"Erf", "Add", "Mul", "Mul"};
  const onnx_value *x = mcl_onnx_find(import, node->inputs[0]);
  if (!x || x->kind != ONNX_COMPUTED) return false;
  int rank = mcl_onnx_shape(import, x->value).rank;
  if (!is_number(import, node, 1, rank, strcmp(node->op_type, "Div") ? sqrt(0.5) : sqrt(2))) return false;
  const onnx_node *at = node;
  for (int i = 0; i < 4; i++) {
    const char *name = at->outputs[0];
    at = mcl_onnx_only_user(import, at);
    if (!is_op(at, ops[i])) return false;
    chain[i] = at;
    int other = i == 0 ? 0 : other_input(at, name);
    if (other < 0) return false;
    if (i == 1 && !is_number(import, at, other, rank, 1)) return false;
    if (i == 2 && strcmp(at->inputs[other], node->inputs[0])) return false;
    if (i == 3 && !is_number(import, at, other, rank, 0.5)) return false;
  }
  return true;
}

static mcl_status import_arithmetic(onnx_import *import, const onnx_node *node) {
  static const struct {
    const char *onnx, *op;
  } twins[] = {{"Add", "add"}, {"Sub", "sub"}, {"Mul", "mul"}, {"Div", "div"}};
  const onnx_node *chain[4];
  int a, b;
  if ((is_op(node, "Div") || is_op(node, "Mul")) && is_erf_gelu(import, node, chain)) {
    onnx_put put = mcl_onnx_op("gelu");
    MCL_TRY(mcl_onnx_computed(import, node, 0, &a));
    mcl_onnx_add_input(&put, a);
    for (int i = 0; i < 4; i++) mcl_onnx_take(import, chain[i]);
    return mcl_onnx_finish(import, chain[3], &put);
  }
  MCL_TRY(mcl_onnx_computed(import, node, 0, &a));
  MCL_TRY(mcl_onnx_computed(import, node, 1, &b));
  for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
    if (!strcmp(twins[i].onnx, node->op_type)) return finish_binary(import, node, twins[i].op, a, b);
  return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op %s has no twin", node->op_type);
}

static mcl_status import_neg(onnx_import *import, const onnx_node *node) {
  int x, minus;
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(mcl_onnx_scalar(import, node, "minus_one", -1, &minus));
  return finish_binary(import, node, "mul", x, minus);
}

static mcl_status import_sum(onnx_import *import, const onnx_node *node) {
  int sum, next;
  char part[24];
  MCL_TRY(mcl_onnx_computed(import, node, 0, &sum));
  for (int i = 1; i < node->input_count; i++) {
    bool is_last = i + 1 == node->input_count;
    snprintf(part, sizeof part, "sum%d", i);
    MCL_TRY(mcl_onnx_computed(import, node, i, &next));
    MCL_TRY(mcl_onnx_place_binary(import, node, "add", sum, next, is_last ? NULL : part, &sum));
  }
  mcl_onnx_bind(import, node, sum);
  return MCL_OK;
}

/* clip(alpha · x + beta, 0, 1), and x times it. */
static mcl_status import_hard(onnx_import *import, const onnx_node *node) {
  bool is_swish = !strcmp(node->op_type, "HardSwish");
  double alpha, beta;
  int x, factor, offset, value;
  MCL_TRY(mcl_onnx_float(import, node, "alpha", is_swish ? 1.0 / 6 : 0.2, &alpha));
  MCL_TRY(mcl_onnx_float(import, node, "beta", 0.5, &beta));
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(mcl_onnx_scalar(import, node, "alpha", alpha, &factor));
  MCL_TRY(mcl_onnx_scalar(import, node, "beta", beta, &offset));
  MCL_TRY(mcl_onnx_place_binary(import, node, "mul", x, factor, "scaled", &value));
  MCL_TRY(mcl_onnx_place_binary(import, node, "add", value, offset, "shifted", &value));
  onnx_put clip = mcl_onnx_op("clip");
  mcl_onnx_set_float(&clip, "min", 0);
  mcl_onnx_set_float(&clip, "max", 1);
  mcl_onnx_add_input(&clip, value);
  if (!is_swish) return mcl_onnx_finish(import, node, &clip);
  MCL_TRY(mcl_onnx_place(import, node, &clip, "clipped", &value));
  return finish_binary(import, node, "mul", x, value);
}

/* ---- Softmax, dropout ---- */

/* Before opset 13 the dimensions from the axis on are taken as one. */
static mcl_status import_softmax(onnx_import *import, const onnx_node *node) {
  bool is_old = import->document->opset < 13;
  int x;
  int64_t axis;
  onnx_put put = mcl_onnx_op(!strcmp(node->op_type, "LogSoftmax") ? "log_softmax" : "softmax");
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(mcl_onnx_int(import, node, "axis", is_old ? 1 : -1, &axis));
  mcl_shape shape = mcl_onnx_shape(import, x);
  int64_t front = axis < 0 ? axis + shape.rank : axis;
  if (front < 0 || front >= shape.rank || !is_old || front == shape.rank - 1) {
    mcl_onnx_set_ints(&put, "axis", &axis, 1);
    mcl_onnx_add_input(&put, x);
    return mcl_onnx_finish(import, node, &put);
  }
  int64_t dims[MCL_MAX_RANK], last = -1;
  int value;
  for (int i = 0; i < shape.rank; i++) dims[i] = shape.dim[i] < 0 ? 0 : shape.dim[i];
  int64_t flat[MCL_MAX_RANK];
  memcpy(flat, dims, sizeof flat);
  flat[front] = front == 0 && shape.dim[0] < 0 ? 0 : 1;
  for (int64_t i = front; i < shape.rank && flat[front]; i++) flat[front] *= shape.dim[i];
  if (!flat[front])
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED, "op %s over the batch; use another axis",
                              node->op_type);
  MCL_TRY(mcl_onnx_reshape(import, node, x, flat, (int)front + 1, "flat", &value));
  mcl_onnx_set_ints(&put, "axis", &last, 1);
  mcl_onnx_add_input(&put, value);
  MCL_TRY(mcl_onnx_place(import, node, &put, "of_flat", &value));
  MCL_TRY(mcl_onnx_reshape(import, node, value, dims, shape.rank, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

static mcl_status import_dropout(onnx_import *import, const onnx_node *node) {
  onnx_put put = mcl_onnx_op("dropout");
  double rate, training = 0;
  MCL_TRY(mcl_onnx_float(import, node, "ratio", 0.5, &rate));
  if (mcl_onnx_input(import, node, 1)) MCL_TRY(mcl_onnx_number(import, node, 1, &rate));
  if (mcl_onnx_is_constant(import, node, 2)) MCL_TRY(mcl_onnx_number(import, node, 2, &training));
  if (training != 0)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op Dropout is fixed to training mode; export the model for inference");
  if (!(rate >= 0 && rate < 1))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "op Dropout drops %g of its input; it must be from 0 to below 1", rate);
  mcl_onnx_set_float(&put, "rate", rate);
  return finish_unary(import, node, &put);
}

/* ---- The table ---- */

#define POOL "auto_pad ceil_mode dilations kernel_shape pads strides"

const onnx_op mcl_onnx_ops[] = {
    {"Add", 6, 2, 2, "broadcast", import_arithmetic},
    {"AveragePool", 1, 1, 1, POOL " count_include_pad", mcl_onnx_pool},
    {"BatchNormalization", 6, 5, 5, "epsilon is_test momentum spatial training_mode", mcl_onnx_batch_norm},
    {"Cast", 6, 1, 1, "to saturate round_mode", mcl_onnx_cast},
    {"Clip", 6, 1, 3, "min max", import_clip},
    {"Concat", 4, 1, MCL_MAX_INPUTS, "axis", mcl_onnx_concat},
    {"Constant", 1, 0, 0, "value value_float value_floats value_int value_ints", mcl_onnx_constant_node},
    {"Conv", 1, 2, 3, "auto_pad dilations group kernel_shape pads strides", mcl_onnx_conv},
    {"Div", 6, 2, 2, "broadcast", import_arithmetic},
    {"Dropout", 6, 1, 3, "is_test ratio seed", import_dropout},
    {"Elu", 6, 1, 1, "alpha", import_alpha},
    {"Flatten", 1, 1, 1, "axis", mcl_onnx_flatten},
    {"Gather", 1, 2, 2, "axis", mcl_onnx_gather},
    {"Gelu", 20, 1, 1, "approximate", import_gelu},
    {"Gemm", 6, 2, 3, "alpha beta broadcast transA transB", mcl_onnx_gemm},
    {"GlobalAveragePool", 1, 1, 1, "", mcl_onnx_global_pool},
    {"HardSigmoid", 6, 1, 1, "alpha beta", import_hard},
    {"HardSwish", 14, 1, 1, "", import_hard},
    {"Identity", 1, 1, 1, "", mcl_onnx_pass},
    {"LayerNormalization", 17, 2, 3, "axis epsilon stash_type", mcl_onnx_layer_norm},
    {"LeakyRelu", 6, 1, 1, "alpha", import_alpha},
    {"LogSoftmax", 1, 1, 1, "axis", import_softmax},
    {"MatMul", 1, 2, 2, "", mcl_onnx_matmul},
    {"MaxPool", 1, 1, 1, POOL " storage_order", mcl_onnx_pool},
    {"Mul", 6, 2, 2, "broadcast", import_arithmetic},
    {"Neg", 6, 1, 1, "", import_neg},
    {"Pad", 2, 1, 4, "mode pads value", mcl_onnx_pad},
    {"ReduceMean", 1, 1, 2, "axes keepdims noop_with_empty_axes", mcl_onnx_reduce_mean},
    {"Relu", 6, 1, 1, "", import_plain},
    {"Reshape", 5, 2, 2, "allowzero", mcl_onnx_reshape_node},
    {"Shape", 1, 1, 1, "start end", mcl_onnx_shape_node},
    {"Sigmoid", 6, 1, 1, "", import_plain},
    {"Slice", 10, 3, 5, "", mcl_onnx_slice},
    {"Softmax", 1, 1, 1, "axis", import_softmax},
    {"Squeeze", 1, 1, 2, "axes", mcl_onnx_squeeze},
    {"Sub", 6, 2, 2, "broadcast", import_arithmetic},
    {"Sum", 6, 1, MCL_MAX_INPUTS, "", import_sum},
    {"Tanh", 6, 1, 1, "", import_plain},
    {"Transpose", 1, 1, 1, "perm", mcl_onnx_transpose},
    {"Unsqueeze", 1, 1, 2, "axes", mcl_onnx_unsqueeze},
};
const int mcl_onnx_op_count = sizeof mcl_onnx_ops / sizeof *mcl_onnx_ops;
