/* Compiling an expression to a block program.
 *
 * The nodes are taken arguments first, and each becomes a value, found again in a hash table if an equal one exists.
 * Values that the result does not reach are dropped, then slots are given out in one sweep: a register is free again
 * after the last instruction that reads it. */
#include "tensor/program.h"

#include <string.h>

#include "base/threads.h"

typedef enum value_kind { VALUE_CONSTANT, VALUE_INPUT, VALUE_CODE } value_kind;

typedef struct value {
  value_kind kind;
  mcl_elementwise op;
  int args[3]; /* values; -1 where there is none */
  float constant;
  mcl_tensor *tensor;
  bool is_live;
  int last_use; /* the last value that reads this one */
  int slot;
} value;

typedef struct compiler {
  mcl_context *ctx;
  const mcl_elementwise_table *kernels;
  value *values;
  int count;
  int *table; /* of values, by hash; -1: empty */
  size_t table_mask;
} compiler;

/* ---- Values, each once ---- */

static size_t hash_of(const value *v) {
  uint32_t bits;
  memcpy(&bits, &v->constant, sizeof bits);
  uint64_t h = (uint64_t)v->kind * 31 + (uint64_t)v->op;
  h = (h ^ (v->kind == VALUE_CONSTANT ? bits : (uint64_t)(uintptr_t)v->tensor)) * 0x9e3779b97f4a7c15u;
  for (int i = 0; i < 3; i++) h = (h ^ (h >> 29) ^ (uint64_t)(v->args[i] + 1)) * 0x9e3779b97f4a7c15u;
  return (size_t)(h ^ h >> 32);
}

static bool same_value(const value *a, const value *b) {
  return a->kind == b->kind && a->op == b->op && a->tensor == b->tensor &&
         memcmp(&a->constant, &b->constant, sizeof a->constant) == 0 && memcmp(a->args, b->args, sizeof a->args) == 0;
}

static int intern(compiler *c, const value *v) {
  size_t at = hash_of(v) & c->table_mask;
  for (; c->table[at] >= 0; at = (at + 1) & c->table_mask)
    if (same_value(&c->values[c->table[at]], v)) return c->table[at];
  c->table[at] = c->count;
  c->values[c->count] = *v;
  return c->count++;
}

static int intern_constant(compiler *c, float constant) {
  return intern(c, &(value){.kind = VALUE_CONSTANT, .constant = constant, .args = {-1, -1, -1}});
}

static bool is_constant(const compiler *c, int id, float constant) {
  return id >= 0 && c->values[id].kind == VALUE_CONSTANT && /* by its bits: -0 is not 0 */
         memcmp(&c->values[id].constant, &constant, sizeof constant) == 0;
}

static bool commutes(mcl_elementwise op) {
  return op == MCL_E_ADD || op == MCL_E_MUL || op == MCL_E_EQ || op == MCL_E_NE || op == MCL_E_AND || op == MCL_E_OR;
}

/* A power with a common exponent is a cheaper operation, as it is in NumPy; 0 where it is not. */
static int simpler_power(compiler *c, value *v) {
  static const struct {
    float exponent;
    mcl_elementwise op;
  } powers[] = {{2.0f, MCL_E_SQUARE}, {0.5f, MCL_E_SQRT}, {-1.0f, MCL_E_RECIPROCAL}};
  for (size_t i = 0; i < sizeof powers / sizeof powers[0]; i++) {
    if (!is_constant(c, v->args[1], powers[i].exponent)) continue;
    v->op = powers[i].op;
    v->args[1] = -1;
    return 1;
  }
  return 0;
}

/* The value of an operation: folded where all arguments are constants; x·1, x/1, x-0 and x^1 are x to the last bit. */
static int intern_code(compiler *c, mcl_elementwise op, const int *args) {
  value v = {.kind = VALUE_CODE, .op = op, .args = {args[0], args[1], args[2]}};
  if (commutes(op) && v.args[0] > v.args[1]) v.args[0] = args[1], v.args[1] = args[0];
  bool folds = true;
  float constants[3] = {0}, folded;
  for (int i = 0; i < mcl_elementwise_arity(op); i++) {
    folds = folds && c->values[args[i]].kind == VALUE_CONSTANT;
    constants[i] = c->values[args[i]].constant;
  }
  if (folds) {
    c->kernels->apply[op](&folded, (const float *const[]){&constants[0], &constants[1], &constants[2]}, 1);
    return intern_constant(c, folded);
  }
  if (op == MCL_E_MUL && is_constant(c, args[0], 1)) return args[1];
  if ((op == MCL_E_MUL || op == MCL_E_DIV || op == MCL_E_POW) && is_constant(c, args[1], 1)) return args[0];
  if (op == MCL_E_SUB && is_constant(c, args[1], 0)) return args[0];
  if (op == MCL_E_POW) simpler_power(c, &v);
  return intern(c, &v);
}

