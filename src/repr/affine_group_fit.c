/* One group of an affine representation: the scale that just covers its range, or the best of a search over clippings.
 * For given codes d (less the zero point) the best scale is closed: s = Σ w·v·d / Σ w·d², with the error
 * Σ w·v² − (Σ w·v·d)² / Σ w·d²; so each clipping is tried in one pass, and its scale is then fitted to the codes that it
 * gave. Passes over large groups are cut into chunks, whose sums are added in order. */
#include <float.h>
#include <math.h>

#include "base/threads.h"
#include "repr/affine.h"

enum { CLIPPINGS = 32, CHUNK = 1 << 16 };

/* Below it a scale is nothing: its reciprocal must be a number. */
static const float least_scale = 1e-37f;

typedef struct mcl_affine_group group;

/* ---- Sums over a group ---- */

typedef struct sums {
  double vd, dd;       /* Σ w·v·d, Σ w·d² */
  double size, weight; /* Σ w·|v|, Σ w */
  float least, most;   /* values, and 0 */
} sums;

typedef struct pass {
  const group *g;
  float inverse; /* of the scale; 0: size, weight and range are asked for instead */
  mcl_code_range range;
  sums *part; /* a chunk */
} pass;

/* Eight lanes, in f32 over short blocks. */
static void correlate(const group *g, int64_t first, int64_t last, float inverse, mcl_code_range range, sums *out) {
  for (int64_t block = first; block < last; block += 512) {
    int64_t end = block + 512 < last ? block + 512 : last, i = block;
    float a[8] = {0}, b[8] = {0};
    for (; i + 8 <= end; i += 8)
      for (int lane = 0; lane < 8; lane++) {
        float value = g->values[i + lane], d = mcl_affine_code(value, inverse, range);
        float weighted = g->weights ? g->weights[i + lane] * d : d;
        a[lane] += weighted * value;
        b[lane] += weighted * d;
      }
    for (; i < end; i++) {
      float d = mcl_affine_code(g->values[i], inverse, range), weighted = g->weights ? g->weights[i] * d : d;
      a[0] += weighted * g->values[i];
      b[0] += weighted * d;
    }
    for (int lane = 0; lane < 8; lane++) out->vd += (double)a[lane], out->dd += (double)b[lane];
  }
}

static void measure(const group *g, int64_t first, int64_t end, sums *out) {
  for (int64_t i = first; i < end; i++) {
    double w = g->weights ? (double)g->weights[i] : 1;
    out->size += w * fabs((double)g->values[i]);
    out->weight += w;
    out->least = g->values[i] < out->least ? g->values[i] : out->least;
    out->most = g->values[i] > out->most ? g->values[i] : out->most;
  }
}

static mcl_status sum_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const pass *p = arg;
  int64_t first = chunk * CHUNK, end = first + CHUNK < p->g->count ? first + CHUNK : p->g->count;
  p->part[chunk] = (sums){0};
  if (p->inverse > 0)
    correlate(p->g, first, end, p->inverse, p->range, &p->part[chunk]);
  else
    measure(p->g, first, end, &p->part[chunk]);
  return MCL_OK;
}

static mcl_status run_pass(const group *g, float scale, mcl_code_range range, sums *out) {
  int64_t chunks = (g->count + CHUNK - 1) / CHUNK;
  sums one;
  pass p = {.g = g, .inverse = scale > 0 ? 1 / scale : 0, .range = range, .part = &one};
  *out = (sums){0};
  if (chunks > 1) MCL_TRY(mcl_alloc_array(g->ctx, (size_t)chunks, sizeof(sums), &p.part));
  mcl_status status = chunks > 1 ? mcl_parallel(g->ctx, chunks, sum_chunk, &p) : sum_chunk(&p, 0, 0);
  for (int64_t c = 0; c < chunks && !status; c++) {
    const sums *part = &p.part[c];
    out->vd += part->vd, out->dd += part->dd, out->size += part->size, out->weight += part->weight;
    out->least = part->least < out->least ? part->least : out->least;
    out->most = part->most > out->most ? part->most : out->most;
  }
  if (chunks > 1) mcl_free(g->ctx, p.part);
  return status;
}

