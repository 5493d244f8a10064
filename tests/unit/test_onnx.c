/* ONNX in and out. What small models by PyTorch's exporters compute is compared with ONNX Runtime's numbers
 * (tests/data/onnx, made by tests/peer/onnx_data.py); the rest are models of a few nodes with values worked out by hand. */
#include "unit/check.h"

#include "formats/onnx.h"
#include "unit/onnx_text.h"

static mcl_model *read_text(mcl_context *ctx, const char *text) {
  mcl_model *model = NULL;
  onnx_bytes *bytes = onnx_from_text(text);
  mcl_status status = mcl_onnx_read(ctx, "text.onnx", NULL, bytes->data, bytes->size, &model);
  free(bytes);
  if (status) fail_msg("%s: %s", text, mcl_context_message(ctx));
  return model;
}

/* Runs a model of one input and one output; the result is the caller's. */
static mcl_tensor *run(mcl_context *ctx, mcl_model *model, const float *x, int64_t batch) {
  mcl_session *session;
  mcl_tensor *y;
  assert_ok(ctx, mcl_session_new(model, batch, &session));
  mcl_shape in = mcl_model_input_shape(model, 0), out = mcl_model_output_shape(model, 0);
  if (in.rank && in.dim[0] < 0) in.dim[0] = batch;
  if (out.rank && out.dim[0] < 0) out.dim[0] = batch;
  int64_t count;
  assert_ok(ctx, mcl_shape_count(ctx, in, &count));
  memcpy(mcl_session_input(session, 0), x, (size_t)count * sizeof *x);
  assert_ok(ctx, mcl_session_run(session));
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, out, &y));
  memcpy(y->data, mcl_session_output(session, 0), (size_t)y->count * sizeof(float));
  mcl_session_free(session);
  return y;
}

static void check_run(mcl_context *ctx, mcl_model *model, const float *x, int64_t batch, const float *expected,
                      int64_t count, double tolerance) {
  mcl_tensor *y = run(ctx, model, x, batch);
  assert_int_equal(y->count, count);
  for (int64_t i = 0; i < count; i++) assert_close(mcl_tensor_f32(y)[i], expected[i], tolerance);
  mcl_tensor_release(y);
}

static void check_text(mcl_context *ctx, const char *text, const float *x, int64_t batch, const float *expected,
                       int64_t count) {
  mcl_model *model = read_text(ctx, text);
  check_run(ctx, model, x, batch, expected, count, 1e-6);
  mcl_model_free(model);
}

/* ---- Models of PyTorch ---- */

static void check_exported(mcl_context *ctx, const char *name) {
  char path[512];
  mcl_model *model, *again;
  mcl_named_tensor *data;
  int count;
  snprintf(path, sizeof path, "%s/tests/data/onnx/%s.npz", MCL_SOURCE_DIR, name);
  assert_ok(ctx, mcl_npz_load(ctx, path, &data, &count));
  mcl_tensor *x = data[0].tensor, *y = data[1].tensor;
  snprintf(path, sizeof path, "%s/tests/data/onnx/%s.onnx", MCL_SOURCE_DIR, name);
  assert_ok(ctx, mcl_onnx_load_model(ctx, path, &model));
  assert_string_equal(mcl_model_input_name(model, 0), "image");
  assert_string_equal(mcl_model_output_name(model, 0), "score");
  check_run(ctx, model, mcl_tensor_f32(x), x->shape.dim[0], mcl_tensor_f32(y), y->count, 1e-5);

  /* Written and read again it is the same model: same results, names, and bytes when written once more. */
  mcl_buffer first = {.ctx = ctx}, second = {.ctx = ctx};
  assert_ok(ctx, mcl_onnx_encode(model, &first));
  assert_ok(ctx, mcl_onnx_read(ctx, "again.onnx", NULL, first.data, first.size, &again));
  check_run(ctx, again, mcl_tensor_f32(x), x->shape.dim[0], mcl_tensor_f32(y), y->count, 1e-5);
  assert_int_equal(again->weight_count, model->weight_count);
  for (int i = 0; i < model->weight_count; i++) {
    int weight = mcl_model_find_weight(again, model->weights[i].name);
    if (weight < 0) fail_msg("%s: weight %s is gone", name, model->weights[i].name);
  }
  assert_ok(ctx, mcl_onnx_encode(again, &second));
  assert_int_equal(first.size, second.size);
  mcl_buffer_free(&first);
  mcl_buffer_free(&second);
  mcl_model_free(again);
  mcl_model_free(model);
  mcl_tensor_list_free(ctx, data, count);
}

