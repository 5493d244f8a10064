/* The fit loop: PyTorch's numbers step by step, the user's own losses and penalties, training under every
 * representation. */
#include "unit/fit_fixture.h"

#include <math.h>

/* The five rows that PyTorch was given. */
static mcl_dataset *five_rows(mcl_context *ctx) {
  mcl_tensor *x, *y;
  mcl_dataset *d;
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(5, 4), &x));
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_U8, mcl_shape_1(5), &y));
  numbers(mcl_tensor_f32(x), 20, 3, 1);
  memcpy(y->data, (uint8_t[]){0, 1, 2, 1, 0}, 5);
  assert_ok(ctx, mcl_dataset_new(x, y, 1, 0, &d));
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  return d;
}

/* ---- PyTorch's numbers: three steps on all five rows ---- */

typedef struct reference {
  mcl_optimiser_options optimiser;
  double clip, smoothing, loss;
  float a_weight[12], b_bias[3];
} reference;

/* m = Sequential(Linear(4, 3), Tanh(), Linear(3, 3)); 3 × zero_grad, cross_entropy, backward, step with
 * SGD(lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.01), SGD(lr=0.5, momentum=0.8), Adam(lr=0.05,
 * weight_decay=0.1), AdamW(lr=0.05, weight_decay=0.1), and SGD(lr=0.5) with clip_grad_norm_(0.1) and
 * label_smoothing=0.1; the loss is that of the third step. */
static const reference references[] = {
    {{.name = "sgd", .rate = 0.5, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01},
     0,
     0,
     0.97407711,
     {-0.58015949f, 0.018283054f, 0.47683868f, 0.95344764f, -0.32947704f, 0.33180025f, 0.6556592f, -0.53505182f,
      -0.34618062f, -0.38018423f, 0.65746582f, -0.40451652f},
     {-0.37759703f, -0.079636544f, -0.31084791f}},
    {{.name = "sgd", .rate = 0.5, .momentum = 0.8},
     0,
     0,
     1.0191081,
     {-0.66088617f, -0.090772085f, 0.38474521f, 0.86764991f, -0.38922444f, 0.22496943f, 0.63371217f, -0.61079824f,
      -0.33693063f, -0.18050818f, 0.70058674f, -0.40756762f},
     {-0.40099958f, -0.079752371f, -0.31924802f}},
    {{.name = "adam", .rate = 0.05, .weight_decay = 0.1},
     0,
     0,
     1.0934908,
     {-0.65011537f, -0.14990768f, 0.35002306f, 0.59874082f, -0.35055074f, 0.14957419f, 0.5315389f, -0.55059129f,
      -0.3430413f, 0.15047097f, 0.65096325f, -0.25219232f},
     {-0.65185106f, 0.15420929f, -0.19148561f}},
    {{.name = "adamw", .rate = 0.05, .weight_decay = 0.1},
     0,
     0,
     1.0675329,
     {-0.63895464f, -0.14620651f, 0.34645876f, 0.83903342f, -0.34428918f, 0.1490643f, 0.64022458f, -0.54068744f,
      -0.34402925f, 0.14666693f, 0.64231658f, -0.30815923f},
     {-0.64322931f, 0.15006799f, -0.36278608f}},
    {{.name = "sgd", .rate = 0.5, .no_momentum = true},
     0.1,
     0.1,
     1.209023,
     {-0.783925f, -0.27712792f, 0.21932398f, 0.71621388f, -0.48712027f, 0.024524961f, 0.51577622f, -0.69055766f,
      -0.21942635f, 0.24517897f, 0.78642565f, -0.39874631f},
     {-0.7391119f, 0.23726599f, -0.29815409f}},
};

static void three_steps_are_pytorchs(void **state) {
  for (size_t r = 0; r < sizeof references / sizeof *references; r++) {
    const reference *ref = &references[r];
    mcl_model *model = network(*state, 4, 3, 3, false);
    mcl_dataset *data = five_rows(*state);
    mcl_epoch_report report;
    mcl_fit_options options = {.train = data,
                               .epochs = 3,
                               .batch = 64,
                               .optimiser = ref->optimiser,
                               .clip_norm = ref->clip,
                               .label_smoothing = ref->smoothing};
    assert_ok(*state, mcl_fit(model, &options, &report));
    assert_close(report.loss, ref->loss, 2e-6);
    assert_int_equal(report.epoch, 3);
    for (int i = 0; i < 12; i++) assert_close(weight_of(model, "a.weight")[i], ref->a_weight[i], 4e-6);
    for (int i = 0; i < 3; i++) assert_close(weight_of(model, "b.bias")[i], ref->b_bias[i], 4e-6);
    mcl_model_free(model);
    mcl_dataset_release(data);
  }
}

