/* The class tensor: fields, elements and rows, views, conversions, writing. Indices and axes count from 1 in Lua and
 * from 0 in C; the step between is taken here. Methods that need numbers take expressions too, and evaluate them. */
#include "lua/binding.h"

#include <math.h>
#include <string.h>

#include "tensor/matmul.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_tensor_release(object);
}

mcl_tensor **mcl_lua_push_tensor(lua_State *L) { return mcl_lua_push_new(L, &mcl_lua_tensor_class); }

void mcl_lua_push_lent(lua_State *L, mcl_tensor *t) {
  mcl_tensor **view = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_reshape(t, t->shape, view));
  (*view)->read_only = true;
}

mcl_tensor *mcl_lua_tensor(lua_State *L, int arg) {
  mcl_expression *e = mcl_lua_test(L, arg, &mcl_lua_expression_class);
  if (!e) return mcl_lua_take(L, arg, &mcl_lua_tensor_class);
  mcl_lua_of(L);
  arg = lua_absindex(L, arg);
  mcl_tensor **value = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_expression_evaluate(e, value));
  lua_replace(L, arg);
  return *(mcl_tensor **)lua_touserdata(L, arg);
}

/* ---- Elements ---- */

static void push_element(lua_State *L, mcl_tensor *t, int64_t i) {
  const uint8_t *at = (const uint8_t *)t->data + (size_t)i * mcl_dtype_size(t->dtype);
  int64_t integer;
  double number;
  switch (t->dtype) {
  case MCL_BOOL:
    lua_pushboolean(L, *at != 0);
    return;
  case MCL_I8:
  case MCL_I16:
  case MCL_I32:
  case MCL_I64:
  case MCL_U8:
    mcl_convert(t->dtype, at, MCL_I64, &integer, 1);
    lua_pushinteger(L, integer);
    return;
  default:
    mcl_convert(t->dtype, at, MCL_F64, &number, 1);
    lua_pushnumber(L, number);
  }
}

static void need_writable(lua_State *L, const mcl_tensor *t) {
  if (!t->read_only) return;
  if (t->map || (t->viewed && t->viewed->map))
    mcl_lua_fail(L, "this tensor is a file's memory and cannot be written; take a :copy() of it");
  mcl_lua_fail(
      L, "this tensor shows what a layer, a representation, statistics or data hold, and cannot be written; change "
         "a copy, and assign it: local w = layer.weight:copy() … layer.weight = w");
}

/* Row i (from 0) without its leading axis. */
static void push_row(lua_State *L, mcl_tensor *t, int64_t i) {
  mcl_tensor **range = mcl_lua_push_tensor(L), **row = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_rows(t, i, 1, range));
  mcl_lua_check(L, mcl_tensor_reshape(*range, mcl_shape_of(t->shape.rank - 1, t->shape.dim + 1), row));
}

static int64_t row_index(lua_State *L, const mcl_tensor *t, int arg, int64_t beyond) {
  if (t->shape.rank == 0) mcl_lua_fail(L, "a scalar has no rows; :item() reads it");
  return mcl_lua_integer(L, arg, "index", 1, t->shape.dim[0] + beyond) - 1;
}

static int tensor_index(lua_State *L) {
  mcl_tensor *t = mcl_lua_take(L, 1, &mcl_lua_tensor_class);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    int64_t i = row_index(L, t, 2, 1);
    if (i == t->shape.dim[0]) {
      lua_pushnil(L); /* one past the end: where ipairs stops */
    } else if (t->shape.rank == 1) {
      push_element(L, t, i);
    } else {
      push_row(L, t, i);
    }
    return 1;
  }
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "shape")) {
    mcl_lua_push_shape(L, t->shape);
  } else if (!strcmp(key, "dtype")) {
    lua_pushstring(L, mcl_dtype_name(t->dtype));
  } else if (!strcmp(key, "count")) {
    lua_pushinteger(L, t->count);
  } else {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL)
      mcl_lua_fail(L, "a tensor has no \"%s\"", luaL_tolstring(L, 2, NULL));
  }
  return 1;
}

static mcl_expression **push_expression(lua_State *L) { return mcl_lua_push_new(L, &mcl_lua_expression_class); }

/* Pushes e broadcast to the shape of t: where(1, e, t), which is e everywhere. */
static mcl_expression *push_broadcast(lua_State *L, mcl_expression *e, mcl_tensor *t) {
  mcl_expression **yes = push_expression(L), **like = push_expression(L), **whole = push_expression(L);
  mcl_lua_check(L, mcl_expression_scalar(t->ctx, 1, yes));
  mcl_lua_check(L, mcl_expression_tensor(t, like));
  mcl_expression *args[] = {*yes, e, *like};
  mcl_lua_check(L, mcl_expression_apply(t->ctx, MCL_E_WHERE, args, whole));
  return *whole;
}

