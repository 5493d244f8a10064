/* Dense, the engine's half: rounding to a dtype, writing, training in place. */
#include "repr/trained.h"

mcl_status mcl_dense_fit(mcl_tensor *values, mcl_dtype dtype, mcl_repr **out) {
  *out = NULL;
  mcl_tensor *converted;
  MCL_TRY(mcl_tensor_narrow(values, dtype, "weights", &converted));
  mcl_status status = mcl_dense_new(converted, out);
  mcl_tensor_release(converted);
  return status;
}

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_tensor *values = ((const mcl_dense *)repr)->values;
  MCL_TRY(mcl_buffer_u8(&writer->header, (uint8_t)values->dtype));
  size_t size = mcl_dtype_size(values->dtype), width = size > 4 ? 4 : size;
  mcl_stream stream = {.data = values->data, .count = (size_t)values->count * (size / width), .width = (uint8_t)width};
  return mcl_repr_write_stream(writer, &stream);
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  mcl_tensor *values;
  MCL_TRY(mcl_tensor_copy(((const mcl_dense *)repr)->values, &values));
  mcl_status status = mcl_dense_new(values, out);
  mcl_tensor_release(values);
  return status;
}

/* ---- Training: f32 values are the parameters themselves; narrower ones are rounded from latent f32 (straight through). */

static mcl_tensor *tensor_of(const mcl_trained_repr *t) { return ((const mcl_dense *)t->repr)->values; }

static mcl_status bind(mcl_trained_repr *t) {
  if (tensor_of(t)->dtype != MCL_F32) return MCL_OK;
  if (t->dense != t->own.values)
    MCL_TRY(mcl_copy(t->ctx, t->dense, t->own.values, (size_t)t->own.count * sizeof(float)));
  mcl_free(t->ctx, t->own_memory);
  t->own_memory = NULL;
  t->own.values = t->dense;
  t->own.gradient = t->gradient;
  return MCL_OK;
}

static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  if (gradient == t->own.gradient) return MCL_OK;
  return mcl_copy(t->ctx, t->own.gradient, gradient, (size_t)t->own.count * sizeof(float));
}

static void store(mcl_trained_repr *t) {
  mcl_tensor *values = tensor_of(t);
  if (values->data != t->own.values)
    mcl_convert(MCL_F32, t->own.values, values->dtype, values->data, (size_t)values->count);
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  size_t count = (size_t)t->own.count;
  if (tensor_of(t)->dtype != MCL_F32) {
    store(t);
    MCL_TRY(mcl_convert_long(t->ctx, tensor_of(t)->dtype, tensor_of(t)->data, MCL_F32, dense, count));
  } else if (dense != t->own.values) {
    return mcl_copy(t->ctx, dense, t->own.values, count * sizeof(float));
  }
  return MCL_OK;
}

static const mcl_trained_kind trained_kind = {.bind = bind, .pull = pull, .push = push, .store = store};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  mcl_trained_repr *t = *out;
  mcl_tensor *values = tensor_of(t);
  bool in_place = values->dtype == MCL_F32;
  mcl_status status = mcl_trained_own(t, in_place ? mcl_tensor_f32(values) : NULL, values->count);
  if (!status && !in_place) mcl_convert(values->dtype, values->data, MCL_F32, t->own.values, (size_t)values->count);
  if (status) {
    mcl_trained_free(t);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_dense_fit_kind = {.id = 1, .write = write, .copy = copy, .train = train};
