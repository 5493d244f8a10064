/* Building expressions: nodes, their shapes, their text. Nothing is computed here. */
#include "tensor/expression.h"

#include <stdio.h>
#include <string.h>

#include "tensor/program.h"

/* `infix` operators bind as tightly as `level` says; functions have none. */
static const struct {
  const char *name;
  int arity;
  const char *infix;
  int level;
} operations[MCL_E_COUNT] = {[MCL_E_NEG] = {"neg", 1, "-", 7},        [MCL_E_ABS] = {"abs", 1, NULL, 0},
                             [MCL_E_SIGN] = {"sign", 1, NULL, 0},     [MCL_E_SQUARE] = {"square", 1, NULL, 0},
                             [MCL_E_SQRT] = {"sqrt", 1, NULL, 0},     [MCL_E_RECIPROCAL] = {"reciprocal", 1, NULL, 0},
                             [MCL_E_EXP] = {"exp", 1, NULL, 0},       [MCL_E_LOG] = {"log", 1, NULL, 0},
                             [MCL_E_TANH] = {"tanh", 1, NULL, 0},     [MCL_E_SIGMOID] = {"sigmoid", 1, NULL, 0},
                             [MCL_E_RELU] = {"relu", 1, NULL, 0},     [MCL_E_FLOOR] = {"floor", 1, NULL, 0},
                             [MCL_E_ROUND] = {"round", 1, NULL, 0},   [MCL_E_NOT] = {"not", 1, NULL, 0},
                             [MCL_E_IS_NAN] = {"is_nan", 1, NULL, 0}, [MCL_E_SIN] = {"sin", 1, NULL, 0},
                             [MCL_E_COS] = {"cos", 1, NULL, 0},       [MCL_E_ERF] = {"erf", 1, NULL, 0},
                             [MCL_E_ADD] = {"add", 2, " + ", 5},      [MCL_E_SUB] = {"sub", 2, " - ", 5},
                             [MCL_E_MUL] = {"mul", 2, " * ", 6},      [MCL_E_DIV] = {"div", 2, " / ", 6},
                             [MCL_E_POW] = {"pow", 2, " ^ ", 8},      [MCL_E_MIN] = {"min", 2, NULL, 0},
                             [MCL_E_MAX] = {"max", 2, NULL, 0},       [MCL_E_LT] = {"lt", 2, " < ", 4},
                             [MCL_E_LE] = {"le", 2, " <= ", 4},       [MCL_E_GT] = {"gt", 2, " > ", 4},
                             [MCL_E_GE] = {"ge", 2, " >= ", 4},       [MCL_E_EQ] = {"eq", 2, " == ", 4},
                             [MCL_E_NE] = {"ne", 2, " != ", 4},       [MCL_E_AND] = {"and", 2, " and ", 3},
                             [MCL_E_OR] = {"or", 2, " or ", 2},       [MCL_E_WHERE] = {"where", 3, NULL, 0}};

bool mcl_elementwise_named(const char *name, mcl_elementwise *out, int *arity) {
  for (int i = 0; i < MCL_E_COUNT; i++) {
    if (strcmp(operations[i].name, name) != 0) continue;
    if (out) *out = (mcl_elementwise)i;
    if (arity) *arity = operations[i].arity;
    return true;
  }
  return false;
}

int mcl_elementwise_arity(mcl_elementwise op) { return operations[op].arity; }

/* ---- Nodes ---- */

static mcl_status new_node(mcl_context *ctx, mcl_expression **out) {
  mcl_expression *e;
  *out = NULL;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *e, &e));
  e->ctx = ctx;
  e->references = 1;
  e->number = MCL_NO_NUMBER;
  *out = e;
  return MCL_OK;
}

mcl_status mcl_expression_tensor(mcl_tensor *t, mcl_expression **out) {
  MCL_TRY(new_node(t->ctx, out));
  (*out)->kind = MCL_NODE_TENSOR;
  (*out)->tensor = mcl_tensor_retain(t);
  (*out)->shape = t->shape;
  return MCL_OK;
}

mcl_status mcl_expression_constant(mcl_context *ctx, double value, mcl_shape shape, mcl_expression **out) {
  MCL_TRY(new_node(ctx, out));
  (*out)->kind = MCL_NODE_SCALAR;
  (*out)->value = (float)value;
  (*out)->shape = shape;
  return MCL_OK;
}

mcl_status mcl_expression_scalar(mcl_context *ctx, double value, mcl_expression **out) {
  return mcl_expression_constant(ctx, value, (mcl_shape){.rank = 0}, out);
}

mcl_status mcl_expression_apply(mcl_context *ctx, mcl_elementwise op, mcl_expression *const *args,
                                mcl_expression **out) {
  *out = NULL;
  if ((unsigned)op >= MCL_E_COUNT)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "element-wise operation %d is not known", (int)op);
  mcl_shape shape = args[0]->shape;
  int64_t count;
  for (int i = 1; i < operations[op].arity; i++) {
    mcl_status status = mcl_shape_broadcast(ctx, shape, args[i]->shape, &shape);
    if (status) return mcl_fail_where(ctx, status, "%s", operations[op].name);
  }
  MCL_TRY(mcl_shape_count(ctx, shape, &count)); /* broadcasting may go beyond what can be counted */
  MCL_TRY(new_node(ctx, out));
  (*out)->kind = MCL_NODE_APPLY;
  (*out)->op = op;
  (*out)->shape = shape;
  for (int i = 0; i < operations[op].arity; i++) (*out)->args[i] = mcl_expression_retain(args[i]);
  return MCL_OK;
}

