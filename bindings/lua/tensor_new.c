/* Making tensors: from nested tables, zeros, ones, a range, random numbers. */
#include "lua/binding.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "base/threads.h"

/* ---- From nested tables ---- */

/* The shape that the first elements show; checked against all others while filling. */
static mcl_shape nested_shape(lua_State *L, int arg) {
  mcl_shape shape = {0};
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    if (shape.rank == MCL_MAX_RANK) mcl_lua_fail(L, "tensor: nested deeper than %d", MCL_MAX_RANK);
    shape.dim[shape.rank++] = mcl_lua_list(L, -1, "tensor", INT32_MAX);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
  return shape;
}

static void fill_nested(lua_State *L, mcl_shape shape, int axis, double **at, int64_t *work) {
  if (axis == shape.rank) {
    if (lua_isboolean(L, -1))
      *(*at)++ = lua_toboolean(L, -1);
    else if (lua_type(L, -1) == LUA_TNUMBER)
      *(*at)++ = lua_tonumber(L, -1);
    else
      mcl_lua_fail(L, "tensor: a number is wanted as an element, got %s", mcl_lua_type_name(L, -1));
    return;
  }
  if (!lua_istable(L, -1) || lua_rawlen(L, -1) != (lua_Unsigned)shape.dim[axis])
    mcl_lua_fail(L, "tensor: rows differ in length: %lld are wanted along axis %d", (long long)shape.dim[axis],
                 axis + 1);
  luaL_checkstack(L, 4, "nested tables");
  for (int i = 1; i <= shape.dim[axis]; i++) {
    lua_rawgeti(L, -1, i);
    fill_nested(L, shape, axis + 1, at, work);
    lua_pop(L, 1);
    mcl_lua_worked(L, work, 8);
  }
}

static int new_tensor(lua_State *L) {
  lua_settop(L, 2);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_dtype dtype = lua_isnil(L, 2) ? MCL_F32 : mcl_lua_dtype(L, 2);
  if (lua_isuserdata(L, 1)) {
    mcl_tensor *t = mcl_lua_tensor(L, 1);
    mcl_lua_check(L, mcl_tensor_convert(t, lua_isnil(L, 2) ? t->dtype : dtype, mcl_lua_push_tensor(L)));
    return 1;
  }
  if (!lua_istable(L, 1) && lua_type(L, 1) != LUA_TNUMBER) mcl_lua_bad(L, 1, "a table of numbers");
  mcl_shape shape = nested_shape(L, 1);
  mcl_tensor **wide = mcl_lua_push_tensor(L), **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_new(ctx, MCL_F64, shape, wide));
  double *at = (*wide)->data;
  lua_pushvalue(L, 1);
  int64_t work = 0;
  fill_nested(L, shape, 0, &at, &work);
  lua_pop(L, 1);
  mcl_lua_check(L, mcl_tensor_convert(*wide, dtype, out));
  return 1;
}

/* ---- Filled, a chunk at a time ---- */

#define CHUNK ((int64_t)1 << 16)

typedef struct filling {
  mcl_tensor *t;
  uint8_t element[8]; /* of all; or */
  double first, step; /* of a range; or */
  mcl_random start;   /* of random numbers */
  bool normal;
  float mean, scale;
  void (*fill)(const struct filling *f, int64_t first, int64_t end);
} filling;

static mcl_status fill_chunk(void *arg, int64_t chunk, int worker) {
  const filling *f = arg;
  (void)worker;
  f->fill(f, chunk * CHUNK, f->t->count - chunk * CHUNK < CHUNK ? f->t->count : (chunk + 1) * CHUNK);
  return MCL_OK;
}

static void fill(lua_State *L, filling *f) {
  int64_t chunks = f->t->count / CHUNK + (f->t->count % CHUNK != 0);
  mcl_lua_check(L, chunks == 1 ? fill_chunk(f, 0, 0) : mcl_parallel(f->t->ctx, chunks, fill_chunk, f));
}

static void fill_equal(const filling *f, int64_t first, int64_t end) {
  size_t size = mcl_dtype_size(f->t->dtype);
  uint8_t *data = f->t->data;
  for (int64_t i = first; i < end; i++) memcpy(data + (size_t)i * size, f->element, size);
}

static mcl_tensor **push_filled(lua_State *L, double value) {
  mcl_shape shape = mcl_lua_shape(L, 1);
  mcl_dtype dtype = lua_isnoneornil(L, 2) ? MCL_F32 : mcl_lua_dtype(L, 2);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_tensor **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, (value == 0 ? mcl_tensor_new : mcl_tensor_new_raw)(ctx, dtype, shape, out));
  if (value == 0) return out;
  filling f = {.t = *out, .fill = fill_equal};
  mcl_convert(MCL_F64, &value, dtype, f.element, 1);
  fill(L, &f);
  return out;
}

