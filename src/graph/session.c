/* Inference. A session plans once: every value gets its place in one arena, values whose lives do not overlap share
 * places, and an op that can works in place. A run then only calls the ops in their order, and allocates nothing. */
#include <string.h>

#include "graph/bind.h"

/* How the values of a weight are held while the session lives; at most one is set. */
typedef struct weight_hold {
  mcl_tensor *tensor; /* used in place */
  mcl_repr *repr;     /* used from its compressed form */
  float *decoded;     /* the session's own */
} weight_hold;

struct mcl_session {
  mcl_model *model;
  mcl_context *ctx;
  int64_t batch;
  mcl_operand *operands; /* one a value */
  mcl_op_call *calls;    /* one a node */
  weight_hold *weights;
  int weight_count;
  char *arena;
  size_t arena_size;
};

/* ---- Weights ---- */

/* A product from the compressed form is quicker than one from dense values below this share of them, by measurement
 * (tests/bench/compressed.sh): sparse rows are gathered, and the parts of low rank are two dense products. */
#define SPARSE_SHARE 0.08
#define LOWRANK_SHARE 0.50

static bool is_quicker_compressed(const mcl_repr *repr) {
  if (!repr->kind->matmul) return false;
  double share = (double)mcl_repr_nonzeros(repr) / (double)mcl_max_i64(repr->count, 1);
  if (repr->kind == &mcl_sparse_kind) return share < SPARSE_SHARE;
  if (repr->kind == &mcl_lowrank_kind) {
    const mcl_lowrank *lowrank = (const mcl_lowrank *)repr;
    int64_t stored = lowrank->rank * (mcl_shape_rows(repr->shape) + mcl_shape_cols(repr->shape));
    bool parts_are_dense = lowrank->left->kind == &mcl_dense_kind && lowrank->right->kind == &mcl_dense_kind;
    return parts_are_dense && (double)stored < LOWRANK_SHARE * (double)repr->count;
  }
  return false;
}

/* Whether every use of the weight is as the main weight of an op that takes compressed ones. */
static bool can_stay_compressed(const mcl_model *model, int weight) {
  bool used = false;
  for (int n = 0; n < model->node_count; n++) {
    const mcl_node *node = &model->nodes[n];
    for (int i = 0; i < node->inputs; i++) {
      if (node->input[i] < 0 || model->values[node->input[i]].weight != weight) continue;
      if (!node->op->takes_compressed || i != node->op->weight_input) return false;
      used = true;
    }
  }
  return used;
}

static mcl_status hold_weight(mcl_session *session, int value) {
  mcl_model *model = session->model;
  int index = model->values[value].weight;
  mcl_weight *weight = &model->weights[index];
  weight_hold *hold = &session->weights[index];
  mcl_operand *operand = &session->operands[value];
  if (mcl_model_weight_node(model, index, NULL) < 0) return MCL_OK; /* nothing uses it */
  MCL_TRY(mcl_weight_load(model, index));
  if (is_quicker_compressed(weight->repr) && can_stay_compressed(model, index)) {
    bool is_sparse = weight->repr->kind == &mcl_sparse_kind; /* its values are decoded once, not in each run */
    if (is_sparse) MCL_TRY(mcl_sparse_expand(weight->repr, &hold->repr));
    if (!is_sparse) hold->repr = mcl_repr_retain(weight->repr);
    operand->repr = hold->repr;
    return MCL_OK;
  }
  if (weight->dense) hold->tensor = mcl_tensor_retain(weight->dense);
  if (!hold->tensor && weight->repr->kind == &mcl_dense_kind) {
    mcl_tensor *values = ((mcl_dense *)weight->repr)->values;
    if (values->dtype == MCL_F32) hold->tensor = mcl_tensor_retain(values);
  }
  if (hold->tensor) {
    operand->data = mcl_tensor_f32(hold->tensor);
    return MCL_OK;
  }
  size_t size;
  MCL_TRY(mcl_operand_size(session->ctx, operand, &size));
  MCL_TRY(mcl_alloc(session->ctx, size, &hold->decoded));
  operand->data = hold->decoded;
  mcl_status status = mcl_repr_decode_all(weight->repr, hold->decoded);
  return status ? mcl_fail_where(session->ctx, status, "%s: weight \"%s\"", model->name, weight->name) : MCL_OK;
}

/* ---- The plan: lives, then places ---- */

/* A place in the arena, held by one value or by several in turn that work in place. */
typedef struct place {
  int first, last; /* nodes from which and until which it is in use */
  size_t size, offset;
} place;