/* ---- Learning ---- */

/* Without a word either would be read as the other: nothing is where labels are looked for. */
static void validation_data_are_of_the_kind_that_is_trained_by(void **state) {
  mcl_tensor *y;
  mcl_dataset *labels = blobs(*state, 20, 1), *targets;
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(20, 3), &y));
  assert_ok(*state, mcl_dataset_new(labels->x, y, 1, 0, &targets));
  mcl_tensor_release(y);
  mcl_model *model = network(*state, 64, 4, 3, false);
  mcl_fit_options options = {.train = labels, .validation = targets, .epochs = 1};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "validation data have targets", mcl_fit(model, &options, NULL));
  options = (mcl_fit_options){.train = targets, .validation = labels, .epochs = 1};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "validation data have labels", mcl_fit(model, &options, NULL));
  mcl_model_free(model);
  mcl_dataset_release(labels);
  mcl_dataset_release(targets);
}

static void a_network_learns_and_evaluation_agrees_with_validation(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false);
  mcl_dataset *train = blobs(*state, 300, 1), *validation = blobs(*state, 130, 2);
  mcl_epoch_report report;
  mcl_evaluation evaluation;
  mcl_fit_options options = {.train = train, .validation = validation, .epochs = 5, .batch = 32, .seed = 3};
  options.optimiser.rate = 0.05;
  assert_ok(*state, mcl_fit(model, &options, &report));
  assert_true(report.validation_accuracy > 0.9);
  assert_ok(*state, mcl_evaluate(model, validation, NULL, &evaluation));
  assert_close(evaluation.accuracy, report.validation_accuracy, 1e-9);
  assert_close(evaluation.loss, report.validation_loss, 1e-5);
  assert_int_equal(evaluation.count, 130);
  mcl_model_free(model);
  mcl_dataset_release(train);
  mcl_dataset_release(validation);
}

/* ---- The user's own ---- */

/* Squared error against one-hot labels, as if mse had been given those as targets. */
static mcl_status own_squares(void *user, mcl_tensor *output, mcl_tensor *target, mcl_tensor *gradient, double *value) {
  (*(int *)user)++;
  *value = 0;
  for (int64_t i = 0; i < output->count; i++) {
    float error = mcl_tensor_f32(output)[i] - mcl_tensor_f32(target)[i];
    *value += (double)error * (double)error / (double)output->count;
    mcl_tensor_f32(gradient)[i] = (float)(2 / (double)output->count) * error;
  }
  return MCL_OK;
}

static void a_loss_of_the_users_is_asked_every_batch(void **state) {
  mcl_tensor *x, *one_hot;
  mcl_dataset *labelled = five_rows(*state), *targets;
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(5, 3), &one_hot));
  for (int i = 0; i < 5; i++) mcl_tensor_f32(one_hot)[i * 3 + ((uint8_t *)labelled->y->data)[i]] = 1;
  x = labelled->x;
  assert_ok(*state, mcl_dataset_new(x, one_hot, 1, 0, &targets));
  mcl_model *own = network(*state, 4, 3, 3, false), *built_in = network(*state, 4, 3, 3, false);
  int calls = 0;
  mcl_epoch_report own_report, report;
  mcl_fit_options options = {.train = labelled, .epochs = 4, .batch = 2, .custom_loss = own_squares, .user = &calls};
  assert_ok(*state, mcl_fit(own, &options, &own_report));
  assert_int_equal(calls, 12);
  options.custom_loss = NULL;
  options.train = targets;
  assert_ok(*state, mcl_fit(built_in, &options, &report));
  assert_close(own_report.loss, report.loss, 1e-6);
  assert_true(isnan(report.accuracy) && own_report.accuracy >= 0);
  for (int i = 0; i < 12; i++) assert_close(weight_of(own, "a.weight")[i], weight_of(built_in, "a.weight")[i], 1e-6);
  mcl_model_free(own);
  mcl_model_free(built_in);
  mcl_dataset_release(labelled);
  mcl_dataset_release(targets);
  mcl_tensor_release(one_hot);
}

