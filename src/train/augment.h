/* Augmentation of images, for dataset.c: what is drawn depends on (seed, step, row of the data) alone. */
#ifndef MCL_TRAIN_AUGMENT_H
#define MCL_TRAIN_AUGMENT_H

#include "train/train.h"

typedef struct mcl_image {
  int64_t channels, height, width;
} mcl_image;

bool mcl_augment_is_any(const mcl_augment *augment); /* NULL: no */
/* Options within their ranges, and data of shape [n, height, width] or [n, channels, height, width]. */
mcl_status mcl_augment_check(mcl_context *ctx, const mcl_augment *augment, mcl_shape data, mcl_image *image);
/* Row `row` of the data's tensor, moved, scaled to f32. */
void mcl_augment_row(const mcl_augment *augment, const mcl_image *image, const mcl_dataset *d, int64_t row,
                     uint64_t seed, uint64_t step, float *out);

#endif
