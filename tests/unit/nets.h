/* What the tests of the graph share: building small models by hand. Failures end the test. */
#ifndef MCL_TESTS_NETS_H
#define MCL_TESTS_NETS_H

#include "check.h"

#include "base/random.h"
#include "graph/graph.h"

static inline mcl_model *new_model(mcl_context *ctx) {
  mcl_model *model;
  assert_ok(ctx, mcl_model_new(ctx, "net", &model));
  return model;
}

static inline mcl_shape shape_of(int rank, const int64_t *dims) {
  mcl_shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) shape.dim[i] = dims[i];
  return shape;
}
#define SHAPE(...) shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static inline int add_input(mcl_model *model, const char *name, mcl_shape shape) {
  int value;
  assert_ok(model->ctx, mcl_model_add_input(model, name, shape, &value));
  return value;
}

/* A dense weight of these values. */
static inline int add_values(mcl_model *model, const char *name, mcl_shape shape, const float *values, bool is_state) {
  mcl_tensor *tensor;
  mcl_repr *repr;
  int value;
  assert_ok(model->ctx, mcl_tensor_new(model->ctx, MCL_F32, shape, &tensor));
  memcpy(tensor->data, values, (size_t)tensor->count * sizeof(float));
  assert_ok(model->ctx, mcl_dense_new(tensor, &repr));
  mcl_tensor_release(tensor);
  assert_ok(model->ctx, mcl_model_add_weight(model, name, repr, is_state, &value));
  mcl_repr_release(repr);
  return value;
}

/* A dense weight of normal values with this deviation, around `mean`. */
static inline int add_normal(mcl_model *model, const char *name, mcl_shape shape, float mean, float deviation,
                             bool is_state) {
  int64_t count = 1;
  for (int i = 0; i < shape.rank; i++) count *= shape.dim[i];
  float *values;
  assert_ok(model->ctx, mcl_alloc_array(model->ctx, (size_t)count, sizeof *values, &values));
  mcl_random random = mcl_random_at(1, mcl_random_stream(name));
  for (int64_t i = 0; i < count; i++) values[i] = mean + deviation * mcl_random_normal(&random);
  int value = add_values(model, name, shape, values, is_state);
  mcl_free(model->ctx, values);
  return value;
}

static inline int add_weight(mcl_model *model, const char *name, mcl_shape shape) {
  return add_normal(model, name, shape, 0, 0.5f, false);
}

/* Sets one attribute among presets; `ints` may be NULL for a number. */
static inline void set_attribute(const mcl_op *op, mcl_attribute *attributes, const char *name, int count,
                                 const int64_t *ints, double number) {
  int at = mcl_op_find_attribute(op, name);
  assert_true(at >= 0);
  attributes[at] = (mcl_attribute){.count = count, .number = number};
  for (int i = 0; i < count; i++) attributes[at].ints[i] = ints[i];
}

/* A node with preset attributes, and up to two that are set. */
typedef struct setting {
  const char *name; /* NULL: none */
  int count;        /* 0: a number */
  int64_t ints[MCL_MAX_RANK];
  double number;
} setting;

static inline int add_node(mcl_model *model, const char *op_name, const char *name, const setting *settings, int inputs,
                           const int *input) {
  const mcl_op *op = mcl_op_by_name(op_name);
  assert_non_null(op);
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(op, attributes);
  for (; settings && settings->name; settings++)
    set_attribute(op, attributes, settings->name, settings->count, settings->ints, settings->number);
  int value;
  assert_ok(model->ctx, mcl_model_add_node(model, op, name, attributes, inputs, input, &value));
  return value;
}
#define NODE(model, op, name, settings, ...)                                                                           \
  add_node(model, op, name, settings, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})
#define SET(...) ((const setting[]){__VA_ARGS__, {NULL, 0, {0}, 0}})

static inline void add_output(mcl_model *model, int value) {
  assert_ok(model->ctx, mcl_model_add_output(model, value));
}

#endif
