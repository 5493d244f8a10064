/* ONNX: the handlers of ops that own weights, and of pooling. */
#include <stdio.h>

#include "formats/onnx_import.h"

/* ---- Windows: what Conv and the pools share ---- */

typedef struct onnx_window {
  int64_t kernel[2], stride[2], dilation[2], pad[4];
} onnx_window;

/* `ends` numbers a dimension: 2 of padding, else 1. What a signal does not say of its second dimension stays preset. */
static mcl_status window_ints(onnx_import *import, const onnx_node *node, const char *name, int dimensions, int ends,
                              int64_t *out) {
  int64_t numbers[MCL_MAX_RANK] = {0};
  int count = -1;
  MCL_TRY(mcl_onnx_ints(import, node, name, MCL_MAX_RANK, numbers, &count));
  if (count < 0) return MCL_OK; /* not given */
  if (count != dimensions * ends)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "attribute \"%s\" of op %s has %d numbers where %d belong", name, node->op_type, count,
                              dimensions * ends);
  for (int end = 0; end < ends; end++)
    for (int i = 0; i < dimensions; i++) out[end * 2 + i] = numbers[end * dimensions + i];
  return MCL_OK;
}

/* SAME: as many outputs as input / stride, rounded up; an odd pixel of padding goes to the end (UPPER) or the beginning. */
static mcl_status pad_same(onnx_import *import, const onnx_node *node, mcl_shape x, bool is_upper,
                           onnx_window *window) {
  for (int i = 0; i < 2; i++) {
    int64_t size = x.dim[2 + i], stride = window->stride[i], span, total, beginning;
    if (stride < 1 || stride > INT32_MAX || window->kernel[i] < 1 || window->dilation[i] < 1 ||
        __builtin_mul_overflow(window->kernel[i] - 1, window->dilation[i], &span) || span > INT32_MAX)
      return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                                "op %s: kernel, stride or dilation is not a sensible number", node->op_type);
    total = ((size + stride - 1) / stride - 1) * stride + span + 1 - size;
    if (total < 0) total = 0;
    beginning = is_upper ? total / 2 : total - total / 2;
    window->pad[i] = beginning;
    window->pad[2 + i] = total - beginning;
  }
  return MCL_OK;
}

/* Images are [batch, channels, height, width]; a signal [batch, channels, length] becomes one of width 1. */
static mcl_status as_image(onnx_import *import, const onnx_node *node, int *x, int *dimensions) {
  mcl_shape shape = mcl_onnx_shape(import, *x);
  char text[MCL_SHAPE_TEXT];
  *dimensions = 2;
  if (shape.rank == 4) return MCL_OK;
  if (shape.rank != 3)
    return mcl_onnx_node_fail(
        import, node, MCL_ERROR_UNSUPPORTED,
        "op %s of an input %s; images [batch, channels, height, width] and signals [batch, channels, "
        "length] are supported",
        node->op_type, mcl_shape_text(shape, text));
  const int64_t dims[4] = {shape.dim[0] < 0 ? 0 : shape.dim[0], shape.dim[1], shape.dim[2], 1};
  *dimensions = 1;
  return mcl_onnx_reshape(import, node, *x, dims, 4, "image", x);
}

