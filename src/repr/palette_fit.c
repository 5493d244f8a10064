/* Palette, the engine's half: fitting a codebook, coding values by it, writing, training the codebook's entries. */
#include <math.h>

#include "base/random.h"
#include "base/threads.h"
#include "repr/kmeans.h"
#include "repr/trained.h"

/* ---- Codebooks: each fills `centre`, ascending, and may return fewer entries than asked ---- */

static mcl_status exact_centres(const mcl_points *points, int entries, float *centre) {
  int64_t start[257];
  MCL_TRY(mcl_kmeans_exact(points, entries, start));
  for (int c = 0; c < entries; c++) centre[c] = (float)mcl_points_mean(points, start[c], start[c + 1]);
  return MCL_OK;
}

static void linear_centres(const mcl_points *points, int entries, float *centre) {
  double least = (double)points->value[0], most = (double)points->value[points->count - 1];
  for (int c = 0; c < entries; c++)
    centre[c] = (float)(least + (most - least) * (entries > 1 ? (double)c / (entries - 1) : 0.5));
}

/* Evenly along the cumulative weight. */
static mcl_status density_centres(const mcl_points *points, int entries, float *centre) {
  double all = points->sum[points->count][0];
  int64_t at = 0, work = 0;
  for (int c = 0; c < entries; c++) {
    double share = all * (c + 0.5) / entries;
    while (at + 1 < points->count && points->sum[at + 1][0] < share) {
      at++;
      MCL_TRY(mcl_worked(points->ctx, &work, 4));
    }
    centre[c] = points->value[at];
  }
  return MCL_OK;
}

/* Values drawn without replacement among the distinct ones (Forgy), by selection sampling: ascending as they come. */
static mcl_status random_centres(const mcl_points *points, int entries, uint64_t seed, float *centre) {
  mcl_random random = mcl_random_at(seed, mcl_random_stream("palette"));
  int64_t left = entries, work = 0;
  for (int64_t i = 0; left > 0; i++) {
    if ((int64_t)mcl_random_below(&random, (uint64_t)(points->count - i)) < left)
      centre[entries - left--] = points->value[i];
    MCL_TRY(mcl_worked(points->ctx, &work, 8));
  }
  return MCL_OK;
}

/* Rounds to halves where asked and where they hold the entries, and drops entries that became equal. */
static void finish_codebook(mcl_palette *palette) {
  palette->half = palette->half && mcl_repr_fits_halves(palette->codebook, (size_t)palette->entries);
  if (palette->half) mcl_repr_round_halves(palette->codebook, (size_t)palette->entries);
  int kept = 1;
  for (int c = 1; c < palette->entries; c++)
    if (palette->codebook[c] != palette->codebook[kept - 1]) palette->codebook[kept++] = palette->codebook[c];
  palette->entries = kept;
  palette->bits = 1;
  while (1 << palette->bits < kept) palette->bits++;
}

static mcl_status fit_codebook(const mcl_points *points, const mcl_palette_options *options, int entries,
                               mcl_palette *palette) {
  float *centre = palette->codebook;
  int iterations = options->iterations ? options->iterations : 100;
  if (entries >= points->count) { /* nothing is lost */
    entries = (int)points->count;
    memcpy(centre, points->value, (size_t)entries * sizeof(float));
  } else if (options->init == MCL_CODEBOOK_EXACT) {
    MCL_TRY(exact_centres(points, entries, centre));
  } else {
    if (options->init == MCL_CODEBOOK_LINEAR) linear_centres(points, entries, centre);
    if (options->init == MCL_CODEBOOK_DENSITY) MCL_TRY(density_centres(points, entries, centre));
    if (options->init == MCL_CODEBOOK_RANDOM) MCL_TRY(random_centres(points, entries, options->seed, centre));
    MCL_TRY(mcl_kmeans_lloyd(points, entries, iterations, centre));
  }
  palette->entries = entries;
  finish_codebook(palette);
  return MCL_OK;
}

/* ---- Codes: the nearest entry, the lower of two equally near ---- */

typedef struct coding {
  const mcl_palette *palette;
  const float *values;
  float middle[256]; /* the greatest value that still belongs to entry c; infinity from the last on */
} coding;

