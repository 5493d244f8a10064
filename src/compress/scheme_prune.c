/* prune: keeps the entries with the largest scores, by magnitude or by any criterion. Scores are an expression: the
 * threshold is found, and the mask made, without ever storing them. */
#include <math.h>
#include <stdio.h>

#include "compress/schemes.h"

typedef struct prune {
  mcl_scheme base;
  mcl_prune_options options;
  char *by_name; /* or NULL */
} prune;

mcl_status mcl_scheme_prune(mcl_context *ctx, const mcl_prune_options *options, mcl_scheme **out) {
  *out = NULL;
  if (options->has_threshold && isnan(options->threshold))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "prune: threshold is not a number");
  if (!options->has_threshold && !(options->density > 0 && options->density <= 1))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "prune: density = %g is out of range: above 0, at most 1",
                    options->density);
  mcl_scheme *scheme;
  MCL_TRY(mcl_scheme_new(ctx, &mcl_prune_kind, &scheme));
  prune *p = (prune *)scheme;
  mcl_status status = options->by_name ? mcl_strdup(ctx, options->by_name, &p->by_name) : MCL_OK;
  if (status) {
    mcl_scheme_release(scheme);
    return status;
  }
  p->options = *options; /* from here on `user` is the scheme's to release */
  *out = scheme;
  return MCL_OK;
}

static void release(mcl_scheme *scheme) {
  prune *p = (prune *)scheme;
  if (p->options.release_user) p->options.release_user(p->options.user);
  mcl_free(scheme->ctx, p->by_name);
}

/* ---- Scores ---- */

static mcl_status magnitude(mcl_context *ctx, mcl_tensor *weight, mcl_expression **out) {
  mcl_expression *leaf;
  MCL_TRY(mcl_expression_tensor(weight, &leaf));
  mcl_status status = mcl_expression_apply(ctx, MCL_E_ABS, &leaf, out);
  mcl_expression_release(leaf);
  return status;
}

/* The scores of `matrix`, of its shape. */
static mcl_status scores_of(const prune *p, mcl_tensor *matrix, const mcl_statistics *statistics,
                            mcl_expression **out) {
  *out = NULL;
  if (!p->options.by) return magnitude(p->base.ctx, matrix, out);
  MCL_TRY(p->options.by(p->options.user, matrix, statistics, out));
  mcl_shape shape = mcl_expression_shape(*out);
  if (mcl_shape_equal(shape, matrix->shape)) return MCL_OK;
  char scores[MCL_SHAPE_TEXT], weight[MCL_SHAPE_TEXT];
  mcl_expression_release(*out);
  *out = NULL;
  return mcl_fail(p->base.ctx, MCL_ERROR_ARGUMENT,
                  "prune: criterion%s%s gives scores of shape %s for weights of shape %s", p->by_name ? " " : "",
                  p->by_name ? p->by_name : "", mcl_shape_text(shape, scores), mcl_shape_text(matrix->shape, weight));
}

/* The mask of the entries to keep. */
static mcl_status choose(const prune *p, mcl_expression *scores, int64_t count, uint64_t *mask) {
  int64_t keep = llround(p->options.density * (double)count), tie_limit = 0, kept;
  float threshold = (float)p->options.threshold;
  if (keep < 1) keep = 1;
  if (!p->options.has_threshold) MCL_TRY(mcl_expression_threshold(scores, keep, &threshold, &tie_limit));
  return mcl_expression_mask(scores, threshold, tie_limit, mask, &kept);
}

/* ---- Applying ---- */

/* A weight that is already as sparse as asked keeps its own positions: stored zeros would only cost bytes. */
static bool is_sparse_enough(const prune *p, const mcl_scheme_input *input) {
  if (p->options.has_threshold || input->repr->kind != &mcl_sparse_kind) return false;
  int64_t keep = llround(p->options.density * (double)input->values->count);
  return ((const mcl_sparse *)input->repr)->nonzeros <= (keep < 1 ? 1 : keep);
}

static mcl_status keep_positions(const mcl_sparse *sparse, mcl_repr **out) {
  mcl_tensor *values;
  mcl_repr *dense = NULL;
  MCL_TRY(mcl_repr_values(sparse->values, &values));
  mcl_status status = mcl_dense_new(values, &dense);
  if (!status) status = mcl_sparse_with(sparse, dense, out);
  mcl_tensor_release(values);
  mcl_repr_release(dense);
  return status;
}

/* Criteria see the matrix view, so that statistics of columns broadcast; a vector stays one. */
static mcl_status matrix_view(mcl_tensor *values, mcl_tensor **out) {
  if (values->shape.rank <= 2) {
    *out = mcl_tensor_retain(values);
    return MCL_OK;
  }
  return mcl_tensor_reshape(values, mcl_shape_2(mcl_shape_rows(values->shape), mcl_shape_cols(values->shape)), out);
}

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  const prune *p = (const prune *)scheme;
  if (is_sparse_enough(p, input)) return keep_positions((const mcl_sparse *)input->repr, out);
  int64_t count = input->values->count;
  mcl_tensor *matrix = NULL;
  mcl_expression *scores = NULL;
  uint64_t *mask = NULL;
  mcl_status status = mcl_alloc_zero(scheme->ctx, (size_t)(count / 64 + 1) * sizeof(uint64_t), &mask);
  if (!status) status = matrix_view(input->values, &matrix);
  if (!status && count) status = scores_of(p, matrix, input->statistics, &scores);
  if (!status && count) status = choose(p, scores, count, mask);
  if (!status) status = mcl_sparse_fit(input->values, mask, out);
  mcl_expression_release(scores);
  mcl_tensor_release(matrix);
  mcl_free(scheme->ctx, mask);
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_sparse_kind;
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  const prune *p = (const prune *)scheme;
  size_t at = 0;
  if (p->options.has_threshold)
    mcl_text_add(out, size, &at, "prune{threshold=%g", p->options.threshold);
  else
    mcl_text_add(out, size, &at, "prune{density=%g", p->options.density);
  if (p->by_name) mcl_text_add(out, size, &at, ", by=%s", p->by_name);
  mcl_text_add(out, size, &at, "}");
}

const mcl_scheme_kind mcl_prune_kind = {
    .name = "prune", .size = sizeof(prune), .apply = apply, .result = result, .text = text, .release = release};