typedef struct plan {
  place *places;
  int *place_of; /* of each value; -1: has none */
  int *last_use; /* of each value: the last node that reads it */
  int count;
} plan;

static void find_last_uses(const mcl_model *model, int *last_use) {
  for (int v = 0; v < model->value_count; v++) last_use[v] = model->values[v].producer;
  for (int n = 0; n < model->node_count; n++)
    for (int i = 0; i < model->nodes[n].inputs; i++)
      if (model->nodes[n].input[i] >= 0) last_use[model->nodes[n].input[i]] = n;
  for (int i = 0; i < model->input_count; i++) last_use[model->inputs[i]] = model->node_count; /* kept for the caller */
  for (int i = 0; i < model->output_count; i++) last_use[model->outputs[i]] = model->node_count;
}

/* The place of in[0] where the node may write over it: nothing else needs what is there, and each element is read
 * before its own place is written, which is so where in[0] is not broadcast: it has as many elements as the output. -1:
 * none. */
static int place_to_reuse(const mcl_session *session, const plan *p, int n) {
  const mcl_model *model = session->model;
  const mcl_node *node = &model->nodes[n];
  if (!node->op->in_place || node->outputs != 1 || node->inputs < 1 || node->input[0] < 0) return -1;
  mcl_shape from = session->operands[node->input[0]].shape, to = session->operands[node->output[0]].shape;
  int at = p->place_of[node->input[0]];
  if (at < 0 || p->places[at].last != n || mcl_elements(from) != mcl_elements(to)) return -1;
  for (int i = 1; i < node->inputs; i++)
    if (node->input[i] >= 0 && p->place_of[node->input[i]] == at) return -1;
  return at;
}

static mcl_status give_places(const mcl_session *session, plan *p) {
  const mcl_model *model = session->model;
  for (int v = 0; v < model->value_count; v++) {
    const mcl_value *value = &model->values[v];
    p->place_of[v] = -1;
    if (value->weight >= 0) continue;
    size_t size;
    MCL_TRY(mcl_operand_size(session->ctx, &session->operands[v], &size));
    int at = value->producer < 0 ? -1 : place_to_reuse(session, p, value->producer);
    if (at < 0) {
      at = p->count++;
      p->places[at] = (place){.first = value->producer, .last = p->last_use[v], .size = size};
    } else if (p->last_use[v] > p->places[at].last) {
      p->places[at].last = p->last_use[v];
    }
    p->place_of[v] = at;
  }
  return MCL_OK;
}

static int compare_places(const void *a, const void *b) {
  const place *x = *(const place *const *)a, *y = *(const place *const *)b;
  if (x->size != y->size) return x->size > y->size ? -1 : 1;
  return x < y ? -1 : x > y;
}

/* Greatest first, each at the lowest offset that no place of an overlapping life covers. order: pointers to places. */
static mcl_status lay_out(mcl_context *ctx, place **order, int count, size_t *out) {
  size_t total = 0;
  int64_t work = 0;
  MCL_TRY(mcl_sort(ctx, order, (size_t)count, sizeof *order, compare_places));
  for (int i = 0; i < count; i++) {
    size_t offset = 0;
    for (int k = 0; k < i; k++) { /* the places before are kept in ascending order of offset */
      const place *other = order[k];
      bool overlaps = other->first <= order[i]->last && order[i]->first <= other->last;
      if (!overlaps || other->offset + other->size <= offset) continue;
      if (other->offset >= offset + order[i]->size) break; /* fits in the gap before it */
      offset = other->offset + other->size;
    }
    place *placed = order[i];
    placed->offset = offset;
    if (offset + placed->size > total) total = offset + placed->size;
    int k = i;
    for (; k > 0 && order[k - 1]->offset > offset; k--) order[k] = order[k - 1];
    order[k] = placed;
    MCL_TRY(mcl_worked(ctx, &work, 2 * i + 1));
  }
  *out = total;
  return MCL_OK;
}

static size_t greatest_workspace(const mcl_session *session) {
  size_t greatest = 0;
  for (int n = 0; n < session->model->node_count; n++) {
    const mcl_op *op = session->model->nodes[n].op;
    size_t size = op->workspace ? op->workspace(&session->calls[n]) : 0;
    if (size > greatest) greatest = size;
  }
  return mcl_align_64(greatest);
}

