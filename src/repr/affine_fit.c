/* Affine, the engine's half: fitting scales and codes. The scale of a group is either the one that just covers its range,
 * or the best of a search over clippings. For given codes d (less the zero point) the best scale is closed:
 * s = Σ w·v·d / Σ w·d², with the error Σ w·v² − (Σ w·v·d)² / Σ w·d²; so each clipping is tried in one pass, and its scale
 * is then fitted to the codes that it gave. */
#include <math.h>

#include "base/threads.h"
#include "repr/affine.h"
#include "repr/trained.h"

enum { CLIPPINGS = 32, GROUPS_CHUNK = 16, CODES_CHUNK = 1 << 15 };

/* ---- One group ---- */

typedef struct group {
  const float *values, *weights; /* weights may be NULL */
  int64_t count;
} group;

typedef struct code_range { /* of codes less the zero point */
  float least, most;
} code_range;

/* To the nearest integer, halves to even, of |x| < 2^22. */
static inline float round_small(float x) { return (x + 12582912.0f) - 12582912.0f; }

static inline float code_of(float value, float inverse, code_range range) {
  float x = value * inverse;
  x = x < range.least ? range.least : x;
  x = x > range.most ? range.most : x;
  return round_small(x);
}

/* Σ w·v·d and Σ w·d² under a scale; eight lanes, in f32 over short blocks. */
static void correlate(const group *g, float scale, code_range range, double *vd, double *dd) {
  float inverse = 1 / scale;
  *vd = *dd = 0;
  for (int64_t block = 0; block < g->count; block += 512) {
    int64_t end = block + 512 < g->count ? block + 512 : g->count, i = block;
    float a[8] = {0}, b[8] = {0};
    for (; i + 8 <= end; i += 8)
      for (int lane = 0; lane < 8; lane++) {
        float value = g->values[i + lane], d = code_of(value, inverse, range);
        float weighted = g->weights ? g->weights[i + lane] * d : d;
        a[lane] += weighted * value;
        b[lane] += weighted * d;
      }
    for (; i < end; i++) {
      float d = code_of(g->values[i], inverse, range), weighted = g->weights ? g->weights[i] * d : d;
      a[0] += weighted * g->values[i];
      b[0] += weighted * d;
    }
    for (int lane = 0; lane < 8; lane++) *vd += (double)a[lane], *dd += (double)b[lane];
  }
}

/* Signs alone: the best scale is the weighted mean magnitude. */
static float sign_scale(const group *g) {
  double sum = 0, weight = 0;
  for (int64_t i = 0; i < g->count; i++) {
    double w = g->weights ? (double)g->weights[i] : 1;
    sum += w * fabs((double)g->values[i]);
    weight += w;
  }
  return weight > 0 ? (float)(sum / weight) : 0;
}

static code_range range_of(const mcl_affine *affine, int zero) {
  return (code_range){(float)-zero, (float)((1 << affine->bits) - 1 - zero)};
}

/* The scale and zero point that cover least … most (which holds 0) clipped by a factor. */
static float covering_scale(const mcl_affine *affine, float least, float most, float clip, int *zero) {
  int last = (1 << affine->bits) - 1;
  if (affine->symmetric) {
    *zero = 1 << (affine->bits - 1);
    float magnitude = -least > most ? -least : most;
    return clip * magnitude / (float)(last - *zero);
  }
  float scale = clip * (most - least) / (float)last;
  float exact = scale > 0 ? rintf(-least * clip / scale) : 0;
  *zero = exact < 0 ? 0 : exact > (float)last ? last : (int)exact;
  return scale;
}

static void range_of_values(const group *g, float *least, float *most) {
  *least = *most = 0;
  for (int64_t i = 0; i < g->count; i++) {
    *least = g->values[i] < *least ? g->values[i] : *least;
    *most = g->values[i] > *most ? g->values[i] : *most;
  }
}

