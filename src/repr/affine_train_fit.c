/* Affine in the engine: writing, copying, and training by the straight-through estimator: latent values take the gradient
 * of the values they are rounded to, and each push projects them anew (Courbariaux et al. 2015; Jacob et al. 2018). */
#include "repr/affine.h"
#include "repr/trained.h"

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_affine *affine = (const mcl_affine *)repr;
  size_t groups = (size_t)affine->groups;
  uint32_t alphabet = 1u << affine->bits;
  int flags = (affine->bits - 1) | affine->symmetric << 3 | affine->half << 4;
  MCL_TRY(mcl_buffer_u8(&writer->header, (uint8_t)flags));
  MCL_TRY(mcl_buffer_varint(&writer->header, (uint64_t)affine->group));
  MCL_TRY(mcl_repr_write_floats(writer, affine->scale, groups, affine->half));
  mcl_stream zeros = {.data = affine->zero_point, .count = groups, .width = 1, .alphabet = alphabet};
  mcl_stream codes = {.data = affine->codes, .count = (size_t)repr->count, .width = 1, .alphabet = alphabet};
  if (!affine->symmetric) MCL_TRY(mcl_repr_write_stream(writer, &zeros));
  return mcl_repr_write_stream(writer, &codes);
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  const mcl_affine *from = (const mcl_affine *)repr;
  mcl_context *ctx = repr->ctx;
  MCL_TRY(mcl_repr_new(ctx, repr->kind, repr->shape, out));
  mcl_affine *to = (mcl_affine *)*out;
  to->bits = from->bits, to->symmetric = from->symmetric, to->half = from->half;
  to->group = from->group, to->groups = from->groups;
  size_t groups = (size_t)from->groups, count = (size_t)repr->count;
  mcl_status status = mcl_alloc_array(ctx, groups, sizeof(float), &to->scale);
  if (!status && !from->symmetric) status = mcl_alloc(ctx, groups, &to->zero_point);
  if (!status) status = mcl_alloc(ctx, count, &to->codes);
  if (!status) status = mcl_copy(ctx, to->scale, from->scale, groups * sizeof(float));
  if (!status && !from->symmetric) status = mcl_copy(ctx, to->zero_point, from->zero_point, groups);
  if (!status) status = mcl_copy(ctx, to->codes, from->codes, count);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  return mcl_copy(t->ctx, t->own.gradient, gradient, (size_t)t->own.count * sizeof(float));
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  MCL_TRY(mcl_affine_project((mcl_affine *)t->repr, t->own.values, !t->is_recalling));
  return mcl_repr_decode(t->repr, 0, mcl_shape_rows(t->repr->shape), dense);
}

/* Scales, zero points, and whether scales are halves: each scale is fitted from the one before. */
static int64_t memory(const mcl_trained_repr *t, float *out) {
  const mcl_affine *affine = (const mcl_affine *)t->repr;
  if (!out) return 2 * affine->groups + 1;
  *out++ = affine->half ? 1 : 0;
  for (int64_t i = 0; i < affine->groups; i++) {
    *out++ = affine->scale[i];
    *out++ = affine->symmetric ? 0 : affine->zero_point[i];
  }
  return 2 * affine->groups + 1;
}

static void remember(mcl_trained_repr *t, const float *from) {
  mcl_affine *affine = (mcl_affine *)t->repr;
  affine->half = *from++ != 0;
  for (int64_t i = 0; i < affine->groups; i++, from += 2) {
    affine->scale[i] = from[0];
    if (!affine->symmetric) affine->zero_point[i] = (uint8_t)from[1];
  }
}

static const mcl_trained_kind trained_kind = {.pull = pull, .push = push, .memory = memory, .remember = remember};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  mcl_status status = mcl_trained_own(*out, NULL, repr->count);
  if (!status) status = mcl_repr_decode(repr, 0, mcl_shape_rows(repr->shape), (*out)->own.values);
  if (status) {
    mcl_trained_free(*out);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_affine_fit_kind = {.id = 4, .write = write, .copy = copy, .train = train};
