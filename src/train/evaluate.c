/* Evaluation: loss and accuracy of a model as inference runs it, compressed weights and all. */
#include <math.h>
#include <string.h>

#include "base/context.h"
#include "train/task.h"

#define EVALUATION_BATCH 100

/* What a batch is gathered into besides the model's input. */
typedef struct rows_of {
  uint32_t index[EVALUATION_BATCH];
  int32_t labels[EVALUATION_BATCH];
  float *targets; /* NULL: labels */
  double *spread; /* [2 · width] sums of targets and of their squares, each less the first row's; NULL: labels */
  float *first;   /* [width] that row's */
} rows_of;

/* ---- How much of the targets' variance is explained ---- */

static void add_targets(rows_of *rows, int64_t count, int64_t width, bool is_first) {
  if (is_first) memcpy(rows->first, rows->targets, (size_t)width * sizeof *rows->first);
  for (int64_t i = 0; i < count * width; i++) {
    double d = (double)rows->targets[i] - (double)rows->first[i % width];
    rows->spread[2 * (i % width)] += d;
    rows->spread[2 * (i % width) + 1] += d * d;
  }
}

/* R² = 1 − Σ (y − target)² / Σ (target − its mean)²; NaN where the targets are all the same. */
static double explained(const rows_of *rows, int64_t width, double count, double loss) {
  double variance = 0;
  for (int64_t i = 0; i < width; i++)
    variance += rows->spread[2 * i + 1] - rows->spread[2 * i] * rows->spread[2 * i] / count;
  return variance > 0 ? 1 - loss * count * (double)width / variance : NAN;
}

static mcl_status take_targets(mcl_context *ctx, rows_of *rows, int64_t batch, int64_t width) {
  size_t numbers = (size_t)width;
  MCL_TRY(mcl_alloc_array(ctx, (size_t)batch, numbers * sizeof(float), &rows->targets));
  MCL_TRY(mcl_alloc_array(ctx, numbers, sizeof(float), &rows->first));
  return mcl_alloc_zero(ctx, numbers * 2 * sizeof(double), &rows->spread);
}

/* ---- Batches ---- */

static mcl_status run_batches(mcl_session *session, mcl_dataset *data, const mcl_task *task, int64_t batch,
                              rows_of *rows, double *loss, int64_t *correct) {
  float *x = mcl_session_input(session, 0);
  for (int64_t at = 0; at < data->count; at += batch) {
    MCL_TRY(mcl_check_cancel(data->ctx));
    int64_t count = at + batch < data->count ? batch : data->count - at, right = 0;
    double value = 0;
    for (int64_t i = 0; i < count; i++) rows->index[i] = (uint32_t)(at + i);
    MCL_TRY(mcl_dataset_gather(data, rows->index, count, NULL, 0, 0, x, rows->labels, rows->targets));
    memset(x + count * task->input_width, 0, (size_t)((batch - count) * task->input_width) * sizeof *x);
    MCL_TRY(mcl_session_run(session));
    MCL_TRY(task->loss->compute(data->ctx, mcl_session_output(session, 0), count, task->output_width, rows->labels,
                                rows->targets, 0, NULL, &value, &right));
    if (rows->targets) add_targets(rows, count, task->output_width, at == 0);
    *loss += value * (double)count;
    *correct += right;
    mcl_progress(data->ctx, "evaluate", (double)(at + count), (double)data->count, "rows");
  }
  return MCL_OK;
}

mcl_status mcl_evaluate(mcl_model *model, mcl_dataset *data, const char *loss, mcl_evaluation *out) {
  mcl_context *ctx = data->ctx;
  mcl_task task;
  mcl_session *session = NULL;
  rows_of *rows = NULL;
  double total = 0;
  int64_t correct = 0, batch = data->count < EVALUATION_BATCH ? data->count : EVALUATION_BATCH;
  uint64_t start = mcl_now_us();
  MCL_TRY(mcl_task_check(model, data, loss, false, &task));
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *rows, &rows));
  mcl_status status = MCL_OK;
  if (!task.has_labels) status = take_targets(ctx, rows, batch, task.output_width);
  if (!status) status = mcl_session_new(model, batch, &session);
  if (!status) status = run_batches(session, data, &task, batch, rows, &total, &correct);
  if (!status) {
    double count = (double)data->count;
    *out =
        (mcl_evaluation){.loss = total / count,
                         .accuracy = task.has_labels ? (double)correct / count : NAN,
                         .explained = task.has_labels ? NAN : explained(rows, task.output_width, count, total / count),
                         .seconds = (double)(mcl_now_us() - start) * 1e-6,
                         .count = data->count};
  }
  mcl_session_free(session);
  mcl_free(ctx, rows->targets);
  mcl_free(ctx, rows->first);
  mcl_free(ctx, rows->spread);
  mcl_free(ctx, rows);
  return status;
}