static mcl_status finish_window(onnx_import *import, const onnx_node *node, const onnx_put *put, int dimensions) {
  int value;
  if (dimensions == 2) return mcl_onnx_finish(import, node, put);
  MCL_TRY(mcl_onnx_place(import, node, put, put->op->weight_input ? NULL : "of_image", &value));
  mcl_shape shape = mcl_onnx_shape(import, value);
  const int64_t dims[3] = {shape.dim[0] < 0 ? 0 : shape.dim[0], shape.dim[1], shape.dim[2]};
  MCL_TRY(mcl_onnx_reshape(import, node, value, dims, 3, put->op->weight_input ? "signal" : NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

static mcl_status read_window(onnx_import *import, const onnx_node *node, mcl_shape x, int dimensions,
                              onnx_window *window) {
  const char *mode;
  MCL_TRY(window_ints(import, node, "kernel_shape", dimensions, 1, window->kernel));
  MCL_TRY(window_ints(import, node, "strides", dimensions, 1, window->stride));
  MCL_TRY(window_ints(import, node, "dilations", dimensions, 1, window->dilation));
  MCL_TRY(window_ints(import, node, "pads", dimensions, 2, window->pad));
  MCL_TRY(mcl_onnx_text(import, node, "auto_pad", "NOTSET", &mode));
  if (!strcmp(mode, "SAME_UPPER")) return pad_same(import, node, x, true, window);
  if (!strcmp(mode, "SAME_LOWER")) return pad_same(import, node, x, false, window);
  if (!strcmp(mode, "VALID"))
    memset(window->pad, 0, sizeof window->pad);
  else if (strcmp(mode, "NOTSET"))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "attribute auto_pad of op %s is \"%.32s\"; NOTSET, VALID, "
                              "SAME_UPPER and SAME_LOWER are supported",
                              node->op_type, mode);
  return MCL_OK;
}

/* ---- Conv ---- */

static mcl_status conv_weight(onnx_import *import, const onnx_node *node, int dimensions, int *weight) {
  mcl_tensor *constant, *image = NULL;
  char text[MCL_SHAPE_TEXT];
  if (!mcl_onnx_is_constant(import, node, 1)) {
    MCL_TRY(mcl_onnx_computed(import, node, 1, weight));
    return dimensions == 2 ? MCL_OK : as_image(import, node, weight, &dimensions);
  }
  MCL_TRY(mcl_onnx_constant(import, node, 1, &constant));
  mcl_shape w = constant->shape;
  if (w.rank != dimensions + 2)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT,
                              "op Conv has a weight %s of %d dimensions; it must have %d", mcl_shape_text(w, text),
                              w.rank, dimensions + 2);
  if (dimensions == 2) return mcl_onnx_weight(import, node, 1, "weight", ONNX_AS_IS, false, weight);
  int *made = &import->values[mcl_onnx_input(import, node, 1)->root].as_image;
  if (*made >= 0) return *weight = *made, MCL_OK;
  w.dim[w.rank++] = 1;
  MCL_TRY(mcl_onnx_constant_f32(import, node, 1, &constant));
  mcl_status status = mcl_tensor_reshape(constant, w, &image);
  if (!status) status = mcl_onnx_new_weight(import, node, "weight", image, false, weight);
  if (!status) *made = *weight;
  mcl_tensor_release(image);
  mcl_tensor_release(constant);
  return status;
}

mcl_status mcl_onnx_conv(onnx_import *import, const onnx_node *node) {
  int x, weight, bias = -1, dimensions;
  onnx_window window = {.stride = {1, 1}, .dilation = {1, 1}, .kernel = {1, 1}};
  onnx_put put = mcl_onnx_op("conv");
  int64_t groups, pad[4];
  MCL_TRY(mcl_onnx_padded(import, node, 0, &x, pad));
  MCL_TRY(as_image(import, node, &x, &dimensions));
  MCL_TRY(conv_weight(import, node, dimensions, &weight));
  mcl_shape w = mcl_onnx_shape(import, weight);
  for (int i = 0; i < 2 && w.rank == 4; i++) window.kernel[i] = w.dim[2 + i];
  mcl_shape padded = mcl_onnx_shape(import, x);
  for (int i = 0; i < 2; i++) padded.dim[2 + i] += pad[i] + pad[2 + i];
  MCL_TRY(read_window(import, node, padded, dimensions, &window));
  for (int i = 0; i < 4; i++)
    if (__builtin_add_overflow(window.pad[i], pad[i], &window.pad[i])) window.pad[i] = -1; /* refused by conv */
  if (w.rank != 4 || window.kernel[0] != w.dim[2] || window.kernel[1] != w.dim[3]) {
    char text[MCL_SHAPE_TEXT];
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op Conv of kernel_shape %lldx%lld has a weight %s",
                              (long long)window.kernel[0], (long long)window.kernel[1], mcl_shape_text(w, text));
  }
  MCL_TRY(mcl_onnx_int(import, node, "group", 1, &groups));
  if (mcl_onnx_is_constant(import, node, 2))
    MCL_TRY(mcl_onnx_weight(import, node, 2, "bias", ONNX_AS_IS, false, &bias));
  else if (mcl_onnx_input(import, node, 2))
    MCL_TRY(mcl_onnx_computed(import, node, 2, &bias));
  mcl_onnx_set_ints(&put, "stride", window.stride, 2);
  mcl_onnx_set_ints(&put, "pad", window.pad, 4);
  mcl_onnx_set_ints(&put, "dilation", window.dilation, 2);
  mcl_onnx_set_ints(&put, "groups", &groups, 1);
  mcl_onnx_add_input(&put, x);
  mcl_onnx_add_input(&put, weight);
  if (bias >= 0) mcl_onnx_add_input(&put, bias);
  return finish_window(import, node, &put, dimensions);
}

