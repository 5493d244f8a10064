/* What a fit changes: the free parameters of every weight, running statistics, the optimiser's memory; and how those
 * are saved, restored, and kept in a checkpoint. For fit.c. */
#ifndef MCL_TRAIN_FIT_STATE_H
#define MCL_TRAIN_FIT_STATE_H

#include "train/optimiser.h"

typedef struct mcl_fit_weight {
  int weight; /* of the model */
  mcl_trained_repr *trained;
  float *dense, *gradient;             /* the session's */
  mcl_tensor *values_of, *gradient_of; /* views of the two, for penalties */
} mcl_fit_weight;

/* A run of statistics that forward updates. */
typedef struct mcl_fit_statistics {
  int weight; /* of the model */
  float *values;
  int64_t count;
} mcl_fit_statistics;

/* A piece of a parameter, a chunk's work of the optimiser. */
typedef struct mcl_fit_piece {
  int parameter;
  int64_t begin, count, offset; /* offset: of `begin` in all parameters laid end to end */
} mcl_fit_piece;

/* How far a fit has come; what a checkpoint holds besides the numbers. */
typedef struct mcl_fit_place {
  int64_t epochs_done, step, best_epoch; /* best_epoch 0: none yet */
  double best_accuracy, best_loss;
  double first_accuracy, first_loss; /* on the validation data, before the first epoch */
  mcl_epoch_report report;
  bool is_stopped; /* epoch_end asked for it */
} mcl_fit_place;

typedef struct mcl_fit_state {
  mcl_context *ctx;
  mcl_model *model;
  mcl_training_session *session;
  mcl_fit_weight *weights;
  mcl_fit_statistics *statistics;
  mcl_parameter *parameters;
  mcl_fit_piece *pieces;
  int weight_count, statistics_count, parameter_count, piece_count;
  int64_t total;       /* numbers in all parameters */
  int64_t saved_total; /* and in all statistics, and in what representations remember between pushes */
  const mcl_optimiser *optimiser;
  float *memory[MCL_OPTIMISER_SLOTS]; /* [total] each */
  float *saved;                       /* [saved_total]: as of the last whole epoch */
  float *best;                        /* likewise, of the best epoch; NULL: not wanted */
  double *norms;                      /* a sum of squares a piece */
} mcl_fit_state;

mcl_status mcl_fit_state_new(mcl_model *model, int64_t batch, const mcl_optimiser *optimiser, bool keeps_best,
                             mcl_fit_state *out);
void mcl_fit_state_free(mcl_fit_state *state);

mcl_status mcl_fit_pull(mcl_fit_state *state); /* dense gradients → those of the parameters */
mcl_status mcl_fit_push(mcl_fit_state *state); /* parameters → dense weights */
/* ‖gradient‖₂ of all parameters: sums in double precision, a piece each, in order. */
mcl_status mcl_fit_gradient_norm(mcl_fit_state *state, double *out);
mcl_status mcl_fit_step(mcl_fit_state *state, const mcl_update *update);

/* The first value that is not a finite number. Looks at nothing where *found is true already: several runs of values can be
 * asked for in turn. */
mcl_status mcl_find_not_finite(mcl_context *ctx, const float *values, int64_t count, bool *found, double *value);
/* The name of the first weight that is not finite: its parameters, its values, or a statistic; NULL: all are. */
mcl_status mcl_fit_not_finite(const mcl_fit_state *state, const char **name, double *value);

void mcl_fit_copy_out(const mcl_fit_state *state, float *to);        /* [saved_total] */
mcl_status mcl_fit_copy_in(mcl_fit_state *state, const float *from); /* and decodes */
mcl_status mcl_fit_store(mcl_fit_state *state);                      /* the model's weights take the values */

/* Identifies a fit: what it begins from, and `options` hashed by the caller. */
uint64_t mcl_fit_fingerprint(const mcl_fit_state *state, uint64_t options);
mcl_status mcl_fit_checkpoint_save(const mcl_fit_state *state, const char *path, uint64_t fingerprint,
                                   const mcl_fit_place *place);
/* *found is false where there is no file, or one of another fit (which is logged); a damaged one is an error. */
mcl_status mcl_fit_checkpoint_load(mcl_fit_state *state, const char *path, uint64_t fingerprint, mcl_fit_place *place,
                                   bool *found);

#endif
