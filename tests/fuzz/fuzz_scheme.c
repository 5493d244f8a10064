/* Schemes, composed as the input says, on small weights: an error, or a representation of the weight's shape that is the
 * same after it was written and read again. */
#include "fuzz.h"

#include "compress/compress.h"

#define MOST_DEPTH 2

static mcl_status make_scheme(mcl_context *ctx, fuzz_bytes *bytes, int depth, mcl_scheme **out);

static mcl_status make_lowrank(mcl_context *ctx, fuzz_bytes *bytes, int depth, mcl_scheme **out) {
  mcl_scheme *factors = NULL;
  int64_t rank = fuzz_below(bytes, 5);
  if (fuzz_byte(bytes) & 1) MCL_TRY(make_scheme(ctx, bytes, depth + 1, &factors));
  mcl_status status = mcl_scheme_lowrank(ctx, rank, rank ? 0 : 0.9, false, factors, out);
  mcl_scheme_release(factors);
  return status;
}

static mcl_status make_pair(mcl_context *ctx, fuzz_bytes *bytes, int depth, bool is_sum, mcl_scheme **out) {
  mcl_scheme *a, *b;
  MCL_TRY(make_scheme(ctx, bytes, depth + 1, &a));
  mcl_status status = make_scheme(ctx, bytes, depth + 1, &b);
  if (!status) {
    status = is_sum ? mcl_scheme_sum(ctx, a, b, 1, out) : mcl_scheme_then(ctx, a, b, out);
    mcl_scheme_release(b);
  }
  mcl_scheme_release(a);
  return status;
}

static mcl_status make_scheme(mcl_context *ctx, fuzz_bytes *bytes, int depth, mcl_scheme **out) {
  static const mcl_dtype dtypes[] = {MCL_F32, MCL_F16, MCL_BF16};
  uint8_t flags;
  switch (fuzz_below(bytes, depth < MOST_DEPTH ? 8 : 4)) {
  case 0:
    return mcl_scheme_prune(ctx, &(mcl_prune_options){.density = (1 + fuzz_byte(bytes)) / 256.0}, out);
  case 1:
    flags = fuzz_byte(bytes);
    return mcl_scheme_share(ctx,
                            &(mcl_palette_options){.bits = 1 + (flags & 7),
                                                   .init = (mcl_codebook_init)(flags >> 3 & 3),
                                                   .iterations = 5,
                                                   .half = flags >> 5 & 1},
                            out);
  case 2:
    flags = fuzz_byte(bytes);
    return mcl_scheme_quantize(ctx,
                               &(mcl_affine_options){.bits = 1 + (flags & 7),
                                                     .group = fuzz_below(bytes, 10) - 1,
                                                     .asymmetric = flags >> 3 & 1,
                                                     .minimise = flags >> 4 & 1,
                                                     .half = flags >> 5 & 1},
                               out);
  case 3:
    return mcl_scheme_keep(ctx, dtypes[fuzz_below(bytes, 3)], out);
  case 4:
    return make_lowrank(ctx, bytes, depth, out);
  case 5:
    return make_pair(ctx, bytes, depth, true, out);
  default:
    return make_pair(ctx, bytes, depth, false, out);
  }
}

static mcl_status make_weight(mcl_context *ctx, fuzz_bytes *bytes, mcl_repr **out) {
  mcl_tensor *values;
  mcl_shape shape = {.rank = 1 + fuzz_below(bytes, 4)};
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = 1 + fuzz_below(bytes, shape.rank < 3 ? 8 : 3);
  MCL_TRY(mcl_tensor_new(ctx, MCL_F32, shape, &values));
  uint8_t step = fuzz_byte(bytes); /* of a pattern, where there are fewer bytes than weights */
  for (int64_t i = 0; i < values->count; i++)
    mcl_tensor_f32(values)[i] = fuzz_is_empty(bytes) ? (float)(i * step % 61 - 30) / 16 : fuzz_float(bytes);
  mcl_status status = mcl_dense_new(values, out);
  mcl_tensor_release(values);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcl_context *ctx = fuzz_context((size_t)2 << 20);
  fuzz_bytes bytes = {data, size, 0};
  mcl_scheme *scheme;
  mcl_repr *weight = NULL, *coded = NULL;
  mcl_tensor *values = NULL;
  if (make_scheme(ctx, &bytes, 0, &scheme)) return 0;
  char text[600];
  mcl_scheme_text(scheme, text, sizeof text);
  mcl_status status = make_weight(ctx, &bytes, &weight);
  if (!status) status = mcl_scheme_apply(scheme, weight, NULL, &coded);
  if (!status) {
    if (!mcl_shape_equal(coded->shape, weight->shape)) abort();
    status = mcl_repr_values(coded, &values);
    if (status && status != MCL_ERROR_MEMORY) abort(); /* what was made can be decoded */
    if (!status && mcl_tensor_check_finite(values, text)) abort();
    if (!status) fuzz_write_and_read(coded, values);
  }
  mcl_tensor_release(values);
  mcl_repr_release(coded);
  mcl_repr_release(weight);
  mcl_scheme_release(scheme);
  return 0;
}