static mcl_status make_values(compiler *c, mcl_expression *const *nodes, int64_t count, int *result) {
  size_t table_size = 64;
  int *ids = NULL;
  if (count > INT32_MAX / 8)
    return mcl_fail(c->ctx, MCL_ERROR_ARGUMENT, "an expression of %lld operations is too long; evaluate parts of it",
                    (long long)count);
  while (table_size < 2 * (size_t)count) table_size *= 2;
  mcl_status status = mcl_alloc_array(c->ctx, (size_t)count, sizeof *c->values, &c->values);
  if (!status) status = mcl_alloc_array(c->ctx, table_size, sizeof *c->table, &c->table);
  if (!status) status = mcl_alloc_array(c->ctx, (size_t)count, sizeof *ids, &ids);
  if (status) return status; /* the caller frees */
  memset(c->table, 0xff, table_size * sizeof *c->table);
  c->table_mask = table_size - 1;
  int64_t work = 0;
  for (int64_t i = 0; i < count && !status; i++) {
    status = mcl_worked(c->ctx, &work, 32);
    const mcl_expression *e = nodes[i];
    int args[3] = {-1, -1, -1};
    for (int a = 0; a < 3 && e->args[a]; a++) args[a] = ids[e->args[a]->number];
    if (e->kind == MCL_NODE_SCALAR)
      ids[i] = intern_constant(c, e->value);
    else if (e->kind == MCL_NODE_TENSOR)
      ids[i] = intern(c, &(value){.kind = VALUE_INPUT, .tensor = e->tensor, .args = {-1, -1, -1}});
    else
      ids[i] = intern_code(c, e->op, args);
  }
  *result = ids[count - 1];
  mcl_free(c->ctx, ids);
  return status;
}

/* ---- Slots ---- */

static void mark_live(compiler *c, int result, mcl_program *p) {
  for (int i = 0; i < c->count; i++) c->values[i].is_live = false, c->values[i].last_use = i;
  c->values[result].is_live = true;
  c->values[result].last_use = c->count; /* never dead */
  for (int i = c->count - 1; i >= 0; i--) {
    value *v = &c->values[i];
    if (!v->is_live) continue;
    p->constant_count += v->kind == VALUE_CONSTANT;
    p->input_count += v->kind == VALUE_INPUT;
    p->code_count += v->kind == VALUE_CODE;
    for (int a = 0; a < 3 && v->args[a] >= 0; a++) {
      value *arg = &c->values[v->args[a]];
      if (arg->last_use < i) arg->last_use = i;
      arg->is_live = true;
    }
  }
}

static void emit(compiler *c, mcl_program *p, int id, int *free_slots, int *free_count) {
  value *v = &c->values[id];
  mcl_instruction *instruction = &p->code[p->code_count++];
  v->slot = *free_count > 0 ? free_slots[--*free_count] : p->slots++;
  *instruction = (mcl_instruction){.op = v->op, .out = v->slot};
  for (int a = 0; a < 3 && v->args[a] >= 0; a++) {
    value *arg = &c->values[v->args[a]];
    instruction->args[a] = arg->slot;
    if (arg->kind != VALUE_CODE || arg->last_use != id) continue;
    free_slots[(*free_count)++] = arg->slot;
    arg->last_use = -1; /* given back once, though it be read twice here */
  }
}