/* ---- Pools ---- */

mcl_status mcl_onnx_pool(onnx_import *import, const onnx_node *node) {
  bool is_average = !strcmp(node->op_type, "AveragePool");
  int x, dimensions;
  int64_t ceil_mode, counts_pad;
  onnx_window window = {.stride = {1, 1}, .dilation = {1, 1}, .kernel = {1, 1}};
  onnx_put put = mcl_onnx_op(is_average ? "average_pool" : "max_pool");
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  MCL_TRY(as_image(import, node, &x, &dimensions));
  if (!mcl_onnx_attribute(node, "kernel_shape"))
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "op %s has no kernel_shape", node->op_type);
  MCL_TRY(read_window(import, node, mcl_onnx_shape(import, x), dimensions, &window));
  MCL_TRY(mcl_onnx_int(import, node, "ceil_mode", 0, &ceil_mode));
  MCL_TRY(mcl_onnx_int(import, node, "count_include_pad", 0, &counts_pad));
  mcl_onnx_set_ints(&put, "kernel", window.kernel, 2);
  mcl_onnx_set_ints(&put, "stride", window.stride, 2);
  mcl_onnx_set_ints(&put, "pad", window.pad, 4);
  mcl_onnx_set_ints(&put, "dilation", window.dilation, 2);
  mcl_onnx_set_ints(&put, "ceil", &ceil_mode, 1);
  if (is_average) mcl_onnx_set_ints(&put, "count_include_pad", &counts_pad, 1);
  mcl_onnx_add_input(&put, x);
  return finish_window(import, node, &put, dimensions);
}

mcl_status mcl_onnx_global_pool(onnx_import *import, const onnx_node *node) {
  onnx_put put = mcl_onnx_op("global_average_pool");
  int x;
  MCL_TRY(mcl_onnx_computed(import, node, 0, &x));
  mcl_onnx_add_input(&put, x);
  return mcl_onnx_finish(import, node, &put);
}

/* ---- Linear layers ---- */

static mcl_status put_transpose(onnx_import *import, const onnx_node *node, int from, const char *part, int *value) {
  onnx_put put = mcl_onnx_op("transpose");
  const int64_t perm[2] = {1, 0};
  mcl_onnx_set_ints(&put, "perm", perm, 2);
  mcl_onnx_add_input(&put, from);
  return mcl_onnx_place(import, node, &put, part, value);
}

static mcl_status scale_tensor(mcl_tensor *t, float factor, mcl_tensor **out) {
  MCL_TRY(mcl_tensor_copy(t, out));
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(*out)[i] *= factor;
  return MCL_OK;
}

