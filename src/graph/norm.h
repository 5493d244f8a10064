/* What batch_norm and layer_norm keep between forward and backward, and sums in a fixed order. */
#ifndef MCL_GRAPH_NORM_H
#define MCL_GRAPH_NORM_H

#include "graph/ops.h"

enum { MCL_NORM_X, MCL_NORM_SCALE, MCL_NORM_BIAS, MCL_NORM_MEAN, MCL_NORM_VARIANCE }; /* inputs */

/* x[images, channels, plane]; the workspace holds the mean and 1/deviation of each channel. */
typedef struct mcl_channels {
  int64_t images, channels, plane;
  int64_t grain; /* channels a chunk, at most MCL_CHANNEL_BLOCK */
  float *mean, *inverse;
} mcl_channels;
#define MCL_CHANNEL_BLOCK 16
mcl_channels mcl_batch_norm_of(const mcl_op_call *call);
/* Whether a channel is normalised by its statistics in this batch: in training, unless one value is all it has, which says
 * nothing of how far values spread. Such a batch is normalised by the running statistics, and leaves them alone. */
bool mcl_batch_norm_takes_batch(const mcl_op_call *call);

/* x[rows, width]; the workspace holds the mean and 1/deviation of each row. */
typedef struct mcl_norm_rows {
  int64_t rows, width, grain;
  float *mean, *inverse;
} mcl_norm_rows;
mcl_norm_rows mcl_layer_norm_of(const mcl_op_call *call);

/* Σ x and Σ (x − mean)², in double precision over eight lanes: the order depends on n alone. */
double mcl_norm_sum(const float *x, int64_t n);
double mcl_norm_squares(const float *x, float mean, int64_t n);

#endif