static void a_lenet_of_pytorch_computes_the_same(void **state) { check_exported(*state, "lenet"); }
static void a_residual_net_of_pytorch_computes_the_same(void **state) { check_exported(*state, "residual"); }
static void attention_of_pytorch_computes_the_same(void **state) { check_exported(*state, "attention"); }

static void layers_are_named_as_their_weights(void **state) {
  mcl_model *model;
  assert_ok(*state, mcl_onnx_load_model(*state, MCL_SOURCE_DIR "/tests/data/onnx/attention.onnx", &model));
  const char *const layers[] = {"norm", "q", "k", "v", "mlp.0", "mlp.3"};
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    char weight[64];
    snprintf(weight, sizeof weight, "%s.weight", layers[i]);
    if (mcl_model_find_weight(model, weight) < 0) fail_msg("no weight %s", weight);
    int value = mcl_model_find_value(model, layers[i]);
    if (i > 0 && (value < 0 || model->values[value].producer < 0)) fail_msg("no layer %s", layers[i]);
  }
  int gelus = 0;
  for (int i = 0; i < model->node_count; i++) gelus += !strcmp(model->nodes[i].op->name, "gelu");
  assert_int_equal(gelus, 1); /* spelt by its error function in the file */
  mcl_model_free(model);
}

/* ---- Weights, however they are stored ---- */

static void weights_lie_in_initializers_constants_and_typed_fields(void **state) {
  const float x[2] = {1, 10},
              y[3] = {1 - 20, 3 + 40 + .5f, -5 - 60 + 1}; /* x · [[1, 3, -5], [-2, 4, -6]] + [0, .5, 1] */
  const char *const kinds[] = {
      "init w float 2 3 = 1 3 -5 -2 4 -6; init b float 3 = 0 .5 1",
      "const w float 2 3 = 1 3 -5 -2 4 -6; const b float 3 = 0 .5 1",
      "init w typed 2 3 = 1 3 -5 -2 4 -6; const b typed 3 = 0 .5 1",
      "init w float16 2 3 = 1 3 -5 -2 4 -6; init b float16 3 = 0 .5 1",
      "init w double 2 3 = 1 3 -5 -2 4 -6; init b double 3 = 0 .5 1",
      "init w int64 2 3 = 1 3 -5 -2 4 -6; init b double 1 3 = 0 .5 1",
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char text[512];
    snprintf(text, sizeof text, "input x n 2; %s; node Gemm fc x,w,b y; output y", kinds[i]);
    check_text(*state, text, x, 1, y, 3);
    snprintf(text, sizeof text, "input x n 2; %s; node MatMul m x,w p; node Add a b,p y; output y", kinds[i]);
    check_text(*state, text, x, 1, y, 3);
  }
}

static void a_product_and_a_sum_become_one_layer(void **state) {
  mcl_model *model =
      read_text(*state, "input x n 2; init fc.weight float 2 3; init b float 3; node MatMul m x,fc.weight p;"
                        "node Add a p,b q; node Relu r q y; output y");
  assert_int_equal(model->node_count, 2);
  assert_string_equal(model->nodes[0].op->name, "linear");
  assert_string_equal(model->nodes[0].name, "fc");
  mcl_shape shape = model->weights[mcl_model_find_weight(model, "fc.weight")].shape;
  assert_int_equal(shape.dim[0], 3); /* [out, in] */
  assert_int_equal(shape.dim[1], 2);
  mcl_model_free(model);
}