static mcl_status scaled_by(onnx_import *import, const onnx_node *node, double factor, const char *part, int *value) {
  int scalar;
  if (factor == 1) return MCL_OK;
  MCL_TRY(mcl_onnx_scalar(import, node, part, factor, &scalar));
  return mcl_onnx_place_binary(import, node, "mul", *value, scalar, part, value);
}

/* A product x · Lᵀ of L[out, in]. Where the file's matrix is a weight already, but turned, it is the product with that. */
typedef struct linear {
  int x, weight;
  bool is_turned; /* the weight is Lᵀ */
  int bias;       /* a weight of a number an output; -1: none */
  int64_t outputs;
} linear;

static mcl_status linear_weight(onnx_import *import, const onnx_node *node, onnx_layout layout, linear *l) {
  int turned = mcl_onnx_turned_weight(import, node, 1, layout);
  l->is_turned = turned >= 0;
  l->weight = turned;
  if (turned < 0) MCL_TRY(mcl_onnx_weight(import, node, 1, "weight", layout, false, &l->weight));
  l->outputs = mcl_onnx_shape(import, l->weight).dim[l->is_turned ? 1 : 0];
  return MCL_OK;
}

static mcl_status place_linear(onnx_import *import, const onnx_node *node, const linear *l, const char *part,
                               int *value) {
  bool adds = l->is_turned && l->bias >= 0;
  onnx_put put = mcl_onnx_op(l->is_turned ? "matmul" : "linear");
  mcl_onnx_add_input(&put, l->x);
  mcl_onnx_add_input(&put, l->weight);
  if (!l->is_turned && l->bias >= 0) mcl_onnx_add_input(&put, l->bias);
  MCL_TRY(mcl_onnx_place(import, node, &put, adds ? "turned" : part, value));
  return adds ? mcl_onnx_place_binary(import, node, "add", *value, l->bias, part, value) : MCL_OK;
}

/* The weight [out, in] of a Gemm: input 1, turned as transB says. What alpha scales is x, but for a weight that is the node's
 * own and may as well be scaled once. */
static mcl_status gemm_weight(onnx_import *import, const onnx_node *node, double alpha, bool is_turned, linear *l) {
  mcl_tensor *t, *turned = NULL, *scaled = NULL;
  onnx_layout layout = is_turned ? ONNX_AS_IS : ONNX_TRANSPOSED;
  if (!mcl_onnx_is_constant(import, node, 1)) {
    MCL_TRY(scaled_by(import, node, alpha, "alpha", &l->x));
    MCL_TRY(mcl_onnx_computed(import, node, 1, &l->weight));
    if (!is_turned) MCL_TRY(put_transpose(import, node, l->weight, "turned", &l->weight));
    l->outputs = mcl_onnx_shape(import, l->weight).dim[0];
    return MCL_OK;
  }
  MCL_TRY(mcl_onnx_constant(import, node, 1, &t));
  if (t->shape.rank != 2)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_FORMAT, "input 1 of op Gemm has %d dimensions; it must have 2",
                              t->shape.rank);
  if (alpha == 1 || mcl_onnx_is_shared(import, node, 1)) {
    MCL_TRY(scaled_by(import, node, alpha, "alpha", &l->x));
    return linear_weight(import, node, layout, l);
  }
  MCL_TRY(mcl_onnx_constant_f32(import, node, 1, &t));
  mcl_status status = is_turned ? MCL_OK : mcl_tensor_transpose(t, &turned);
  if (!status) status = scale_tensor(turned ? turned : t, (float)alpha, &scaled);
  if (!status) status = mcl_onnx_new_weight(import, node, "weight", scaled, false, &l->weight);
  if (!status) l->outputs = scaled->shape.dim[0];
  mcl_tensor_release(scaled);
  mcl_tensor_release(turned);
  mcl_tensor_release(t);
  return status;
}

