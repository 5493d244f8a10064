/* Calibration, from within: what is seen at the input of one layer, in fixed chunks of a batch. */
#ifndef MCL_COMPRESS_CALIBRATE_H
#define MCL_COMPRESS_CALIBRATE_H

#include "compress/compress.h"
#include "graph/conv.h"

enum { MCL_LAYER_CHUNKS = 8 }; /* of a batch, at most */

/* Sums over the rows that a layer's weight was multiplied with. */
typedef struct mcl_layer_sums {
  double *sum, *square; /* [cols] */
  float *gram;          /* [cols, cols], of one batch; NULL: not wanted */
  float *columns;       /* of one image, for a convolution */
  float least, greatest;
  int64_t rows;
} mcl_layer_sums;

typedef struct mcl_layer {
  mcl_context *ctx;
  int weight; /* its index; -1: no layer */
  const mcl_node *node;
  int input, output;  /* values: what it reads, and what its activation gives */
  int64_t rows, cols; /* of the weight's matrix view */
  unsigned wanted;
  int chunks;
  mcl_layer_sums part[MCL_LAYER_CHUNKS];
  double *sum, *square, *gram, *zeros, *fisher; /* over all batches; NULL: not wanted */
  double outputs_seen;                          /* a row of the output */
  int64_t rows_seen, batches_seen;
  float least, greatest;
} mcl_layer;

mcl_status mcl_layer_new(const mcl_model *model, int weight, unsigned wanted, mcl_layer *out);
void mcl_layer_free(mcl_layer *layer);
/* Adds what a forward pass of the session left at the layer's input and output. */
mcl_status mcl_layer_add(mcl_layer *layer, const mcl_operand *x, const mcl_operand *weight, const mcl_operand *own,
                         const mcl_operand *activated);
mcl_status mcl_layer_finish(const mcl_layer *layer, mcl_statistics *out);

#endif
