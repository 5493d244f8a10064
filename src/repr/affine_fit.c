/* Affine, the engine's half: fitting all groups. Scales come first (affine_group_fit.c), then codes. */
#include "base/threads.h"
#include "repr/affine.h"
#include "repr/trained.h"

enum { GROUPS_CHUNK = 16, CODES_CHUNK = 1 << 15 };

typedef struct fitting {
  mcl_affine *affine;
  const float *values, *weights;
  bool minimise;
  bool refit;        /* of a representation in training: its scales are fitted to its codes */
  bool keeps_scales; /* codes alone are made anew */
} fitting;

static int64_t group_at(const mcl_affine *affine, int64_t index, int64_t *count) {
  if (affine->group == 0) {
    *count = affine->base.count;
    return 0;
  }
  int64_t length = mcl_affine_row_length(affine->base.shape), per_row = affine->groups / (affine->base.count / length);
  int64_t within = index % per_row * affine->group;
  *count = affine->group < length - within ? affine->group : length - within;
  return index / per_row * length + within;
}

static int zero_of(const mcl_affine *affine, int64_t index) {
  return affine->symmetric ? 1 << (affine->bits - 1) : affine->zero_point[index];
}

static mcl_status fit_scale(const fitting *f, int64_t index) {
  mcl_affine *affine = f->affine;
  mcl_affine_group g = {.ctx = affine->base.ctx};
  int64_t first = group_at(affine, index, &g.count);
  int zero = zero_of(affine, index);
  g.values = f->values + first;
  g.weights = f->weights ? f->weights + first : NULL;
  if (f->refit)
    MCL_TRY(mcl_affine_refit_group(affine, &g, &affine->scale[index], &zero));
  else
    MCL_TRY(mcl_affine_fit_group(affine, &g, f->minimise, &affine->scale[index], &zero));
  if (!affine->symmetric) affine->zero_point[index] = (uint8_t)zero;
  return MCL_OK;
}

static mcl_status scale_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const fitting *f = arg;
  int64_t end = (chunk + 1) * GROUPS_CHUNK < f->affine->groups ? (chunk + 1) * GROUPS_CHUNK : f->affine->groups;
  for (int64_t index = chunk * GROUPS_CHUNK; index < end; index++) MCL_TRY(fit_scale(f, index));
  return MCL_OK;
}

static void code_run(const mcl_affine *affine, int64_t index, const float *values, int64_t count, uint8_t *codes) {
  float scale = affine->scale[index];
  if (affine->symmetric && affine->bits == 1) {
    for (int64_t i = 0; i < count; i++) codes[i] = values[i] >= 0;
    return;
  }
  int zero = zero_of(affine, index);
  mcl_code_range range = mcl_affine_range(affine, zero);
  float inverse = scale > 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < count; i++) codes[i] = (uint8_t)((int)mcl_affine_code(values[i], inverse, range) + zero);
}

static mcl_status code_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const fitting *f = arg;
  mcl_affine *affine = f->affine;
  if (affine->group == 0) {
    int64_t first = chunk * CODES_CHUNK, rest = affine->base.count - first;
    code_run(affine, 0, f->values + first, rest < CODES_CHUNK ? rest : CODES_CHUNK, affine->codes + first);
    return MCL_OK;
  }
  int64_t end = (chunk + 1) * GROUPS_CHUNK < affine->groups ? (chunk + 1) * GROUPS_CHUNK : affine->groups;
  for (int64_t index = chunk * GROUPS_CHUNK; index < end; index++) {
    int64_t count, first = group_at(affine, index, &count);
    for (int64_t at = 0; at < count; at += CODES_CHUNK) {
      if (at) MCL_TRY(mcl_check_cancel(affine->base.ctx));
      code_run(affine, index, f->values + first + at, count - at < CODES_CHUNK ? count - at : CODES_CHUNK,
               affine->codes + first + at);
    }
  }
  return MCL_OK;
}

