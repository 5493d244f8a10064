/* lowrank: a product of two thin factors, each of which may be compressed in turn. */
#include "compress/schemes.h"

typedef struct lowrank {
  mcl_scheme base;
  int64_t rank;
  double energy;
  bool whiten;
  mcl_scheme *factors; /* or NULL */
} lowrank;

mcl_status mcl_scheme_lowrank(mcl_context *ctx, int64_t rank, double energy, bool whiten, mcl_scheme *factors,
                              mcl_scheme **out) {
  *out = NULL;
  if (rank < 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: rank = %lld is out of range: at least 1", (long long)rank);
  if (rank == 0 && !(energy > 0 && energy <= 1))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "lowrank: energy = %g is out of range: above 0, at most 1; or give rank",
                    energy);
  MCL_TRY(mcl_scheme_compose(ctx, &mcl_lowrank_scheme_kind, factors, NULL, out));
  lowrank *l = (lowrank *)*out;
  l->rank = rank;
  l->energy = energy;
  l->whiten = whiten;
  l->factors = factors ? mcl_scheme_retain(factors) : NULL;
  return MCL_OK;
}

static void release(mcl_scheme *scheme) { mcl_scheme_release(((lowrank *)scheme)->factors); }

/* The right factor sees the layer's input; the left one, the narrow middle, of which nothing was measured. */
mcl_status mcl_scheme_apply_factors(const mcl_scheme *scheme, const mcl_lowrank *factors,
                                    const mcl_statistics *statistics, mcl_repr **out) {
  mcl_scheme_input middle = {.statistics = NULL}, input = {.statistics = statistics};
  mcl_repr *left = NULL, *right = NULL;
  mcl_status status = mcl_scheme_apply_within(scheme, factors->left, &middle, &left);
  if (!status) status = mcl_scheme_apply_within(scheme, factors->right, &input, &right);
  if (!status) status = mcl_lowrank_new(left, right, factors->base.shape, out);
  mcl_repr_release(left);
  mcl_repr_release(right);
  return status;
}

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  const lowrank *l = (const lowrank *)scheme;
  mcl_lowrank_options options = {.rank = l->rank, .energy = l->energy, .seed = mcl_context_seed(scheme->ctx)};
  if (l->whiten && !(input->statistics && input->statistics->gram))
    return mcl_fail(scheme->ctx, MCL_ERROR_ARGUMENT, "lowrank: whiten needs statistics: calibrate \"gram\" first");
  if (l->whiten) options.gram = input->statistics->gram;
  mcl_repr *plain;
  MCL_TRY(mcl_lowrank_fit(input->values, &options, &plain));
  if (!l->factors) {
    *out = plain;
    return MCL_OK;
  }
  mcl_status status = mcl_scheme_apply_factors(l->factors, (const mcl_lowrank *)plain, input->statistics, out);
  mcl_repr_release(plain);
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_lowrank_kind;
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  const lowrank *l = (const lowrank *)scheme;
  size_t at = 0;
  if (l->rank)
    mcl_text_add(out, size, &at, "lowrank{rank=%lld", (long long)l->rank);
  else
    mcl_text_add(out, size, &at, "lowrank{energy=%g", l->energy);
  if (l->whiten) mcl_text_add(out, size, &at, ", whiten");
  if (l->factors) {
    char factors[MCL_SHAPE_TEXT];
    mcl_scheme_text(l->factors, factors, sizeof factors);
    mcl_text_add(out, size, &at, ", factors=%s", factors);
  }
  mcl_text_add(out, size, &at, "}");
}

const mcl_scheme_kind mcl_lowrank_scheme_kind = {
    .name = "lowrank", .size = sizeof(lowrank), .apply = apply, .result = result, .text = text, .release = release};
