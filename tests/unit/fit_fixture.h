/* What tests of the fit loop share: a small network, data that it can learn, representations to train it under. */
#ifndef MCL_TESTS_FIT_FIXTURE_H
#define MCL_TESTS_FIT_FIXTURE_H

#include "unit/check.h"

#include "base/random.h"
#include "train/train.h"

static inline void numbers(float *x, int64_t count, int64_t k, float scale) {
  for (int64_t i = 0; i < count; i++) x[i] = (float)(i * k % 17 - 8) / 10 * scale;
}

static inline int add_weight(mcl_model *model, const char *name, mcl_shape shape, int64_t k) {
  mcl_tensor *values;
  mcl_repr *repr;
  int value;
  assert_ok(model->ctx, mcl_tensor_new(model->ctx, MCL_F32, shape, &values));
  numbers(mcl_tensor_f32(values), values->count, k, 1);
  assert_ok(model->ctx, mcl_dense_new(values, &repr));
  assert_ok(model->ctx, mcl_model_add_weight(model, name, repr, false, &value));
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  return value;
}

/* linear(in → hidden), tanh, linear(hidden → out); `dropout` puts one between. */
static inline mcl_model *network(mcl_context *ctx, int64_t in, int64_t hidden, int64_t out, bool dropout) {
  mcl_model *model;
  int value;
  assert_ok(ctx, mcl_model_new(ctx, "net", &model));
  assert_ok(ctx, mcl_model_add_input(model, "x", mcl_shape_2(-1, in), &value));
  int first[] = {value, add_weight(model, "a.weight", mcl_shape_2(hidden, in), 5),
                 add_weight(model, "a.bias", mcl_shape_1(hidden), 3)};
  assert_ok(ctx, mcl_model_add_node(model, mcl_op_by_name("linear"), "a", NULL, 3, first, &value));
  assert_ok(ctx, mcl_model_add_node(model, mcl_op_by_name("tanh"), "t", NULL, 1, &value, &value));
  if (dropout) assert_ok(ctx, mcl_model_add_node(model, mcl_op_by_name("dropout"), "d", NULL, 1, &value, &value));
  int second[] = {value, add_weight(model, "b.weight", mcl_shape_2(out, hidden), 7),
                  add_weight(model, "b.bias", mcl_shape_1(out), 11)};
  assert_ok(ctx, mcl_model_add_node(model, mcl_op_by_name("linear"), "b", NULL, 3, second, &value));
  assert_ok(ctx, mcl_model_add_output(model, value));
  return model;
}

static inline float *weight_of(mcl_model *model, const char *name) {
  mcl_tensor *values;
  int weight = mcl_model_find_weight(model, name);
  assert_true(weight >= 0);
  assert_ok(model->ctx, mcl_weight_values(model, weight, &values));
  return mcl_tensor_f32(values);
}

/* Two noisy classes in 8 × 8 images; a network learns them in a few epochs. */
static inline mcl_dataset *blobs(mcl_context *ctx, int64_t rows, uint64_t seed) {
  mcl_tensor *x, *y;
  mcl_dataset *d;
  mcl_random random = mcl_random_at(seed, 1);
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_U8, mcl_shape_of(3, (int64_t[]){rows, 8, 8}), &x));
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_I64, mcl_shape_1(rows), &y));
  for (int64_t i = 0; i < rows; i++) {
    int64_t label = (int64_t)mcl_random_below(&random, 3);
    ((int64_t *)y->data)[i] = label;
    for (int p = 0; p < 64; p++)
      ((uint8_t *)x->data)[i * 64 + p] = (uint8_t)(mcl_random_below(&random, 150) + (p / 8 / 3 == label ? 100 : 0));
  }
  assert_ok(ctx, mcl_dataset_new(x, y, 1.0 / 255, -0.3, &d));
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  return d;
}

#define HARD_WEIGHTS (64 * 16 + 16 + 16 * 3 + 3)

static inline void copy_weights(mcl_model *model, float *out) {
  static const struct {
    const char *name;
    size_t count;
  } weights[] = {{"a.weight", 64 * 16}, {"a.bias", 16}, {"b.weight", 48}, {"b.bias", 3}};
  for (int i = 0; i < 4; out += weights[i++].count)
    memcpy(out, weight_of(model, weights[i].name), weights[i].count * sizeof *out);
}

/* The kinds of representation that a weight is trained under. */
typedef enum under { UNDER_DENSE, UNDER_SPARSE, UNDER_PALETTE, UNDER_AFFINE, UNDER_LOWRANK, UNDER_COUNT } under;

/* A third of the entries of a.weight. */
static const uint64_t kept[16] = {0x2492492492492492u, 0x4924924924924924u, 0x2492492492492492u, 0x4924924924924924u,
                                  0x2492492492492492u, 0x4924924924924924u, 0x2492492492492492u, 0x4924924924924924u,
                                  0x2492492492492492u, 0x4924924924924924u, 0x2492492492492492u, 0x4924924924924924u,
                                  0x2492492492492492u, 0x4924924924924924u, 0x2492492492492492u, 0x4924924924924924u};

static inline void represent(mcl_model *model, under kind) {
  int weight = mcl_model_find_weight(model, "a.weight");
  mcl_tensor *values;
  mcl_repr *repr = NULL;
  assert_ok(model->ctx, mcl_weight_values(model, weight, &values));
  mcl_palette_options palette = {.bits = 3};
  mcl_affine_options affine = {.bits = 4, .group = -1};
  mcl_lowrank_options lowrank = {.rank = 5};
  if (kind == UNDER_SPARSE) assert_ok(model->ctx, mcl_sparse_fit(values, kept, &repr));
  if (kind == UNDER_PALETTE) assert_ok(model->ctx, mcl_palette_fit(values, NULL, &palette, &repr));
  if (kind == UNDER_AFFINE) assert_ok(model->ctx, mcl_affine_fit(values, NULL, &affine, &repr));
  if (kind == UNDER_LOWRANK) assert_ok(model->ctx, mcl_lowrank_fit(values, &lowrank, &repr));
  if (repr) assert_ok(model->ctx, mcl_weight_set(model, weight, repr));
  mcl_repr_release(repr);
}

#endif
