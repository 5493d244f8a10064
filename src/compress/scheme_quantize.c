/* quantize: affine codes of 1 to 8 bits. */
#include "compress/schemes.h"

typedef struct quantize {
  mcl_scheme base;
  mcl_affine_options options;
} quantize;

mcl_status mcl_scheme_quantize(mcl_context *ctx, const mcl_affine_options *options, mcl_scheme **out) {
  *out = NULL;
  if (options->bits < 1 || options->bits > 8)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "quantize: bits = %d is out of range: 1 to 8", options->bits);
  if (options->group < -1)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "quantize: group = %lld is out of range: a number of values, 0 (tensor) or -1 (channel)",
                    (long long)options->group);
  MCL_TRY(mcl_scheme_new(ctx, &mcl_quantize_kind, out));
  ((quantize *)*out)->options = *options;
  return MCL_OK;
}

static bool is_weighted(const mcl_scheme *scheme) { return ((const quantize *)scheme)->options.weighted; }

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  mcl_tensor *importance = NULL;
  if (is_weighted(scheme)) MCL_TRY(mcl_scheme_importance(scheme, input, &importance));
  mcl_status status = mcl_affine_fit(input->values, importance, &((const quantize *)scheme)->options, out);
  mcl_tensor_release(importance);
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_affine_kind;
}

bool mcl_scheme_is_per_channel(const mcl_scheme *scheme) {
  return scheme->kind == &mcl_quantize_kind && ((const quantize *)scheme)->options.group == -1;
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  const mcl_affine_options *o = &((const quantize *)scheme)->options;
  size_t at = 0;
  mcl_text_add(out, size, &at, "quantize{bits=%d", o->bits);
  if (o->group == -1) mcl_text_add(out, size, &at, ", per channel");
  if (o->group > 0) mcl_text_add(out, size, &at, ", group=%lld", (long long)o->group);
  mcl_text_add(out, size, &at, "%s%s%s%s}", o->asymmetric ? ", asymmetric" : "", o->minimise ? ", minimise" : "",
               o->half ? ", half" : "", o->weighted ? ", weighted" : "");
}

const mcl_scheme_kind mcl_quantize_kind = {.name = "quantize",
                                           .size = sizeof(quantize),
                                           .apply = apply,
                                           .result = result,
                                           .is_weighted = is_weighted,
                                           .text = text};