static void gemm_has_its_factors_and_transposes(void **state) {
  const float x[2] = {1, 10}, y[2] = {.5f * (1 + 20) + 2 * 3, .5f * (3 + 40) + 2 * 3};
  check_text(
      *state,
      "input x n 2; init w float 2 2 = 1 3 2 4; init c float = 3; node Gemm g x,w,c y alpha=0.5 beta=2.0; output y", x,
      1, y, 2);
  check_text(*state,
             "input x n 2; init w float 2 2 = 1 2 3 4; init c float 2 = 3 3; node Gemm g x,w,c y alpha=0.5 beta=2.0 "
             "transB=1; output y",
             x, 1, y, 2);
  /* A turned, and C a matrix: [[1], [10]]ᵀ · w + c, one row */
  check_text(*state,
             "input x 2 1; init w float 2 2 = 1 3 2 4; init c float 1 2 = 6 6; node Gemm g x,w,c y alpha=0.5 transA=1; "
             "output y",
             x, 2, y, 2);
}

/* ---- Windows ---- */

static void padding_may_be_automatic(void **state) {
  /* A kernel of ones over a row 1 2 3 4, stride 2, width 3: SAME_UPPER pads the end, SAME_LOWER the beginning. */
  const float x[4] = {1, 2, 3, 4}, upper[2] = {6, 7}, lower[2] = {3, 9}, valid[1] = {6};
  const char *const head = "input x n 1 1 4; init w float 1 1 1 3 = 1 1 1; output y; node Conv c x,w y strides=1,2 ";
  char text[256];
  snprintf(text, sizeof text, "%sauto_pad='SAME_UPPER'", head);
  check_text(*state, text, x, 1, upper, 2);
  snprintf(text, sizeof text, "%sauto_pad='SAME_LOWER'", head);
  check_text(*state, text, x, 1, lower, 2);
  snprintf(text, sizeof text, "%sauto_pad='VALID'", head);
  check_text(*state, text, x, 1, valid, 1);
  snprintf(text, sizeof text, "%spads=0,0,0,1", head);
  check_text(*state, text, x, 1, upper, 2);
}

static void pad_becomes_the_padding_of_a_convolution(void **state) {
  /* Zeros of Pad and of the Conv itself add up; SAME is measured on the padded input. */
  const float x[4] = {1, 2, 3, 4}, both[6] = {0, 1, 3, 6, 9, 7}, same[3] = {1, 6, 7};
  const char *const head = "input x n 1 1 4; init w float 1 1 1 3 = 1 1 1; output y; ";
  char text[320];
  snprintf(text, sizeof text, "%sinit p int64 8 = 0 0 0 2 0 0 0 0; node Pad a x,p q; node Conv c q,w y pads=0,1,0,1",
           head);
  check_text(*state, text, x, 1, both, 6);
  snprintf(text, sizeof text,
           "%sopset 18; init p int64 2 = 1 1; init e int64 1 = -1; node Pad a x,p,-,e q; node Conv c q,w y strides=1,2 "
           "auto_pad='SAME_LOWER'",
           head);
  check_text(*state, text, x, 1, same, 3);
  snprintf(text, sizeof text,
           "opset 9; input x n 1 4; init w float 1 1 3 = 1 1 1; node Pad a x q pads=0,0,2,0,0,1; node Conv c q,w y "
           "pads=0,0; output y");
  const float signal[5] = {1, 3, 6, 9, 7};
  check_text(*state, text, x, 1, signal, 5);
}

static void signals_are_images_of_width_one(void **state) {
  const float x[4] = {1, 2, 3, 4}, sums[4] = {3, 6, 9, 7}, means[2] = {1.5f, 3.5f};
  check_text(*state, "input x n 1 4; init w float 1 1 3 = 1 1 1; node Conv c x,w y pads=1,1; output y", x, 1, sums, 4);
  mcl_model *model = read_text(*state, "input x n 1 4; node AveragePool p x y kernel_shape=2, strides=2,; output y");
  assert_int_equal(mcl_model_output_shape(model, 0).rank, 3);
  check_run(*state, model, x, 1, means, 2, 0);
  mcl_model_free(model);
}

