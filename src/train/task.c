/* Whether data and a model fit together, and which loss that means. */
#include "train/task.h"

#include <string.h>

/* Elements of a row: all dimensions but the first. */
static mcl_status row_width(mcl_context *ctx, mcl_shape shape, int64_t *out) {
  if (shape.rank > 0) shape.dim[0] = 1;
  return mcl_shape_count(ctx, shape, out);
}

/* Rows of data fit rows of the model's where they have the same dimensions, but for ones, or either is flat: images of
 * height × width × channels are not those of channels × height × width, though there are as many numbers. */
static bool rows_fit(mcl_shape a, mcl_shape b) {
  int64_t dims[2][MCL_MAX_RANK], count[2] = {1, 1};
  const mcl_shape *shapes[2] = {&a, &b};
  int ranks[2] = {0, 0};
  for (int s = 0; s < 2; s++)
    for (int i = 1; i < shapes[s]->rank; i++) {
      if (__builtin_mul_overflow(count[s], shapes[s]->dim[i], &count[s])) return false;
      if (shapes[s]->dim[i] != 1) dims[s][ranks[s]++] = shapes[s]->dim[i];
    }
  if (count[0] != count[1]) return false;
  if (ranks[0] < 2 || ranks[1] < 2) return true;
  return ranks[0] == ranks[1] && !memcmp(dims[0], dims[1], (size_t)ranks[0] * sizeof *dims[0]);
}

static mcl_status check_widths(mcl_model *model, mcl_dataset *data, mcl_task *task) {
  mcl_context *ctx = data->ctx;
  char wanted[MCL_SHAPE_TEXT], given[MCL_SHAPE_TEXT];
  MCL_TRY(mcl_model_check_runs(model));
  if (model->input_count != 1)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: data feed one input, and the model has %d; run it from a program",
                    model->name, model->input_count);
  mcl_shape input = mcl_model_input_shape(model, 0), output = mcl_model_output_shape(model, 0);
  MCL_TRY(row_width(ctx, input, &task->input_width));
  MCL_TRY(row_width(ctx, output, &task->output_width));
  if (!rows_fit(input, data->x->shape))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: its input \"%s\" has shape %s, and the data have %s", model->name,
                    mcl_model_input_name(model, 0), mcl_shape_text(input, wanted),
                    mcl_shape_text(data->x->shape, given));
  if (!data->y) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: there are neither labels nor targets to learn from");
  task->has_labels = data->y->dtype != MCL_F32;
  if (!task->has_labels && !rows_fit(output, data->y->shape))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: its output has shape %s, and the targets have %s", model->name,
                    mcl_shape_text(output, wanted), mcl_shape_text(data->y->shape, given));
  return MCL_OK;
}

static mcl_status check_labels(mcl_dataset *data, const mcl_task *task) {
  for (int64_t i = 0; i < data->count; i++) {
    int64_t row = data->order ? data->order[i] : i;
    int64_t label =
        data->y->dtype == MCL_U8 ? ((const uint8_t *)data->y->data)[row] : ((const int64_t *)data->y->data)[row];
    if (label < 0 || label >= task->output_width)
      return mcl_fail(data->ctx, MCL_ERROR_ARGUMENT,
                      "data: row %lld has the label %lld, and the model has %lld classes", (long long)row,
                      (long long)label, (long long)task->output_width);
  }
  return MCL_OK;
}

mcl_status mcl_task_check(mcl_model *model, mcl_dataset *data, const char *loss_name, bool has_own_loss,
                          mcl_task *out) {
  mcl_task task = {0};
  MCL_TRY(check_widths(model, data, &task));
  if (task.has_labels) MCL_TRY(check_labels(data, &task));
  if (!has_own_loss) {
    const char *name = loss_name ? loss_name : task.has_labels ? "cross_entropy" : "mse";
    task.loss = mcl_loss_for_model(model, name);
    if (!task.loss)
      return mcl_fail(data->ctx, MCL_ERROR_ARGUMENT, "loss: \"%s\" is unknown; there are cross_entropy and mse", name);
    if (task.loss->takes_labels != task.has_labels)
      return mcl_fail(data->ctx, MCL_ERROR_ARGUMENT, "loss: %s needs %s, and the data have %s", name,
                      task.loss->takes_labels ? "labels" : "targets", task.has_labels ? "labels" : "targets");
  }
  *out = task;
  return MCL_OK;
}
