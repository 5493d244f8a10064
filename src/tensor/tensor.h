/* Tensors: an n-d array, contiguous and row-major, a dtype, a shape. A view is a reshape or a range of leading rows
 * and shares the memory of what it views. */
#ifndef MCL_TENSOR_TENSOR_H
#define MCL_TENSOR_TENSOR_H

#include "base/context.h"
#include "base/file.h"

struct mcl_tensor {
  void *data;
  mcl_dtype dtype;
  mcl_shape shape;
  int64_t count;
  mcl_context *ctx;
  /* private: who keeps the memory alive */
  int references;
  mcl_tensor *viewed; /* retained, or NULL */
  mcl_file_map *map;  /* retained, or NULL */
  bool read_only;     /* a file's pages, or lent to code that must not write; of its views too */
  bool owns_data;
};

/* Shapes */
mcl_shape mcl_shape_1(int64_t a);
mcl_shape mcl_shape_2(int64_t a, int64_t b);
mcl_shape mcl_shape_of(int rank, const int64_t *dims);
bool mcl_shape_equal(mcl_shape a, mcl_shape b);
/* Product of the dimensions; MCL_ERROR_ARGUMENT on overflow, a negative dimension or a rank above MCL_MAX_RANK. */
mcl_status mcl_shape_count(mcl_context *ctx, mcl_shape shape, int64_t *out);
int64_t mcl_shape_rows(mcl_shape shape); /* dim[0], or 1 of a scalar */
int64_t mcl_shape_cols(mcl_shape shape); /* product of the dimensions after the first: the matrix view of a weight */
mcl_status mcl_shape_broadcast(mcl_context *ctx, mcl_shape a, mcl_shape b, mcl_shape *out); /* NumPy's rule */
/* "50x20x5x5", "scalar"; text has room for MCL_SHAPE_TEXT bytes. Returns text. */
#define MCL_SHAPE_TEXT 192 /* MCL_MAX_RANK numbers of 64 bits, and the signs between them */
char *mcl_shape_text(mcl_shape shape, char *text);

/* Memory not zeroed. */
mcl_status mcl_tensor_new_raw(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_tensor **out);
/* Over memory of mcl_alloc, of count × dtype size bytes, which is the tensor's from here on, whatever happens. */
mcl_status mcl_tensor_adopt(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, void *data, mcl_tensor **out);
mcl_status mcl_tensor_map(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_file_map *map, size_t offset,
                          mcl_tensor **out); /* read-only; checks bounds and alignment */
mcl_status mcl_tensor_reshape(mcl_tensor *t, mcl_shape shape, mcl_tensor **out);           /* a view */
mcl_status mcl_tensor_rows(mcl_tensor *t, int64_t first, int64_t count, mcl_tensor **out); /* a view */
mcl_status mcl_tensor_copy(mcl_tensor *t, mcl_tensor **out);
mcl_status mcl_tensor_convert(mcl_tensor *t, mcl_dtype dtype, mcl_tensor **out); /* retains t where dtype is its own */
/* The same, for values that are to stay what they were but for rounding: MCL_ERROR_NUMERIC names `what` and the first element
 * where a finite one leaves the range of a float dtype; whole numbers that it does not hold, and a tensor whose values are
 * all below its normal range, are logged as warnings. */
mcl_status mcl_tensor_narrow(mcl_tensor *t, mcl_dtype dtype, const char *what, mcl_tensor **out);
mcl_status mcl_tensor_transpose(mcl_tensor *t, mcl_tensor **out);                /* rank 2; a copy */
mcl_status mcl_tensor_permute(mcl_tensor *t, const int *axes, mcl_tensor **out); /* a copy */
/* MCL_ERROR_NUMERIC naming `what` and the first index, where t holds NaN or infinity. */
mcl_status mcl_tensor_check_finite(mcl_tensor *t, const char *what);

static inline float *mcl_tensor_f32(mcl_tensor *t) { return (float *)t->data; } /* dtype is MCL_F32 */

bool mcl_dtype_is_integer(mcl_dtype dtype); /* bool is one */
/* Conversion of n elements. To an integer: rounded to even, clamped; NaN becomes 0. To bool: not zero. */
void mcl_convert(mcl_dtype from, const void *src, mcl_dtype to, void *dst, size_t n);
/* The same of much, asking now and then whether to stop. */
mcl_status mcl_convert_long(mcl_context *ctx, mcl_dtype from, const void *src, mcl_dtype to, void *dst, size_t n);

#endif
