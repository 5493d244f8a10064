/* Userdata that hold one C object each. A class's metatable is in the registry under the address of its mcl_lua_class.
 *
 * Objects in use are pinned by the userdata that they are in: a binding takes the pointer from an argument and keeps
 * that argument on its stack, and an object is freed by nothing but the collection of its userdata. Whatever Lua code
 * runs meanwhile (a criterion, a metamethod, a finaliser, the host's callbacks) can close an object, which bars it to
 * Lua from then on, but not free it under the C code that works with it. */
#include "lua/binding.h"

#include <string.h>

typedef struct object_box {
  void *object; /* NULL until filled, after release, and where C took back what it lent */
  bool closed;  /* by `local x <close> = …`: out of reach, to be freed when nothing refers to it */
} object_box;

/* __gc; the class is upvalue 1. Runs while the state closes, when only the record is left. */
static int object_release(lua_State *L) {
  const mcl_lua_class *class = lua_touserdata(L, lua_upvalueindex(1));
  object_box *box = lua_touserdata(L, 1);
  mcl_lua *lua = mcl_lua_record(L);
  if (box && box->object && lua && lua->ctx) {
    void *object = box->object;
    box->object = NULL;
    class->release(lua->ctx, object);
  }
  return 0;
}

/* __close */
static int object_close(lua_State *L) {
  object_box *box = lua_touserdata(L, 1);
  if (box) box->closed = true;
  return 0;
}

static int object_tostring(lua_State *L) {
  const mcl_lua_class *class = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushstring(L, class->name);
  return 1;
}

static void push_class_closure(lua_State *L, const mcl_lua_class *class, lua_CFunction function) {
  lua_pushlightuserdata(L, (void *)(uintptr_t) class);
  lua_pushcclosure(L, function, 1);
}

void mcl_lua_class_register(lua_State *L, const mcl_lua_class *class) {
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, class);
  lua_pushstring(L, class->name);
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "mcl"); /* what getmetatable gives: the methods are not to be changed */
  lua_setfield(L, -2, "__metatable");
  push_class_closure(L, class, object_release);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, object_close);
  lua_setfield(L, -2, "__close");
  push_class_closure(L, class, object_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L); /* methods */
  if (class->methods) luaL_setfuncs(L, class->methods, 0);
  if (class == &mcl_lua_expression_class) luaL_setfuncs(L, mcl_lua_value_methods(), 0);
  if (class == &mcl_lua_tensor_class || class == &mcl_lua_expression_class) {
    mcl_lua_add_elementwise(L, false);
    lua_insert(L, -2);
    mcl_lua_add_elementwise(L, true);
    lua_insert(L, -2);
  }
  if (class->index) lua_pushcclosure(L, class->index, 1);
  lua_setfield(L, -2, "__index");
  if (class->meta) luaL_setfuncs(L, class->meta, 0);
  lua_pop(L, 1);
}

void *mcl_lua_push_new(lua_State *L, const mcl_lua_class *class) {
  mcl_lua_relieve(L);
  object_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = (object_box){0};
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  lua_setmetatable(L, -2);
  return &box->object;
}

static object_box *box_of(lua_State *L, int arg, const mcl_lua_class *class) {
  object_box *box = lua_touserdata(L, arg);
  if (!box || !lua_getmetatable(L, arg)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? box : NULL;
}

void *mcl_lua_test(lua_State *L, int arg, const mcl_lua_class *class) {
  object_box *box = box_of(L, arg, class);
  return box && !box->closed ? box->object : NULL;
}

void *mcl_lua_take(lua_State *L, int arg, const mcl_lua_class *class) {
  object_box *box = box_of(L, arg, class);
  if (!box) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s %s", strchr("aeiou", class->name[0]) ? "an" : "a", class->name);
    mcl_lua_bad(L, arg, wanted);
    return NULL;
  }
  if (box->closed || !box->object) mcl_lua_fail(L, "argument %d: this %s was closed", arg, class->name);
  mcl_lua_of(L);
  return box->object;
}

const char *mcl_lua_type_name(lua_State *L, int arg) {
  const char *name = luaL_typename(L, arg);
  int type = luaL_getmetafield(L, arg, "__name");
  if (type == LUA_TSTRING) name = lua_tostring(L, -1); /* the metatable keeps it */
  if (type != LUA_TNIL) lua_pop(L, 1);
  return name;
}
