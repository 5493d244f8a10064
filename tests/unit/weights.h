/* What the tests of representations share: random weights, and a round trip through a writer and a reader. */
#ifndef MCL_TESTS_WEIGHTS_H
#define MCL_TESTS_WEIGHTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "repr/fit.h"

static mcl_context *ctx; /* of the test program */

static inline int make_context(void **state) {
  (void)state;
  return mcl_context_new(&(mcl_options){.threads = 2}, &ctx);
}

static inline int free_context(void **state) {
  (void)state;
  mcl_context_free(ctx);
  return 0;
}

static inline void assert_ok(mcl_status status) {
  if (status) fail_msg("%s: %s", mcl_status_name(status), mcl_context_message(ctx));
}

/* The failure, and a part of its message. */
static inline void assert_fails(mcl_status status, mcl_status wanted, const char *fragment) {
  if (status != wanted) fail_msg("status %s instead of %s", mcl_status_name(status), mcl_status_name(wanted));
  if (!strstr(mcl_context_message(ctx), fragment))
    fail_msg("message \"%s\" has no \"%s\"", mcl_context_message(ctx), fragment);
}

static inline mcl_tensor *random_tensor(mcl_shape shape, uint64_t seed) {
  mcl_tensor *t;
  assert_ok(mcl_tensor_new(ctx, MCL_F32, shape, &t));
  mcl_random random = mcl_random_at(seed, 7);
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = 0.1f * mcl_random_normal(&random);
  return t;
}

static inline mcl_repr *dense_of(mcl_tensor *values) { /* takes the reference */
  mcl_repr *repr;
  assert_ok(mcl_dense_new(values, &repr));
  mcl_tensor_release(values);
  return repr;
}

/* Keeps each entry with probability `density`; of columns that are a multiple of `dead`, none. */
static inline mcl_repr *random_sparse(mcl_shape shape, double density, int dead, uint64_t seed) {
  mcl_tensor *values = random_tensor(shape, seed);
  int64_t cols = mcl_shape_cols(shape);
  uint64_t *mask = calloc((size_t)(values->count + 63) / 64 + 1, 8);
  mcl_random random = mcl_random_at(seed, 8);
  for (int64_t i = 0; i < values->count; i++)
    if ((double)mcl_random_uniform(&random) < density && !(dead && i % cols % dead == 0))
      mask[i / 64] |= (uint64_t)1 << i % 64;
  mcl_repr *repr;
  assert_ok(mcl_sparse_fit(values, mask, &repr));
  mcl_tensor_release(values);
  free(mask);
  return repr;
}

static inline mcl_repr *palette_of(mcl_shape shape, int bits, bool half, uint64_t seed) {
  mcl_tensor *values = random_tensor(shape, seed);
  mcl_repr *repr;
  assert_ok(mcl_palette_fit(values, NULL, &(mcl_palette_options){.bits = bits, .half = half}, &repr));
  mcl_tensor_release(values);
  return repr;
}

static inline mcl_repr *affine_of(mcl_shape shape, mcl_affine_options options, uint64_t seed) {
  mcl_tensor *values = random_tensor(shape, seed);
  mcl_repr *repr;
  assert_ok(mcl_affine_fit(values, NULL, &options, &repr));
  mcl_tensor_release(values);
  return repr;
}

/* The sparse `repr` with other values; takes both references. */
static inline mcl_repr *with_values(mcl_repr *repr, mcl_repr *values) {
  mcl_repr *out;
  assert_ok(mcl_sparse_with((const mcl_sparse *)repr, values, &out));
  mcl_repr_release(repr);
  mcl_repr_release(values);
  return out;
}

static inline int64_t nonzeros_of(const mcl_repr *sparse) { return ((const mcl_sparse *)sparse)->nonzeros; }

/* left · right; takes both references. */
static inline mcl_repr *product_of(mcl_repr *left, mcl_repr *right, mcl_shape shape) {
  mcl_repr *out;
  assert_ok(mcl_lowrank_new(left, right, shape, &out));
  mcl_repr_release(left);
  mcl_repr_release(right);
  return out;
}

static inline mcl_repr *sum_of(mcl_repr *a, mcl_repr *b) {
  mcl_repr *out, *parts[2] = {a, b};
  assert_ok(mcl_sum_new(parts, 2, &out));
  mcl_repr_release(a);
  mcl_repr_release(b);
  return out;
}

/* Values that are freed by the caller's mcl_tensor_release. */
static inline mcl_tensor *values_of(const mcl_repr *repr) {
  mcl_tensor *values;
  assert_ok(mcl_repr_values(repr, &values));
  return values;
}

/* Reads back what a writer wrote; the whole of it must be used. */
static inline mcl_status read_back(const mcl_repr_writer *writer, mcl_shape shape, mcl_repr **out) {
  mcl_coded_stream *streams = calloc((size_t)writer->stream_count + 1, sizeof *streams);
  size_t at = 0;
  for (int i = 0; i < writer->stream_count; i++) {
    streams[i] = (mcl_coded_stream){writer->streams.data + at, writer->stream_size[i]};
    at += writer->stream_size[i];
  }
  mcl_repr_reader reader = {.ctx = ctx,
                            .header = {ctx, writer->header.data, writer->header.size, 0, "weight"},
                            .streams = streams,
                            .stream_count = writer->stream_count};
  mcl_status status = mcl_repr_read(&reader, shape, out);
  if (!status) {
    assert_int_equal(reader.header.at, reader.header.size);
    assert_int_equal(reader.next_stream, reader.stream_count);
    assert_int_equal(at, writer->streams.size);
  }
  free(streams);
  return status;
}

#endif
