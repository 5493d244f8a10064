/* A product straight from a sparse or low-rank weight against the product with its dense values: what the rule of
 * src/graph/session.c, by which an inference session chooses, is measured with. Both as the linear op runs them, with
 * all threads. Prints one line a case: kind, share stored, size, batch, µs compressed, µs dense, ratio, spread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/random.h"
#include "graph/graph.h"
#include "repr/fit.h"
#include "tensor/matmul.h"

#define ROUNDS 7

static mcl_status random_tensor(mcl_context *ctx, mcl_shape shape, uint64_t seed, mcl_tensor **out) {
  MCL_TRY(mcl_tensor_new(ctx, MCL_F32, shape, out));
  mcl_random random = mcl_random_at(seed, 1);
  for (int64_t i = 0; i < (*out)->count; i++) mcl_tensor_f32(*out)[i] = mcl_random_normal(&random);
  return MCL_OK;
}

static mcl_status make_sparse(mcl_context *ctx, int64_t size, double share, mcl_repr **out) {
  mcl_tensor *values;
  uint64_t *mask;
  MCL_TRY(random_tensor(ctx, mcl_shape_2(size, size), 3, &values));
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)(values->count / 64 + 1) * sizeof *mask, &mask));
  mcl_random random = mcl_random_at(4, 2);
  for (int64_t i = 0; i < values->count; i++)
    if ((double)mcl_random_uniform(&random) < share) mask[i / 64] |= (uint64_t)1 << (i % 64);
  mcl_status status = mcl_sparse_fit(values, mask, out);
  mcl_free(ctx, mask);
  mcl_tensor_release(values);
  return status;
}

static mcl_status make_lowrank(mcl_context *ctx, int64_t size, double share, mcl_repr **out) {
  int64_t rank = (int64_t)(share * (double)size / 2);
  mcl_tensor *left, *right;
  mcl_repr *a, *b;
  MCL_TRY(random_tensor(ctx, mcl_shape_2(size, rank), 5, &left));
  MCL_TRY(random_tensor(ctx, mcl_shape_2(rank, size), 6, &right));
  MCL_TRY(mcl_dense_new(left, &a));
  MCL_TRY(mcl_dense_new(right, &b));
  mcl_status status = mcl_lowrank_new(a, b, mcl_shape_2(size, size), out);
  mcl_repr_release(a);
  mcl_repr_release(b);
  mcl_tensor_release(left);
  mcl_tensor_release(right);
  return status;
}

/* The linear op alone, in a call bound by hand. */
static mcl_status time_linear(mcl_context *ctx, const mcl_repr *repr, float *dense, int64_t batch, const float *x,
                              float *y, double *best_us, double *worst_us) {
  const mcl_op *op = mcl_op_by_name("linear");
  mcl_node node = {.op = op, .name = (char *)"fc", .inputs = 2, .outputs = 1, .input = {0, 1}, .output = {2}};
  int64_t size = mcl_shape_rows(repr->shape);
  mcl_op_call call = {.ctx = ctx, .node = &node};
  call.in[0] = (mcl_operand){.shape = mcl_shape_2(batch, size), .data = (float *)x};
  call.in[1] = (mcl_operand){.shape = repr->shape, .data = dense, .repr = dense ? NULL : repr};
  call.out[0] = (mcl_operand){.shape = mcl_shape_2(batch, size), .data = y};
  MCL_TRY(mcl_alloc(ctx, op->workspace(&call), &call.workspace));
  int repeats = 1 + (int)(4000000 / (size * size / 16 * (batch + 4)));
  mcl_status status = MCL_OK;
  *best_us = 1e30, *worst_us = 0;
  for (int round = 0; round < ROUNDS && !status; round++) {
    uint64_t start = mcl_now_us();
    for (int i = 0; i < repeats && !status; i++) status = op->forward(&call);
    double us = (double)(mcl_now_us() - start) / repeats;
    if (us < *best_us) *best_us = us;
    if (us > *worst_us) *worst_us = us;
  }
  mcl_free(ctx, call.workspace);
  return status;
}

static mcl_status run_case(mcl_context *ctx, bool is_sparse, double share, int64_t size, int64_t batch) {
  mcl_repr *repr;
  mcl_tensor *dense, *x, *y;
  double ours, worst, theirs, ignored;
  MCL_TRY(is_sparse ? make_sparse(ctx, size, share, &repr) : make_lowrank(ctx, size, share, &repr));
  MCL_TRY(mcl_repr_values(repr, &dense));
  MCL_TRY(random_tensor(ctx, mcl_shape_2(batch, size), 7, &x));
  MCL_TRY(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(batch, size), &y));
  MCL_TRY(time_linear(ctx, repr, NULL, batch, mcl_tensor_f32(x), mcl_tensor_f32(y), &ours, &worst));
  MCL_TRY(
      time_linear(ctx, repr, mcl_tensor_f32(dense), batch, mcl_tensor_f32(x), mcl_tensor_f32(y), &theirs, &ignored));
  printf("%s %.2f %lld %lld %.1f %.1f %.2f %.2f\n", is_sparse ? "sparse" : "lowrank", share, (long long)size,
         (long long)batch, ours, theirs, theirs / ours, (worst - ours) / ours);
  mcl_repr_release(repr);
  mcl_tensor_release(dense);
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  return MCL_OK;
}

int main(void) {
  mcl_context *ctx;
  const double shares[2][6] = {{0.02, 0.05, 0.1, 0.2, 0.3, 0.5}, {0.1, 0.25, 0.5, 0.6, 0.75, 0.9}};
  const int64_t sizes[] = {300, 1024}, batches[] = {1, 16, 128};
  mcl_status status = mcl_context_new(NULL, &ctx);
  for (int kind = 0; kind < 2 && !status; kind++)
    for (int size = 0; size < 2 && !status; size++)
      for (int batch = 0; batch < 3 && !status; batch++)
        for (int share = 0; share < 6 && !status; share++)
          status = run_case(ctx, kind == 0, shares[kind][share], sizes[size], batches[batch]);
  if (status) fprintf(stderr, "%s\n", mcl_context_message(ctx));
  mcl_context_free(ctx);
  return status != MCL_OK;
}
