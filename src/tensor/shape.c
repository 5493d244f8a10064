/* Shapes: counting, the matrix view, broadcasting, text. Every count that comes from a file passes mcl_shape_count,
 * so that is where overflow is caught. */
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

mcl_shape mcl_shape_1(int64_t a) { return mcl_shape_of(1, &a); }

mcl_shape mcl_shape_2(int64_t a, int64_t b) { return mcl_shape_of(2, (int64_t[]){a, b}); }

mcl_shape mcl_shape_of(int rank, const int64_t *dims) {
  mcl_shape shape = {.rank = rank};
  for (int i = 0; i < rank && i < MCL_MAX_RANK; i++) shape.dim[i] = dims[i];
  return shape;
}

bool mcl_shape_equal(mcl_shape a, mcl_shape b) {
  if (a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; i++)
    if (a.dim[i] != b.dim[i]) return false;
  return true;
}

mcl_status mcl_shape_count(mcl_context *ctx, mcl_shape shape, int64_t *out) {
  *out = 0;
  if (shape.rank < 0 || shape.rank > MCL_MAX_RANK)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a tensor of %d dimensions; 0 to %d are possible", shape.rank,
                    MCL_MAX_RANK);
  int64_t count = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] < 0)
      return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "dimension %d of a tensor is %lld; it must not be negative", i,
                      (long long)shape.dim[i]);
    if (__builtin_mul_overflow(count, shape.dim[i], &count)) {
      char text[MCL_SHAPE_TEXT];
      return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a tensor of %s has more elements than can be counted",
                      mcl_shape_text(shape, text));
    }
  }
  *out = count;
  return MCL_OK;
}

int64_t mcl_shape_rows(mcl_shape shape) { return shape.rank > 0 ? shape.dim[0] : 1; }

int64_t mcl_shape_cols(mcl_shape shape) {
  int64_t cols = 1;
  for (int i = 1; i < shape.rank; i++) cols *= shape.dim[i];
  return cols;
}

mcl_status mcl_shape_broadcast(mcl_context *ctx, mcl_shape a, mcl_shape b, mcl_shape *out) {
  mcl_shape shape = {.rank = a.rank > b.rank ? a.rank : b.rank};
  for (int i = 1; i <= shape.rank; i++) { /* from the last dimension */
    int64_t da = i <= a.rank ? a.dim[a.rank - i] : 1, db = i <= b.rank ? b.dim[b.rank - i] : 1;
    if (da != db && da != 1 && db != 1) {
      char ta[MCL_SHAPE_TEXT], tb[MCL_SHAPE_TEXT];
      return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                      "shapes %s and %s do not broadcast: dimension %d from the end is %lld and %lld; equal, or 1, "
                      "would do",
                      mcl_shape_text(a, ta), mcl_shape_text(b, tb), i, (long long)da, (long long)db);
    }
    shape.dim[shape.rank - i] = da == 1 ? db : da;
  }
  *out = shape;
  return MCL_OK;
}

char *mcl_shape_text(mcl_shape shape, char *text) {
  char *at = text;
  if (shape.rank <= 0) return strcpy(text, "scalar");
  for (int i = 0; i < shape.rank && i < MCL_MAX_RANK; i++)
    at += sprintf(at, "%s%lld", i ? "x" : "", (long long)shape.dim[i]);
  return text;
}
