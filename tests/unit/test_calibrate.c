/* Calibration, against the definitions computed directly: inputs of each layer by plain loops over the data. */
#include "unit/weights.h"

#include "compress/compress.h"

enum { N = 150, IMAGE = 2 * 6 * 6 }; /* three batches, the last one short */

static int add_weight(mcl_model *model, const char *name, mcl_shape shape, uint64_t seed) {
  mcl_repr *repr = dense_of(random_tensor(shape, seed));
  mcl_tensor *values = ((mcl_dense *)repr)->values;
  for (int64_t i = 0; i < values->count; i++) mcl_tensor_f32(values)[i] *= 4;
  int value;
  assert_ok(mcl_model_add_weight(model, name, repr, false, &value));
  mcl_repr_release(repr);
  return value;
}

static int add_node(mcl_model *model, const char *op, const char *name, int inputs, const int *input,
                    const mcl_attribute *attributes) {
  int value;
  assert_ok(mcl_model_add_node(model, mcl_op_by_name(op), name, attributes, inputs, input, &value));
  return value;
}

/* conv 3x3 stride 2 pad 1 (2 -> 4, two groups) -> relu -> flatten -> linear (36 -> 5) -> relu -> linear (5 -> 3).
 * Weights 0, 1, 2 are the layers'; 3 is a bias. */
static mcl_model *make_model(void) {
  mcl_model *model;
  int x;
  assert_ok(mcl_model_new(ctx, "net", &model));
  assert_ok(mcl_model_add_input(model, "x", mcl_shape_of(4, (int64_t[]){-1, 2, 6, 6}), &x));
  int conv = add_weight(model, "conv.weight", mcl_shape_of(4, (int64_t[]){4, 1, 3, 3}), 1);
  int first = add_weight(model, "fc1.weight", mcl_shape_2(5, 36), 2);
  int second = add_weight(model, "fc2.weight", mcl_shape_2(3, 5), 3);
  int bias = add_weight(model, "fc2.bias", mcl_shape_1(3), 4);
  const mcl_op *op = mcl_op_by_name("conv");
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(op, attributes);
  mcl_attribute *stride = &attributes[mcl_op_find_attribute(op, "stride")],
                *pad = &attributes[mcl_op_find_attribute(op, "pad")];
  stride->count = 2, stride->ints[0] = stride->ints[1] = 2;
  pad->count = 4;
  for (int i = 0; i < 4; i++) pad->ints[i] = 1;
  attributes[mcl_op_find_attribute(op, "groups")] = (mcl_attribute){.count = 1, .ints = {2}};
  int v = add_node(model, "conv", "conv", 2, (int[]){x, conv}, attributes);
  v = add_node(model, "relu", "relu1", 1, &v, NULL);
  v = add_node(model, "flatten", "flatten", 1, &v, NULL);
  v = add_node(model, "linear", "fc1", 2, (int[]){v, first}, NULL);
  v = add_node(model, "relu", "relu2", 1, &v, NULL);
  v = add_node(model, "linear", "fc2", 3, (int[]){v, second, bias}, NULL);
  assert_ok(mcl_model_add_output(model, v));
  return model;
}

static const float *weight_of(mcl_model *model, int w) {
  return mcl_tensor_f32(((mcl_dense *)model->weights[w].repr)->values);
}

/* Everything by hand, in f64. */
typedef struct network {
  double patch[N][2][9][9]; /* [image][group][pixel][column] */
  double hidden[N][36], middle[N][5], output[N][3];
} network;