/* Adding the constant changes no dimension of a product of `rank` whose last one is `outputs`: it has no dimension more,
 * and all but its last are 1. */
static bool is_bias(mcl_shape shape, int rank, int64_t outputs) {
  if (shape.rank > rank) return false;
  for (int i = 0; i + 1 < shape.rank; i++)
    if (shape.dim[i] != 1) return false;
  return !shape.rank || shape.dim[shape.rank - 1] == 1 || shape.dim[shape.rank - 1] == outputs;
}

/* A constant that is one number for each of `outputs`, or one for all, as the bias of a linear op whose output has `rank`
 * dimensions; *bias is -1 where it is of another shape. */
static mcl_status bias_of(onnx_import *import, const onnx_node *node, int index, double beta, int rank, int64_t outputs,
                          int *bias) {
  mcl_tensor *t, *row = NULL;
  *bias = -1;
  if (!mcl_onnx_is_constant(import, node, index)) return MCL_OK;
  MCL_TRY(mcl_onnx_constant(import, node, index, &t));
  if (!is_bias(t->shape, rank, outputs)) return MCL_OK;
  bool is_row = t->count == outputs;
  if (is_row && t->shape.rank == 1 && beta == 1)
    return mcl_onnx_weight(import, node, index, "bias", ONNX_AS_IS, false, bias);
  if (mcl_onnx_is_shared(import, node, index)) return MCL_OK; /* a row made of it would be another weight */
  MCL_TRY(mcl_onnx_constant_f32(import, node, index, &t));
  mcl_status status = mcl_tensor_new(import->ctx, MCL_F32, mcl_shape_1(outputs), &row);
  for (int64_t i = 0; !status && i < outputs; i++)
    mcl_tensor_f32(row)[i] = (float)beta * mcl_tensor_f32(t)[is_row ? i : 0];
  if (!status) status = mcl_onnx_new_weight(import, node, "bias", row, false, bias);
  mcl_tensor_release(row);
  mcl_tensor_release(t);
  return status;
}

mcl_status mcl_onnx_gemm(onnx_import *import, const onnx_node *node) {
  double alpha, beta;
  int64_t turn_a, turn_b;
  int other = -1, value;
  linear l = {.bias = -1};
  MCL_TRY(mcl_onnx_float(import, node, "alpha", 1, &alpha));
  MCL_TRY(mcl_onnx_float(import, node, "beta", 1, &beta));
  MCL_TRY(mcl_onnx_int(import, node, "transA", 0, &turn_a));
  MCL_TRY(mcl_onnx_int(import, node, "transB", 0, &turn_b));
  MCL_TRY(mcl_onnx_computed(import, node, 0, &l.x));
  if (turn_a) MCL_TRY(put_transpose(import, node, l.x, "turned_a", &l.x));
  MCL_TRY(gemm_weight(import, node, alpha, turn_b != 0, &l));
  bool has_c = mcl_onnx_input(import, node, 2) != NULL;
  if (has_c && mcl_onnx_shape(import, l.weight).rank == 2)
    MCL_TRY(bias_of(import, node, 2, beta, 2, l.outputs, &l.bias));
  if (has_c && l.bias < 0) {
    MCL_TRY(mcl_onnx_computed(import, node, 2, &other));
    MCL_TRY(scaled_by(import, node, beta, "beta", &other));
  }
  MCL_TRY(place_linear(import, node, &l, other < 0 ? NULL : "product", &value));
  if (other >= 0) MCL_TRY(mcl_onnx_place_binary(import, node, "add", value, other, NULL, &value));
  mcl_onnx_bind(import, node, value);
  return MCL_OK;
}

