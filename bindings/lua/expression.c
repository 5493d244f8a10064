/* Arithmetic on tensors and expressions: operators and methods that build expressions, reductions that evaluate them,
 * gradients. The two classes share all of it. */
#include "lua/binding.h"

#include <math.h>
#include <string.h>

#include "base/threads.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_expression_release(object);
}

static mcl_expression **push_expression(lua_State *L) { return mcl_lua_push_new(L, &mcl_lua_expression_class); }

/* ---- Operands ---- */

bool mcl_lua_is_operand(lua_State *L, int arg) {
  return lua_type(L, arg) == LUA_TNUMBER || lua_isboolean(L, arg) || mcl_lua_test(L, arg, &mcl_lua_tensor_class) ||
         mcl_lua_test(L, arg, &mcl_lua_expression_class);
}

mcl_status mcl_lua_operand(lua_State *L, int arg, mcl_expression **out) {
  mcl_expression *e = mcl_lua_test(L, arg, &mcl_lua_expression_class);
  if (e) {
    *out = mcl_expression_retain(e);
    return MCL_OK;
  }
  mcl_tensor *t = mcl_lua_test(L, arg, &mcl_lua_tensor_class);
  if (t) return mcl_expression_tensor(t, out);
  if (lua_isuserdata(L, arg)) /* closed since it was checked, by a finaliser */
    return mcl_fail(mcl_lua_record(L)->ctx, MCL_ERROR_ARGUMENT, "an operand was closed while it was in use");
  double value = lua_isboolean(L, arg) ? lua_toboolean(L, arg) : lua_tonumber(L, arg);
  return mcl_expression_scalar(mcl_lua_record(L)->ctx, value, out);
}

/* The result is pushed; arguments are at 1 … arity. */
static int apply(lua_State *L, mcl_elementwise op, int arity) {
  static const char wanted[] = "a tensor, an expression or a number";
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_expression *args[3] = {0};
  for (int i = 0; i < arity; i++)
    if (!mcl_lua_is_operand(L, i + 1)) mcl_lua_bad(L, i + 1, wanted);
  mcl_expression **out = push_expression(L);
  mcl_status status = MCL_OK; /* from here to the releases no Lua error can be raised */
  for (int i = 0; i < arity && !status; i++) status = mcl_lua_operand(L, i + 1, &args[i]);
  if (!status) status = mcl_expression_apply(ctx, op, args, out);
  for (int i = 0; i < arity; i++) mcl_expression_release(args[i]);
  mcl_lua_check(L, status);
  return 1;
}

/* Upvalues: op, arity. Lua gives a unary operator its operand twice; methods may get fewer arguments. */
static int elementwise(lua_State *L) {
  mcl_elementwise op = (mcl_elementwise)lua_tointeger(L, lua_upvalueindex(1));
  int arity = (int)lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, arity);
  return apply(L, op, arity);
}

typedef struct elementwise_row {
  const char *name;
  mcl_elementwise op;
  int arity;
} elementwise_row;

static const elementwise_row method_rows[] = {
    {"abs", MCL_E_ABS, 1},       {"sign", MCL_E_SIGN, 1},       {"square", MCL_E_SQUARE, 1},
    {"sqrt", MCL_E_SQRT, 1},     {"exp", MCL_E_EXP, 1},         {"log", MCL_E_LOG, 1},
    {"tanh", MCL_E_TANH, 1},     {"sigmoid", MCL_E_SIGMOID, 1}, {"relu", MCL_E_RELU, 1},
    {"floor", MCL_E_FLOOR, 1},   {"round", MCL_E_ROUND, 1},     {"reciprocal", MCL_E_RECIPROCAL, 1},
    {"is_nan", MCL_E_IS_NAN, 1}, {"sin", MCL_E_SIN, 1},         {"cos", MCL_E_COS, 1},
    {"erf", MCL_E_ERF, 1},       {"pow", MCL_E_POW, 2},         {"lt", MCL_E_LT, 2},
    {"le", MCL_E_LE, 2},         {"gt", MCL_E_GT, 2},           {"ge", MCL_E_GE, 2},
    {"eq", MCL_E_EQ, 2},         {"ne", MCL_E_NE, 2},           {"logical_and", MCL_E_AND, 2},
    {"logical_or", MCL_E_OR, 2}, {"logical_not", MCL_E_NOT, 1}, {"minimum", MCL_E_MIN, 2},
    {"maximum", MCL_E_MAX, 2},   {"where", MCL_E_WHERE, 3},
};