/* 0.05 · ‖w‖² over weights: the gradient of weight decay 0.1. */
static mcl_status ridge(void *user, mcl_model *model, int weight, mcl_tensor *values, mcl_tensor *gradient,
                        double *value) {
  (void)user, (void)model, (void)weight;
  for (int64_t i = 0; i < values->count; i++) {
    float w = mcl_tensor_f32(values)[i];
    *value += 0.05 * (double)w * (double)w;
    mcl_tensor_f32(gradient)[i] += 0.1f * w;
  }
  return MCL_OK;
}

static void a_penalty_adds_its_value_and_gradient(void **state) {
  mcl_model *by_penalty = network(*state, 4, 3, 3, false), *by_decay = network(*state, 4, 3, 3, false);
  mcl_dataset *data = five_rows(*state);
  mcl_epoch_report with, without;
  mcl_fit_options options = {.train = data, .epochs = 1, .optimiser = {.rate = 0.1, .weight_decay = 0.1}};
  assert_ok(*state, mcl_fit(by_decay, &options, &without));
  options.optimiser.weight_decay = 0;
  options.penalty = ridge;
  assert_ok(*state, mcl_fit(by_penalty, &options, &with));
  for (int i = 0; i < 12; i++)
    assert_close(weight_of(by_penalty, "a.weight")[i], weight_of(by_decay, "a.weight")[i], 1e-6);
  assert_true(with.loss > without.loss + 0.05);
  mcl_model_free(by_penalty);
  mcl_model_free(by_decay);
  mcl_dataset_release(data);
}

/* ---- Numbers that end a fit ---- */

static mcl_status infinite_gradient(void *user, mcl_tensor *output, mcl_tensor *target, mcl_tensor *gradient,
                                    double *value) {
  (void)user, (void)output, (void)target;
  *value = 1;
  for (int64_t i = 0; i < gradient->count; i++) mcl_tensor_f32(gradient)[i] = INFINITY;
  return MCL_OK;
}

static mcl_status no_number(void *user, mcl_model *model, int weight, mcl_tensor *values, mcl_tensor *gradient,
                            double *value) {
  (void)user, (void)values, (void)gradient;
  if (!strcmp(model->weights[weight].name, "b.weight")) *value += NAN;
  return MCL_OK;
}

/* The fit ends so, and leaves the weights as they were. */
static void assert_ends(mcl_model *model, const mcl_fit_options *options, const char *text) {
  float before[HARD_WEIGHTS], after[HARD_WEIGHTS];
  copy_weights(model, before);
  assert_fails(model->ctx, MCL_ERROR_NUMERIC, text, mcl_fit(model, options, NULL));
  copy_weights(model, after);
  assert_memory_equal(before, after, sizeof before);
}

static void whatever_the_rate_a_fit_leaves_finite_weights(void **state) {
  mcl_dataset *train = blobs(*state, 64, 1);
  const double rates[] = {1e6, 1e20, 1e30, 1e38};
  int ended = 0;
  for (under kind = UNDER_DENSE; kind < UNDER_COUNT; kind++)
    for (int i = 0; i < 4; i++) {
      float after[HARD_WEIGHTS];
      mcl_model *model = network(*state, 64, 16, 3, false);
      represent(model, kind);
      mcl_fit_options options = {.train = train, .batch = 64, .epochs = 3, .optimiser = {.rate = rates[i]}};
      mcl_status status = mcl_fit(model, &options, NULL);
      if (status) assert_true(strstr(mcl_context_message(*state), "lower the rate (1e+"));
      ended += status == MCL_ERROR_NUMERIC;
      assert_true(status == MCL_OK || status == MCL_ERROR_NUMERIC);
      copy_weights(model, after);
      for (int k = 0; k < HARD_WEIGHTS; k++) assert_true(isfinite(after[k]));
      mcl_model_free(model);
    }
  assert_true(ended > 0); /* by a product of finite factors, say */
  mcl_dataset_release(train);
}