/* Sizes given one by one, as other libraries take them. */
static void refuse_loose_sizes(lua_State *L, const char *name) {
  if (lua_type(L, 1) == LUA_TNUMBER && lua_type(L, 2) == LUA_TNUMBER)
    mcl_lua_fail(L, "%s: a shape is one table: mcl.%s { %lld, %lld }", name, name, (long long)lua_tointeger(L, 1),
                 (long long)lua_tointeger(L, 2));
}

static int zeros(lua_State *L) {
  refuse_loose_sizes(L, "zeros");
  push_filled(L, 0);
  return 1;
}

static int ones(lua_State *L) {
  refuse_loose_sizes(L, "ones");
  push_filled(L, 1);
  return 1;
}

static int full(lua_State *L) {
  if (lua_type(L, 2) != LUA_TNUMBER) mcl_lua_bad(L, 2, "a number");
  double value = lua_tonumber(L, 2);
  lua_remove(L, 2);
  push_filled(L, value);
  return 1;
}

static void fill_range(const filling *f, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) mcl_tensor_f32(f->t)[i] = (float)(f->first + (double)i * f->step);
}

/* 1, 2 … n; or first … last by step. */
static int arange(lua_State *L) {
  double first = lua_gettop(L) > 1 ? mcl_lua_number(L, 1, "first", -1e15, 1e15) : 1;
  double last = mcl_lua_number(L, lua_gettop(L) > 1 ? 2 : 1, "last", -1e15, 1e15);
  double step = lua_isnoneornil(L, 3) ? 1 : mcl_lua_number(L, 3, "step", -1e15, 1e15);
  if (step == 0) mcl_lua_fail(L, "arange: the step is zero");
  double count = floor((last - first) / step + 1e-9) + 1;
  if (count > 0x1p53)
    mcl_lua_fail(L, "arange: from %g to %g by %g is more elements than there can be", first, last, step);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_tensor **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_new_raw(ctx, MCL_F32, mcl_shape_1(count > 0 ? (int64_t)count : 0), out));
  filling f = {.t = *out, .first = first, .step = step, .fill = fill_range};
  fill(L, &f);
  return 1;
}

/* ---- Random ---- */

/* A chunk's numbers depend on its place alone, so the threads do not matter. */
static void fill_random(const filling *f, int64_t first, int64_t end) {
  mcl_random random = f->start;
  random.counter = (uint64_t)first * 2; /* a normal number takes two draws */
  for (int64_t i = first; i < end; i++) {
    float value = f->normal ? mcl_random_normal(&random) : mcl_random_uniform(&random);
    mcl_tensor_f32(f->t)[i] = f->mean + f->scale * value;
  }
}

static int random_tensor(lua_State *L) {
  refuse_loose_sizes(L, "random");
  lua_settop(L, 2);
  mcl_lua *lua = mcl_lua_of(L);
  mcl_shape shape = mcl_lua_shape(L, 1);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  } else if (!lua_istable(L, 2)) {
    mcl_lua_bad(L, 2, "a table such as {seed = 1, kind = \"normal\"}");
  }
  filling f = {.scale = (float)mcl_lua_field_number(L, 2, "scale", 1, -1e30, 1e30),
               .mean = (float)mcl_lua_field_number(L, 2, "mean", 0, -1e30, 1e30),
               .fill = fill_random};
  const char *kind = mcl_lua_field_string(L, 2, "kind", "uniform");
  f.normal = !strcmp(kind, "normal");
  if (!f.normal && strcmp(kind, "uniform"))
    mcl_lua_fail(L, "random: kind \"%s\" is neither \"normal\" nor \"uniform\"", kind);
  bool seeded = mcl_lua_field(L, 2, "seed") != LUA_TNIL;
  uint64_t seed = seeded ? (uint64_t)mcl_lua_integer(L, -1, "seed", INT64_MIN, INT64_MAX) : mcl_context_seed(lua->ctx);
  uint64_t stream = mcl_random_stream("tensor") + (seeded ? 0 : ++lua->random_calls);
  f.start = mcl_random_at(seed, stream);
  mcl_tensor **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_new_raw(lua->ctx, MCL_F32, shape, out));
  f.t = *out;
  fill(L, &f);
  return 1;
}

void mcl_lua_open_tensor(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"tensor", new_tensor}, {"zeros", zeros},          {"ones", ones}, {"full", full},
      {"arange", arange},     {"random", random_tensor}, {NULL, NULL}};
  mcl_lua_class_register(L, &mcl_lua_tensor_class);
  mcl_lua_class_register(L, &mcl_lua_expression_class);
  luaL_setfuncs(L, functions, 0);
}