static const elementwise_row operator_rows[] = {
    {"__add", MCL_E_ADD, 2}, {"__sub", MCL_E_SUB, 2}, {"__mul", MCL_E_MUL, 2},
    {"__div", MCL_E_DIV, 2}, {"__pow", MCL_E_POW, 2}, {"__unm", MCL_E_NEG, 1},
};

/* ---- Reductions ---- */

/* A new reference to the operand at 1 as an expression, on the stack. */
static mcl_expression *self(lua_State *L) {
  mcl_lua_of(L);
  if (!mcl_lua_is_operand(L, 1)) mcl_lua_bad(L, 1, "a tensor or an expression");
  mcl_expression **e = push_expression(L);
  mcl_lua_check(L, mcl_lua_operand(L, 1, e));
  return *e;
}

/* From 1 … rank, or -1 for the last, to 0 … rank-1. */
static int axis_of(lua_State *L, mcl_expression *e, int arg) {
  int rank = mcl_expression_shape(e).rank;
  int64_t axis = mcl_lua_integer(L, arg, "axis", -rank, rank);
  if (axis == 0) mcl_lua_fail(L, "axis: 0 is out of range; axes count from 1");
  return (int)(axis < 0 ? axis + rank : axis - 1);
}

static int64_t count_of(lua_State *L, mcl_expression *e) {
  int64_t count;
  mcl_lua_check(L, mcl_shape_count(mcl_lua_ctx(L), mcl_expression_shape(e), &count));
  return count;
}

/* Without an axis at arg: pushes a number. With one: a tensor without that axis. */
static int reduce(lua_State *L, mcl_reduction kind, int arg) {
  mcl_expression *e = self(L);
  if (!lua_isnoneornil(L, arg)) {
    int axis = axis_of(L, e, arg);
    mcl_lua_check(L, mcl_expression_reduce(e, kind, axis, mcl_lua_push_tensor(L)));
    return 1;
  }
  double value;
  if (kind != MCL_R_SUM && kind != MCL_R_SUM_SQUARES && kind != MCL_R_COUNT_NONZERO && count_of(L, e) == 0)
    mcl_lua_fail(L, "a tensor without elements has no mean, least or greatest");
  mcl_lua_check(L, mcl_expression_reduce_all(e, kind, &value));
  if (kind == MCL_R_COUNT_NONZERO)
    lua_pushinteger(L, (lua_Integer)value);
  else
    lua_pushnumber(L, value);
  return 1;
}

static int expression_sum(lua_State *L) {
  lua_settop(L, 2);
  return reduce(L, MCL_R_SUM, 2);
}
static int expression_mean(lua_State *L) {
  lua_settop(L, 2);
  return reduce(L, MCL_R_MEAN, 2);
}
static int expression_count_nonzero(lua_State *L) {
  lua_settop(L, 2);
  return reduce(L, MCL_R_COUNT_NONZERO, 2);
}

/* min(), max(): of all elements; min(nil, axis): along an axis; min(other): element by element. */
static int least_or_greatest(lua_State *L, mcl_reduction kind, mcl_elementwise op) {
  lua_settop(L, 3);
  if (!lua_isnil(L, 2)) {
    lua_settop(L, 2);
    return apply(L, op, 2);
  }
  return reduce(L, kind, 3);
}
static int expression_min(lua_State *L) { return least_or_greatest(L, MCL_R_MIN, MCL_E_MIN); }
static int expression_max(lua_State *L) { return least_or_greatest(L, MCL_R_MAX, MCL_E_MAX); }

/* Pushes the square root of what is on the top: a number, or an expression. */
static int root_of_top(lua_State *L) {
  if (lua_type(L, -1) == LUA_TNUMBER) {
    lua_pushnumber(L, sqrt(lua_tonumber(L, -1)));
    return 1;
  }
  lua_replace(L, 1);
  lua_settop(L, 1);
  apply(L, MCL_E_SQRT, 1);
  mcl_lua_tensor(L, -1);
  return 1;
}

