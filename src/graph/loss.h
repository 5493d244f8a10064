/* Losses of a model's outputs, for training and for statistics of gradients: means over the rows of a batch, with their
 * gradients. The engine's; a row of loss_grad.c each. */
#ifndef MCL_GRAPH_LOSS_H
#define MCL_GRAPH_LOSS_H

#include "graph/graph.h"

typedef struct mcl_loss {
  const char *name; /* "cross_entropy", "mse" */
  bool takes_labels;
  /* y[rows, width] against labels[rows], each below width, or targets[rows, width]; the gradient, where not NULL, is
   * written; the value is the mean over rows; *correct, where not NULL, counts rows whose arg max is the label. */
  mcl_status (*compute)(mcl_context *ctx, const float *y, int64_t rows, int64_t width, const int32_t *labels,
                        const float *targets, double label_smoothing, float *gradient, double *value, int64_t *correct);
} mcl_loss;

const mcl_loss *mcl_loss_by_name(const char *name); /* NULL: unknown */
/* The same for the model's first output: cross_entropy is that of probabilities where the model ends in softmax. */
const mcl_loss *mcl_loss_for_model(const mcl_model *model, const char *name);

#endif