static void a_function_of_the_users_is_blamed_for_its_own_numbers(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false);
  mcl_dataset *train = blobs(*state, 64, 1);
  mcl_fit_options options = {.train = train, .custom_loss = infinite_gradient};
  assert_ends(model, &options, "the gradient of the loss is inf at epoch 1, step 1; mend the function");
  options = (mcl_fit_options){.train = train, .penalty = no_number};
  assert_ends(model, &options, "the penalty of \"b.weight\" is nan at epoch 1, step 1; mend the function");
  mcl_model_free(model);
  mcl_dataset_release(train);
}

static void a_rate_of_nothing_moves_nothing(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false);
  mcl_dataset *train = blobs(*state, 64, 1);
  float before[HARD_WEIGHTS], after[HARD_WEIGHTS];
  copy_weights(model, before);
  mcl_fit_options options = {.train = train, .optimiser = {.no_rate = true}};
  assert_ok(*state, mcl_fit(model, &options, NULL));
  copy_weights(model, after);
  assert_memory_equal(before, after, sizeof before);
  mcl_model_free(model);
  mcl_dataset_release(train);
}

/* ---- Held-out data ---- */

static char told[512];
static void keep_warning(void *user, mcl_log_level level, const char *message) {
  (void)user;
  if (level == MCL_LOG_WARNING) snprintf(told, sizeof told, "%s", message);
}

static void a_fit_that_ends_worse_than_it_began_says_so(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options settings = {.threads = 1, .log = keep_warning};
  assert_int_equal(mcl_context_new(&settings, &ctx), MCL_OK);
  mcl_model *model = network(ctx, 64, 16, 3, false);
  mcl_dataset *train = blobs(ctx, 300, 1), *validation = blobs(ctx, 130, 2);
  mcl_fit_options options = {
      .train = train, .validation = validation, .epochs = 5, .batch = 32, .optimiser = {.rate = 0.05}};
  *told = 0;
  assert_ok(ctx, mcl_fit(model, &options, NULL));
  assert_string_equal(told, "");
  for (int64_t i = 0; i < train->count; i++) ((int64_t *)train->y->data)[i] = (((int64_t *)train->y->data)[i] + 1) % 3;
  assert_ok(ctx, mcl_fit(model, &options, NULL)); /* learns what is wrong */
  assert_non_null(strstr(told, "on held-out data the accuracy fell from"));
  assert_non_null(strstr(told, "lower the rate (0.05)"));
  mcl_model_free(model);
  mcl_dataset_release(train);
  mcl_dataset_release(validation);
  mcl_context_free(ctx);
}

/* ---- Representations ---- */

static void training_stays_within_the_representation(void **state) {
  static const mcl_repr_kind *const kinds[] = {&mcl_dense_kind, &mcl_sparse_kind, &mcl_palette_kind, &mcl_affine_kind,
                                               &mcl_lowrank_kind};
  mcl_dataset *train = blobs(*state, 300, 1);
  for (under kind = UNDER_SPARSE; kind < UNDER_COUNT; kind++) {
    mcl_model *model = network(*state, 64, 16, 3, false);
    represent(model, kind);
    int weight = mcl_model_find_weight(model, "a.weight");
    float before[1024], *after;
    memcpy(before, weight_of(model, "a.weight"), sizeof before);
    mcl_fit_options options = {.train = train, .epochs = 6, .batch = 32, .optimiser = {.rate = 0.1}};
    mcl_epoch_report report;
    assert_ok(*state, mcl_fit(model, &options, &report));
    assert_true(report.accuracy > 0.75);
    after = weight_of(model, "a.weight");
    assert_memory_not_equal(before, after, sizeof before);
    if (kind == UNDER_SPARSE)
      for (int i = 0; i < 1024; i++) assert_true(after[i] == 0 || kept[i / 64] >> i % 64 & 1);
    if (kind == UNDER_PALETTE)
      for (int i = 0; i < 1024; i++)
        for (int j = 0; j < i; j++) assert_true(before[i] != before[j] || after[i] == after[j]);
    assert_ptr_equal(model->weights[weight].repr->kind, kinds[kind]);
    mcl_model_free(model);
  }
  mcl_dataset_release(train);
}

