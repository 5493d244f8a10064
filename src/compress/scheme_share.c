/* share: weight sharing, each value an entry of a codebook. */
#include "compress/schemes.h"

typedef struct share {
  mcl_scheme base;
  mcl_palette_options options;
} share;

mcl_status mcl_scheme_share(mcl_context *ctx, const mcl_palette_options *options, mcl_scheme **out) {
  *out = NULL;
  if (options->entries && (options->entries < 1 || options->entries > 256))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: entries = %d is out of range: 1 to 256", options->entries);
  if (!options->entries && (options->bits < 1 || options->bits > 8))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: bits = %d is out of range: 1 to 8", options->bits);
  if (options->iterations < 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: iterations = %d is out of range: 0 or more", options->iterations);
  MCL_TRY(mcl_scheme_new(ctx, &mcl_share_kind, out));
  ((share *)*out)->options = *options;
  return MCL_OK;
}

static bool is_weighted(const mcl_scheme *scheme) { return ((const share *)scheme)->options.weighted; }

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  mcl_tensor *importance = NULL;
  if (is_weighted(scheme)) MCL_TRY(mcl_scheme_importance(scheme, input, &importance));
  mcl_status status = mcl_palette_fit(input->values, importance, &((const share *)scheme)->options, out);
  mcl_tensor_release(importance);
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_palette_kind;
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  static const char *const inits[] = {"exact", "linear", "density", "random"};
  const mcl_palette_options *o = &((const share *)scheme)->options;
  size_t at = 0;
  mcl_text_add(out, size, &at, o->entries ? "share{entries=%d" : "share{bits=%d", o->entries ? o->entries : o->bits);
  if (o->init) mcl_text_add(out, size, &at, ", init=%s", inits[o->init]);
  mcl_text_add(out, size, &at, "%s%s}", o->half ? ", half" : "", o->weighted ? ", weighted" : "");
}

const mcl_scheme_kind mcl_share_kind = {
    .name = "share", .size = sizeof(share), .apply = apply, .result = result, .is_weighted = is_weighted, .text = text};