static float fit_group(const mcl_affine *affine, const group *g, bool minimise, int *zero) {
  *zero = 1 << (affine->bits - 1);
  if (affine->symmetric && affine->bits == 1) return sign_scale(g);
  float least, most, best = 0;
  range_of_values(g, &least, &most);
  if (!minimise || !(most - least > 0)) return covering_scale(affine, least, most, 1, zero);
  double gain = -1, vd, dd; /* what Σ w·v² loses to the error */
  for (int step = 0; step < CLIPPINGS; step++) {
    int candidate;
    float scale = covering_scale(affine, least, most, 1 - 0.9f * (float)step / CLIPPINGS, &candidate);
    if (!(scale > 0)) continue;
    correlate(g, scale, range_of(affine, candidate), &vd, &dd);
    if (!(dd > 0 && vd > 0) || vd * vd / dd <= gain) continue;
    gain = vd * vd / dd;
    best = (float)(vd / dd);
    *zero = candidate;
  }
  for (int again = 0; again < 8 && best > 0; again++) { /* codes and scale in turn */
    correlate(g, best, range_of(affine, *zero), &vd, &dd);
    if (!(dd > 0 && vd > 0) || vd * vd / dd <= gain * (1 + 1e-9)) break;
    gain = vd * vd / dd;
    best = (float)(vd / dd);
  }
  return best > 0 ? best : covering_scale(affine, least, most, 1, zero);
}

/* ---- All groups: scales first, then codes ---- */

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

static void fit_scale(const fitting *f, int64_t index) {
  mcl_affine *affine = f->affine;
  group g;
  int64_t first = group_at(affine, index, &g.count);
  g.values = f->values + first;
  g.weights = f->weights ? f->weights + first : NULL;
  if (!f->refit) {
    int zero;
    affine->scale[index] = fit_group(affine, &g, f->minimise, &zero);
    if (!affine->symmetric) affine->zero_point[index] = (uint8_t)zero;
    return;
  }
  float scale = affine->scale[index];
  if (affine->symmetric && affine->bits == 1) {
    affine->scale[index] = sign_scale(&g);
  } else if (scale > 0) {
    double vd, dd;
    int zero = affine->symmetric ? 1 << (affine->bits - 1) : affine->zero_point[index];
    correlate(&g, scale, range_of(affine, zero), &vd, &dd);
    bool moved = dd > 0 && vd > 0 && fabs(vd / dd - (double)scale) > 1e-6 * (double)scale;
    if (moved) affine->scale[index] = (float)(vd / dd);
  } else {
    int zero;
    affine->scale[index] = fit_group(affine, &g, false, &zero);
    if (!affine->symmetric) affine->zero_point[index] = (uint8_t)zero;
  }
}

static mcl_status scale_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const fitting *f = arg;
  int64_t end = (chunk + 1) * GROUPS_CHUNK < f->affine->groups ? (chunk + 1) * GROUPS_CHUNK : f->affine->groups;
  for (int64_t index = chunk * GROUPS_CHUNK; index < end; index++) fit_scale(f, index);
  return MCL_OK;
}

static void code_run(const mcl_affine *affine, int64_t index, const float *values, int64_t count, uint8_t *codes) {
  float scale = affine->scale[index];
  if (affine->symmetric && affine->bits == 1) {
    for (int64_t i = 0; i < count; i++) codes[i] = values[i] >= 0;
    return;
  }
  int zero = affine->symmetric ? 1 << (affine->bits - 1) : affine->zero_point[index];
  code_range range = range_of(affine, zero);
  float inverse = scale > 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < count; i++) codes[i] = (uint8_t)((int)code_of(values[i], inverse, range) + zero);
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
    code_run(affine, index, f->values + first, count, affine->codes + first);
  }
  return MCL_OK;
}

/* f16 holds a scale well only where it is normal; else the scales of the tensor stay f32. */
static void round_scales(mcl_affine *affine) {
  for (int64_t i = 0; i < affine->groups && affine->half; i++)
    affine->half = affine->scale[i] == 0 || (affine->scale[i] >= 6.2e-5f && affine->scale[i] <= 65000.0f);
  if (affine->half) mcl_repr_round_halves(affine->scale, (size_t)affine->groups);
}

static mcl_status run(fitting *f) {
  mcl_affine *affine = f->affine;
  mcl_context *ctx = affine->base.ctx;
  if (affine->base.count == 0) return MCL_OK;
  int64_t chunks = (affine->groups + GROUPS_CHUNK - 1) / GROUPS_CHUNK;
  bool small = affine->base.count < CODES_CHUNK && f->refit;
  for (int64_t chunk = 0; small && !f->keeps_scales && chunk < chunks; chunk++) scale_chunk(f, chunk, 0);
  if (!small && !f->keeps_scales) MCL_TRY(mcl_parallel(ctx, chunks, scale_chunk, f));
  if (!f->keeps_scales) round_scales(affine);
  if (affine->group == 0) chunks = (affine->base.count + CODES_CHUNK - 1) / CODES_CHUNK;
  for (int64_t chunk = 0; small && chunk < chunks; chunk++) code_chunk(f, chunk, 0);
  return small ? MCL_OK : mcl_parallel(ctx, chunks, code_chunk, f);
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