/* Learnt dense, then shared by so few entries that each stands for hundreds of weights: at the preset rate, training under the
 * codebook helps, whatever the optimiser and the number of entries. */
static void the_preset_rate_suits_every_codebook(void **state) {
  const char *const optimisers[] = {"sgd", "adam"};
  mcl_dataset *train = blobs(*state, 300, 1);
  mcl_model *dense = network(*state, 64, 2048, 3, false);
  mcl_fit_options options = {.train = train, .epochs = 3, .batch = 32};
  assert_ok(*state, mcl_fit(dense, &options, NULL));
  for (int bits = 1; bits <= 4; bits++)
    for (int i = 0; i < 2; i++) {
      mcl_model *model;
      mcl_tensor *values;
      mcl_repr *repr;
      mcl_evaluation before, after;
      mcl_palette_options palette = {.bits = bits};
      assert_ok(*state, mcl_model_copy(dense, &model));
      int weight = mcl_model_find_weight(model, "a.weight");
      assert_ok(*state, mcl_weight_values(model, weight, &values));
      assert_ok(*state, mcl_palette_fit(values, NULL, &palette, &repr));
      assert_ok(*state, mcl_weight_set(model, weight, repr));
      mcl_repr_release(repr);
      assert_ok(*state, mcl_evaluate(model, train, NULL, &before));
      mcl_fit_options under_it = {.train = train, .epochs = 2, .batch = 32, .optimiser = {.name = optimisers[i]}};
      assert_ok(*state, mcl_fit(model, &under_it, NULL));
      assert_ok(*state, mcl_evaluate(model, train, NULL, &after));
      if (!(after.loss < before.loss))
        fail_msg("%d bits, %s: the loss went from %g to %g", bits, optimisers[i], before.loss, after.loss);
      mcl_model_free(model);
    }
  mcl_model_free(dense);
  mcl_dataset_release(train);
}

static void a_weight_that_others_hold_is_not_changed_under_them(void **state) {
  mcl_model *model = network(*state, 64, 16, 3, false), *copy;
  mcl_dataset *train = blobs(*state, 100, 1);
  float before[HARD_WEIGHTS], after[HARD_WEIGHTS];
  assert_ok(*state, mcl_model_copy(model, &copy));
  copy_weights(copy, before);
  mcl_fit_options options = {.train = train};
  assert_ok(*state, mcl_fit(model, &options, NULL));
  copy_weights(copy, after);
  assert_memory_equal(before, after, sizeof before);
  copy_weights(model, after);
  assert_memory_not_equal(before, after, sizeof before);
  mcl_model_free(copy);
  mcl_model_free(model);
  mcl_dataset_release(train);
}

/* As many numbers, of other dimensions: columns for rows would be learnt from. */
static void rows_of_other_dimensions_are_refused(void **state) {
  const int64_t given[][4] = {{5, 2, 3, 4}, {5, 1, 4, 6}, {5, 24}, {5, 2, 3, 4}};
  const int ranks[] = {4, 4, 2, 4};
  const int64_t wanted[][4] = {{-1, 4, 2, 3}, {-1, 4, 6, 1}, {-1, 4, 2, 3}, {-1, 24}};
  const int wanted_ranks[] = {4, 4, 4, 2};
  const bool fits[] = {false, true, true, true};
  for (int i = 0; i < 4; i++) {
    mcl_model *model;
    mcl_tensor *x, *y;
    mcl_dataset *data;
    mcl_evaluation result;
    int value;
    assert_ok(*state, mcl_model_new(*state, "net", &model));
    assert_ok(*state, mcl_model_add_input(model, "x", mcl_shape_of(wanted_ranks[i], wanted[i]), &value));
    assert_ok(*state, mcl_model_add_node(model, mcl_op_by_name("flatten"), "f", NULL, 1, &value, &value));
    assert_ok(*state, mcl_model_add_output(model, value));
    assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_of(ranks[i], given[i]), &x));
    assert_ok(*state, mcl_tensor_new(*state, MCL_I64, mcl_shape_1(5), &y));
    assert_ok(*state, mcl_dataset_new(x, y, 1, 0, &data));
    if (fits[i])
      assert_ok(*state, mcl_evaluate(model, data, NULL, &result));
    else
      assert_fails(*state, MCL_ERROR_ARGUMENT, "the data have 5x2x3x4", mcl_evaluate(model, data, NULL, &result));
    mcl_dataset_release(data);
    mcl_tensor_release(x);
    mcl_tensor_release(y);
    mcl_model_free(model);
  }
}

