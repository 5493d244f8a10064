/* Sum, the engine's half: making one, writing, training its parts together. */
#include "repr/trained.h"

mcl_status mcl_sum_new(mcl_repr *const *parts, int count, mcl_repr **out) {
  *out = NULL;
  mcl_context *ctx = parts[0]->ctx;
  if (count < 2 || count > MCL_REPR_MOST_PARTS)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a sum of %d parts: it takes 2 to %d", count, MCL_REPR_MOST_PARTS);
  for (int i = 1; i < count; i++)
    if (!mcl_shape_equal(parts[i]->shape, parts[0]->shape))
      return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a sum whose part %d has another shape than the first", i + 1);
  MCL_TRY(mcl_repr_check_parts(parts, count));
  MCL_TRY(mcl_repr_new(ctx, &mcl_sum_kind, parts[0]->shape, out));
  mcl_sum *sum = (mcl_sum *)*out;
  for (int i = 0; i < count; i++) sum->part[sum->parts++] = mcl_repr_retain(parts[i]);
  return MCL_OK;
}

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  MCL_TRY(mcl_buffer_u8(&writer->header, (uint8_t)sum->parts));
  for (int i = 0; i < sum->parts; i++) MCL_TRY(mcl_repr_write(sum->part[i], writer));
  return MCL_OK;
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  const mcl_sum *sum = (const mcl_sum *)repr;
  mcl_repr *part[MCL_REPR_MOST_PARTS] = {NULL};
  mcl_status status = MCL_OK;
  for (int i = 0; i < sum->parts && !status; i++) status = mcl_repr_copy(sum->part[i], &part[i]);
  if (!status) status = mcl_sum_new(part, sum->parts, out);
  for (int i = 0; i < sum->parts; i++) mcl_repr_release(part[i]);
  return status;
}

/* Each part has a gradient of its own: what clips or decays one in place does not touch the others. */
static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  for (int i = 0; i < t->parts; i++) {
    MCL_TRY(mcl_copy(t->ctx, t->part_gradient[i], gradient, (size_t)t->repr->count * sizeof(float)));
    MCL_TRY(mcl_trained_pull(t->part[i], t->part_gradient[i]));
  }
  return MCL_OK;
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  for (int i = 0; i < t->parts; i++) {
    MCL_TRY(mcl_trained_push(t->part[i], t->part_values[i]));
    for (int64_t j = 0; j < t->repr->count; j++) {
      if (j % MCL_ASK_STEPS == 0) MCL_TRY(mcl_check_cancel(t->ctx));
      dense[j] = (i ? dense[j] : 0) + t->part_values[i][j];
    }
  }
  return MCL_OK;
}

static const mcl_trained_kind trained_kind = {.pull = pull, .push = push};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  const mcl_sum *sum = (const mcl_sum *)repr;
  mcl_status status = MCL_OK;
  for (int i = 0; i < sum->parts && !status; i++) status = mcl_trained_add_part(*out, sum->part[i]);
  if (status) {
    mcl_trained_free(*out);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_sum_fit_kind = {.id = 6, .write = write, .copy = copy, .train = train};
