/* Permuting the axes of a tensor, into a copy.
 *
 * Axes of length 1 are dropped and neighbours that stay together are merged, so few axes are left. If the last one
 * stays last, runs of it are copied. Otherwise the work is a transposition of planes: the last axis of the result
 * against the axis that was last in the source, in square tiles, so that both sides use whole cache lines. */
#include <string.h>

#include "base/threads.h"
#include "tensor/tensor.h"

#define TILE 32
#define SMALL 16384             /* elements below which one thread does it */
#define BAND ((int64_t)1 << 18) /* elements of a plane that a chunk takes */

typedef struct permutation {
  int rank;
  int64_t dim[MCL_MAX_RANK], stride[MCL_MAX_RANK]; /* of the result's axes; strides in the source, in elements */
  int64_t out_stride[MCL_MAX_RANK];
  size_t size; /* bytes an element */
  const uint8_t *from;
  uint8_t *to;
  int fast;            /* the axis of the result that was last in the source */
  int64_t band, bands; /* rows of a plane that a chunk takes, and how many such are in a plane */
  mcl_context *ctx;
} permutation;

/* Elements are moved as bits, whatever their dtype. */
typedef uint8_t __attribute__((may_alias)) bits8;
typedef uint16_t __attribute__((may_alias)) bits16;
typedef uint32_t __attribute__((may_alias)) bits32;
typedef uint64_t __attribute__((may_alias)) bits64;

static void transpose_tile(const permutation *p, const uint8_t *from, uint8_t *to, int64_t rows, int64_t cols) {
  int64_t from_stride = p->stride[p->rank - 1], to_stride = p->out_stride[p->fast];
#define TILE_OF(TYPE)                                                                                                  \
  for (int64_t r = 0; r < rows; r++)                                                                                   \
    for (int64_t c = 0; c < cols; c++)                                                                                 \
  ((TYPE *)(void *)to)[r * to_stride + c] = ((const TYPE *)(const void *)from)[c * from_stride + r]
  switch (p->size) {
  case 1:
    TILE_OF(bits8);
    break;
  case 2:
    TILE_OF(bits16);
    break;
  case 4:
    TILE_OF(bits32);
    break;
  default:
    TILE_OF(bits64);
    break;
  }
#undef TILE_OF
}

/* The plane whose rows run along `fast` and whose columns along the last axis, both of the result. */
static void transpose_plane(const permutation *p, const uint8_t *from, uint8_t *to) {
  int64_t rows = p->dim[p->fast], cols = p->dim[p->rank - 1];
  for (int64_t r = 0; r < rows; r += TILE)
    for (int64_t c = 0; c < cols; c += TILE)
      transpose_tile(p, from + (size_t)(r + c * p->stride[p->rank - 1]) * p->size,
                     to + (size_t)(r * p->out_stride[p->fast] + c) * p->size, rows - r < TILE ? rows - r : TILE,
                     cols - c < TILE ? cols - c : TILE);
}

/* One index over all the axes that a chunk does not walk itself; within a plane, a band of its rows. */
static mcl_status permute_chunk(void *arg, int64_t chunk, int worker) {
  permutation p = *(const permutation *)arg;
  int64_t first = chunk % p.bands * p.band, rest = chunk / p.bands, from = 0, to = 0;
  (void)worker;
  MCL_TRY(mcl_check_cancel(p.ctx));
  for (int axis = p.rank - 2; axis >= 0; axis--) {
    if (axis == p.fast) continue;
    int64_t at = rest % p.dim[axis];
    rest /= p.dim[axis];
    from += at * p.stride[axis];
    to += at * p.out_stride[axis];
  }
  from += first * p.stride[p.fast];
  to += first * p.out_stride[p.fast];
  if (p.dim[p.fast] - first < p.band)
    p.dim[p.fast] -= first;
  else
    p.dim[p.fast] = p.band;
  const uint8_t *source = p.from + (size_t)from * p.size;
  uint8_t *target = p.to + (size_t)to * p.size;
  if (p.fast == p.rank - 1)
    memcpy(target, source, (size_t)p.dim[p.fast] * p.size);
  else
    transpose_plane(&p, source, target);
  return MCL_OK;
}

