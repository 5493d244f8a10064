/* Geometry of a convolution; gathering an image into columns, and scattering columns back (im2col, col2im). */
#include <string.h>

#include "graph/conv.h"

#define BLOCK_FLOATS 65536      /* of a block's columns: a quarter of a megabyte */
#define LEAST_CHUNKS 8          /* a small batch is cut finer, down to … */
#define LEAST_PIXELS 64         /* … this many pixels a block */
#define PARTIAL_FLOATS 8000000  /* of all chunks' partial weight gradients, about */
#define MOST_BACKWARD_CHUNKS 16 /* whatever the size */

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

mcl_conv mcl_conv_of(const mcl_node *node, mcl_shape x, mcl_shape weight, mcl_shape y) {
  const int64_t *stride = mcl_node_ints(node, MCL_CONV_STRIDE), *pad = mcl_node_ints(node, MCL_CONV_PAD);
  const int64_t *dilation = mcl_node_ints(node, MCL_CONV_DILATION);
  mcl_conv g = {.images = x.dim[0],
                .channels = x.dim[1],
                .height = x.dim[2],
                .width = x.dim[3],
                .outputs = y.dim[1],
                .out_height = y.dim[2],
                .out_width = y.dim[3],
                .groups = mcl_node_int(node, MCL_CONV_GROUPS),
                .kernel = {weight.dim[2], weight.dim[3]},
                .stride = {stride[0], stride[1]},
                .pad = {pad[0], pad[1]},
                .dilation = {dilation[0], dilation[1]}};
  g.group_in = g.channels / g.groups;
  g.group_out = g.outputs / g.groups;
  g.depth = g.group_in * g.kernel[0] * g.kernel[1];
  g.pixels = g.out_height * g.out_width;
  bool padded = pad[0] || pad[1] || pad[2] || pad[3];
  g.is_pointwise = g.kernel[0] == 1 && g.kernel[1] == 1 && stride[0] == 1 && stride[1] == 1 && !padded;
  g.is_depthwise = g.group_in == 1 && g.groups > 1;
  g.block_rows = clamp(BLOCK_FLOATS / (g.depth * g.out_width), 1, g.out_height);
  int64_t wanted = mcl_ceil_div(LEAST_CHUNKS, mcl_max_i64(g.images, 1));
  int64_t finer = mcl_max_i64(mcl_ceil_div(g.out_height, wanted), mcl_ceil_div(LEAST_PIXELS, g.out_width));
  g.block_rows = mcl_min_i64(g.block_rows, finer);
  g.blocks = mcl_ceil_div(g.out_height, g.block_rows);
  return g;
}

int64_t mcl_conv_columns(const mcl_conv *g) {
  return g->is_pointwise || g->is_depthwise ? 0 : g->depth * g->block_rows * g->out_width;
}

int64_t mcl_conv_most_chunks(const mcl_conv *g) {
  int64_t most = clamp(PARTIAL_FLOATS / (g->outputs * g->depth), 2, MOST_BACKWARD_CHUNKS);
  return mcl_min_i64(g->images, most);
}

void mcl_conv_inside(const mcl_conv *g, int axis, int64_t at, int64_t *lo, int64_t *hi) {
  int64_t size = axis ? g->width : g->height, out = axis ? g->out_width : g->out_height;
  int64_t shift = g->pad[axis] - at * g->dilation[axis], stride = g->stride[axis]; /* input = out · stride − shift */
  if (stride == 1) {                                                               /* the same without divisions */
    *lo = clamp(shift, 0, out);
    *hi = clamp(size + shift, *lo, out);
    return;
  }
  *lo = shift > 0 ? mcl_min_i64(mcl_ceil_div(shift, stride), out) : 0;
  *hi = size + shift > 0 ? mcl_min_i64(mcl_ceil_div(size + shift, stride), out) : 0;
  if (*hi < *lo) *hi = *lo;
}

/* Rows are short: calls and loops would cost more than the work. Eight floats go at once. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

static inline void copy_row(float *restrict to, const float *restrict from, int64_t n) {
  if (n < 8) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i + 8 < n; i += 8) *(eight *)(to + i) = *(const eight *)(from + i);
  *(eight *)(to + n - 8) = *(const eight *)(from + n - 8); /* may overlap the ones before */
}

static inline void add_row(float *restrict to, const float *restrict from, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) *(eight *)(to + i) += *(const eight *)(from + i);
  for (; i < n; i++) to[i] += from[i];
}