/* A matrix product with a constant matrix is a linear layer, and the constant that is then added is its bias. */
mcl_status mcl_onnx_matmul(onnx_import *import, const onnx_node *node) {
  int value;
  linear l = {.bias = -1};
  mcl_tensor *constant = NULL;
  MCL_TRY(mcl_onnx_computed(import, node, 0, &l.x));
  if (mcl_onnx_is_constant(import, node, 1)) MCL_TRY(mcl_onnx_constant(import, node, 1, &constant));
  if (!constant || constant->shape.rank != 2) {
    MCL_TRY(mcl_onnx_computed(import, node, 1, &value));
    MCL_TRY(mcl_onnx_place_binary(import, node, "matmul", l.x, value, NULL, &value));
    mcl_onnx_bind(import, node, value);
    return MCL_OK;
  }
  MCL_TRY(linear_weight(import, node, ONNX_TRANSPOSED, &l));
  const onnx_node *last = node, *user = mcl_onnx_only_user(import, node);
  if (user && !*user->domain && !strcmp(user->op_type, "Add") && user->input_count == 2) {
    int index = !strcmp(user->inputs[0], node->outputs[0]);
    MCL_TRY(bias_of(import, user, index, 1, mcl_onnx_shape(import, l.x).rank, l.outputs, &l.bias));
    if (l.bias >= 0) mcl_onnx_take(import, last = user);
  }
  MCL_TRY(place_linear(import, node, &l, NULL, &value));
  mcl_onnx_bind(import, last, value);
  return MCL_OK;
}

/* ---- Normalisation ---- */

mcl_status mcl_onnx_batch_norm(onnx_import *import, const onnx_node *node) {
  static const char *const roles[] = {"", "scale", "bias", "mean", "variance"};
  double epsilon, momentum;
  int64_t trains, is_spatial;
  int value;
  onnx_put put = mcl_onnx_op("batch_norm");
  MCL_TRY(mcl_onnx_float(import, node, "epsilon", 1e-5, &epsilon));
  MCL_TRY(mcl_onnx_float(import, node, "momentum", 0.9, &momentum));
  MCL_TRY(mcl_onnx_int(import, node, "training_mode", 0, &trains));
  MCL_TRY(mcl_onnx_int(import, node, "spatial", 1, &is_spatial));
  if (trains || !is_spatial)
    return mcl_onnx_node_fail(import, node, MCL_ERROR_UNSUPPORTED,
                              "op BatchNormalization %s is not supported; export the model for inference",
                              trains ? "in training mode" : "of each element by itself");
  MCL_TRY(mcl_onnx_computed(import, node, 0, &value));
  mcl_onnx_add_input(&put, value);
  for (int i = 1; i < 5; i++) {
    MCL_TRY(mcl_onnx_weight(import, node, i, roles[i], ONNX_AS_IS, i > 2, &value));
    mcl_onnx_add_input(&put, value);
  }
  mcl_onnx_set_float(&put, "epsilon", epsilon);
  mcl_onnx_set_float(&put, "momentum", momentum);
  return mcl_onnx_finish(import, node, &put);
}

mcl_status mcl_onnx_layer_norm(onnx_import *import, const onnx_node *node) {
  double epsilon;
  int64_t axis;
  int value;
  onnx_put put = mcl_onnx_op("layer_norm");
  MCL_TRY(mcl_onnx_float(import, node, "epsilon", 1e-5, &epsilon));
  MCL_TRY(mcl_onnx_int(import, node, "axis", -1, &axis));
  for (int i = 0; i < node->input_count; i++) {
    if (!mcl_onnx_input(import, node, i)) continue;
    if (i > 0 && mcl_onnx_is_constant(import, node, i))
      MCL_TRY(mcl_onnx_weight(import, node, i, i == 1 ? "scale" : "bias", ONNX_AS_IS, false, &value));
    else
      MCL_TRY(mcl_onnx_computed(import, node, i, &value));
    mcl_onnx_add_input(&put, value);
  }
  mcl_onnx_set_ints(&put, "axis", &axis, 1);
  mcl_onnx_set_float(&put, "epsilon", epsilon);
  return mcl_onnx_finish(import, node, &put);
}