/* Evaluates the operand at arg into t, broadcast to its shape. */
static void assign(lua_State *L, mcl_tensor *t, int arg) {
  need_writable(L, t);
  if (!mcl_lua_is_operand(L, arg)) mcl_lua_bad(L, arg, "a tensor, an expression or a number");
  mcl_expression **operand = push_expression(L);
  mcl_lua_check(L, mcl_lua_operand(L, arg, operand));
  mcl_expression *e = *operand;
  if (!mcl_shape_equal(mcl_expression_shape(e), t->shape)) e = push_broadcast(L, e, t);
  mcl_lua_check(L, mcl_expression_evaluate_into(e, t));
}

static int tensor_newindex(lua_State *L) {
  mcl_tensor *t = mcl_lua_take(L, 1, &mcl_lua_tensor_class);
  if (lua_type(L, 2) != LUA_TNUMBER) mcl_lua_fail(L, "a tensor's fields cannot be set; t[i] = value sets elements");
  int64_t i = row_index(L, t, 2, 0);
  if (t->shape.rank == 1 && lua_type(L, 3) <= LUA_TNUMBER) {
    need_writable(L, t);
    uint8_t *at = (uint8_t *)t->data + (size_t)i * mcl_dtype_size(t->dtype);
    if (lua_type(L, 3) != LUA_TNUMBER && !lua_isboolean(L, 3)) mcl_lua_bad(L, 3, "a number");
    double number = lua_isboolean(L, 3) ? lua_toboolean(L, 3) : lua_tonumber(L, 3);
    int64_t integer = lua_isinteger(L, 3) ? lua_tointeger(L, 3) : 0;
    if (lua_isinteger(L, 3))
      mcl_convert(MCL_I64, &integer, t->dtype, at, 1);
    else
      mcl_convert(MCL_F64, &number, t->dtype, at, 1);
    return 0;
  }
  if (t->shape.rank == 1) {
    mcl_tensor **range = mcl_lua_push_tensor(L);
    mcl_lua_check(L, mcl_tensor_rows(t, i, 1, range));
    assign(L, *range, 3);
    return 0;
  }
  push_row(L, t, i);
  assign(L, mcl_lua_tensor(L, -1), 3);
  return 0;
}

static int tensor_length(lua_State *L) {
  lua_pushinteger(L, mcl_shape_rows(((mcl_tensor *)mcl_lua_take(L, 1, &mcl_lua_tensor_class))->shape));
  return 1;
}

static int tensor_set(lua_State *L) {
  assign(L, mcl_lua_take(L, 1, &mcl_lua_tensor_class), 2);
  lua_settop(L, 1);
  return 1;
}

static int tensor_item(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  if (t->count != 1) mcl_lua_fail(L, "item: a tensor of one element is wanted, this one has %lld", (long long)t->count);
  push_element(L, t, 0);
  return 1;
}

/* Elements from *at on, as nested tables from `axis` on. */
static void push_nested(lua_State *L, mcl_tensor *t, int axis, int64_t *at, int64_t *work) {
  if (axis == t->shape.rank) {
    push_element(L, t, (*at)++);
    return;
  }
  luaL_checkstack(L, 4, "nested tables");
  int64_t n = t->shape.dim[axis];
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  for (int64_t i = 1; i <= n; i++) {
    push_nested(L, t, axis + 1, at, work);
    lua_rawseti(L, -2, i);
    mcl_lua_worked(L, work, 8);
  }
}

static int tensor_totable(lua_State *L) {
  int64_t at = 0, work = 0;
  push_nested(L, mcl_lua_tensor(L, 1), 0, &at, &work);
  return 1;
}

/* ---- Views, copies, conversions ---- */

/* One dimension may be -1: what is left over. */
static int tensor_reshape(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  mcl_shape shape = mcl_lua_shape(L, 2);
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] >= 0) {
      if (__builtin_mul_overflow(known, shape.dim[i], &known)) mcl_lua_fail(L, "reshape: the shape overflows");
    } else if (open >= 0) {
      mcl_lua_fail(L, "reshape: only one dimension can be -1");
    } else {
      open = i;
    }
  }
  if (open >= 0) {
    if (known == 0 || t->count % known)
      mcl_lua_fail(L, "reshape: %lld elements cannot be cut into parts of %lld", (long long)t->count, (long long)known);
    shape.dim[open] = t->count / known;
  }
  mcl_lua_check(L, mcl_tensor_reshape(t, shape, mcl_lua_push_tensor(L)));
  return 1;
}