mcl_expression *mcl_expression_retain(mcl_expression *e) {
  if (e) __atomic_fetch_add(&e->references, 1, __ATOMIC_RELAXED);
  return e;
}

/* Without recursion, since a loop in a recipe may have built a chain of any length: dead nodes wait on a
 * list. */
void mcl_expression_release(mcl_expression *e) {
  mcl_expression *dead = NULL;
  if (!e || __atomic_sub_fetch(&e->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  for (mcl_expression *node = e; node;) {
    mcl_expression *args[3] = {node->args[0], node->args[1], node->args[2]};
    mcl_tensor_release(node->tensor);
    mcl_free(node->ctx, node);
    for (int i = 0; i < 3; i++) {
      if (!args[i] || __atomic_sub_fetch(&args[i]->references, 1, __ATOMIC_ACQ_REL) > 0) continue;
      args[i]->next_dead = dead;
      dead = args[i];
    }
    node = dead;
    if (dead) dead = dead->next_dead;
  }
}

mcl_shape mcl_expression_shape(const mcl_expression *e) { return e->shape; }

/* ---- Walking ---- */

typedef struct walk {
  mcl_expression **items;
  int64_t count, capacity;
} walk;

static mcl_status push(mcl_context *ctx, walk *w, mcl_expression *e) {
  if (w->count == w->capacity) {
    int64_t capacity = w->capacity ? 2 * w->capacity : 32;
    MCL_TRY(mcl_realloc(ctx, (size_t)capacity * sizeof *w->items, &w->items));
    w->capacity = capacity;
  }
  w->items[w->count++] = e;
  return MCL_OK;
}

/* Depth first with a stack of its own. A node is numbered when its arguments all are; it may stand on the stack more
 * than once, and is passed over when it is met again. */
mcl_status mcl_walk_begin(mcl_expression *e, mcl_expression ***nodes, int64_t *count) {
  walk stack = {0}, done = {0};
  int64_t work = 0;
  mcl_status status = push(e->ctx, &stack, e);
  while (!status && stack.count > 0) {
    mcl_expression *top = stack.items[stack.count - 1];
    int waiting = 0;
    status = mcl_worked(e->ctx, &work, 16);
    if (top->number == MCL_NO_NUMBER)
      for (int i = 2; i >= 0 && !status; i--) { /* so that the first argument is done first */
        if (!top->args[i] || top->args[i]->number != MCL_NO_NUMBER) continue;
        status = push(e->ctx, &stack, top->args[i]);
        waiting++;
      }
    if (status || waiting) continue;
    stack.count--;
    if (top->number != MCL_NO_NUMBER) continue;
    status = push(e->ctx, &done, top);
    if (!status) top->number = done.count - 1;
  }
  mcl_free(e->ctx, stack.items);
  if (status) {
    mcl_walk_end(e->ctx, done.items, done.count);
    return status;
  }
  *nodes = done.items;
  *count = done.count;
  return MCL_OK;
}

void mcl_walk_end(mcl_context *ctx, mcl_expression **nodes, int64_t count) {
  for (int64_t i = 0; i < count; i++) nodes[i]->number = MCL_NO_NUMBER;
  mcl_free(ctx, nodes);
}

/* ---- Text ---- */

typedef struct writer {
  char *at;
  size_t left; /* with the NUL */
} writer;

static void put(writer *w, const char *text) {
  for (; *text && w->left > 1; text++, w->left--) *w->at++ = *text;
  *w->at = '\0';
}

static void put_expression(writer *w, const mcl_expression *e, int outer, int depth);

static void put_leaf(writer *w, const mcl_expression *e) {
  char text[208];
  if (e->kind == MCL_NODE_SCALAR) {
    snprintf(text, sizeof text, "%.7g", (double)e->value);
    put(w, text);
  } else {
    put(w, "tensor ");
    put(w, mcl_shape_text(e->shape, text));
  }
}

static void put_call(writer *w, const mcl_expression *e, int depth) {
  put(w, operations[e->op].name);
  put(w, "(");
  for (int i = 0; i < operations[e->op].arity; i++) {
    if (i) put(w, ", ");
    put_expression(w, e->args[i], 0, depth);
  }
  put(w, ")");
}

/* Depth is bounded, so that a chain of any length does not use up the stack; what lies deeper is an ellipsis. */
static void put_expression(writer *w, const mcl_expression *e, int outer, int depth) {
  if (w->left <= 1) return;
  if (e->kind != MCL_NODE_APPLY) {
    put_leaf(w, e);
    return;
  }
  if (depth == 0) {
    put(w, "...");
    return;
  }
  const char *infix = operations[e->op].infix;
  int level = operations[e->op].level;
  if (!infix) {
    put_call(w, e, depth - 1);
    return;
  }
  if (level < outer) put(w, "(");
  if (operations[e->op].arity == 1) {
    put(w, infix);
    put_expression(w, e->args[0], level, depth - 1);
  } else {
    put_expression(w, e->args[0], e->op == MCL_E_POW ? level + 1 : level, depth - 1);
    put(w, infix);
    put_expression(w, e->args[1], level + 1, depth - 1);
  }
  if (level < outer) put(w, ")");
}

void mcl_expression_text(const mcl_expression *e, char *text, size_t size) {
  if (size == 0) return;
  writer w = {text, size};
  *text = '\0';
  put_expression(&w, e, 0, 100);
}
