/* Training speed: bench_train NET ROWS THREADS trains NET (lenet300 or lenet5, Caffe's) for two epochs of ROWS images of f32,
 * batch 64, SGD with momentum, and prints the images per second of the second one, and the loss: the first warms up, as the
 * peer's does. The data are noise: speed does not ask. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mcl/mcl.h>

#include "base/random.h"
#include "tensor/matmul.h"
#include "train/train.h"

#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    if (call) {                                                                                                        \
      fprintf(stderr, "bench_train: %s\n", mcl_context_message(ctx));                                                  \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static int weight(mcl_context *ctx, mcl_model *model, const char *layer, const char *kind, mcl_shape shape) {
  mcl_tensor *values;
  mcl_repr *repr;
  char name[64];
  int value;
  mcl_random random = mcl_random_at(1, mcl_random_stream(layer));
  TRY(mcl_tensor_new(ctx, MCL_F32, shape, &values));
  for (int64_t i = 0; i < values->count; i++) mcl_tensor_f32(values)[i] = 0.05f * mcl_random_normal(&random);
  TRY(mcl_dense_new(values, &repr));
  snprintf(name, sizeof name, "%s.%s", layer, kind);
  TRY(mcl_model_add_weight(model, name, repr, false, &value));
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  return value;
}

static int layer(mcl_context *ctx, mcl_model *model, const char *op, const char *name, int x, mcl_shape shape) {
  int inputs[] = {x, weight(ctx, model, name, "weight", shape),
                  weight(ctx, model, name, "bias", mcl_shape_1(shape.dim[0]))};
  TRY(mcl_model_add_node(model, mcl_op_by_name(op), name, NULL, 3, inputs, &x));
  return x;
}

static int simple(mcl_context *ctx, mcl_model *model, const char *op, const char *name, int x) {
  TRY(mcl_model_add_node(model, mcl_op_by_name(op), name, NULL, 1, &x, &x));
  return x;
}

/* Max pooling 2 × 2 with stride 2. */
static int pool(mcl_context *ctx, mcl_model *model, const char *name, int x) {
  const mcl_op *op = mcl_op_by_name("max_pool");
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(op, attributes);
  attributes[mcl_op_find_attribute(op, "kernel")] = (mcl_attribute){.count = 2, .ints = {2, 2}};
  attributes[mcl_op_find_attribute(op, "stride")] = (mcl_attribute){.count = 2, .ints = {2, 2}};
  TRY(mcl_model_add_node(model, op, name, attributes, 1, &x, &x));
  return x;
}

static mcl_model *network(mcl_context *ctx, const char *name) {
  mcl_model *model;
  int x;
  TRY(mcl_model_new(ctx, name, &model));
  TRY(mcl_model_add_input(model, "x", mcl_shape_of(4, (int64_t[]){-1, 1, 28, 28}), &x));
  if (!strcmp(name, "lenet5")) {
    x = layer(ctx, model, "conv", "conv1", x, mcl_shape_of(4, (int64_t[]){20, 1, 5, 5}));
    x = pool(ctx, model, "pool1", x);
    x = layer(ctx, model, "conv", "conv2", x, mcl_shape_of(4, (int64_t[]){50, 20, 5, 5}));
    x = pool(ctx, model, "pool2", x);
    x = simple(ctx, model, "flatten", "flat", x);
    x = layer(ctx, model, "linear", "ip1", x, mcl_shape_2(500, 800));
    x = simple(ctx, model, "relu", "relu1", x);
    x = layer(ctx, model, "linear", "ip2", x, mcl_shape_2(10, 500));
  } else {
    x = simple(ctx, model, "flatten", "flat", x);
    x = layer(ctx, model, "linear", "ip1", x, mcl_shape_2(300, 784));
    x = simple(ctx, model, "relu", "relu1", x);
    x = layer(ctx, model, "linear", "ip2", x, mcl_shape_2(100, 300));
    x = simple(ctx, model, "relu", "relu2", x);
    x = layer(ctx, model, "linear", "ip3", x, mcl_shape_2(10, 100));
  }
  TRY(mcl_model_add_output(model, x));
  return model;
}

static mcl_status note(void *user, const mcl_epoch_report *report, bool *stop) {
  (void)stop;
  double *last = user;
  *last = report->seconds;
  return MCL_OK;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: bench_train lenet300|lenet5 ROWS THREADS\n");
    return 2;
  }
  mcl_context *ctx;
  mcl_options wishes = {.threads = atoi(argv[3])};
  if (mcl_engine_new(&wishes, &ctx)) return 1;
  mcl_tensor *x, *y;
  mcl_dataset *data;
  int64_t rows = atoll(argv[2]);
  TRY(mcl_tensor_new(ctx, MCL_F32, mcl_shape_of(3, (int64_t[]){rows, 28, 28}), &x));
  TRY(mcl_tensor_new(ctx, MCL_U8, mcl_shape_1(rows), &y));
  mcl_random random = mcl_random_at(2, 0);
  for (int64_t i = 0; i < x->count; i++) mcl_tensor_f32(x)[i] = mcl_random_uniform(&random);
  for (int64_t i = 0; i < rows; i++) ((uint8_t *)y->data)[i] = (uint8_t)mcl_random_below(&random, 10);
  TRY(mcl_dataset_new(x, y, 1, 0, &data));
  mcl_model *model = network(ctx, argv[1]);
  double seconds = 0;
  mcl_fit_options options = {.train = data,
                             .epochs = 2,
                             .batch = 64,
                             .optimiser = {.name = "sgd", .rate = 0.01, .momentum = 0.9},
                             .epoch_end = note,
                             .user = &seconds};
  mcl_epoch_report report;
  TRY(mcl_fit(model, &options, &report));
  printf("%.0f %.9g\n", (double)rows / seconds, report.loss);
  mcl_model_free(model);
  mcl_dataset_release(data);
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  mcl_context_free(ctx);
  return 0;
}