static mcl_status plan_arena(mcl_session *session, plan *p) {
  mcl_model *model = session->model;
  mcl_context *ctx = session->ctx;
  size_t values = (size_t)model->value_count;
  MCL_TRY(mcl_alloc_array(ctx, values, sizeof *p->places, &p->places));
  MCL_TRY(mcl_alloc_array(ctx, values, sizeof *p->place_of, &p->place_of));
  MCL_TRY(mcl_alloc_array(ctx, values, sizeof *p->last_use, &p->last_use));
  find_last_uses(model, p->last_use);
  MCL_TRY(give_places(session, p));
  place **order;
  MCL_TRY(mcl_alloc_array(ctx, values, sizeof *order, &order));
  for (int i = 0; i < p->count; i++) order[i] = &p->places[i];
  size_t size = 0;
  mcl_status status = lay_out(ctx, order, p->count, &size);
  mcl_free(ctx, order);
  MCL_TRY(status);
  session->arena_size = size + greatest_workspace(session);
  MCL_TRY(mcl_alloc_zero(ctx, session->arena_size, &session->arena));
  for (int v = 0; v < model->value_count; v++)
    if (p->place_of[v] >= 0)
      session->operands[v].data = (float *)(void *)(session->arena + p->places[p->place_of[v]].offset);
  for (int n = 0; n < model->node_count; n++) session->calls[n].workspace = session->arena + size;
  return MCL_OK;
}

/* ---- The session ---- */

static mcl_status prepare(mcl_session *session) {
  mcl_model *model = session->model;
  MCL_TRY(mcl_bind_operands(model, session->batch, &session->operands));
  MCL_TRY(mcl_alloc_zero(session->ctx, (size_t)model->weight_count * sizeof *session->weights, &session->weights));
  session->weight_count = model->weight_count;
  for (int v = 0; v < model->value_count; v++)
    if (model->values[v].weight >= 0) MCL_TRY(hold_weight(session, v));
  MCL_TRY(mcl_bind_calls(model, session->operands, false, &session->calls));
  plan p = {0};
  mcl_status status = plan_arena(session, &p);
  mcl_free(session->ctx, p.places);
  mcl_free(session->ctx, p.place_of);
  mcl_free(session->ctx, p.last_use);
  MCL_TRY(status);
  mcl_bind_refresh(model, session->operands, session->calls);
  return mcl_bind_warm(session->ctx);
}

mcl_status mcl_session_new(mcl_model *model, int64_t batch, mcl_session **out) {
  *out = NULL;
  mcl_session *session;
  MCL_TRY(mcl_model_check_runs(model));
  MCL_TRY(mcl_alloc_zero(model->ctx, sizeof *session, &session));
  session->model = model;
  session->ctx = model->ctx;
  session->batch = batch;
  mcl_status status = prepare(session);
  if (status) {
    mcl_session_free(session);
    return status;
  }
  *out = session;
  return MCL_OK;
}

void mcl_session_free(mcl_session *session) {
  if (!session) return;
  for (int i = 0; i < session->weight_count; i++) {
    mcl_tensor_release(session->weights[i].tensor);
    mcl_repr_release(session->weights[i].repr);
    mcl_free(session->ctx, session->weights[i].decoded);
  }
  mcl_free(session->ctx, session->weights);
  mcl_free(session->ctx, session->operands);
  mcl_free(session->ctx, session->calls);
  mcl_free(session->ctx, session->arena);
  mcl_free(session->ctx, session);
}

float *mcl_session_input(mcl_session *session, int index) {
  if (index < 0 || index >= session->model->input_count) return NULL;
  return session->operands[session->model->inputs[index]].data;
}

const float *mcl_session_output(mcl_session *session, int index) {
  if (index < 0 || index >= session->model->output_count) return NULL;
  return session->operands[session->model->outputs[index]].data;
}

size_t mcl_session_arena(const mcl_session *session) { return session->arena_size; }

mcl_status mcl_session_run_rows(mcl_session *session, int64_t rows) {
  mcl_model *model = session->model;
  MCL_TRY(mcl_bind_rows(model, session->batch, rows, session->operands, session->calls));
  for (int n = 0; n < model->node_count; n++) {
    MCL_TRY(mcl_check_cancel(session->ctx));
    mcl_status status = model->nodes[n].op->forward(&session->calls[n]);
    if (status) return mcl_fail_where(session->ctx, status, "%s: node \"%s\"", model->name, model->nodes[n].name);
  }
  return MCL_OK;
}

mcl_status mcl_session_run(mcl_session *session) { return mcl_session_run_rows(session, session->batch); }
