/* Schemes: what all kinds share. A kind is a file, scheme_x.c, which has its constructor and its table of functions. */
#include <stdarg.h>
#include <stdio.h>

#include "compress/schemes.h"

mcl_status mcl_scheme_new(mcl_context *ctx, const mcl_scheme_kind *kind, mcl_scheme **out) {
  *out = NULL;
  mcl_scheme *scheme;
  MCL_TRY(mcl_alloc_zero(ctx, kind->size, &scheme));
  *scheme = (mcl_scheme){.kind = kind, .ctx = ctx, .references = 1, .parts = 1};
  *out = scheme;
  return MCL_OK;
}

mcl_status mcl_scheme_compose(mcl_context *ctx, const mcl_scheme_kind *kind, const mcl_scheme *a, const mcl_scheme *b,
                              mcl_scheme **out) {
  int parts = 1 + (a ? a->parts : 0) + (b ? b->parts : 0);
  *out = NULL;
  if (parts > MCL_SCHEME_MOST_PARTS)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: a scheme of %d parts; at most %d can be put together", kind->name,
                    parts, MCL_SCHEME_MOST_PARTS);
  MCL_TRY(mcl_scheme_new(ctx, kind, out));
  (*out)->parts = parts;
  return MCL_OK;
}

mcl_scheme *mcl_scheme_retain(mcl_scheme *scheme) {
  scheme->references++;
  return scheme;
}

void mcl_scheme_release(mcl_scheme *scheme) {
  if (!scheme || --scheme->references > 0) return;
  if (scheme->kind->release) scheme->kind->release(scheme);
  mcl_free(scheme->ctx, scheme);
}

void mcl_text_add(char *text, size_t size, size_t *at, const char *format, ...) {
  if (*at >= size) return;
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(text + *at, size - *at, format, arguments);
  va_end(arguments);
  *at += written > 0 ? (size_t)written : 0;
}

void mcl_scheme_text(const mcl_scheme *scheme, char *text, size_t size) {
  if (size) text[0] = 0;
  scheme->kind->text(scheme, text, size);
}

bool mcl_scheme_is_weighted(const mcl_scheme *scheme) {
  return scheme->kind->is_weighted && scheme->kind->is_weighted(scheme);
}

mcl_status mcl_scheme_apply_values(const mcl_scheme *scheme, mcl_tensor *values, const mcl_statistics *statistics,
                                   mcl_tensor *importance, mcl_repr **out) {
  *out = NULL;
  mcl_repr *dense;
  MCL_TRY(mcl_dense_new(values, &dense));
  mcl_scheme_input input = {.repr = dense, .values = values, .statistics = statistics, .importance = importance};
  mcl_status status = scheme->kind->apply(scheme, &input, out);
  mcl_repr_release(dense);
  return status;
}

/* Decoded, or those of a dense f32 weight themselves: schemes do not write to them. */
static mcl_status values_of(const mcl_repr *weight, mcl_tensor **out) {
  mcl_tensor *values = weight->kind == &mcl_dense_kind ? ((const mcl_dense *)weight)->values : NULL;
  if (!values || values->dtype != MCL_F32) return mcl_repr_values(weight, out);
  *out = mcl_tensor_retain(values);
  return MCL_OK;
}

mcl_status mcl_scheme_apply(mcl_scheme *scheme, const mcl_repr *weight, const mcl_statistics *statistics,
                            mcl_repr **out) {
  *out = NULL;
  mcl_tensor *values;
  MCL_TRY(values_of(weight, &values));
  mcl_scheme_input input = {.repr = weight, .values = values, .statistics = statistics};
  mcl_status status = mcl_tensor_check_finite(values, "weights");
  if (!status) status = scheme->kind->apply(scheme, &input, out);
  mcl_tensor_release(values);
  return status;
}

/* ---- Importance ---- */

static mcl_status spread_columns(mcl_tensor *of_columns, mcl_shape shape, mcl_tensor **out) {
  MCL_TRY(mcl_tensor_new_raw(of_columns->ctx, MCL_F32, shape, out));
  int64_t rows = mcl_shape_rows(shape), cols = mcl_shape_cols(shape);
  int64_t work = 0;
  mcl_status status = MCL_OK;
  for (int64_t r = 0; r < rows && !status; r++) {
    memcpy(mcl_tensor_f32(*out) + r * cols, of_columns->data, (size_t)cols * sizeof(float));
    status = mcl_worked(of_columns->ctx, &work, cols);
  }
  if (!status) return MCL_OK;
  mcl_tensor_release(*out);
  *out = NULL;
  return status;
}

mcl_status mcl_scheme_importance(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_tensor **out) {
  *out = NULL;
  const mcl_statistics *statistics = input->statistics;
  if (input->importance) {
    *out = mcl_tensor_retain(input->importance);
    return MCL_OK;
  }
  if (statistics && statistics->fisher && statistics->fisher->count == input->values->count) {
    *out = mcl_tensor_retain(statistics->fisher);
    return MCL_OK;
  }
  if (statistics && statistics->input_square && statistics->input_square->count == mcl_shape_cols(input->values->shape))
    return spread_columns(statistics->input_square, input->values->shape, out);
  return mcl_fail(scheme->ctx, MCL_ERROR_ARGUMENT,
                  "%s: weighted needs statistics: calibrate \"fisher\" or \"input_square\" first", scheme->kind->name);
}