static void run_by_hand(mcl_model *model, mcl_tensor *x, network *net) {
  const float *conv = weight_of(model, 0), *first = weight_of(model, 1), *second = weight_of(model, 2);
  for (int n = 0; n < N; n++) {
    const float *image = mcl_tensor_f32(x) + n * IMAGE;
    for (int g = 0; g < 2; g++)
      for (int p = 0; p < 9; p++) {
        for (int k = 0; k < 9; k++) {
          int row = p / 3 * 2 - 1 + k / 3, column = p % 3 * 2 - 1 + k % 3;
          bool inside = row >= 0 && row < 6 && column >= 0 && column < 6;
          net->patch[n][g][p][k] = inside ? (double)image[g * 36 + row * 6 + column] : 0;
        }
        for (int o = 2 * g; o < 2 * g + 2; o++) {
          double y = 0;
          for (int k = 0; k < 9; k++) y += (double)conv[o * 9 + k] * net->patch[n][g][p][k];
          net->hidden[n][o * 9 + p] = y > 0 ? y : 0;
        }
      }
    for (int r = 0; r < 5; r++) {
      double y = 0;
      for (int c = 0; c < 36; c++) y += (double)first[r * 36 + c] * net->hidden[n][c];
      net->middle[n][r] = y > 0 ? y : 0;
    }
    for (int r = 0; r < 3; r++) {
      net->output[n][r] = (double)weight_of(model, 3)[r];
      for (int c = 0; c < 5; c++) net->output[n][r] += (double)second[r * 5 + c] * net->middle[n][c];
    }
  }
}

static void assert_close(mcl_tensor *got, int64_t i, double wanted) {
  if (fabs((double)mcl_tensor_f32(got)[i] - wanted) > 2e-5 * fmax(1, fabs(wanted)))
    fail_msg("[%d] is %g, not %g", (int)i, (double)mcl_tensor_f32(got)[i], wanted);
}

/* rows[count][cols] are all the inputs that the layer saw. */
static void assert_inputs(const mcl_statistics *s, const double *rows, int count, int cols) {
  double least = INFINITY, greatest = -INFINITY;
  assert_int_equal(s->rows_seen, count);
  for (int a = 0; a < cols; a++) {
    double sum = 0, square = 0;
    for (int r = 0; r < count; r++) {
      double v = rows[r * cols + a];
      sum += v, square += v * v;
      least = fmin(least, v), greatest = fmax(greatest, v);
    }
    assert_close(s->input_mean, a, sum / count);
    assert_close(s->input_square, a, square / count);
    assert_close(s->input_norm, a, sqrt(square));
    for (int b = 0; b < cols; b++) {
      double product = 0;
      for (int r = 0; r < count; r++) product += rows[r * cols + a] * rows[r * cols + b];
      assert_close(s->gram, a * cols + b, product / count);
    }
  }
  assert_true(fabs((double)s->least - least) < 1e-4 && fabs((double)s->greatest - greatest) < 1e-4);
}

enum {
  ALL_INPUTS = MCL_STAT_INPUT_NORM | MCL_STAT_INPUT_MEAN | MCL_STAT_INPUT_SQUARE | MCL_STAT_GRAM | MCL_STAT_RANGE
};

static void inputs_are_those_that_each_layer_saw(void **state) {
  (void)state;
  mcl_model *model = make_model();
  mcl_tensor *x = random_tensor(mcl_shape_of(4, (int64_t[]){N, 2, 6, 6}), 9);
  for (int64_t i = 0; i < x->count; i++) mcl_tensor_f32(x)[i] *= 10;
  network *net = malloc(sizeof *net);
  run_by_hand(model, x, net);
  mcl_statistics *s[4];
  assert_ok(mcl_calibrate(model, x, NULL, ALL_INPUTS | MCL_STAT_ZERO_RATE, s));
  assert_null(s[3]); /* a bias is no layer's main weight */
  assert_inputs(s[0], &net->patch[0][0][0][0], N * 2 * 9, 9);
  assert_inputs(s[1], &net->hidden[0][0], N, 36);
  assert_inputs(s[2], &net->middle[0][0], N, 5);
  for (int o = 0; o < 4; o++) {
    int zeros = 0;
    for (int n = 0; n < N; n++)
      for (int p = 0; p < 9; p++) zeros += net->hidden[n][o * 9 + p] == 0;
    assert_close(s[0]->zero_rate, o, (double)zeros / (N * 9));
  }
  for (int r = 0; r < 5; r++) {
    int zeros = 0;
    for (int n = 0; n < N; n++) zeros += net->middle[n][r] == 0;
    assert_close(s[1]->zero_rate, r, (double)zeros / N);
  }
  assert_null(s[1]->fisher);
  for (int w = 0; w < 3; w++) mcl_statistics_free(ctx, s[w]);
  free(net);
  mcl_tensor_release(x);
  mcl_model_free(model);
}