enum { CODES_CHUNK = 1 << 16 };

static void find_middles(const mcl_palette *palette, coding *c) {
  for (int i = 0; i < 256; i++) {
    if (i + 1 >= palette->entries) {
      c->middle[i] = INFINITY;
      continue;
    }
    double middle = 0.5 * ((double)palette->codebook[i] + (double)palette->codebook[i + 1]);
    c->middle[i] = (float)middle;
    if ((double)c->middle[i] > middle) c->middle[i] = nextafterf(c->middle[i], -INFINITY);
  }
}

static mcl_status code_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const coding *c = arg;
  int64_t first = chunk * CODES_CHUNK, count = c->palette->base.count;
  int64_t end = first + CODES_CHUNK < count ? first + CODES_CHUNK : count;
  for (int64_t i = first; i < end; i++) {
    unsigned code = 0; /* the number of middles below the value, bit by bit */
    for (unsigned step = 1u << (c->palette->bits - 1); step; step >>= 1)
      code += c->values[i] > c->middle[code + step - 1] ? step : 0;
    c->palette->codes[i] = (uint8_t)code;
  }
  return MCL_OK;
}

static mcl_status code_values(mcl_palette *palette, const float *values) {
  coding c = {.palette = palette, .values = values};
  find_middles(palette, &c);
  int64_t chunks = (palette->base.count + CODES_CHUNK - 1) / CODES_CHUNK;
  return mcl_parallel(palette->base.ctx, chunks, code_chunk, &c);
}

/* ---- Fitting ---- */

static mcl_status check(mcl_tensor *values, mcl_tensor *importance, const mcl_palette_options *options) {
  mcl_context *ctx = values->ctx;
  if (values->dtype != MCL_F32 || (importance && importance->dtype != MCL_F32))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: values and importance must be f32");
  if (importance && importance->count != values->count)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: importance has %lld elements for %lld values",
                    (long long)importance->count, (long long)values->count);
  if (options->entries ? options->entries < 1 || options->entries > 256 : options->bits < 1 || options->bits > 8)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "share: %s = %d is out of range: %s",
                    options->entries ? "entries" : "bits", options->entries ? options->entries : options->bits,
                    options->entries ? "1 to 256" : "1 to 8");
  if (importance) MCL_TRY(mcl_tensor_check_finite(importance, "importance"));
  return mcl_tensor_check_finite(values, "weights");
}

