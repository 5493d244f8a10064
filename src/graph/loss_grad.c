/* Losses: means over the rows of a batch, and their gradients. A row of the table each. Sums are in double precision
 * and in the order of the rows. */
#include <math.h>
#include <string.h>

#include "graph/loss.h"

static int64_t arg_max(const float *y, int64_t width) {
  int64_t best = 0;
  for (int64_t i = 1; i < width; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

/* −Σ q log softmax(y), q the label's one-hot vector smoothed: (1 − ε) at the label, ε / width added everywhere. The
 * gradient is (softmax(y) − q) / rows. The largest logit is taken off first, so nothing overflows. */
static mcl_status cross_entropy(mcl_context *ctx, const float *y, int64_t rows, int64_t width, const int32_t *labels,
                                const float *targets, double smoothing, float *gradient, double *value,
                                int64_t *correct) {
  (void)targets;
  double total = 0;
  int64_t right = 0, work = 0;
  for (int64_t row = 0; row < rows; row++, y += width) {
    int64_t best = arg_max(y, width), label = labels[row];
    MCL_TRY(mcl_worked(ctx, &work, 8 * width));
    double sum = 0, sum_of_logits = 0;
    right += best == label;
    for (int64_t i = 0; i < width; i++) {
      sum += (double)expf(y[i] - y[best]);
      sum_of_logits += (double)y[i] - (double)y[best];
    }
    double log_sum = log(sum), spread = smoothing / (double)width;
    total += log_sum - (1 - smoothing) * ((double)y[label] - (double)y[best]) - spread * sum_of_logits;
    if (!gradient) continue;
    double scale = 1 / (double)rows;
    for (int64_t i = 0; i < width; i++) gradient[i] = (float)(scale * ((double)expf(y[i] - y[best]) / sum - spread));
    gradient[label] -= (float)(scale * (1 - smoothing));
    gradient += width;
  }
  *value = total / (double)rows;
  if (correct) *correct = right;
  return MCL_OK;
}

/* The same for outputs that are probabilities already: a model that ends in softmax. Probabilities below the least
 * normal float count as that, so that a certain mistake has a finite loss. */
static mcl_status cross_entropy_of_probabilities(mcl_context *ctx, const float *y, int64_t rows, int64_t width,
                                                 const int32_t *labels, const float *targets, double smoothing,
                                                 float *gradient, double *value, int64_t *correct) {
  (void)targets;
  double total = 0, spread = smoothing / (double)width;
  int64_t right = 0, work = 0;
  for (int64_t row = 0; row < rows; row++, y += width) {
    right += arg_max(y, width) == labels[row];
    MCL_TRY(mcl_worked(ctx, &work, 8 * width));
    for (int64_t i = 0; i < width; i++) {
      double q = spread + (i == labels[row] ? 1 - smoothing : 0);
      double p = y[i] > 0x1p-126f ? (double)y[i] : isnan(y[i]) ? (double)y[i] : 0x1p-126;
      if (q > 0) total -= q * log(p);
      if (gradient) gradient[row * width + i] = (float)(-q / (p * (double)rows));
    }
  }
  *value = total / (double)rows;
  if (correct) *correct = right;
  return MCL_OK;
}

/* The mean of (y − target)² over rows and width. */
static mcl_status mean_squared_error(mcl_context *ctx, const float *y, int64_t rows, int64_t width,
                                     const int32_t *labels, const float *targets, double smoothing, float *gradient,
                                     double *value, int64_t *correct) {
  (void)labels, (void)smoothing;
  double total = 0;
  float scale = (float)(2 / (double)(rows * width));
  for (int64_t i = 0; i < rows * width; i++) {
    if (i % MCL_ASK_STEPS == 0) MCL_TRY(mcl_check_cancel(ctx));
    float error = y[i] - targets[i];
    total += (double)error * (double)error;
    if (gradient) gradient[i] = scale * error;
  }
  *value = total / (double)(rows * width);
  if (correct) *correct = 0;
  return MCL_OK;
}

static const mcl_loss losses[] = {
    {"cross_entropy", true, cross_entropy},
    {"cross_entropy_of_probabilities", true, cross_entropy_of_probabilities},
    {"mse", false, mean_squared_error},
};

const mcl_loss *mcl_loss_by_name(const char *name) {
  for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
    if (!strcmp(losses[i].name, name)) return &losses[i];
  return NULL;
}

static bool ends_in_softmax(const mcl_model *model) {
  int producer = model->values[model->outputs[0]].producer;
  return producer >= 0 && !strcmp(model->nodes[producer].op->name, "softmax");
}

const mcl_loss *mcl_loss_for_model(const mcl_model *model, const char *name) {
  if (!strcmp(name, "cross_entropy") && ends_in_softmax(model)) name = "cross_entropy_of_probabilities";
  return mcl_loss_by_name(name);
}