/* Targets 1, 2, 6 in one column; the model gives 0: their mean is 3, Σ t² = 41, Σ (t − 3)² = 14. */
static void what_a_model_explains_of_targets_is_measured(void **state) {
  mcl_model *model;
  mcl_tensor *x, *y;
  mcl_dataset *data;
  mcl_evaluation result;
  int value;
  assert_ok(*state, mcl_model_new(*state, "net", &model));
  assert_ok(*state, mcl_model_add_input(model, "x", mcl_shape_2(-1, 1), &value));
  assert_ok(*state, mcl_model_add_node(model, mcl_op_by_name("identity"), "y", NULL, 1, &value, &value));
  assert_ok(*state, mcl_model_add_output(model, value));
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(3, 1), &x));
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(3, 1), &y));
  memcpy(y->data, (float[]){1, 2, 6}, 3 * sizeof(float));
  assert_ok(*state, mcl_dataset_new(x, y, 1, 0, &data));
  assert_ok(*state, mcl_evaluate(model, data, NULL, &result));
  assert_close(result.loss, 41 / 3.0, 1e-6);
  assert_close(result.explained, 1 - 41 / 14.0, 1e-6);
  assert_true(isnan(result.accuracy));
  memcpy(x->data, y->data, 3 * sizeof(float));
  assert_ok(*state, mcl_evaluate(model, data, NULL, &result));
  assert_close(result.explained, 1, 1e-9);
  mcl_dataset_release(data);
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  mcl_model_free(model);
}

static void what_does_not_fit_together_is_refused(void **state) {
  mcl_model *model = network(*state, 4, 3, 2, false);
  mcl_dataset *data = five_rows(*state), *other = blobs(*state, 5, 1);
  mcl_fit_options options = {.train = data};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "label 2", mcl_fit(model, &options, NULL));
  options.train = other;
  assert_fails(*state, MCL_ERROR_ARGUMENT, "5x8x8", mcl_fit(model, &options, NULL));
  options.train = NULL;
  assert_fails(*state, MCL_ERROR_ARGUMENT, "no data", mcl_fit(model, &options, NULL));
  mcl_model_free(model);
  model = network(*state, 4, 3, 3, false);
  options = (mcl_fit_options){.train = data, .loss = "mse"};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "targets", mcl_fit(model, &options, NULL));
  options = (mcl_fit_options){.train = data, .loss = "hinge"};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "hinge", mcl_fit(model, &options, NULL));
  options = (mcl_fit_options){.train = data, .keep_best = true};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "validation", mcl_fit(model, &options, NULL));
  options = (mcl_fit_options){.train = data, .label_smoothing = 1};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "from 0 to below 1", mcl_fit(model, &options, NULL));
  options = (mcl_fit_options){.train = data, .schedule = {.name = "one_cycle", .warmup = 1}};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "from 0 to below 1", mcl_fit(model, &options, NULL));
  mcl_model_free(model);
  mcl_dataset_release(data);
  mcl_dataset_release(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(three_steps_are_pytorchs),
      context_test(validation_data_are_of_the_kind_that_is_trained_by),
      context_test(a_network_learns_and_evaluation_agrees_with_validation),
      context_test(a_loss_of_the_users_is_asked_every_batch),
      context_test(a_penalty_adds_its_value_and_gradient),
      context_test(whatever_the_rate_a_fit_leaves_finite_weights),
      context_test(a_function_of_the_users_is_blamed_for_its_own_numbers),
      context_test(a_rate_of_nothing_moves_nothing),
      cmocka_unit_test(a_fit_that_ends_worse_than_it_began_says_so),
      context_test(training_stays_within_the_representation),
      context_test(the_preset_rate_suits_every_codebook),
      context_test(a_weight_that_others_hold_is_not_changed_under_them),
      context_test(what_does_not_fit_together_is_refused),
      context_test(rows_of_other_dimensions_are_refused),
      context_test(what_a_model_explains_of_targets_is_measured),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