static mcl_status give_slots(compiler *c, int result, mcl_program *p) {
  int *free_slots = NULL, free_count = 0;
  mark_live(c, result, p);
  mcl_status status = mcl_alloc_array(c->ctx, (size_t)p->constant_count, sizeof *p->constants, &p->constants);
  if (!status) status = mcl_alloc_zero(c->ctx, (size_t)p->input_count * sizeof *p->inputs, &p->inputs);
  if (!status) status = mcl_alloc_array(c->ctx, (size_t)p->code_count, sizeof *p->code, &p->code);
  if (!status) status = mcl_alloc_array(c->ctx, (size_t)c->count, sizeof *free_slots, &free_slots);
  if (status) {
    p->input_count = 0;
    return status;
  }
  int constants = 0, inputs = 0;
  p->slots = p->constant_count + p->input_count;
  p->code_count = 0;
  for (int i = 0; i < c->count; i++) {
    value *v = &c->values[i];
    if (!v->is_live) continue;
    if (v->kind == VALUE_CONSTANT) {
      v->slot = constants;
      p->constants[constants++] = v->constant;
    } else if (v->kind == VALUE_INPUT) {
      v->slot = p->constant_count + inputs;
      p->inputs[inputs++] = (mcl_program_input){.tensor = mcl_tensor_retain(v->tensor), .slot = v->slot};
    } else {
      emit(c, p, i, free_slots, &free_count);
    }
  }
  p->result = c->values[result].slot;
  mcl_free(c->ctx, free_slots);
  return MCL_OK;
}

/* ---- Layout ---- */

/* The stride of dimension `axis` of the result in an input: 0 where the input has one element for all. */
static int64_t stride_in(mcl_shape shape, mcl_shape of, int axis) {
  int at = axis - (shape.rank - of.rank);
  if (at < 0 || of.dim[at] == 1) return 0;
  int64_t stride = 1;
  for (int i = at + 1; i < of.rank; i++) stride *= of.dim[i];
  return stride;
}

static bool merges(const mcl_program *p, int axis) {
  if (p->rank == 0) return false;
  for (int i = 0; i < p->input_count; i++) {
    int64_t stride = stride_in(p->shape, p->inputs[i].tensor->shape, axis);
    if (p->inputs[i].stride[p->rank - 1] != stride * p->shape.dim[axis]) return false;
  }
  return true;
}

static void lay_out(mcl_program *p) {
  for (int axis = 0; axis < p->shape.rank; axis++) {
    if (p->shape.dim[axis] == 1) continue;
    bool merge = merges(p, axis);
    if (!merge) p->dim[p->rank++] = 1;
    p->dim[p->rank - 1] *= p->shape.dim[axis];
    for (int i = 0; i < p->input_count; i++)
      p->inputs[i].stride[p->rank - 1] = stride_in(p->shape, p->inputs[i].tensor->shape, axis);
  }
  if (p->rank == 0) p->dim[p->rank++] = 1;
  for (int i = 0; i < p->input_count; i++) {
    p->inputs[i].is_scalar = p->inputs[i].tensor->count == 1;
    p->inputs[i].is_dense = p->inputs[i].tensor->count == p->count; /* it broadcasts, so the order is the same */
  }
  /* Rows of some length are cut into equal blocks; short ones are gathered, several into a block. */
  int64_t inner = p->dim[p->rank - 1];
  if (p->rank > 1 && inner >= MCL_BLOCK / 4) {
    int64_t pieces = (inner + MCL_BLOCK - 1) / MCL_BLOCK;
    p->piece = ((inner + pieces - 1) / pieces + MCL_LANES - 1) / MCL_LANES * MCL_LANES;
  }
}

mcl_status mcl_program_compile(mcl_expression *e, mcl_program *out) {
  compiler c = {.ctx = e->ctx, .kernels = mcl_elementwise_kernels(mcl_cpu_isa())};
  mcl_expression **nodes;
  int64_t node_count;
  int result = 0;
  *out = (mcl_program){.ctx = e->ctx, .kernels = c.kernels, .shape = e->shape};
  MCL_TRY(mcl_shape_count(e->ctx, e->shape, &out->count));
  MCL_TRY(mcl_walk_begin(e, &nodes, &node_count));
  mcl_status status = make_values(&c, nodes, node_count, &result);
  if (!status) status = give_slots(&c, result, out);
  if (!status) lay_out(out);
  mcl_walk_end(e->ctx, nodes, node_count);
  mcl_free(e->ctx, c.values);
  mcl_free(e->ctx, c.table);
  if (status) mcl_program_free(out);
  return status;
}

void mcl_program_free(mcl_program *p) {
  for (int i = 0; i < p->input_count; i++) mcl_tensor_release(p->inputs[i].tensor);
  mcl_free(p->ctx, p->inputs);
  mcl_free(p->ctx, p->constants);
  mcl_free(p->ctx, p->code);
  *p = (mcl_program){.ctx = p->ctx};
}
