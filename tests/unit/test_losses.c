/* Losses and schedules: values and gradients against PyTorch's, closed forms, and sums that overflow nothing. */
#include "unit/check.h"

#include <math.h>

#include "graph/loss.h"
#include "train/optimiser.h"

/* A row of numbers that PyTorch was given too: (i · k mod 17 − 8) / 10, times `scale`. */
static void numbers(float *x, int count, int k, float scale) {
  for (int i = 0; i < count; i++) x[i] = (float)(i * k % 17 - 8) / 10 * scale;
}

static void cross_entropy_is_pytorchs(void **state) {
  /* y = numbers(12, 5) · 10; F.cross_entropy(y, [2, 0, 3], label_smoothing=0.2) and its gradient */
  static const float expected[] = {-0.016666567f, -0.016651636f, -0.28110251f, 0.31442073f,
                                   -0.28331834f,  -0.014435831f, 0.31441879f,  -0.016664634f,
                                   -0.016651636f, -0.014435831f, 0.31441876f,  -0.28333133f};
  float y[12], gradient[12];
  int32_t labels[] = {2, 0, 3};
  double value;
  int64_t correct;
  numbers(y, 12, 5, 10);
  const mcl_loss *loss = mcl_loss_by_name("cross_entropy");
  assert_ok(*state, loss->compute(*state, y, 3, 4, labels, NULL, 0.2, gradient, &value, &correct));
  assert_close(value, 8.60676479, 2e-6);
  for (int i = 0; i < 12; i++) assert_close(gradient[i], expected[i], 1e-6);
  assert_int_equal(correct, 0);
}

static void cross_entropy_survives_huge_logits_and_counts_hits(void **state) {
  float y[] = {1000, -1000, 0, 0, 3e38f, -3e38f}, gradient[6];
  int32_t labels[] = {0, 1, 0};
  double value;
  int64_t correct;
  const mcl_loss *loss = mcl_loss_by_name("cross_entropy");
  assert_ok(*state, loss->compute(*state, y, 3, 2, labels, NULL, 0, gradient, &value, &correct));
  assert_close(value, log(2) / 3, 1e-9); /* certain, undecided, certain */
  assert_int_equal(correct, 2);          /* of equals, the first is the guess */
  assert_close(gradient[3], -0.5 / 3, 1e-7);
  assert_true(gradient[0] == 0 && gradient[4] == 0);
}

static void probabilities_give_the_same_cross_entropy_as_their_logits(void **state) {
  float y[8], p[8], gradient[8];
  int32_t labels[] = {1, 3};
  double of_logits, of_probabilities;
  numbers(y, 8, 3, 5);
  for (int row = 0; row < 2; row++) {
    double sum = 0;
    for (int i = 0; i < 4; i++) sum += exp(y[row * 4 + i]);
    for (int i = 0; i < 4; i++) p[row * 4 + i] = (float)(exp(y[row * 4 + i]) / sum);
  }
  assert_ok(*state,
            mcl_loss_by_name("cross_entropy")->compute(*state, y, 2, 4, labels, NULL, 0.1, NULL, &of_logits, NULL));
  assert_ok(*state, mcl_loss_by_name("cross_entropy_of_probabilities")
                        ->compute(*state, p, 2, 4, labels, NULL, 0.1, gradient, &of_probabilities, NULL));
  assert_close(of_probabilities, of_logits, 1e-5);
  assert_close(gradient[1], -(0.9 + 0.025) / p[1] / 2, 1e-4 * fabs(0.5 / p[1]));
  p[1] = 0; /* a certain mistake has a finite loss */
  assert_ok(*state, mcl_loss_by_name("cross_entropy_of_probabilities")
                        ->compute(*state, p, 2, 4, labels, NULL, 0, gradient, &of_probabilities, NULL));
  assert_true(isfinite(of_probabilities) && of_probabilities > 40);
}

static void mean_squared_error_is_pytorchs(void **state) {
  static const float expected[] = {0,           0.033333331f,  0.06666667f,   0.099999994f, -0.15000001f, -0.11666667f,
                                   0.20000002f, -0.049999997f, -0.016666668f, 0.016666669f, 0.050000004f, -0.20000002f};
  float y[12], target[12], gradient[12];
  double value;
  int64_t correct;
  numbers(y, 12, 5, 1);
  numbers(target, 12, 3, 1);
  const mcl_loss *loss = mcl_loss_by_name("mse");
  assert_ok(*state, loss->compute(*state, y, 3, 4, NULL, target, 0, gradient, &value, &correct));
  assert_close(value, 0.411666662, 1e-7);
  for (int i = 0; i < 12; i++) assert_close(gradient[i], expected[i], 1e-7);
}

