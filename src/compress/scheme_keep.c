/* keep: dense values, as they are or rounded to a narrower float. */
#include "compress/schemes.h"

typedef struct keep {
  mcl_scheme base;
  mcl_dtype dtype;
} keep;

mcl_status mcl_scheme_keep(mcl_context *ctx, mcl_dtype dtype, mcl_scheme **out) {
  *out = NULL;
  if (dtype != MCL_F32 && dtype != MCL_F16 && dtype != MCL_BF16)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "keep: dtype %s: give f32, f16 or bf16", mcl_dtype_name(dtype));
  MCL_TRY(mcl_scheme_new(ctx, &mcl_keep_kind, out));
  ((keep *)*out)->dtype = dtype;
  return MCL_OK;
}

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  return mcl_dense_fit(input->values, ((const keep *)scheme)->dtype, out);
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  (void)scheme;
  return &mcl_dense_kind;
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  mcl_dtype dtype = ((const keep *)scheme)->dtype;
  size_t at = 0;
  mcl_text_add(out, size, &at, dtype == MCL_F32 ? "keep{}" : "keep{dtype=%s}", mcl_dtype_name(dtype));
}

const mcl_scheme_kind mcl_keep_kind = {
    .name = "keep", .size = sizeof(keep), .apply = apply, .result = result, .text = text};