static int expression_norm(lua_State *L) {
  lua_settop(L, 2);
  reduce(L, MCL_R_SUM_SQUARES, 2);
  return root_of_top(L);
}

/* Of the population: two passes, so that a large mean costs no digits. */
static int expression_std(lua_State *L) {
  lua_settop(L, 1);
  lua_pushnil(L); /* no axis */
  reduce(L, MCL_R_MEAN, 2);
  lua_replace(L, 2);
  lua_settop(L, 2);
  apply(L, MCL_E_SUB, 2);
  lua_replace(L, 1);
  lua_settop(L, 1);
  mcl_expression *centred = self(L);
  double squares;
  int64_t count = count_of(L, centred);
  mcl_lua_check(L, mcl_expression_reduce_all(centred, MCL_R_SUM_SQUARES, &squares));
  lua_pushnumber(L, sqrt(squares / (double)count));
  return 1;
}

static int expression_quantile(lua_State *L) {
  double value, q = mcl_lua_number(L, 2, "quantile", 0, 1);
  mcl_lua_check(L, mcl_expression_quantile(self(L), q, &value));
  lua_pushnumber(L, value);
  return 1;
}

/* The score above which `keep` elements lie, and how many of those equal to it are kept, by lower index. */
static int expression_threshold(lua_State *L) {
  mcl_expression *e = self(L);
  int64_t tie_limit, keep = mcl_lua_integer(L, 2, "keep", 0, count_of(L, e));
  float value;
  mcl_lua_check(L, mcl_expression_threshold(e, keep, &value, &tie_limit));
  lua_pushnumber(L, value);
  lua_pushinteger(L, tie_limit);
  return 2;
}

/* Bits to bytes of 0 and 1, eight at a time. */
typedef struct mask_bytes {
  const uint64_t *bits;
  uint8_t *bytes;
  int64_t count;
} mask_bytes;

#define MASK_CHUNK ((int64_t)1 << 18)

static mcl_status spread_chunk(void *arg, int64_t chunk, int worker) {
  const mask_bytes *mask = arg;
  (void)worker;
  int64_t end = (chunk + 1) * MASK_CHUNK < mask->count ? (chunk + 1) * MASK_CHUNK : mask->count;
  for (int64_t i = chunk * MASK_CHUNK; i < end; i += 8) {
    uint64_t byte = mask->bits[i / 64] >> (i % 64) & 0xff;
    uint64_t one_each = byte * 0x0101010101010101u & 0x8040201008040201u; /* byte k keeps bit k */
    uint64_t spread = (one_each + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
    memcpy(mask->bytes + i, &spread, end - i < 8 ? (size_t)(end - i) : 8); /* little-endian */
  }
  return MCL_OK;
}

/* A bool tensor that is true for the `keep` largest elements; ties go to the lower index. */
static int expression_top(lua_State *L) {
  mcl_expression *e = self(L);
  int64_t tie_limit, kept, count = count_of(L, e), keep = mcl_lua_integer(L, 2, "keep", 0, count);
  float value;
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_tensor **words = mcl_lua_push_tensor(L), **mask = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_expression_threshold(e, keep, &value, &tie_limit));
  mcl_lua_check(L, mcl_tensor_new_raw(ctx, MCL_I64, mcl_shape_1((count + 63) / 64), words));
  mcl_lua_check(L, mcl_expression_mask(e, value, tie_limit, (*words)->data, &kept));
  mcl_lua_check(L, mcl_tensor_new_raw(ctx, MCL_BOOL, mcl_expression_shape(e), mask));
  mask_bytes spread = {(*words)->data, (*mask)->data, count};
  mcl_lua_check(L, mcl_parallel(ctx, (count + MASK_CHUNK - 1) / MASK_CHUNK, spread_chunk, &spread));
  return 1;
}

/* ---- Gradients ---- */

