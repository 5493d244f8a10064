/* Augmentation: shift, flip, rotation, scale. One affine map a row; where it only moves whole pixels they are copied,
 * else they are interpolated. Outside the image, the raw value is zero. */
#include "train/augment.h"

#include <math.h>

#include "base/random.h"

#define RADIANS 0.017453292519943295

bool mcl_augment_is_any(const mcl_augment *a) {
  return a && (a->shift != 0 || a->flip != 0 || a->rotate != 0 || a->scale != 0);
}

mcl_status mcl_augment_check(mcl_context *ctx, const mcl_augment *a, mcl_shape data, mcl_image *image) {
  char text[MCL_SHAPE_TEXT];
  if (data.rank != 3 && data.rank != 4)
    return mcl_fail(
        ctx, MCL_ERROR_ARGUMENT,
        "augment: data of shape %s are not images; it needs [n, height, width] or [n, channels, height, width]",
        mcl_shape_text(data, text));
  *image = (mcl_image){data.rank == 4 ? data.dim[1] : 1, data.dim[data.rank - 2], data.dim[data.rank - 1]};
  if (a->shift < 0 || a->shift > 1000)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "augment: shift must be 0 … 1000 pixels");
  if (!(a->flip >= 0 && a->flip <= 1)) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "augment: flip must be 0 … 1");
  if (!(a->rotate >= 0 && a->rotate <= 180))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "augment: rotate must be 0 … 180 degrees");
  if (!(a->scale >= 0 && a->scale <= 0.9)) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "augment: scale must be 0 … 0.9");
  return MCL_OK;
}

/* What was drawn for a row. */
typedef struct motion {
  int dx, dy;
  bool is_flipped, is_whole; /* whole: pixels need no interpolation */
  float cosine, sine;        /* of the inverse map, divided by the scale */
} motion;

static motion draw(const mcl_augment *a, int64_t row, uint64_t seed, uint64_t step) {
  mcl_random random = mcl_random_at(seed ^ mcl_random_stream("augment"), step << 32 ^ (uint64_t)row);
  uint64_t range = 2 * (uint64_t)a->shift + 1;
  motion m;
  m.dx = (int)mcl_random_below(&random, range) - a->shift;
  m.dy = (int)mcl_random_below(&random, range) - a->shift;
  m.is_flipped = (double)mcl_random_uniform(&random) < a->flip;
  double angle = (2 * (double)mcl_random_uniform(&random) - 1) * a->rotate * RADIANS;
  double scale = 1 + (2 * (double)mcl_random_uniform(&random) - 1) * a->scale;
  m.is_whole = a->rotate == 0 && a->scale == 0;
  m.cosine = (float)(cos(angle) / scale);
  m.sine = (float)(sin(angle) / scale);
  return m;
}

/* The raw value at (line, column) of a plane that begins at element `plane` of the data; zero outside. */
static float raw_at(const mcl_dataset *d, const mcl_image *image, int64_t plane, int64_t line, int64_t column) {
  if (line < 0 || line >= image->height || column < 0 || column >= image->width) return 0;
  int64_t at = plane + line * image->width + column;
  return d->x->dtype == MCL_U8 ? (float)((const uint8_t *)d->x->data)[at] : mcl_tensor_f32(d->x)[at];
}

static float between(const mcl_dataset *d, const mcl_image *image, int64_t plane, float line, float column) {
  float top = floorf(line), left = floorf(column), down = line - top, right = column - left;
  int64_t y = (int64_t)top, x = (int64_t)left;
  float upper = raw_at(d, image, plane, y, x) * (1 - right) + raw_at(d, image, plane, y, x + 1) * right;
  float lower = raw_at(d, image, plane, y + 1, x) * (1 - right) + raw_at(d, image, plane, y + 1, x + 1) * right;
  return upper * (1 - down) + lower * down;
}

/* A line whose pixels move by whole steps: those from `lo` to `hi` come from within the image. */
static void whole_line(const mcl_dataset *d, const mcl_image *image, const motion *m, int64_t plane, int64_t line,
                       float *out) {
  float scale = (float)d->scale, offset = (float)d->offset;
  int64_t y = line - m->dy, width = image->width;
  int64_t lo = m->dx > 0 ? m->dx : 0, hi = m->dx < 0 ? width + m->dx : width;
  if (y < 0 || y >= image->height) lo = hi = width;
  for (int64_t i = 0; i < lo && i < width; i++) out[i] = offset;
  for (int64_t i = hi > 0 ? hi : 0; i < width; i++) out[i] = offset;
  int64_t at = plane + y * width - m->dx, step = 1;
  if (m->is_flipped) at = plane + y * width + width - 1 + m->dx, step = -1;
  if (d->x->dtype == MCL_U8) {
    const uint8_t *from = d->x->data;
    if (step == 1) {
      for (int64_t i = lo; i < hi; i++) out[i] = (float)from[at + i] * scale + offset;
    } else {
      for (int64_t i = lo; i < hi; i++) out[i] = (float)from[at - i] * scale + offset;
    }
  } else {
    const float *from = mcl_tensor_f32(d->x);
    for (int64_t i = lo; i < hi; i++) out[i] = from[at + step * i] * scale + offset;
  }
}

/* Any motion: where a pixel came from, turned about the middle. */
static void turned_line(const mcl_dataset *d, const mcl_image *image, const motion *m, int64_t plane, int64_t line,
                        float *out) {
  float scale = (float)d->scale, offset = (float)d->offset;
  float middle_y = (float)(image->height - 1) / 2, middle_x = (float)(image->width - 1) / 2;
  float v = (float)(line - m->dy) - middle_y;
  for (int64_t column = 0; column < image->width; column++) {
    int64_t x = m->is_flipped ? image->width - 1 - column + m->dx : column - m->dx;
    float u = (float)x - middle_x;
    float raw =
        between(d, image, plane, middle_y + m->cosine * v + m->sine * u, middle_x + m->cosine * u - m->sine * v);
    out[column] = raw * scale + offset;
  }
}

void mcl_augment_row(const mcl_augment *augment, const mcl_image *image, const mcl_dataset *d, int64_t row,
                     uint64_t seed, uint64_t step, float *out) {
  motion m = draw(augment, row, seed, step);
  for (int64_t channel = 0; channel < image->channels; channel++) {
    int64_t plane = (row * image->channels + channel) * image->height * image->width;
    for (int64_t line = 0; line < image->height; line++, out += image->width)
      (m.is_whole ? whole_line : turned_line)(d, image, &m, plane, line, out);
  }
}