static void the_fisher_diagonal_is_the_mean_square_of_small_batches_gradients(void **state) {
  (void)state;
  mcl_model *model = make_model();
  mcl_tensor *x = random_tensor(mcl_shape_of(4, (int64_t[]){N, 2, 6, 6}), 9), *labels;
  assert_ok(mcl_tensor_new(ctx, MCL_U8, mcl_shape_1(N), &labels));
  for (int n = 0; n < N; n++) ((uint8_t *)labels->data)[n] = (uint8_t)(n % 3);
  network *net = malloc(sizeof *net);
  run_by_hand(model, x, net);
  double fisher[3][5] = {{0}};
  for (int first = 0; first < N; first += 8) { /* of the last layer: (softmax − onehot) · input */
    int rows = N - first < 8 ? N - first : 8;
    double mean[3][5] = {{0}};
    for (int n = first; n < first + rows; n++) {
      double sum = 0;
      for (int r = 0; r < 3; r++) sum += exp(net->output[n][r]);
      for (int r = 0; r < 3; r++)
        for (int c = 0; c < 5; c++)
          mean[r][c] += (exp(net->output[n][r]) / sum - (n % 3 == r)) * net->middle[n][c] / rows;
    }
    for (int r = 0; r < 3; r++)
      for (int c = 0; c < 5; c++) fisher[r][c] += rows * mean[r][c] * mean[r][c] / ((N + 7) / 8);
  }
  mcl_statistics *s[4];
  assert_ok(mcl_calibrate(model, x, labels, MCL_STAT_GRADIENT_SQUARE, s));
  for (int i = 0; i < 15; i++) assert_close(s[2]->fisher, i, fisher[i / 5][i % 5]);
  assert_null(s[2]->gram);
  for (int w = 0; w < 3; w++) mcl_statistics_free(ctx, s[w]);
  free(net);
  mcl_tensor_release(x);
  mcl_tensor_release(labels);
  mcl_model_free(model);
}

static void results_do_not_depend_on_threads(void **state) {
  (void)state;
  mcl_context *mine = ctx;
  float *gram[2];
  for (int k = 0; k < 2; k++) {
    assert_ok(mcl_context_new(&(mcl_options){.threads = k ? 3 : 1}, &ctx));
    mcl_model *model = make_model();
    mcl_tensor *x = random_tensor(mcl_shape_of(4, (int64_t[]){N, 2, 6, 6}), 9);
    mcl_statistics *s[4];
    assert_ok(mcl_calibrate(model, x, NULL, ALL_INPUTS, s));
    gram[k] = malloc(36 * 36 * sizeof(float));
    memcpy(gram[k], s[1]->gram->data, 36 * 36 * sizeof(float));
    for (int w = 0; w < 3; w++) mcl_statistics_free(ctx, s[w]);
    mcl_tensor_release(x);
    mcl_model_free(model);
    mcl_context_free(ctx);
  }
  ctx = mine;
  assert_memory_equal(gram[0], gram[1], 36 * 36 * sizeof(float));
  free(gram[0]);
  free(gram[1]);
}

static void bad_data_is_refused(void **state) {
  (void)state;
  mcl_model *model = make_model();
  mcl_tensor *x = random_tensor(mcl_shape_of(4, (int64_t[]){N, 2, 6, 6}), 9), *flat;
  mcl_statistics *s[4];
  assert_ok(mcl_tensor_reshape(x, mcl_shape_2(N, IMAGE), &flat));
  assert_fails(mcl_calibrate(model, flat, NULL, ALL_INPUTS, s), MCL_ERROR_ARGUMENT, "150x72");
  assert_fails(mcl_calibrate(model, x, NULL, MCL_STAT_GRADIENT_SQUARE, s), MCL_ERROR_ARGUMENT, "a label for each");
  mcl_tensor_f32(x)[5] = NAN;
  assert_fails(mcl_calibrate(model, x, NULL, ALL_INPUTS, s), MCL_ERROR_NUMERIC, "calibration data");
  mcl_tensor_release(flat);
  mcl_tensor_release(x);
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inputs_are_those_that_each_layer_saw),
      cmocka_unit_test(the_fisher_diagonal_is_the_mean_square_of_small_batches_gradients),
      cmocka_unit_test(results_do_not_depend_on_threads),
      cmocka_unit_test(bad_data_is_refused),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