/* Rows of `width` without a gap in columns, nothing of which lies outside the image. */
static bool is_inside(const mcl_conv *g, int64_t first, int64_t rows, int64_t kh, int64_t lo, int64_t hi) {
  int64_t line = first * g->stride[0] - g->pad[0] + kh * g->dilation[0];
  return g->stride[1] == 1 && lo == 0 && hi == g->out_width && line >= 0 &&
         line + (rows - 1) * g->stride[0] < g->height;
}

static void copy_rows(float *restrict to, const float *restrict from, int64_t step, int64_t rows, int64_t width) {
  if (width == 8) {
    for (int64_t row = 0; row < rows; row++) *(eight *)(to + row * 8) = *(const eight *)(from + row * step);
    return;
  }
  for (int64_t row = 0; row < rows; row++) copy_row(to + row * width, from + row * step, width);
}

static void add_rows(float *restrict to, int64_t step, const float *restrict from, int64_t rows, int64_t width) {
  if (width == 8) {
    for (int64_t row = 0; row < rows; row++) *(eight *)(to + row * step) += *(const eight *)(from + row * 8);
    return;
  }
  for (int64_t row = 0; row < rows; row++) add_row(to + row * step, from + row * width, width);
}

/* One row of columns from one row of the image. */
static void gather_row(float *to, const float *from, int64_t lo, int64_t hi, int64_t width, int64_t stride) {
  for (int64_t i = 0; i < lo; i++) to[i] = 0;
  if (stride == 1) {
    copy_row(to + lo, from, hi - lo);
  } else {
    for (int64_t i = lo; i < hi; i++, from += stride) to[i] = *from;
  }
  for (int64_t i = hi; i < width; i++) to[i] = 0;
}

void mcl_conv_gather(const mcl_conv *g, const float *image, int64_t first, int64_t rows, float *columns) {
  int64_t width = g->out_width;
  for (int64_t channel = 0; channel < g->group_in; channel++, image += g->height * g->width)
    for (int64_t kh = 0; kh < g->kernel[0]; kh++)
      for (int64_t kw = 0; kw < g->kernel[1]; kw++) {
        int64_t lo, hi;
        mcl_conv_inside(g, 1, kw, &lo, &hi);
        int64_t column = lo * g->stride[1] - g->pad[1] + kw * g->dilation[1];
        if (is_inside(g, first, rows, kh, lo, hi)) {
          int64_t line = first * g->stride[0] - g->pad[0] + kh * g->dilation[0];
          copy_rows(columns, image + line * g->width + column, g->stride[0] * g->width, rows, width);
          columns += rows * width;
          continue;
        }
        for (int64_t row = first; row < first + rows; row++, columns += width) {
          int64_t line = row * g->stride[0] - g->pad[0] + kh * g->dilation[0];
          if (line < 0 || line >= g->height || lo == hi)
            memset(columns, 0, (size_t)width * sizeof *columns);
          else
            gather_row(columns, image + line * g->width + column, lo, hi, width, g->stride[1]);
        }
      }
}

void mcl_conv_scatter(const mcl_conv *g, const float *columns, int64_t first, int64_t rows, float *image) {
  int64_t width = g->out_width;
  for (int64_t channel = 0; channel < g->group_in; channel++, image += g->height * g->width)
    for (int64_t kh = 0; kh < g->kernel[0]; kh++)
      for (int64_t kw = 0; kw < g->kernel[1]; kw++) {
        int64_t lo, hi, stride = g->stride[1];
        mcl_conv_inside(g, 1, kw, &lo, &hi);
        int64_t column = lo * stride - g->pad[1] + kw * g->dilation[1];
        if (is_inside(g, first, rows, kh, lo, hi)) {
          int64_t line = first * g->stride[0] - g->pad[0] + kh * g->dilation[0];
          add_rows(image + line * g->width + column, g->stride[0] * g->width, columns, rows, width);
          columns += rows * width;
          continue;
        }
        for (int64_t row = first; row < first + rows; row++, columns += width) {
          int64_t line = row * g->stride[0] - g->pad[0] + kh * g->dilation[0];
          if (line < 0 || line >= g->height || lo == hi) continue;
          float *to = image + line * g->width + column;
          const float *from = columns + lo;
          if (stride == 1) {
            add_row(to, from, hi - lo);
          } else {
            for (int64_t i = 0; i < hi - lo; i++) to[i * stride] += from[i];
          }
        }
      }
}