/* Each scale is of values of its own, so each must be normal; else the scales of the tensor stay f32. */
static mcl_status round_scales(mcl_affine *affine) {
  int64_t work = 0;
  for (int64_t i = 0; i < affine->groups && affine->half; i++) {
    affine->half = mcl_repr_fits_halves(&affine->scale[i], 1);
    MCL_TRY(mcl_worked(affine->base.ctx, &work, 4));
  }
  for (int64_t i = 0; i < affine->groups && affine->half; i += CODES_CHUNK) {
    MCL_TRY(mcl_check_cancel(affine->base.ctx));
    mcl_repr_round_halves(affine->scale + i,
                          (size_t)(affine->groups - i < CODES_CHUNK ? affine->groups - i : CODES_CHUNK));
  }
  return MCL_OK;
}

/* Waking the threads is not worth it for a few values, at every step of training. Few groups go one after the other,
 * each over all threads where it is large. */
static mcl_status run_chunks(const fitting *f, int64_t chunks, mcl_chunk_fn chunk_fn) {
  bool small = chunks == 1 || (f->refit && f->affine->base.count < CODES_CHUNK);
  if (!small) return mcl_parallel(f->affine->base.ctx, chunks, chunk_fn, (void *)f);
  for (int64_t chunk = 0; chunk < chunks; chunk++) MCL_TRY(chunk_fn((void *)f, chunk, 0));
  return MCL_OK;
}

static mcl_status run(const fitting *f) {
  mcl_affine *affine = f->affine;
  if (affine->base.count == 0) return MCL_OK;
  int64_t chunks = (affine->groups + GROUPS_CHUNK - 1) / GROUPS_CHUNK;
  if (!f->keeps_scales) {
    MCL_TRY(run_chunks(f, chunks, scale_chunk));
    MCL_TRY(round_scales(affine));
  }
  if (affine->group == 0) chunks = (affine->base.count + CODES_CHUNK - 1) / CODES_CHUNK;
  return run_chunks(f, chunks, code_chunk);
}

/* ---- Fitting ---- */

static mcl_status allocate(mcl_context *ctx, mcl_shape shape, const mcl_affine_options *options, mcl_repr **out) {
  MCL_TRY(mcl_repr_new(ctx, &mcl_affine_kind, shape, out));
  mcl_affine *affine = (mcl_affine *)*out;
  int64_t length = mcl_affine_row_length(shape);
  affine->bits = options->bits;
  affine->symmetric = !options->asymmetric;
  affine->half = options->half;
  affine->group = options->group < 0 || options->group > length ? length : options->group;
  affine->groups = mcl_affine_groups(shape, affine->base.count, affine->group);
  mcl_status status = mcl_alloc_zero(ctx, (size_t)affine->groups * sizeof(float), &affine->scale);
  if (!status && options->asymmetric) status = mcl_alloc_zero(ctx, (size_t)affine->groups, &affine->zero_point);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)affine->base.count, &affine->codes);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

mcl_status mcl_affine_fit(mcl_tensor *values, mcl_tensor *importance, const mcl_affine_options *options,
                          mcl_repr **out) {
  *out = NULL;
  mcl_context *ctx = values->ctx;
  if (values->dtype != MCL_F32 || (importance && importance->dtype != MCL_F32))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "quantize: values and importance must be f32");
  if (importance && importance->count != values->count)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "quantize: importance has %lld elements for %lld values",
                    (long long)importance->count, (long long)values->count);
  if (options->bits < 1 || options->bits > 8)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "quantize: bits = %d is out of range: 1 to 8", options->bits);
  if (options->group < -1)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "quantize: group = %lld: give a number of values, 0 or -1",
                    (long long)options->group);
  if (importance) MCL_TRY(mcl_tensor_check_finite(importance, "importance"));
  MCL_TRY(mcl_tensor_check_finite(values, "weights"));
  mcl_repr *repr;
  MCL_TRY(allocate(ctx, values->shape, options, &repr));
  fitting f = {.affine = (mcl_affine *)repr,
               .values = mcl_tensor_f32(values),
               .weights = importance ? mcl_tensor_f32(importance) : NULL,
               .minimise = options->minimise};
  mcl_status status = run(&f);
  if (status)
    mcl_repr_release(repr);
  else
    *out = repr;
  return status;
}

mcl_status mcl_affine_project(mcl_affine *affine, const float *values, bool refits_scales) {
  fitting f = {.affine = affine, .values = values, .refit = true, .keeps_scales = !refits_scales};
  return run(&f);
}
