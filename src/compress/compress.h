/* Compression: criteria, schemes, calibration, the budget solver. A scheme is a function (weight, statistics) →
 * representation; it is a row of schemes.c and a file. */
#ifndef MCL_COMPRESS_COMPRESS_H
#define MCL_COMPRESS_COMPRESS_H

#include "graph/graph.h"
#include "repr/fit.h"
#include "tensor/expression.h"

/* ---- Statistics: what calibration saw at the input of a layer. Columns are those of the weight's matrix view (for a
 * convolution: in/groups × kh × kw patches). Fields not asked for are NULL. ---- */

typedef enum mcl_statistic {
  MCL_STAT_INPUT_NORM = 1,      /* ‖x_j‖₂ over all rows seen, [cols] (Wanda's) */
  MCL_STAT_INPUT_MEAN = 2,      /* [cols] */
  MCL_STAT_INPUT_SQUARE = 4,    /* E[x_j²], [cols] */
  MCL_STAT_GRAM = 8,            /* E[x xᵀ], [cols, cols] */
  MCL_STAT_RANGE = 16,          /* least and greatest input */
  MCL_STAT_ZERO_RATE = 32,      /* share of zeros at the layer's output after its activation, [rows] */
  MCL_STAT_GRADIENT_SQUARE = 64 /* E[g²] of the weight: the Fisher diagonal, [rows, cols] */
} mcl_statistic;

typedef struct mcl_statistics {
  int64_t rows_seen;
  mcl_tensor *input_norm, *input_mean, *input_square, *gram, *zero_rate, *fisher;
  float least, greatest;
} mcl_statistics;

mcl_status mcl_statistics_new(mcl_context *ctx, mcl_statistics **out);
void mcl_statistics_free(mcl_context *ctx, mcl_statistics *s);

/* Runs `model` over rows of x (f32 [n, …input]) in batches; statistics[w] is made for each weight that is a layer's main
 * weight (others NULL). `wanted`: flags. labels (i64 [n]) feed MCL_STAT_GRADIENT_SQUARE by cross-entropy; else NULL. */
mcl_status mcl_calibrate(mcl_model *model, mcl_tensor *x, mcl_tensor *labels, unsigned wanted,
                         mcl_statistics **statistics);

/* ---- Schemes ---- */

typedef struct mcl_scheme mcl_scheme; /* immutable, reference-counted */

/* Scores for pruning: an expression of the weight's shape; larger is kept. */
typedef mcl_status (*mcl_criterion_fn)(void *user, mcl_tensor *weight, const mcl_statistics *statistics,
                                       mcl_expression **out);

typedef struct mcl_prune_options {
  double density;   /* fraction kept, (0, 1] ; keeps round(density × count), at least 1 */
  double threshold; /* instead: keeps scores above it, where has_threshold */
  bool has_threshold;
  mcl_criterion_fn by; /* NULL: magnitude */
  void *user;
  void (*release_user)(void *user);
  const char *by_name; /* for text; copied */
} mcl_prune_options;

mcl_status mcl_scheme_prune(mcl_context *ctx, const mcl_prune_options *options, mcl_scheme **out);
mcl_status mcl_scheme_share(mcl_context *ctx, const mcl_palette_options *options, mcl_scheme **out);
mcl_status mcl_scheme_quantize(mcl_context *ctx, const mcl_affine_options *options, mcl_scheme **out);
/* factors: a scheme for both parts, or NULL; whiten: use the Gram matrix of the statistics. */
mcl_status mcl_scheme_lowrank(mcl_context *ctx, int64_t rank, double energy, bool whiten, mcl_scheme *factors,
                              mcl_scheme **out);
mcl_status mcl_scheme_keep(mcl_context *ctx, mcl_dtype dtype,
                           mcl_scheme **out); /* dense: f32, or rounded to f16, bf16 */
mcl_status mcl_scheme_then(mcl_context *ctx, mcl_scheme *a, mcl_scheme *b, mcl_scheme **out); /* b on the values of a */
/* a on the values, b on what a leaves; then each again on what the other leaves, so many times. */
#define MCL_SUM_ALTERNATIONS 5 /* of a + b in Lua */
mcl_status mcl_scheme_sum(mcl_context *ctx, mcl_scheme *a, mcl_scheme *b, int alternations, mcl_scheme **out);
mcl_scheme *mcl_scheme_retain(mcl_scheme *s);
void mcl_scheme_release(mcl_scheme *s);
void mcl_scheme_text(const mcl_scheme *s, char *text, size_t size); /* "prune{density=0.08} .. share{bits=5}" */
/* statistics may be NULL unless a criterion or whitening needs them: then MCL_ERROR_ARGUMENT says which. */
mcl_status mcl_scheme_apply(mcl_scheme *s, const mcl_repr *weight, const mcl_statistics *statistics, mcl_repr **out);
/* What was lost: Σ importance_j (w − ŵ)² over columns j, importance = E[x_j²] (1 without statistics), the squared error
 * of the layer's output where inputs are uncorrelated; with a Gram matrix, exactly: tr(ΔW G ΔWᵀ). */
mcl_status mcl_distortion(const mcl_repr *before, const mcl_repr *after, const mcl_statistics *statistics, double *out);

/* ---- The budget solver ---- */

typedef struct mcl_choice {
  double cost;       /* exact coded bytes (or another additive cost) */
  double distortion; /* additive over weights */
} mcl_choice;

/* Chooses one of choices[i][0 … counts[i]-1] for each of n items so that Σ cost ≤ budget and Σ distortion is small:
 * a Lagrangian over the convex hulls (Shoham & Gersho 1988), then exact repair by exchanging choices, so that the budget is
 * never exceeded. MCL_ERROR_BUDGET says the smallest cost that can be reached. chosen[i] gets the index; gap, if not
 * NULL, the distance to the Lagrangian bound, as a fraction. Deterministic. */
mcl_status mcl_plan_solve(mcl_context *ctx, int n, const mcl_choice *const *choices, const int *counts, double budget,
                          int *chosen, double *gap);

#endif