/* e:gradient(t, …): d (sum of e) / d t, one tensor for each that was given. */
static int expression_gradient(lua_State *L) {
  enum { most = 16 };
  mcl_tensor *wrt[most], *results[most] = {0};
  int count = lua_gettop(L) - 1;
  if (count < 1 || count > most) mcl_lua_fail(L, "gradient: 1 to %d tensors are wanted, got %d", most, count);
  for (int i = 0; i < count; i++) wrt[i] = mcl_lua_take(L, i + 2, &mcl_lua_tensor_class);
  mcl_expression *e = self(L);
  luaL_checkstack(L, count, "gradient");
  mcl_tensor **boxes[most];
  for (int i = 0; i < count; i++) boxes[i] = mcl_lua_push_tensor(L);
  mcl_status status = mcl_expression_gradient(e, NULL, wrt, count, results);
  for (int i = 0; i < count; i++) *boxes[i] = results[i];
  mcl_lua_check(L, status);
  return count;
}

/* ---- The class ---- */

static int expression_index(lua_State *L) {
  mcl_expression *e = mcl_lua_take(L, 1, &mcl_lua_expression_class);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    mcl_lua_tensor(L, 1);
    lua_gettable(L, 1);
    return 1;
  }
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "shape")) {
    mcl_lua_push_shape(L, mcl_expression_shape(e));
  } else if (!strcmp(key, "dtype")) {
    lua_pushliteral(L, "f32");
  } else if (!strcmp(key, "count")) {
    lua_pushinteger(L, count_of(L, e));
  } else {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL)
      mcl_lua_fail(L, "an expression has no \"%s\"", luaL_tolstring(L, 2, NULL));
  }
  return 1;
}

static int expression_newindex(lua_State *L) {
  return mcl_lua_fail(L, "an expression has no memory to write to; :eval() makes a tensor of it");
}

static int expression_length(lua_State *L) {
  mcl_expression *e = mcl_lua_take(L, 1, &mcl_lua_expression_class);
  lua_pushinteger(L, mcl_shape_rows(mcl_expression_shape(e)));
  return 1;
}

static int expression_tostring(lua_State *L) {
  mcl_expression *e = mcl_lua_take(L, 1, &mcl_lua_expression_class);
  char shape[MCL_SHAPE_TEXT], text[400];
  mcl_expression_text(e, text, sizeof text);
  lua_pushfstring(L, "expression %s: %s", mcl_shape_text(mcl_expression_shape(e), shape), text);
  return 1;
}

static const luaL_Reg reductions[] = {{"sum", expression_sum},
                                      {"mean", expression_mean},
                                      {"min", expression_min},
                                      {"max", expression_max},
                                      {"norm", expression_norm},
                                      {"std", expression_std},
                                      {"quantile", expression_quantile},
                                      {"count_nonzero", expression_count_nonzero},
                                      {"threshold", expression_threshold},
                                      {"top", expression_top},
                                      {"gradient", expression_gradient},
                                      {NULL, NULL}};

static void add_rows(lua_State *L, const elementwise_row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, rows[i].op);
    lua_pushinteger(L, rows[i].arity);
    lua_pushcclosure(L, elementwise, 2);
    lua_setfield(L, -2, rows[i].name);
  }
}

/* Lua makes true or false of what < and <= give, and w > 0 comes as 0 < w: they cannot be element-wise. */
static int refuse_order(lua_State *L) {
  int other = mcl_lua_is_operand(L, 1) && !lua_isnumber(L, 1) ? 2 : 1;
  const char *number = lua_isnumber(L, other) ? lua_tostring(L, other) : "x";
  return mcl_lua_fail(L, "%s is compared element by element, by methods: w:gt(%s) for w > %s; w:lt, w:ge, w:le",
                      mcl_lua_type_name(L, 3 - other), number, number);
}

void mcl_lua_add_elementwise(lua_State *L, bool meta) {
  static const luaL_Reg orders[] = {{"__lt", refuse_order}, {"__le", refuse_order}, {NULL, NULL}};
  if (meta) {
    add_rows(L, operator_rows, sizeof operator_rows / sizeof *operator_rows);
    luaL_setfuncs(L, orders, 0);
  } else {
    add_rows(L, method_rows, sizeof method_rows / sizeof *method_rows);
    luaL_setfuncs(L, reductions, 0);
  }
}

static const luaL_Reg meta[] = {{"__newindex", expression_newindex},
                                {"__len", expression_length},
                                {"__tostring", expression_tostring},
                                {NULL, NULL}};
const mcl_lua_class mcl_lua_expression_class = {"expression", release, NULL, meta, expression_index};