/* ---- Ops that are spelt by others here ---- */

static void ops_without_a_twin_are_spelt(void **state) {
  const float x[4] = {-4, 0, 1, 4};
  const float sigmoid[4] = {0, .5f, .7f, 1}, swish[4] = {0, 0, 2.0f / 3, 4}, minus[4] = {4, 0, -1, -4},
              sum[4] = {-12, 0, 3, 12};
  check_text(*state, "input x n 4; node HardSigmoid h x y; output y", x, 1, sigmoid, 4);
  check_text(*state, "input x n 4; node HardSwish h x y; output y", x, 1, swish, 4);
  check_text(*state, "input x n 4; node Neg h x y; output y", x, 1, minus, 4);
  check_text(*state, "input x n 4; node Sum h x,x,x y; output y", x, 1, sum, 4);
}

static void softmax_before_opset_13_takes_all_dimensions_from_its_axis(void **state) {
  const float x[4] = {0, 0, 0, 0}, all[4] = {.25f, .25f, .25f, .25f}, last[4] = {.5f, .5f, .5f, .5f};
  check_text(*state, "opset 11; input x n 2 2; node Softmax s x y axis=1; output y", x, 1, all, 4);
  check_text(*state, "opset 13; input x n 2 2; node Softmax s x y axis=1; output y", x, 1, last, 4);
}

static void clip_takes_bounds_from_attributes_and_inputs(void **state) {
  const float x[4] = {-9, 1, 2, 9}, y[4] = {-1, 1, 2, 3}, low[4] = {-1, 1, 2, 9};
  check_text(*state, "opset 7; input x n 4; node Clip c x y min=-1.0 max=3.0; output y", x, 1, y, 4);
  check_text(*state, "input x n 4; init a float = -1; init b float = 3; node Clip c x,a,b y; output y", x, 1, y, 4);
  check_text(*state, "input x n 4; const a float = -1; node Clip c x,a y; output y", x, 1, low, 4);
}

/* ---- The batch ---- */

static void a_symbol_or_a_one_in_front_is_the_batch(void **state) {
  const char *const fronts[] = {"n", "batch_size", "0", "1"};
  for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
    char text[128];
    snprintf(text, sizeof text, "input x %s 4; init s int64 3 = %s 2 2; node Reshape r x,s y; output y", fronts[i],
             i == 3 ? "1" : "0");
    mcl_model *model = read_text(*state, text);
    assert_int_equal(mcl_model_input_shape(model, 0).dim[0], -1);
    assert_int_equal(mcl_model_output_shape(model, 0).dim[0], -1);
    mcl_model_free(model);
  }
}

static void a_batch_that_the_graph_fixes_stays(void **state) {
  mcl_model *model = read_text(*state, "input x 1 4; init s int64 2 = 4 1; node Reshape r x,s y; output y");
  assert_int_equal(mcl_model_input_shape(model, 0).dim[0], 1);
  mcl_model_free(model);
  model = read_text(*state, "input x 3 4; node Relu r x y; output y");
  assert_int_equal(mcl_model_input_shape(model, 0).dim[0], 3);
  mcl_model_free(model);
}

static void a_one_beside_an_open_batch_is_a_one(void **state) {
  mcl_model *model = read_text(*state, "input x n 3; input mask 1 3; node Add a x,mask y; output y");
  assert_int_equal(mcl_model_input_shape(model, 0).dim[0], -1);
  assert_int_equal(mcl_model_input_shape(model, 1).dim[0], 1);
  mcl_session *session;
  assert_ok(*state, mcl_session_new(model, 2, &session));
  memcpy(mcl_session_input(session, 0), (float[]){1, 2, 3, 4, 5, 6}, 6 * sizeof(float));
  memcpy(mcl_session_input(session, 1), (float[]){10, 20, 30}, 3 * sizeof(float));
  assert_ok(*state, mcl_session_run(session));
  const float expected[] = {11, 22, 33, 14, 25, 36};
  assert_memory_equal(mcl_session_output(session, 0), expected, sizeof expected);
  mcl_session_free(session);
  mcl_model_free(model);
  model = read_text(*state, "input x n 4; input state 1 4; node Relu r x y; output y"); /* nothing uses it */
  assert_int_equal(mcl_model_input_shape(model, 1).dim[0], 1);
  mcl_model_free(model);
}

