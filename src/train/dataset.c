/* Data sets: rows of a tensor that may be a mapped file, gathered a batch at a time. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "base/threads.h"
#include "train/augment.h"

#define CHUNK_ROWS 8
#define DIRECT_ELEMENTS 8192 /* a batch below this is gathered by the calling thread */

static mcl_status check_parts(mcl_tensor *x, mcl_tensor *y) {
  mcl_context *ctx = x->ctx;
  char a[MCL_SHAPE_TEXT], b[MCL_SHAPE_TEXT];
  if (x->dtype != MCL_F32 && x->dtype != MCL_U8)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: x is %s; convert it to u8 or f32", mcl_dtype_name(x->dtype));
  if (x->shape.rank < 2 || x->count == 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: x has shape %s; it needs [rows, …] with at least one row",
                    mcl_shape_text(x->shape, a));
  if (x->shape.dim[0] > UINT32_MAX)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "data: x has %lld rows; at most 2^32 - 1 can be told apart",
                    (long long)x->shape.dim[0]);
  if (!y) return mcl_tensor_check_finite(x, "data: x");
  if (y->shape.rank < 1 || y->shape.dim[0] != x->shape.dim[0])
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: x has shape %s and y %s; they need as many rows",
                    mcl_shape_text(x->shape, a), mcl_shape_text(y->shape, b));
  if (y->dtype == MCL_F32) {
    MCL_TRY(mcl_tensor_check_finite(y, "data: y"));
  } else if (y->dtype != MCL_I64 && y->dtype != MCL_U8) {
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: y is %s; labels are u8 or i64, targets f32",
                    mcl_dtype_name(y->dtype));
  } else if (y->count != y->shape.dim[0]) {
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "data: labels have shape %s; one a row is needed",
                    mcl_shape_text(y->shape, b));
  }
  return mcl_tensor_check_finite(x, "data: x");
}

mcl_status mcl_dataset_new(mcl_tensor *x, mcl_tensor *y, double scale, double offset, mcl_dataset **out) {
  *out = NULL;
  MCL_TRY(check_parts(x, y));
  if (!isfinite(scale) || !isfinite(offset))
    return mcl_fail(x->ctx, MCL_ERROR_ARGUMENT, "data: scale and offset must be finite numbers");
  mcl_dataset *d;
  MCL_TRY(mcl_alloc_zero(x->ctx, sizeof *d, &d));
  *d = (mcl_dataset){.ctx = x->ctx,
                     .references = 1,
                     .x = mcl_tensor_retain(x),
                     .y = y ? mcl_tensor_retain(y) : NULL,
                     .count = x->shape.dim[0],
                     .scale = scale,
                     .offset = offset};
  *out = d;
  return MCL_OK;
}

void mcl_dataset_release(mcl_dataset *d) {
  if (!d || --d->references > 0) return;
  mcl_tensor_release(d->x);
  mcl_tensor_release(d->y);
  mcl_free(d->ctx, d->order);
  mcl_free(d->ctx, d);
}

mcl_status mcl_dataset_part(mcl_dataset *d, uint64_t seed, int64_t first, int64_t count, mcl_dataset **out) {
  *out = NULL;
  if (first < 0 || count < 1 || first > d->count || count > d->count - first)
    return mcl_fail(d->ctx, MCL_ERROR_ARGUMENT,
                    "data: %lld rows from row %lld (counted from 0) are not within its %lld", (long long)count,
                    (long long)first, (long long)d->count);
  uint32_t *order;
  mcl_dataset *part;
  MCL_TRY(mcl_alloc_array(d->ctx, (size_t)d->count, sizeof *order, &order));
  for (int64_t i = 0; i < d->count; i++) order[i] = d->order ? d->order[i] : (uint32_t)i;
  if (seed) {
    mcl_random random = mcl_random_at(seed, mcl_random_stream("data part"));
    mcl_random_shuffle(&random, order, (size_t)d->count);
  }
  mcl_status status = mcl_alloc_zero(d->ctx, sizeof *part, &part);
  if (status) {
    mcl_free(d->ctx, order);
    return status;
  }
  memmove(order, order + first, (size_t)count * sizeof *order);
  *part = *d;
  part->references = 1;
  part->count = count;
  part->order = order;
  mcl_tensor_retain(part->x);
  if (part->y) mcl_tensor_retain(part->y);
  *out = part;
  return MCL_OK;
}

/* ---- Gathering ---- */

typedef struct gathering {
  const mcl_dataset *d;
  const uint32_t *index;
  int64_t rows, width, target_width;
  const mcl_augment *augment; /* NULL: none */
  mcl_image image;            /* of a row, where augmented */
  uint64_t seed, step;
  float *x, *targets;
  int32_t *labels;
} gathering;

static void plain_row(const mcl_dataset *d, int64_t row, int64_t width, float *to) {
  float scale = (float)d->scale, offset = (float)d->offset;
  if (d->x->dtype == MCL_U8) {
    const uint8_t *from = (const uint8_t *)d->x->data + row * width;
    for (int64_t i = 0; i < width; i++) to[i] = (float)from[i] * scale + offset;
  } else {
    const float *from = mcl_tensor_f32(d->x) + row * width;
    for (int64_t i = 0; i < width; i++) to[i] = from[i] * scale + offset;
  }
}

static mcl_status gather_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const gathering *g = arg;
  const mcl_dataset *d = g->d;
  int64_t end = chunk * CHUNK_ROWS + CHUNK_ROWS < g->rows ? chunk * CHUNK_ROWS + CHUNK_ROWS : g->rows, work = 0;
  for (int64_t i = chunk * CHUNK_ROWS; i < end; i++) {
    int64_t row = d->order ? d->order[g->index[i]] : g->index[i];
    MCL_TRY(mcl_worked(d->ctx, &work, g->width + g->target_width));
    float *x = g->x + i * g->width;
    if (g->augment)
      mcl_augment_row(g->augment, &g->image, d, row, g->seed, g->step, x);
    else
      plain_row(d, row, g->width, x);
    if (g->labels && d->y->dtype == MCL_U8) g->labels[i] = ((const uint8_t *)d->y->data)[row];
    if (g->labels && d->y->dtype == MCL_I64) g->labels[i] = (int32_t)((const int64_t *)d->y->data)[row];
    if (g->targets)
      memcpy(g->targets + i * g->target_width, mcl_tensor_f32(d->y) + row * g->target_width,
             (size_t)g->target_width * sizeof(float));
  }
  return MCL_OK;
}

mcl_status mcl_dataset_gather(mcl_dataset *d, const uint32_t *index, int64_t rows, const mcl_augment *augment,
                              uint64_t seed, uint64_t step, float *x, int32_t *labels, float *targets) {
  gathering g = {.d = d, .index = index, .rows = rows, .seed = seed, .step = step, .x = x};
  g.width = d->x->count / d->x->shape.dim[0];
  if (mcl_augment_is_any(augment)) {
    MCL_TRY(mcl_augment_check(d->ctx, augment, d->x->shape, &g.image));
    g.augment = augment;
  }
  if (d->y && d->y->dtype == MCL_F32) {
    g.targets = targets;
    g.target_width = d->y->count / d->y->shape.dim[0];
  } else if (d->y) {
    g.labels = labels;
  }
  int64_t chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
  if (rows * g.width >= DIRECT_ELEMENTS || g.augment) return mcl_parallel(d->ctx, chunks, gather_chunk, &g);
  for (int64_t chunk = 0; chunk < chunks; chunk++) MCL_TRY(gather_chunk(&g, chunk, 0));
  return MCL_OK;
}