static mcl_status allocate(mcl_context *ctx, mcl_shape shape, mcl_repr **out) {
  MCL_TRY(mcl_repr_new(ctx, &mcl_palette_kind, shape, out));
  mcl_palette *palette = (mcl_palette *)*out;
  mcl_status status = mcl_alloc_zero(ctx, 256 * sizeof(float), &palette->codebook);
  if (!status) status = mcl_alloc_zero(ctx, (size_t)palette->base.count, &palette->codes);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

mcl_status mcl_palette_fit(mcl_tensor *values, mcl_tensor *importance, const mcl_palette_options *options,
                           mcl_repr **out) {
  *out = NULL;
  MCL_TRY(check(values, importance, options));
  mcl_repr *repr;
  MCL_TRY(allocate(values->ctx, values->shape, &repr));
  mcl_palette *palette = (mcl_palette *)repr;
  palette->half = options->half;
  palette->entries = palette->bits = 1;
  mcl_points points = {.ctx = values->ctx};
  int entries = options->entries ? options->entries : 1 << options->bits;
  mcl_status status = MCL_OK;
  if (values->count) {
    status = mcl_points_new(values->ctx, mcl_tensor_f32(values), importance ? mcl_tensor_f32(importance) : NULL,
                            values->count, &points);
    if (!status) status = fit_codebook(&points, options, entries, palette);
    if (!status) status = code_values(palette, mcl_tensor_f32(values));
    mcl_points_free(&points);
  }
  if (status)
    mcl_repr_release(repr);
  else
    *out = repr;
  return status;
}

static mcl_status write(const mcl_repr *repr, mcl_repr_writer *writer) {
  const mcl_palette *palette = (const mcl_palette *)repr;
  size_t entries = (size_t)palette->entries;
  MCL_TRY(mcl_buffer_u8(&writer->header, (uint8_t)(palette->entries - 1)));
  MCL_TRY(mcl_buffer_u8(&writer->header, palette->half));
  MCL_TRY(mcl_repr_write_floats(writer, palette->codebook, entries, palette->half));
  if (palette->entries == 1) return MCL_OK;
  mcl_stream codes = {
      .data = palette->codes, .count = (size_t)repr->count, .width = 1, .alphabet = (uint32_t)palette->entries};
  return mcl_repr_write_stream(writer, &codes);
}

static mcl_status copy(const mcl_repr *repr, mcl_repr **out) {
  const mcl_palette *from = (const mcl_palette *)repr;
  MCL_TRY(allocate(repr->ctx, repr->shape, out));
  mcl_palette *to = (mcl_palette *)*out;
  to->bits = from->bits;
  to->entries = from->entries;
  to->half = from->half;
  memcpy(to->codebook, from->codebook, 256 * sizeof(float));
  mcl_status status = mcl_copy(repr->ctx, to->codes, from->codes, (size_t)repr->count);
  if (status) {
    mcl_repr_release(*out);
    *out = NULL;
  }
  return status;
}

/* ---- Training: codes stay, the entries move by the sum of the gradients of their values (Han et al. 2016) ----
 *
 * An entry e stands for n weights, so its gradient is a sum of n and its curvature up to n² that of one: at a rate that
 * suits single weights it would be thrown far out. What is trained is q = e · √n, by which weights move as far as q does: a
 * step of descent is then the step of the weights themselves, projected onto what the codebook can be. So one rate suits
 * every representation. √n is taken to a power of two, by which nothing is rounded. */

static float unit_of(int64_t count) {
  float unit = 1;
  while ((double)unit * (double)unit * 2 < (double)count) unit *= 2;
  return unit;
}

static mcl_status pull(mcl_trained_repr *t, const float *gradient) {
  const mcl_palette *palette = (const mcl_palette *)t->repr;
  double sum[2][256] = {{0}}; /* two, so that neighbours of one code do not wait for each other */
  int64_t i = 0;
  for (; i + 1 < t->repr->count; i += 2) {
    if (i % MCL_ASK_STEPS == 0) MCL_TRY(mcl_check_cancel(t->ctx));
    sum[0][palette->codes[i]] += (double)gradient[i];
    sum[1][palette->codes[i + 1]] += (double)gradient[i + 1];
  }
  if (i < t->repr->count) sum[0][palette->codes[i]] += (double)gradient[i];
  for (int c = 0; c < palette->entries; c++) t->own.gradient[c] = (float)((sum[0][c] + sum[1][c]) / (double)t->unit[c]);
  return MCL_OK;
}

static mcl_status push(mcl_trained_repr *t, float *dense) {
  mcl_palette *palette = (mcl_palette *)t->repr;
  for (int c = 0; c < palette->entries; c++) palette->codebook[c] = t->own.values[c] / t->unit[c];
  if (palette->half) mcl_repr_round_halves(palette->codebook, (size_t)palette->entries);
  return mcl_repr_decode(t->repr, 0, mcl_shape_rows(t->repr->shape), dense);
}

static const mcl_trained_kind trained_kind = {.pull = pull, .push = push};

static mcl_status train(mcl_repr *repr, mcl_trained_repr **out) {
  const mcl_palette *palette = (const mcl_palette *)repr;
  int64_t uses[256] = {0};
  MCL_TRY(mcl_trained_begin(repr, &trained_kind, out));
  mcl_trained_repr *t = *out;
  mcl_status status = mcl_trained_own(t, NULL, palette->entries);
  if (!status) status = mcl_alloc_array(t->ctx, (size_t)palette->entries, sizeof *t->unit, &t->unit);
  for (int64_t i = 0; i < repr->count && !status; i++) uses[palette->codes[i]]++;
  for (int c = 0; c < palette->entries && !status; c++) {
    t->unit[c] = unit_of(uses[c]);
    t->own.values[c] = palette->codebook[c] * t->unit[c];
  }
  if (status) {
    mcl_trained_free(t);
    *out = NULL;
  }
  return status;
}

const mcl_repr_fit_kind mcl_palette_fit_kind = {.id = 3, .write = write, .copy = copy, .train = train};
