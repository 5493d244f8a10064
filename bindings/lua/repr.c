/* The class representation: how a weight is held. Read-only in Lua; schemes make new ones. */
#include <string.h>

#include "lua/binding.h"
#include "repr/fit.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_repr_release(object);
}

static mcl_repr *self(lua_State *L) { return mcl_lua_take(L, 1, &mcl_lua_repr_class); }

mcl_repr *mcl_lua_push_dense(lua_State *L, int arg) {
  mcl_tensor *t = mcl_lua_tensor(L, arg);
  mcl_repr **box = mcl_lua_push_new(L, &mcl_lua_repr_class);
  mcl_tensor **copy = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_copy(t, copy));
  mcl_lua_check(L, mcl_dense_new(*copy, box));
  mcl_tensor_release(*copy); /* the representation is its only owner: training can work in it */
  *copy = NULL;
  lua_pop(L, 1);
  return *box;
}

/* core.dense(tensor) -> the representation that holds its values as they are now */
static int dense(lua_State *L) {
  mcl_lua_push_dense(L, 1);
  return 1;
}

/* repr:bytes([coder]) -> exact coded size of header and streams */
static int repr_bytes(lua_State *L) {
  mcl_repr *repr = self(L);
  const mcl_coder *coder = NULL;
  size_t bytes;
  if (!lua_isnoneornil(L, 2)) {
    const char *name = mcl_lua_string(L, 2, "coder");
    coder = mcl_coder_by_name(name);
    if (!coder) mcl_lua_fail(L, "coder \"%s\" is unknown", name);
  }
  mcl_lua_check(L, mcl_repr_bytes(repr, coder, &bytes));
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

static int repr_values(lua_State *L) {
  mcl_repr *repr = self(L);
  mcl_tensor **values = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_repr_values(repr, values));
  (*values)->read_only = true; /* a copy, which would swallow what is written */
  return 1;
}

static int repr_nonzeros(lua_State *L) {
  lua_pushinteger(L, mcl_repr_nonzeros(self(L)));
  return 1;
}

/* Multiplications that a product with a vector takes in this form; dense: one an element. */
static int repr_products(lua_State *L) {
  lua_pushnumber(L, (lua_Number)mcl_repr_nonzeros(self(L)));
  return 1;
}

/* The codebook of a palette, or of the palette within a sparse one; nil where there is none. */
static void push_codebook(lua_State *L, const mcl_repr *repr) {
  while (repr->kind == &mcl_sparse_kind) repr = ((const mcl_sparse *)repr)->values;
  if (repr->kind != &mcl_palette_kind) {
    lua_pushnil(L);
    return;
  }
  const mcl_palette *palette = (const mcl_palette *)repr;
  mcl_tensor **out = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_new(repr->ctx, MCL_F32, mcl_shape_1(palette->entries), out));
  memcpy((*out)->data, palette->codebook, (size_t)palette->entries * sizeof(float));
  (*out)->read_only = true;
}

static void push_parts(lua_State *L, const mcl_repr *repr) {
  const mcl_repr *parts[MCL_REPR_MOST_PARTS];
  int count = repr->kind->parts ? repr->kind->parts(repr, parts) : 0;
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    mcl_repr **part = mcl_lua_push_new(L, &mcl_lua_repr_class);
    *part = mcl_repr_retain((mcl_repr *)(uintptr_t)parts[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static int repr_index(lua_State *L) {
  mcl_repr *repr = self(L);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "kind")) {
    lua_pushstring(L, repr->kind->name);
  } else if (!strcmp(key, "shape")) {
    mcl_lua_push_shape(L, repr->shape);
  } else if (!strcmp(key, "count")) {
    lua_pushinteger(L, repr->count);
  } else if (!strcmp(key, "bits")) {
    lua_pushinteger(L, mcl_repr_bits(repr));
  } else if (!strcmp(key, "rank") && repr->kind == &mcl_lowrank_kind) {
    lua_pushinteger(L, ((const mcl_lowrank *)repr)->rank);
  } else if (!strcmp(key, "codebook")) {
    push_codebook(L, repr);
  } else if (!strcmp(key, "parts")) {
    push_parts(L, repr);
  } else {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL && strcmp(key, "rank"))
      mcl_lua_fail(L, "a representation has no \"%s\"", luaL_tolstring(L, 2, NULL));
  }
  return 1;
}

static int repr_tostring(lua_State *L) {
  char text[256];
  mcl_repr_text(self(L), text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

static const luaL_Reg methods[] = {{"bytes", repr_bytes},
                                   {"values", repr_values},
                                   {"nonzeros", repr_nonzeros},
                                   {"products", repr_products},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__tostring", repr_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_repr_class = {"representation", release, methods, meta, repr_index};

void mcl_lua_open_repr(lua_State *L) {
  mcl_lua_class_register(L, &mcl_lua_repr_class);
  lua_pushcfunction(L, dense);
  lua_setfield(L, -2, "dense");
}
