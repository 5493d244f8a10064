/* A small model, and data for it, for tests that run Lua on a model from C. */
#ifndef MCL_TESTS_SMALL_MODEL_H
#define MCL_TESTS_SMALL_MODEL_H

#include <stdlib.h>

#include "base/random.h"
#include "graph/graph.h"
#include "unit/faults.h"

static inline void must(mcl_status status) {
  if (status) abort();
}

static inline mcl_tensor *random_tensor(mcl_context *ctx, mcl_shape shape, uint64_t stream) {
  mcl_tensor *t;
  mcl_random random = mcl_random_at(1, stream);
  must(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = mcl_random_normal(&random);
  return t;
}

/* 8 → 4, one linear layer "fc" */
static inline mcl_model *new_model(mcl_context *ctx) {
  mcl_model *model;
  mcl_repr *repr;
  int values[2], out;
  mcl_tensor *weight = random_tensor(ctx, mcl_shape_2(4, 8), 1);
  must(mcl_model_new(ctx, "small", &model));
  must(mcl_model_add_input(model, "x", mcl_shape_2(-1, 8), &values[0]));
  must(mcl_dense_new(weight, &repr));
  must(mcl_model_add_weight(model, "fc.weight", repr, false, &values[1]));
  must(mcl_model_add_node(model, mcl_op_by_name("linear"), "fc", NULL, 2, values, &out));
  must(mcl_model_add_output(model, out));
  mcl_repr_release(repr);
  mcl_tensor_release(weight);
  return model;
}

static inline void new_data(mcl_context *ctx, mcl_tensor **x, mcl_tensor **y) {
  *x = random_tensor(ctx, mcl_shape_2(200, 8), 2);
  must(mcl_tensor_new(ctx, MCL_I64, mcl_shape_1(200), y));
  for (int64_t i = 0; i < 200; i++) ((int64_t *)mcl_tensor_data(*y))[i] = i % 4;
}

/* A recipe around the body of its run function; the body begins on line 3. */
#define RECIPE(body)                                                                                                   \
  "local mcl = require 'mcl'\n"                                                                                        \
  "return mcl.recipe { about = 'test', options = { density = { 0.5, 'kept' } }, run = function(model, opt, "           \
  "job)\n" body "\nend }"

#endif
