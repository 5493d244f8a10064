/* Optimisers: rules that move a parameter by its gradient and a few numbers of memory. Rows of optimisers.c. */
#ifndef MCL_TRAIN_OPTIMISER_H
#define MCL_TRAIN_OPTIMISER_H

#include "train/train.h"

#define MCL_OPTIMISER_SLOTS 2

/* One step's numbers, worked out once. */
typedef struct mcl_update {
  float rate, momentum, weight_decay;
  float gradient_scale; /* of clipping; 1: none */
  bool nesterov;
  float beta1, beta2, epsilon;
  float correction1, correction2; /* 1 − beta1^t, sqrt(1 − beta2^t), t counting from 1 */
} mcl_update;

typedef struct mcl_optimiser {
  const char *name;
  int slots;             /* numbers of memory for each parameter, zero at the beginning */
  double rate, momentum; /* presets */
  void (*step)(const mcl_update *u, int64_t n, float *values, const float *gradient, float *slot0, float *slot1);
} mcl_optimiser;

/* Presets are filled in, and everything is within its range. */
mcl_status mcl_optimiser_choose(mcl_context *ctx, const mcl_optimiser_options *options, mcl_optimiser_options *filled,
                                const mcl_optimiser **out);
/* `step` counts from 0. */
mcl_update mcl_optimiser_update(const mcl_optimiser_options *filled, double rate, int64_t step, double gradient_scale);

#endif
