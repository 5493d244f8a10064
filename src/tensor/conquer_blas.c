/* The common part of a merge: memory, sorting, the order of halves. */
#include "tensor/conquer_blas.h"

mcl_status mcl_conquest_new(mcl_context *ctx, int64_t most, mcl_conquest *out) {
  *out = (mcl_conquest){.ctx = ctx};
  mcl_status status = mcl_alloc_array(ctx, (size_t)most, sizeof *out->pole, &out->pole);
  if (!status) status = mcl_alloc_array(ctx, (size_t)most, 2 * sizeof *out->place, &out->place);
  if (!status) status = mcl_alloc_array(ctx, (size_t)most, 4 * sizeof *out->square, &out->square);
  if (status) {
    mcl_conquest_free(out);
    return status;
  }
  out->origin = out->place + most;
  out->weight = out->square + most;
  out->refined = out->weight + most;
  out->offset = out->refined + most;
  return MCL_OK;
}

void mcl_conquest_free(mcl_conquest *c) {
  mcl_free(c->ctx, c->pole);
  mcl_free(c->ctx, c->place);
  mcl_free(c->ctx, c->square);
  *c = (mcl_conquest){.ctx = c->ctx};
}

static int by_value(const void *a, const void *b) {
  const mcl_pole *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

mcl_status mcl_conquest_sort(mcl_conquest *c) {
  return mcl_sort(c->ctx, c->pole, (size_t)c->count, sizeof *c->pole, by_value);
}

mcl_status mcl_conquest_solve(mcl_conquest *c) {
  int64_t next[3] = {0};
  for (int h = 0; h < 3; h++) c->halves[h] = 0;
  for (int64_t i = 0; i < c->kept; i++) c->halves[c->pole[i].half]++;
  for (int h = 1; h < 3; h++) next[h] = next[h - 1] + c->halves[h - 1];
  for (int64_t i = 0; i < c->kept; i++) c->place[i] = next[c->pole[i].half]++;
  c->secular = (mcl_secular){c->ctx, c->kept, c->square, c->weight, c->origin, c->offset};
  MCL_TRY(mcl_secular_solve(&c->secular));
  return mcl_secular_refine(&c->secular, c->refined);
}
