/* What the tests of containers share: models that hold every kind of representation, and LeNet-300-100. */
#ifndef MCL_TESTS_MODELS_H
#define MCL_TESTS_MODELS_H

#include "unit/weights.h"

#include <stdio.h>

#include "artifact/artifact.h"

enum { ZOO_KINDS = 16 };

/* A matrix in each of the forms that a weight can take. */
static inline mcl_repr *zoo_kind(int kind, mcl_shape shape) {
  const mcl_dtype dtypes[] = {MCL_F32, MCL_F16, MCL_BF16, MCL_F64};
  int64_t rows = shape.dim[0], cols = mcl_shape_cols(shape);
  mcl_repr *repr, *inner;
  uint64_t seed = (uint64_t)kind + 1;
  switch (kind) {
  case 0:
  case 1:
  case 2:
  case 3: {
    mcl_tensor *values = random_tensor(shape, seed);
    assert_ok(mcl_dense_fit(values, dtypes[kind], &repr));
    mcl_tensor_release(values);
    return repr;
  }
  case 4:
    return random_sparse(shape, 0.3, 0, seed);
  case 5:
    return random_sparse(shape, 0.0, 0, seed);
  case 6:
    return palette_of(shape, 3, false, seed);
  case 7:
    return palette_of(shape, 5, true, seed);
  case 8:
    repr = random_sparse(shape, 0.2, 3, seed);
    inner = palette_of(mcl_shape_1(nonzeros_of(repr)), 2, false, seed);
    return with_values(repr, inner);
  case 9:
    return affine_of(shape, (mcl_affine_options){.bits = 4, .group = 4}, seed);
  case 10:
    return affine_of(shape, (mcl_affine_options){.bits = 3, .group = -1, .asymmetric = true, .half = true}, seed);
  case 11:
    return affine_of(shape, (mcl_affine_options){.bits = 1}, seed);
  case 12:
    return product_of(dense_of(random_tensor(mcl_shape_2(rows, 2), 3)),
                      dense_of(random_tensor(mcl_shape_2(2, cols), 4)), shape);
  case 13:
    repr = random_sparse(mcl_shape_2(rows, 3), 0.5, 0, seed);
    inner = affine_of(mcl_shape_1(nonzeros_of(repr)), (mcl_affine_options){.bits = 8}, seed);
    return product_of(with_values(repr, inner), palette_of(mcl_shape_2(3, cols), 4, false, 5), shape);
  case 14:
    return sum_of(product_of(palette_of(mcl_shape_2(rows, 1), 2, false, 6),
                             dense_of(random_tensor(mcl_shape_2(1, cols), 7)), shape),
                  random_sparse(shape, 0.1, 0, 8));
  default:
    return sum_of(palette_of(shape, 1, false, 9), affine_of(shape, (mcl_affine_options){.bits = 2, .group = 8}, 10));
  }
}

static inline int add_weight(mcl_model *model, const char *name, mcl_repr *repr, bool is_state) { /* takes repr */
  int value;
  assert_ok(mcl_model_add_weight(model, name, repr, is_state, &value));
  mcl_repr_release(repr);
  return value;
}

static inline int add_node(mcl_model *model, const char *op, const char *name, const mcl_attribute *attributes,
                           int inputs, const int *input) {
  int value;
  assert_ok(mcl_model_add_node(model, mcl_op_by_name(op), name, attributes, inputs, input, &value));
  return value;
}

static inline int add_linear(mcl_model *model, const char *name, int x, mcl_repr *weight, mcl_repr *bias) {
  char text[64];
  snprintf(text, sizeof text, "%s.weight", name);
  int w = add_weight(model, text, weight, false), b = -1;
  if (bias) {
    snprintf(text, sizeof text, "%s.bias", name);
    b = add_weight(model, text, bias, false);
  }
  return add_node(model, "linear", name, NULL, 3, (int[]){x, w, b});
}

/* Chained linear layers, one a kind, of size × size; then a convolution's worth of attributes. */
static inline mcl_model *zoo(int64_t size) {
  mcl_model *model;
  int x;
  char name[32];
  assert_ok(mcl_model_new(ctx, "zoo", &model));
  assert_ok(mcl_model_add_input(model, "x", mcl_shape_2(-1, size), &x));
  for (int kind = 0; kind < ZOO_KINDS; kind++) {
    snprintf(name, sizeof name, "layer%d", kind);
    mcl_repr *bias = kind % 3 ? dense_of(random_tensor(mcl_shape_1(size), 40)) : NULL;
    x = add_linear(model, name, x, zoo_kind(kind, mcl_shape_2(size, size)), bias);
  }
  x = add_node(model, "relu", "an activation with a long name", NULL, 1, &x);
  assert_ok(mcl_model_add_output(model, x));
  return model;
}