/* ---- Fusions keep the dimensions of what they fuse ---- */

static void check_shape(mcl_context *ctx, const char *text, const char *expected) {
  mcl_model *model = read_text(ctx, text);
  char shape[MCL_SHAPE_TEXT];
  assert_string_equal(mcl_shape_text(mcl_model_output_shape(model, 0), shape), expected);
  mcl_model_free(model);
}

/* Shapes are NumPy's broadcasts of what stands in the file. */
static void a_fusion_loses_no_dimension(void **state) {
  check_shape(*state,
              "input x 5 4; init w float 4 3; init b float 1 1 3; node MatMul m x,w a; node Add s a,b y; output y",
              "1x5x3");
  check_shape(*state,
              "input x 5 4; init w float 4 3; init b float 1 1 1; node MatMul m x,w a; node Add s b,a y; output y",
              "1x5x3");
  check_shape(*state,
              "input x 5 4; init w float 4 3; init b float 1 3; node MatMul m x,w a; node Add s a,b y; output y",
              "5x3");
  check_shape(*state, "input x 5 4; init w float 4 1; init b float 3; node MatMul m x,w a; node Add s a,b y; output y",
              "5x3");
  onnx_bytes *gelu = onnx_from_text(
      "input x 2 3; init r float 1 1 1 = 1.41421356; init one float = 1; init half float = 0.5;"
      "node Div d x,r a; node Erf e a b; node Add p b,one c; node Mul m x,c d; node Mul h d,half y; output y");
  mcl_model *model; /* by itself, an Erf is not known */
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "op Erf",
               mcl_onnx_read(*state, "gelu.onnx", NULL, gelu->data, gelu->size, &model));
  free(gelu);
}

/* ---- One weight, however it is turned ---- */

/* h = x Wᵀ, y = h W by two nodes over one W of 2 × 2, whatever their spelling and order; W is [[1, 2], [3, 4]]:
 * x = [1, 10] → h = [21, 43] → y = [150, 214]. */
static void a_matrix_used_both_ways_is_one_weight(void **state) {
  const char *const graphs[] = {
      "node Gemm g x,w h transB=1; node MatMul m h,w y",
      "node Gemm g x,w h transB=1; node Gemm m h,w y",
      "node Transpose t w v; node Identity i v u; node MatMul g x,u h; node MatMul m h,w y",
      "node Transpose t w v perm=1,0; node Gemm g x,v h; node Cast c w k to=1; node MatMul m h,k y",
      "node Transpose t w v; node MatMul g x,v h; node Gemm m h,v y transB=1",
      "node Gemm g x,w h transB=1; node Gemm m h,w z alpha=2.; node Gemm n h,w q alpha=-1.; node Add a z,q y",
  };
  for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
    char text[512];
    snprintf(text, sizeof text, "input x n 2; init w float 2 2 = 1 2 3 4; %s; output y", graphs[i]);
    mcl_model *model = read_text(*state, text);
    int matrices = 0;
    for (int w = 0; w < model->weight_count; w++) matrices += model->weights[w].shape.rank == 2;
    if (matrices != 1) fail_msg("%s: %d matrices", text, matrices);
    check_run(*state, model, (float[]){1, 10}, 1, (float[]){150, 214}, 2, 1e-4);
    mcl_model_free(model);
  }
}