static void an_unknown_loss_has_no_row(void **state) {
  (void)state;
  assert_null(mcl_loss_by_name("hinge"));
}

/* ---- Schedules ---- */

static double rate_at(mcl_context *ctx, const mcl_schedule_options *options, int64_t step) {
  double rate;
  assert_ok(ctx, mcl_schedule_rate(ctx, options, 2, step, 20, 5, &rate));
  return rate;
}

static void one_cycle_is_pytorchs(void **state) {
  /* torch.optim.lr_scheduler.OneCycleLR(max_lr=2, total_steps=20, pct_start=0.3, div_factor=25, final_div_factor=4) */
  static const double expected[] = {0.08,       0.26334369, 0.74334369, 1.33665631, 1.81665631, 2.0,  1.97517863,
                                    1.90195918, 1.78401317, 1.6272549,  1.4395449,  1.23029572, 1.01, 0.78970428,
                                    0.5804551,  0.3927451,  0.23598683, 0.11804082, 0.04482137, 0.02};
  mcl_schedule_options options = {.name = "one_cycle", .final_factor = 0.01};
  for (int step = 0; step < 20; step++) assert_close(rate_at(*state, &options, step), expected[step], 1e-8);
}

static void cosine_falls_from_the_rate_to_its_final_factor(void **state) {
  mcl_schedule_options options = {.name = "cosine", .final_factor = 0.1};
  assert_close(rate_at(*state, &options, 0), 2, 1e-12);
  assert_close(rate_at(*state, &options, 19), 0.2, 1e-12);
  for (int step = 0; step < 20; step++)
    assert_close(rate_at(*state, &options, step), 0.2 + 0.9 * (1 + cos(M_PI * step / 19)), 1e-12);
}

static void warming_up_is_a_straight_line(void **state) {
  mcl_schedule_options options = {.name = "constant", .warmup = 0.2}; /* of 20 steps: 4 */
  for (int step = 0; step < 4; step++) assert_close(rate_at(*state, &options, step), 2.0 * (step + 1) / 5, 1e-12);
  assert_close(rate_at(*state, &options, 4), 2, 1e-12);
}

static void steps_fall_after_whole_epochs(void **state) {
  mcl_schedule_options options = {.name = "step", .step_factor = 0.5, .step_epochs = 2}; /* 5 steps an epoch */
  assert_close(rate_at(*state, &options, 9), 2, 1e-12);
  assert_close(rate_at(*state, &options, 10), 1, 1e-12);
  assert_close(rate_at(*state, &options, 19), 1, 1e-12);
}

static void schedules_refuse_what_has_no_meaning(void **state) {
  double rate;
  mcl_schedule_options unknown = {.name = "cosin"}, warm = {.warmup = 1.5}, step = {.name = "step"};
  assert_fails(*state, MCL_ERROR_ARGUMENT, "cosin", mcl_schedule_rate(*state, &unknown, 1, 0, 1, 1, &rate));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "warmup", mcl_schedule_rate(*state, &warm, 1, 0, 1, 1, &rate));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "step_epochs", mcl_schedule_rate(*state, &step, 1, 0, 1, 1, &rate));
}

static void optimisers_refuse_what_has_no_meaning(void **state) {
  mcl_optimiser_options filled,
      bad[] = {
          {.name = "sdg"}, {.rate = -1}, {.momentum = 1}, {.name = "adam", .nesterov = true}, {.weight_decay = NAN}};
  static const char *const messages[] = {"sdg", "rate", "momentum", "nesterov", "weight_decay"};
  const mcl_optimiser *row;
  for (int i = 0; i < 5; i++)
    assert_fails(*state, MCL_ERROR_ARGUMENT, messages[i], mcl_optimiser_choose(*state, &bad[i], &filled, &row));
  mcl_optimiser_options preset = {0};
  assert_ok(*state, mcl_optimiser_choose(*state, &preset, &filled, &row));
  assert_string_equal(row->name, "sgd");
  assert_true(filled.rate == 0.01 && filled.momentum == 0.9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(cross_entropy_is_pytorchs),
      context_test(cross_entropy_survives_huge_logits_and_counts_hits),
      context_test(probabilities_give_the_same_cross_entropy_as_their_logits),
      context_test(mean_squared_error_is_pytorchs),
      context_test(an_unknown_loss_has_no_row),
      context_test(one_cycle_is_pytorchs),
      context_test(cosine_falls_from_the_rate_to_its_final_factor),
      context_test(warming_up_is_a_straight_line),
      context_test(steps_fall_after_whole_epochs),
      context_test(schedules_refuse_what_has_no_meaning),
      context_test(optimisers_refuse_what_has_no_meaning),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