/* One layer alone, for tests that try every byte. */
static inline mcl_model *one_layer(mcl_repr *weight) {
  mcl_model *model;
  int x;
  assert_ok(mcl_model_new(ctx, "one", &model));
  assert_ok(mcl_model_add_input(model, "x", mcl_shape_2(-1, mcl_shape_cols(weight->shape)), &x));
  mcl_repr *bias = dense_of(random_tensor(mcl_shape_1(weight->shape.dim[0]), 2));
  x = add_linear(model, "fc", x, weight, bias);
  assert_ok(mcl_model_add_output(model, x));
  return model;
}

/* Images, with every type of attribute away from its preset. */
static inline mcl_model *small_net(void) {
  mcl_model *model;
  int x, shape[4] = {0};
  assert_ok(mcl_model_new(ctx, "small", &model));
  assert_ok(mcl_model_add_input(model, "image", (mcl_shape){4, {-1, 2, 9, 9}}, &x));
  const mcl_op *conv = mcl_op_by_name("conv"), *norm = mcl_op_by_name("batch_norm");
  const mcl_op *reshape = mcl_op_by_name("reshape");
  mcl_attribute a[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(conv, a);
  a[mcl_op_find_attribute(conv, "stride")].ints[1] = 2;
  for (int i = 0; i < 4; i++) a[mcl_op_find_attribute(conv, "pad")].ints[i] = i % 2 + 1;
  a[mcl_op_find_attribute(conv, "groups")].ints[0] = 2;
  int w = add_weight(model, "conv.weight", zoo_kind(8, (mcl_shape){4, {4, 1, 3, 3}}), false);
  x = add_node(model, "conv", "conv", a, 2, (int[]){x, w});
  mcl_attribute_presets(norm, a);
  a[mcl_op_find_attribute(norm, "epsilon")].number = 0.125;
  for (int i = 0; i < 4; i++) {
    const char *names[] = {"norm.weight", "norm.bias", "norm.mean", "norm.variance"};
    shape[i] = add_weight(model, names[i], dense_of(random_tensor(mcl_shape_1(4), (uint64_t)i)), i > 1);
  }
  x = add_node(model, "batch_norm", "norm", a, 5, (int[]){x, shape[0], shape[1], shape[2], shape[3]});
  mcl_attribute_presets(reshape, a);
  int64_t columns = mcl_shape_cols(model->values[x].shape);
  int at = mcl_op_find_attribute(reshape, "shape");
  a[at].count = 2;
  a[at].ints[0] = -1, a[at].ints[1] = columns;
  x = add_node(model, "reshape", "rows", a, 1, &x);
  x = add_linear(model, "out", x, zoo_kind(10, mcl_shape_2(3, columns)), NULL);
  assert_ok(mcl_model_add_output(model, x));
  return model;
}

/* LeNet's layers at the sparsity of Han et al.: pruned, shared, with dense biases. */
static inline mcl_repr *pruned(int64_t rows, int64_t cols, double density, int bits) {
  mcl_repr *repr = random_sparse(mcl_shape_2(rows, cols), density, 0, (uint64_t)(rows * cols));
  return with_values(repr, palette_of(mcl_shape_1(nonzeros_of(repr)), bits, false, 3));
}

static inline mcl_model *lenet_four(void) {
  mcl_model *model;
  int x;
  assert_ok(mcl_model_new(ctx, "four layers", &model));
  assert_ok(mcl_model_add_input(model, "input", mcl_shape_2(-1, 784), &x));
  const int64_t sizes[] = {784, 300, 100, 50, 10};
  for (int i = 0; i < 4; i++) {
    char name[16];
    snprintf(name, sizeof name, "ip%d", i + 1);
    x = add_linear(model, name, x, pruned(sizes[i + 1], sizes[i], 0.1, 5),
                   palette_of(mcl_shape_1(sizes[i + 1]), 3, false, 1));
    snprintf(name, sizeof name, "relu%d", i + 1);
    if (i < 3) x = add_node(model, "relu", name, NULL, 1, &x);
  }
  assert_ok(mcl_model_add_output(model, x));
  return model;
}

static inline mcl_buffer encoded(mcl_model *model, const mcl_artifact_options *options) {
  mcl_buffer out = {.ctx = ctx};
  assert_ok(mcl_artifact_encode(model, options, &out));
  return out;
}

/* The first weight whose values differ, or -1. Loads all of both. */
static inline mcl_status first_difference(mcl_model *a, mcl_model *b, int *weight) {
  *weight = -1;
  for (int w = 0; w < a->weight_count; w++) {
    mcl_tensor *x, *y;
    MCL_TRY(mcl_weight_values(a, w, &x));
    MCL_TRY(mcl_weight_values(b, w, &y));
    if (!mcl_shape_equal(x->shape, y->shape) || memcmp(x->data, y->data, (size_t)x->count * 4)) {
      *weight = w;
      return MCL_OK;
    }
  }
  return MCL_OK;
}

static inline void assert_same_weights(mcl_model *a, mcl_model *b) {
  int weight;
  assert_int_equal(a->weight_count, b->weight_count);
  assert_ok(first_difference(a, b, &weight));
  if (weight >= 0) fail_msg("weight %s differs", a->weights[weight].name);
}

#endif