/* A step of training along both uses: the one weight moves by the sum of the gradients, and is written once. */
static void a_tied_matrix_is_trained_and_exported_tied(void **state) {
  mcl_model *model = read_text(*state, "input x n 2; init w float 2 2 = 1 2 3 4; init c float 2 = 1 -1;"
                                       "node Gemm g x,w h transB=1; node MatMul m h,w z; node Add a z,c y; output y");
  mcl_training_session *session;
  assert_ok(*state, mcl_training_session_new(model, 1, &session));
  memcpy(mcl_training_session_input(session, 0), (float[]){1, 10}, 2 * sizeof(float));
  assert_ok(*state, mcl_training_session_forward(session, 1, 0, true));
  memcpy(mcl_training_session_output_gradient(session, 0), (float[]){1, 0}, 2 * sizeof(float));
  assert_ok(*state, mcl_training_session_backward(session));
  /* y₀ = Σ h_k w_k0, h_k = Σ x_j w_kj: d y₀ / d w_kj = h_k [j = 0] + w_k0 x_j */
  const float *gradient = mcl_training_session_weight_gradient(session, mcl_model_find_weight(model, "w"));
  const float expected[] = {21 + 1, 10, 43 + 3, 30};
  for (int i = 0; i < 4; i++) assert_close(gradient[i], expected[i], 1e-4);
  mcl_training_session_free(session);
  mcl_buffer bytes = {.ctx = *state};
  mcl_model *again;
  assert_ok(*state, mcl_onnx_encode(model, &bytes));
  assert_ok(*state, mcl_onnx_read(*state, "again.onnx", NULL, bytes.data, bytes.size, &again));
  mcl_buffer_free(&bytes);
  assert_int_equal(mcl_model_parameters(again), 6);
  check_run(*state, again, (float[]){1, 10}, 1, (float[]){151, 213}, 2, 1e-4);
  mcl_model_free(again);
  mcl_model_free(model);
}

static void a_kernel_of_signals_used_twice_is_one_weight(void **state) {
  mcl_model *model =
      read_text(*state, "input x n 2 5; init w float 2 2 1; node Conv a x,w h; node Conv b h,w y; output y");
  assert_int_equal(model->weight_count, 1);
  mcl_model_free(model);
}

/* ---- Names, and what is left out ---- */

static void an_output_that_is_an_input_keeps_its_name(void **state) {
  mcl_model *model = read_text(*state, "input x n 4; node Relu r x y; output y; output x"), *again;
  mcl_buffer bytes = {.ctx = *state};
  assert_ok(*state, mcl_onnx_encode(model, &bytes));
  assert_ok(*state, mcl_onnx_read(*state, "again.onnx", NULL, bytes.data, bytes.size, &again));
  mcl_buffer_free(&bytes);
  mcl_model *both[] = {model, again};
  for (int i = 0; i < 2; i++) {
    mcl_session *session;
    assert_string_equal(mcl_model_output_name(both[i], 1), "x");
    assert_ok(*state, mcl_session_new(both[i], 1, &session));
    const float given[] = {-1, 2, -3, 4};
    memcpy(mcl_session_input(session, 0), given, sizeof given);
    assert_ok(*state, mcl_session_run(session));
    assert_memory_equal(mcl_session_output(session, 1), given, sizeof given);
    mcl_session_free(session);
    mcl_model_free(both[i]);
  }
}

static void a_rate_of_dropout_is_kept(void **state) {
  mcl_model *model = read_text(*state, "input x n 4; init ratio float = 0.9999; node Dropout d x,ratio y; output y");
  assert_close(model->nodes[0].attribute[0].number, 0.9999f, 0);
  mcl_model_free(model);
}

static void inputs_and_outputs_keep_their_names(void **state) {
  mcl_model *model =
      read_text(*state, "input picture n 4; init fc.weight float 4 4; node Gemm g picture,fc.weight logits;"
                        "node Relu r logits hidden; output logits; output hidden");
  assert_string_equal(mcl_model_input_name(model, 0), "picture");
  assert_string_equal(mcl_model_output_name(model, 0), "logits");
  assert_string_equal(mcl_model_output_name(model, 1), "hidden");
  assert_true(mcl_model_find_value(model, "fc") >= 0); /* the layer keeps its own */
  mcl_buffer bytes = {.ctx = *state};
  mcl_model *again;
  assert_ok(*state, mcl_onnx_encode(model, &bytes));
  assert_ok(*state, mcl_onnx_read(*state, "again.onnx", NULL, bytes.data, bytes.size, &again));
  assert_string_equal(mcl_model_output_name(again, 0), "logits");
  assert_string_equal(mcl_model_output_name(again, 1), "hidden");
  assert_int_equal(again->node_count, model->node_count);
  mcl_buffer_free(&bytes);
  mcl_model_free(again);
  mcl_model_free(model);
}

