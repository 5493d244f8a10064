/* sum, written `+`: a weight as the sum of what two schemes give, fitted by alternation: each in turn takes what the other
 * leaves. No step is sure to help where a scheme rounds, so the best pair that was seen is kept. */
#include <math.h>

#include "compress/schemes.h"

typedef struct sum {
  mcl_scheme base;
  mcl_scheme *first, *second;
  int alternations;
} sum;

mcl_status mcl_scheme_sum(mcl_context *ctx, mcl_scheme *a, mcl_scheme *b, int alternations, mcl_scheme **out) {
  *out = NULL;
  if (alternations < 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "sum: alternations = %d is out of range: 0 or more", alternations);
  MCL_TRY(mcl_scheme_compose(ctx, &mcl_sum_scheme_kind, a, b, out));
  ((sum *)*out)->first = mcl_scheme_retain(a);
  ((sum *)*out)->second = mcl_scheme_retain(b);
  ((sum *)*out)->alternations = alternations;
  return MCL_OK;
}

static void release(mcl_scheme *scheme) {
  mcl_scheme_release(((sum *)scheme)->first);
  mcl_scheme_release(((sum *)scheme)->second);
}

/* The scheme on values less what the other part holds. */
static mcl_status fit_rest(const mcl_scheme *scheme, const mcl_scheme_input *input, const mcl_repr *other,
                           mcl_repr **out) {
  mcl_tensor *rest;
  mcl_status status = MCL_OK;
  if (!other) {
    MCL_TRY(mcl_tensor_copy(input->values, &rest));
  } else {
    MCL_TRY(mcl_repr_values(other, &rest));
    for (int64_t i = 0; i < rest->count && !status; i++) {
      if (i % MCL_ASK_STEPS == 0) status = mcl_check_cancel(scheme->ctx);
      mcl_tensor_f32(rest)[i] = mcl_tensor_f32(input->values)[i] - mcl_tensor_f32(rest)[i];
    }
  }
  if (!status) status = mcl_scheme_apply_values(scheme, rest, input->statistics, input->importance, out);
  mcl_tensor_release(rest);
  return status;
}

/* Keeps a + b as *best where it is better than what was. */
static mcl_status consider(const mcl_scheme_input *input, mcl_repr *a, mcl_repr *b, double *least, mcl_repr **best) {
  mcl_repr *parts[2] = {a, b}, *both, *whole;
  MCL_TRY(mcl_sum_new(parts, 2, &both));
  double distortion = 0;
  mcl_status status = mcl_dense_new(input->values, &whole);
  if (!status) status = mcl_distortion(whole, both, input->statistics, &distortion);
  if (!status && (!*best || distortion < *least)) {
    mcl_repr_release(*best);
    *best = mcl_repr_retain(both);
    *least = distortion;
  }
  mcl_repr_release(whole);
  mcl_repr_release(both);
  return status;
}

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  const sum *s = (const sum *)scheme;
  mcl_repr *a = NULL, *b = NULL, *best = NULL;
  double least = INFINITY;
  mcl_status status = MCL_OK;
  for (int round = 0; round <= s->alternations && !status; round++) {
    if ((status = mcl_check_cancel(scheme->ctx))) break;
    mcl_repr_release(a);
    a = NULL;
    status = fit_rest(s->first, input, b, &a);
    mcl_repr_release(b);
    b = NULL;
    if (!status) status = fit_rest(s->second, input, a, &b);
    if (!status) status = consider(input, a, b, &least, &best);
  }
  mcl_repr_release(a);
  mcl_repr_release(b);
  if (status)
    mcl_repr_release(best);
  else
    *out = best;
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_sum_kind;
}

static bool is_weighted(const mcl_scheme *scheme) {
  return mcl_scheme_is_weighted(((const sum *)scheme)->first) || mcl_scheme_is_weighted(((const sum *)scheme)->second);
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  const sum *s = (const sum *)scheme;
  char first[256], second[256];
  size_t at = 0;
  mcl_scheme_text(s->first, first, sizeof first);
  mcl_scheme_text(s->second, second, sizeof second);
  mcl_text_add(out, size, &at, "%s + %s", first, second);
}

const mcl_scheme_kind mcl_sum_scheme_kind = {.name = "sum",
                                             .size = sizeof(sum),
                                             .apply = apply,
                                             .result = result,
                                             .is_weighted = is_weighted,
                                             .text = text,
                                             .release = release};