/* ---- Scales ---- */

mcl_code_range mcl_affine_range(const mcl_affine *affine, int zero) {
  return (mcl_code_range){(float)-zero, (float)((1 << affine->bits) - 1 - zero)};
}

static bool is_sign(const mcl_affine *affine) { return affine->symmetric && affine->bits == 1; }

/* The scale and zero point that cover least … most (which holds 0) clipped by a factor. */
static float covering_scale(const mcl_affine *affine, float least, float most, float clip, int *zero) {
  int last = (1 << affine->bits) - 1;
  if (affine->symmetric) {
    *zero = 1 << (affine->bits - 1);
    float scale = clip * (-least > most ? -least : most) / (float)(last - *zero);
    return scale < least_scale ? 0 : scale;
  }
  *zero = 0;
  float scale = (float)fmin((double)clip * ((double)most - (double)least) / last, (double)FLT_MAX);
  if (scale < least_scale) return 0;
  float exact = rintf(-least * clip / scale);
  *zero = exact > (float)last ? last : (int)exact;
  return scale;
}

/* Takes the scale that fits the codes best, if they lose less than the best so far. `gain`: what Σ w·v² loses to the
 * error. */
static bool take_better(const sums *s, double least_gain, double *gain, float *best) {
  if (!(s->dd > 0 && s->vd > 0) || s->vd * s->vd / s->dd <= least_gain) return false;
  float scale = (float)(s->vd / s->dd);
  if (scale < least_scale || !isfinite(scale)) return false; /* f32 sums of huge values overflow */
  *gain = s->vd * s->vd / s->dd;
  *best = scale;
  return true;
}

static mcl_status search_clipping(const mcl_affine *affine, const group *g, const sums *seen, float *best, int *zero) {
  double gain = -1;
  sums s;
  for (int step = 0; step < CLIPPINGS; step++) {
    int candidate;
    float scale = covering_scale(affine, seen->least, seen->most, 1 - 0.9f * (float)step / CLIPPINGS, &candidate);
    if (!(scale > 0)) continue;
    MCL_TRY(run_pass(g, scale, mcl_affine_range(affine, candidate), &s));
    if (take_better(&s, gain, &gain, best)) *zero = candidate;
  }
  for (int again = 0; again < 8 && *best > 0; again++) { /* codes and scale in turn */
    MCL_TRY(run_pass(g, *best, mcl_affine_range(affine, *zero), &s));
    if (!take_better(&s, gain * (1 + 1e-9), &gain, best)) break;
  }
  return MCL_OK;
}

mcl_status mcl_affine_fit_group(const mcl_affine *affine, const group *g, bool minimise, float *scale, int *zero) {
  sums seen;
  *scale = 0;
  *zero = 1 << (affine->bits - 1);
  MCL_TRY(run_pass(g, 0, mcl_affine_range(affine, *zero), &seen));
  if (is_sign(affine)) { /* the best scale of signs is the mean magnitude */
    *scale = seen.weight > 0 ? (float)(seen.size / seen.weight) : 0;
    return MCL_OK;
  }
  if (minimise && seen.most > seen.least) MCL_TRY(search_clipping(affine, g, &seen, scale, zero));
  if (!(*scale > 0)) *scale = covering_scale(affine, seen.least, seen.most, 1, zero);
  return MCL_OK;
}

mcl_status mcl_affine_refit_group(const mcl_affine *affine, const group *g, float *scale, int *zero) {
  if (is_sign(affine) || !(*scale > 0)) return mcl_affine_fit_group(affine, g, false, scale, zero);
  sums s;
  MCL_TRY(run_pass(g, *scale, mcl_affine_range(affine, *zero), &s));
  bool moved = s.dd > 0 && s.vd > 0 && fabs(s.vd / s.dd - (double)*scale) > 1e-6 * (double)*scale;
  if (moved && s.vd / s.dd >= (double)least_scale && isfinite(s.vd)) *scale = (float)(s.vd / s.dd);
  return MCL_OK;
}
