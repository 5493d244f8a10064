/* What a model is asked to do with data: which loss, how wide its outputs; checked once, before the work. */
#ifndef MCL_TRAIN_TASK_H
#define MCL_TRAIN_TASK_H

#include "graph/loss.h"
#include "train/train.h"

typedef struct mcl_task {
  const mcl_loss *loss; /* NULL: the caller's own */
  bool has_labels;
  int64_t input_width;  /* of a row of x */
  int64_t output_width; /* of a row of the model's first output, and of targets */
} mcl_task;

/* loss_name NULL: cross_entropy for labels (of probabilities, where the model ends in softmax), mse for targets. */
mcl_status mcl_task_check(mcl_model *model, mcl_dataset *data, const char *loss_name, bool has_own_loss, mcl_task *out);

#endif