static void what_no_output_wants_is_left_out(void **state) {
  mcl_model *model = read_text(
      *state, "input x n 4; input:7 mode 1; init w float 4; node Frobnicate f x z; node Relu r x y; output y");
  assert_int_equal(model->node_count, 1);
  assert_int_equal(model->weight_count, 0);
  assert_int_equal(model->input_count, 1);
  mcl_model_free(model);
}

static void one_initializer_of_two_layers_is_one_weight(void **state) {
  mcl_model *model = read_text(
      *state, "input x n 3; init w float 3 3; node Gemm a x,w p transB=1; node Gemm b p,w y transB=1; output y");
  assert_int_equal(model->weight_count, 1);
  mcl_model_free(model);
}

static void names_that_clash_are_told_apart(void **state) {
  mcl_model *model =
      read_text(*state, "input x n 3; init r float 3; node Relu r x a; node Relu r a b; node Add r b,r y; output y");
  assert_int_equal(model->node_count, 3);
  assert_string_equal(mcl_model_output_name(model, 0), "y");
  mcl_model_free(model);
}

/* ---- Export ---- */

static void a_zstd_wrap_is_refused_and_the_old_file_stays(void **state) {
  mcl_model *model = read_text(*state, "input x n 4; node Relu r x y; output y");
  assert_ok(*state, mcl_onnx_save_model(model, "kept.onnx", NULL));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "kept.onnx: ONNX has no zstd wrap",
               mcl_save_model(model, "kept.onnx", &(mcl_artifact_options){.zstd_level = 3}));
  assert_fails(*state, MCL_ERROR_IO, "absent/x.onnx", mcl_onnx_save_model(model, "absent/x.onnx", NULL));
  mcl_model_free(model);
  assert_ok(*state, mcl_onnx_load_model(*state, "kept.onnx", &model));
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(a_lenet_of_pytorch_computes_the_same),
      context_test(a_residual_net_of_pytorch_computes_the_same),
      context_test(attention_of_pytorch_computes_the_same),
      context_test(layers_are_named_as_their_weights),
      context_test(weights_lie_in_initializers_constants_and_typed_fields),
      context_test(a_product_and_a_sum_become_one_layer),
      context_test(gemm_has_its_factors_and_transposes),
      context_test(padding_may_be_automatic),
      context_test(pad_becomes_the_padding_of_a_convolution),
      context_test(signals_are_images_of_width_one),
      context_test(ops_without_a_twin_are_spelt),
      context_test(softmax_before_opset_13_takes_all_dimensions_from_its_axis),
      context_test(clip_takes_bounds_from_attributes_and_inputs),
      context_test(a_symbol_or_a_one_in_front_is_the_batch),
      context_test(a_batch_that_the_graph_fixes_stays),
      context_test(a_one_beside_an_open_batch_is_a_one),
      context_test(a_fusion_loses_no_dimension),
      context_test(a_matrix_used_both_ways_is_one_weight),
      context_test(a_tied_matrix_is_trained_and_exported_tied),
      context_test(a_kernel_of_signals_used_twice_is_one_weight),
      context_test(an_output_that_is_an_input_keeps_its_name),
      context_test(a_rate_of_dropout_is_kept),
      context_test(inputs_and_outputs_keep_their_names),
      context_test(what_no_output_wants_is_left_out),
      context_test(one_initializer_of_two_layers_is_one_weight),
      context_test(names_that_clash_are_told_apart),
      context_test(a_zstd_wrap_is_refused_and_the_old_file_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