static int tensor_rows(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  int64_t first = row_index(L, t, 2, 1);
  int64_t count = lua_isnoneornil(L, 3) ? t->shape.dim[0] - first : mcl_lua_integer(L, 3, "count", 0, INT64_MAX);
  if (count > t->shape.dim[0] - first)
    mcl_lua_fail(L, "%lld rows from row %lld are not within 1 … %lld", (long long)count, (long long)first + 1,
                 (long long)t->shape.dim[0]);
  mcl_lua_check(L, mcl_tensor_rows(t, first, count, mcl_lua_push_tensor(L)));
  return 1;
}

static int tensor_transpose(lua_State *L) {
  mcl_lua_check(L, mcl_tensor_transpose(mcl_lua_tensor(L, 1), mcl_lua_push_tensor(L)));
  return 1;
}

static int tensor_permute(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  mcl_shape order = mcl_lua_shape(L, 2);
  int axes[MCL_MAX_RANK];
  if (order.rank != t->shape.rank)
    mcl_lua_fail(L, "permute: %d axes are wanted, as the tensor has; got %d", t->shape.rank, order.rank);
  for (int i = 0; i < order.rank; i++) {
    if (order.dim[i] < 1 || order.dim[i] > order.rank)
      mcl_lua_fail(L, "permute: axis %lld is out of range 1 … %d", (long long)order.dim[i], order.rank);
    axes[i] = (int)order.dim[i] - 1;
  }
  mcl_lua_check(L, mcl_tensor_permute(t, axes, mcl_lua_push_tensor(L)));
  return 1;
}

/* t:to(dtype[, what]): with a name for it, numbers that the dtype cannot hold are told by that name */
static int tensor_to(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  mcl_dtype dtype = mcl_lua_dtype(L, 2);
  const char *what = lua_isnoneornil(L, 3) ? NULL : mcl_lua_string(L, 3, "what");
  mcl_tensor **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, what ? mcl_tensor_narrow(t, dtype, what, out) : mcl_tensor_convert(t, dtype, out));
  return 1;
}

static int tensor_copy(lua_State *L) {
  mcl_lua_check(L, mcl_tensor_copy(mcl_lua_tensor(L, 1), mcl_lua_push_tensor(L)));
  return 1;
}

static int tensor_eval(lua_State *L) {
  mcl_lua_tensor(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* ---- Products, places ---- */

/* x[m,k] · y[k,n]; a vector on the left is a row, on the right a column, and its axis leaves the result. */
static int tensor_matmul(lua_State *L) {
  mcl_tensor *a = mcl_lua_tensor(L, 1), *b = mcl_lua_tensor(L, 2);
  if (a->shape.rank < 1 || a->shape.rank > 2 || b->shape.rank < 1 || b->shape.rank > 2)
    mcl_lua_fail(L, "matmul: vectors or matrices are wanted, got %d and %d axes", a->shape.rank, b->shape.rank);
  int64_t m = a->shape.rank == 2 ? a->shape.dim[0] : 1, k = a->shape.dim[a->shape.rank - 1];
  int64_t n = b->shape.rank == 2 ? b->shape.dim[1] : 1;
  if (b->shape.dim[0] != k) {
    char left[MCL_SHAPE_TEXT], right[MCL_SHAPE_TEXT];
    mcl_lua_fail(L, "matmul: %s by %s: the inner dimensions differ", mcl_shape_text(a->shape, left),
                 mcl_shape_text(b->shape, right));
  }
  mcl_tensor **x = mcl_lua_push_tensor(L), **y = mcl_lua_push_tensor(L), **z = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_convert(a, MCL_F32, x));
  mcl_lua_check(L, mcl_tensor_convert(b, MCL_F32, y));
  mcl_shape shape = {0};
  if (a->shape.rank == 2) shape.dim[shape.rank++] = m;
  if (b->shape.rank == 2) shape.dim[shape.rank++] = n;
  mcl_lua_check(L, mcl_tensor_new(a->ctx, MCL_F32, shape, z));
  if (m == 0 || n == 0 || k == 0) return 1; /* an empty sum is zero */
  mcl_matmul product = {.m = m,
                        .n = n,
                        .k = k,
                        .alpha = 1,
                        .a = mcl_tensor_f32(*x),
                        .lda = k,
                        .b = mcl_tensor_f32(*y),
                        .ldb = n,
                        .c = mcl_tensor_f32(*z),
                        .ldc = n};
  mcl_lua_check(L, mcl_matmul_run(a->ctx, &product));
  return 1;
}

/* The index (from 1) of the largest of a row; the first of equal ones. */
static int64_t argmax_of(lua_State *L, const float *row, int64_t n, int64_t *work) {
  int64_t best = 0;
  for (int64_t first = 0; first < n; first += MCL_ASK_STEPS) {
    int64_t end = n - first < MCL_ASK_STEPS ? n : first + MCL_ASK_STEPS;
    for (int64_t j = first; j < end; j++)
      if (row[j] > row[best]) best = j;
    mcl_lua_worked(L, work, end - first);
  }
  return best + 1;
}

/* Along the last axis. */
static int tensor_argmax(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  if (t->shape.rank == 0 || t->shape.dim[t->shape.rank - 1] == 0) mcl_lua_fail(L, "argmax: the last axis is empty");
  mcl_tensor **f32 = mcl_lua_push_tensor(L), **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_convert(t, MCL_F32, f32));
  mcl_shape shape = t->shape;
  int64_t n = shape.dim[--shape.rank];
  mcl_lua_check(L, mcl_tensor_new(t->ctx, MCL_I64, shape, out));
  const float *row = mcl_tensor_f32(*f32);
  int64_t *best = (*out)->data;
  int64_t work = 0;
  for (int64_t i = 0; i < (*out)->count; i++) best[i] = argmax_of(L, row + i * n, n, &work);
  return 1;
}

