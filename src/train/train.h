/* Training: losses, optimisers, schedules, the fit loop. */
#ifndef MCL_TRAIN_TRAIN_H
#define MCL_TRAIN_TRAIN_H

#include "graph/graph.h"
#include "repr/fit.h"

/* ---- Data: x[n, …] as u8 or f32, labels or targets. Batches are gathered, scaled to f32 and augmented as asked. ---- */

typedef struct mcl_augment {
  int shift;     /* pixels, uniform in −shift … shift along both axes; what comes in is raw zero */
  double flip;   /* probability of a horizontal flip */
  double rotate; /* degrees, uniform in ± */
  double scale;  /* fraction, uniform in 1 ± */
} mcl_augment;

typedef struct mcl_dataset {
  mcl_context *ctx;
  int references;
  mcl_tensor *x;        /* [n, …] u8 or f32 */
  mcl_tensor *y;        /* labels i64/u8 [n], or f32 targets [n, …] */
  int64_t count;        /* n */
  double scale, offset; /* f32 = raw × scale + offset */
  uint32_t *order;      /* rows that belong to this part, or NULL: all */
} mcl_dataset;

mcl_status mcl_dataset_new(mcl_tensor *x, mcl_tensor *y, double scale, double offset, mcl_dataset **out);
void mcl_dataset_release(mcl_dataset *d);
/* A part of it: rows first … first+count-1 of a permutation by seed (0: as they stand). Shares memory. */
mcl_status mcl_dataset_part(mcl_dataset *d, uint64_t seed, int64_t first, int64_t count, mcl_dataset **out);
/* Rows index[0 … rows-1] into x (f32) and labels (int32) or targets (f32). augment may be NULL; what it does to a row
 * depends on seed, step and the row alone, and needs x as [n, height, width] or [n, channels, height, width]. */
mcl_status mcl_dataset_gather(mcl_dataset *d, const uint32_t *index, int64_t rows, const mcl_augment *augment,
                              uint64_t seed, uint64_t step, float *x, int32_t *labels, float *targets);

/* ---- Optimisers: a row of optimisers.c. ---- */

typedef struct mcl_optimiser_options {
  const char *name;      /* "sgd", "adam", "adamw" */
  double rate, momentum; /* presets by name where 0: sgd 0.01 and 0.9 (0.1 without momentum); adam 1e-3 */
  bool nesterov, no_momentum;
  bool no_rate; /* a rate of 0: running statistics move, and nothing else */
  double beta1, beta2, epsilon, weight_decay;
} mcl_optimiser_options;

/* ---- Schedules of the learning rate ---- */
typedef struct mcl_schedule_options {
  const char *name;   /* "constant", "step", "cosine", "one_cycle" */
  double step_factor; /* step: × this every step_epochs */
  double step_epochs;
  double final_factor; /* cosine: of the first rate at the end; one_cycle likewise */
  double warmup;       /* fraction of the steps */
} mcl_schedule_options;
mcl_status mcl_schedule_rate(mcl_context *ctx, const mcl_schedule_options *options, double rate, int64_t step,
                             int64_t steps, int64_t steps_per_epoch, double *out);

/* ---- The fit loop ---- */

typedef struct mcl_epoch_report {
  int64_t epoch, epochs;                       /* epoch counts from 1 */
  double loss, accuracy;                       /* of training */
  double validation_loss, validation_accuracy; /* NaN without validation data */
  double rate, seconds;
} mcl_epoch_report;

typedef struct mcl_fit_options {
  mcl_dataset *train, *validation; /* validation may be NULL */
  int64_t epochs, batch;           /* presets 1, 64 */
  const char *loss;                /* preset cross_entropy for labels, mse for targets */
  double label_smoothing;
  mcl_optimiser_options optimiser;
  mcl_schedule_options schedule;
  mcl_augment augment;
  uint64_t seed;
  bool keep_best;   /* with validation: ends with the weights of the best epoch */
  double clip_norm; /* of the whole gradient; 0: none */
  /* A loss of the user's: fills gradient of the outputs, returns the value. Instead of `loss`. Labels come as one-hot
   * rows of the output's shape. */
  mcl_status (*custom_loss)(void *user, mcl_tensor *output, mcl_tensor *target, mcl_tensor *gradient, double *value);
  /* Adds d penalty / d weight to `gradient` for a weight; adds its value to *value. */
  mcl_status (*penalty)(void *user, mcl_model *model, int weight, mcl_tensor *values, mcl_tensor *gradient,
                        double *value);
  mcl_status (*epoch_end)(void *user, const mcl_epoch_report *report, bool *stop);
  void *user;
  uint64_t callbacks;     /* tells what the callbacks do from what others would, for checkpoints; 0: cannot be told */
  const char *checkpoint; /* path stem: STEM.fit holds the state after each epoch, to go on from after a kill; the same
                             bits come out as if nothing had happened. Gone after a fit that ends. NULL: none */
} mcl_fit_options;

/* Trains the weights of model under their representations. Cancelled, or after another failure: the weights of the last
 * whole epoch are kept and the checkpoint stays. A loss, a penalty, a gradient of either of the user's, or after an epoch a
 * weight, that is not finite: MCL_ERROR_NUMERIC names it, the epoch and the rate. A checkpoint of another fit (model, any
 * row of the data, or options differ) is logged and begun anew. A fit that ends worse on `validation` than it began is
 * logged as a warning. */
mcl_status mcl_fit(mcl_model *model, const mcl_fit_options *options, mcl_epoch_report *last);

typedef struct mcl_evaluation {
  double loss, accuracy, seconds; /* accuracy: NaN for targets */
  double explained; /* of targets: R², the share of their variance that the model explains; NaN for labels */
  int64_t count;
} mcl_evaluation;
mcl_status mcl_evaluate(mcl_model *model, mcl_dataset *data, const char *loss, mcl_evaluation *out);

#endif