/* Fills dim and stride with the result's axes, merged; returns false where nothing is to be moved. */
static bool plan_axes(permutation *p, mcl_shape shape, const int *axes) {
  int64_t strides[MCL_MAX_RANK], stride = 1;
  for (int i = shape.rank - 1; i >= 0; i--) strides[i] = stride, stride *= shape.dim[i];
  p->rank = 0;
  for (int i = 0; i < shape.rank; i++) {
    int64_t dim = shape.dim[axes[i]];
    if (dim == 1) continue;
    int last = p->rank - 1;
    if (p->rank > 0 && p->stride[last] == dim * strides[axes[i]]) {
      p->dim[last] *= dim;
      p->stride[last] = strides[axes[i]];
    } else {
      p->dim[p->rank] = dim;
      p->stride[p->rank++] = strides[axes[i]];
    }
  }
  stride = 1;
  for (int i = p->rank - 1; i >= 0; i--) {
    p->out_stride[i] = stride, stride *= p->dim[i];
    if (p->stride[i] == 1) p->fast = i;
  }
  return p->rank > 1;
}

/* Chunks are whole tiles of rows: of a matrix, which is one plane, few, so that all threads have work; of a smaller
 * plane all. */
static mcl_status run(permutation *p, int64_t count) {
  int last = p->rank - 1;
  int64_t rows = p->dim[p->fast], row = p->fast == last ? 1 : p->dim[last], inner = rows * row;
  p->band = p->rank == 2 && p->fast == 0 ? TILE : inner <= BAND ? rows : BAND / row / TILE * TILE;
  if (p->band < TILE) p->band = rows < TILE ? rows : TILE;
  p->bands = (rows + p->band - 1) / p->band;
  int64_t chunks = count / inner * p->bands;
  if (count >= SMALL && inner >= 256) return mcl_parallel(p->ctx, chunks, permute_chunk, p);
  for (int64_t i = 0; i < chunks; i++) MCL_TRY(permute_chunk(p, i, 0));
  return MCL_OK;
}

mcl_status mcl_tensor_permute(mcl_tensor *t, const int *axes, mcl_tensor **out) {
  mcl_shape shape = t->shape;
  unsigned seen = 0;
  *out = NULL;
  for (int i = 0; i < t->shape.rank; i++) {
    if (axes[i] < 0 || axes[i] >= t->shape.rank || (seen >> axes[i] & 1u))
      return mcl_fail(t->ctx, MCL_ERROR_ARGUMENT,
                      "permutation of %d axes: entry %d is %d; each of 0 to %d is needed once", t->shape.rank, i,
                      axes[i], t->shape.rank - 1);
    seen |= 1u << axes[i];
    shape.dim[i] = t->shape.dim[axes[i]];
  }
  permutation p = {.size = mcl_dtype_size(t->dtype), .from = t->data, .ctx = t->ctx};
  if (t->count == 0) return mcl_tensor_new(t->ctx, t->dtype, shape, out);
  if (!plan_axes(&p, t->shape, axes)) {
    MCL_TRY(mcl_tensor_copy(t, out));
    (*out)->shape = shape;
    return MCL_OK;
  }
  MCL_TRY(mcl_tensor_new_raw(t->ctx, t->dtype, shape, out));
  p.to = (*out)->data;
  mcl_status status = run(&p, t->count);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

mcl_status mcl_tensor_transpose(mcl_tensor *t, mcl_tensor **out) {
  *out = NULL;
  if (t->shape.rank != 2) {
    char text[MCL_SHAPE_TEXT];
    return mcl_fail(t->ctx, MCL_ERROR_ARGUMENT, "only a matrix has a transpose; this is a tensor of %s",
                    mcl_shape_text(t->shape, text));
  }
  return mcl_tensor_permute(t, (const int[]){1, 0}, out);
}