static int tensor_check_finite(lua_State *L) {
  mcl_tensor *t = mcl_lua_tensor(L, 1);
  const char *what = lua_isnoneornil(L, 2) ? "the tensor" : mcl_lua_string(L, 2, "name");
  mcl_lua_check(L, mcl_tensor_check_finite(t, what));
  lua_settop(L, 1);
  return 1;
}

/* ---- Text ---- */

#define SHOWN 6 /* elements at each end of an axis */

static void add_element(luaL_Buffer *text, mcl_tensor *t, int64_t i) {
  char item[48];
  lua_State *L = text->L;
  push_element(L, t, i);
  if (lua_isboolean(L, -1))
    snprintf(item, sizeof item, "%d", lua_toboolean(L, -1));
  else if (lua_isinteger(L, -1))
    snprintf(item, sizeof item, "%lld", (long long)lua_tointeger(L, -1));
  else
    snprintf(item, sizeof item, "%.5g", lua_tonumber(L, -1));
  lua_pop(L, 1);
  luaL_addstring(text, item);
}

static void add_row(luaL_Buffer *text, mcl_tensor *t, int64_t first, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    if (n > 2 * SHOWN && j == SHOWN) {
      luaL_addstring(text, "  …");
      j = n - SHOWN;
    }
    luaL_addstring(text, "  ");
    add_element(text, t, first + j);
  }
}

static int tensor_tostring(lua_State *L) {
  mcl_tensor *t = mcl_lua_take(L, 1, &mcl_lua_tensor_class);
  char shape[MCL_SHAPE_TEXT], head[256];
  luaL_Buffer text;
  snprintf(head, sizeof head, "tensor %s %s", mcl_dtype_name(t->dtype), mcl_shape_text(t->shape, shape));
  luaL_buffinit(L, &text);
  luaL_addstring(&text, head);
  int64_t n = t->shape.rank ? t->shape.dim[t->shape.rank - 1] : 1, rows = n ? t->count / n : 0;
  for (int64_t i = 0; i < rows; i++) {
    if (rows > 2 * SHOWN && i == SHOWN) {
      luaL_addstring(&text, "\n  …");
      i = rows - SHOWN;
    }
    luaL_addchar(&text, rows == 1 ? ':' : '\n');
    add_row(&text, t, i * n, n);
  }
  luaL_pushresult(&text);
  return 1;
}

static const luaL_Reg methods[] = {{"set", tensor_set},
                                   {"item", tensor_item},
                                   {"totable", tensor_totable},
                                   {"reshape", tensor_reshape},
                                   {"rows", tensor_rows},
                                   {"transpose", tensor_transpose},
                                   {"permute", tensor_permute},
                                   {"to", tensor_to},
                                   {"copy", tensor_copy},
                                   {"eval", tensor_eval},
                                   {"matmul", tensor_matmul},
                                   {"argmax", tensor_argmax},
                                   {"check_finite", tensor_check_finite},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__newindex", tensor_newindex}, {"__len", tensor_length}, {"__tostring", tensor_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_tensor_class = {"tensor", release, methods, meta, tensor_index};

/* The same, for values still to be computed: each method evaluates first. No set: an expression has no memory. */
static const luaL_Reg shared[] = {{"item", tensor_item},
                                  {"totable", tensor_totable},
                                  {"reshape", tensor_reshape},
                                  {"rows", tensor_rows},
                                  {"transpose", tensor_transpose},
                                  {"permute", tensor_permute},
                                  {"to", tensor_to},
                                  {"copy", tensor_eval},
                                  {"eval", tensor_eval},
                                  {"matmul", tensor_matmul},
                                  {"argmax", tensor_argmax},
                                  {"check_finite", tensor_check_finite},
                                  {NULL, NULL}};
const luaL_Reg *mcl_lua_value_methods(void) { return shared; }
