/* Training under a representation: the tree of trained nodes, and what all kinds share. */
#include "repr/trained.h"

mcl_status mcl_trained_begin(mcl_repr *repr, const mcl_trained_kind *kind, mcl_trained_repr **out) {
  *out = NULL;
  mcl_trained_repr *t;
  MCL_TRY(mcl_alloc_zero(repr->ctx, sizeof *t, &t));
  t->kind = kind;
  t->ctx = repr->ctx;
  t->repr = mcl_repr_retain(repr);
  *out = t;
  return MCL_OK;
}

void mcl_trained_free(mcl_trained_repr *t) {
  if (!t) return;
  for (int i = 0; i < t->parts; i++) mcl_trained_free(t->part[i]);
  for (int i = 0; i < MCL_REPR_MOST_PARTS; i++) {
    mcl_free(t->ctx, t->part_values[i]);
    mcl_free(t->ctx, t->part_gradient[i]);
  }
  mcl_free(t->ctx, t->unit);
  mcl_free(t->ctx, t->latent);
  mcl_free(t->ctx, t->own_memory);
  mcl_free(t->ctx, t->list);
  mcl_repr_release(t->repr);
  mcl_free(t->ctx, t);
}

mcl_status mcl_trained_add_part(mcl_trained_repr *t, mcl_repr *part) {
  int i = t->parts;
  MCL_TRY(mcl_alloc_array(t->ctx, (size_t)part->count, sizeof(float), &t->part_values[i]));
  MCL_TRY(mcl_alloc_array(t->ctx, (size_t)part->count, sizeof(float), &t->part_gradient[i]));
  MCL_TRY(mcl_trained_new(part, &t->part[i]));
  t->parts++;
  return mcl_trained_bind(t->part[i], t->part_values[i], t->part_gradient[i]);
}

mcl_status mcl_trained_own(mcl_trained_repr *t, float *values, int64_t count) {
  size_t n = (size_t)count;
  if (!values) {
    MCL_TRY(mcl_alloc_array(t->ctx, n, sizeof(float), &t->latent));
    values = t->latent;
  }
  MCL_TRY(mcl_alloc_zero(t->ctx, n * sizeof(float), &t->own_memory));
  t->own = (mcl_parameter){.values = values, .gradient = t->own_memory, .count = count};
  return MCL_OK;
}

static int collect(mcl_trained_repr *t, mcl_parameter *list, int count) {
  if (t->own.count) {
    if (list) list[count] = t->own;
    count++;
  }
  for (int i = 0; i < t->parts; i++) count = collect(t->part[i], list, count);
  return count;
}

int mcl_trained_parameters(mcl_trained_repr *t, mcl_parameter **out) {
  if (t->list) collect(t, t->list, 0); /* binding may have moved them */
  *out = t->list;
  return t->list_count;
}

mcl_status mcl_trained_bind(mcl_trained_repr *t, float *dense, float *gradient) {
  t->dense = dense;
  t->gradient = gradient;
  if (t->kind->bind) MCL_TRY(t->kind->bind(t));
  return t->kind->push(t, dense);
}

mcl_status mcl_trained_pull(mcl_trained_repr *t, const float *gradient) { return t->kind->pull(t, gradient); }

mcl_status mcl_trained_push(mcl_trained_repr *t, float *dense) { return t->kind->push(t, dense); }

int64_t mcl_trained_memory(const mcl_trained_repr *t, float *out) {
  int64_t count = t->kind->memory ? t->kind->memory(t, out) : 0;
  for (int i = 0; i < t->parts; i++) count += mcl_trained_memory(t->part[i], out ? out + count : NULL);
  return count;
}

static int64_t remember(mcl_trained_repr *t, const float *memory) {
  int64_t count = t->kind->memory ? t->kind->memory(t, NULL) : 0;
  if (count) t->kind->remember(t, memory);
  t->is_recalling = true;
  for (int i = 0; i < t->parts; i++) count += remember(t->part[i], memory + count);
  return count;
}

static void end_recall(mcl_trained_repr *t) {
  t->is_recalling = false;
  for (int i = 0; i < t->parts; i++) end_recall(t->part[i]);
}

mcl_status mcl_trained_recall(mcl_trained_repr *t, const float *memory, float *dense) {
  remember(t, memory);
  mcl_status status = t->kind->push(t, dense);
  end_recall(t);
  return status;
}

mcl_status mcl_trained_store(mcl_trained_repr *t) {
  for (int i = 0; i < t->parts; i++) MCL_TRY(mcl_trained_store(t->part[i]));
  if (t->kind->store) t->kind->store(t);
  return MCL_OK;
}

mcl_status mcl_trained_list(mcl_trained_repr *t) {
  t->list_count = collect(t, NULL, 0);
  MCL_TRY(mcl_alloc_array(t->ctx, (size_t)t->list_count, sizeof(mcl_parameter), &t->list));
  return MCL_OK;
}
