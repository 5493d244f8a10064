/* The geometry of a convolution, and the walk between an image and its columns. Shared by conv.c and conv_grad.c. */
#ifndef MCL_GRAPH_CONV_H
#define MCL_GRAPH_CONV_H

#include "graph/ops.h"

enum { MCL_CONV_STRIDE, MCL_CONV_PAD, MCL_CONV_DILATION, MCL_CONV_GROUPS }; /* attributes */

/* A layer seen as a matrix product: y[outputs, pixels] = W[outputs, depth] · columns[depth, pixels] for each image and
 * group. An image is done in blocks of output rows, so that the columns of a block stay in the cache. */
typedef struct mcl_conv {
  int64_t images, channels, height, width;
  int64_t outputs, out_height, out_width;
  int64_t groups, group_in, group_out;
  int64_t kernel[2], stride[2], pad[2], dilation[2]; /* pad: top, left */
  int64_t depth;                                     /* group_in · kernel area */
  int64_t pixels;                                    /* of an output plane */
  int64_t block_rows, blocks;                        /* blocks an image */
  bool is_pointwise;                                 /* 1x1, stride 1, no padding: the image is its columns */
  bool is_depthwise;                                 /* one input channel a group: no product is worth its columns */
} mcl_conv;

mcl_conv mcl_conv_of(const mcl_node *node, mcl_shape x, mcl_shape weight, mcl_shape y);
/* Floats of a block's columns; 0 where they are the image itself. */
int64_t mcl_conv_columns(const mcl_conv *g);
/* Output columns lo … hi-1 are those whose input lies within the image at kernel column `at` (height: kernel row). */
void mcl_conv_inside(const mcl_conv *g, int axis, int64_t at, int64_t *lo, int64_t *hi);
/* columns[depth, rows · out_width] of output rows first … first+rows-1, from one group's planes of an image. */
void mcl_conv_gather(const mcl_conv *g, const float *image, int64_t first, int64_t rows, float *columns);
/* The transpose: adds each column's entries to the image. */
void mcl_conv_scatter(const mcl_conv *g, const float *columns, int64_t first, int64_t rows, float *image);

/* The most chunks of the backward pass, of this batch or a smaller one. A chunk is a run of images. */
int64_t mcl_conv_most_chunks(const mcl_conv *g);

#endif
