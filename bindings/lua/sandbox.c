/* Fresh states for code that is not trusted: Lua's memory counted against a limit, its instructions against another,
 * and nothing within reach that leaves the state: no io, no os but clocks, no debug, no bytecode, no finalisers (they run
 * with hooks off, so no limit would stop them). */
#include <lualib.h>
#include <mcl/mcl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

/* ---- Memory ---- */

typedef struct memory_count {
  size_t used, limit; /* limit 0: none */
} memory_count;

/* Lua's allocator; old_size is a type's tag where `memory` is NULL. The state's own block is the first to be taken and
 * the last to be given back, so the count goes with it. Until the state stands, `used` is one too many, and its maker
 * owns the count. */
static void *limited_allocate(void *user, void *memory, size_t old_size, size_t size) {
  memory_count *count = user;
  if (!memory) old_size = 0;
  if (size == 0) {
    count->used -= old_size;
    free(memory);
    if (old_size && !count->used) free(count);
    return NULL;
  }
  if (count->limit && size > old_size && size - old_size > count->limit - count->used) return NULL;
  void *moved = realloc(memory, size);
  if (moved) count->used += size - old_size;
  return moved;
}

static lua_State *new_limited_state(size_t limit) {
  memory_count *count = malloc(sizeof *count);
  if (!count) return NULL;
  *count = (memory_count){1, limit ? limit + 1 : 0};
  lua_State *L = lua_newstate(limited_allocate, count);
  if (L)
    count->used--;
  else
    free(count);
  return L;
}

/* ---- What of the base library is left ---- */

static int refused(lua_State *L) {
  return mcl_lua_fail(L, "%s is out of reach in this sandbox", lua_tostring(L, lua_upvalueindex(1)));
}

static void refuse(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_pushcclosure(L, refused, 1);
  lua_setglobal(L, name);
}

/* load(text or function[, name[, mode[, env]]]) with text alone, whatever the mode says. Upvalue: Lua's own load. */
static int text_load(lua_State *L) {
  int arguments = lua_gettop(L) > 4 ? 4 : lua_gettop(L);
  bool has_environment = arguments == 4;
  lua_settop(L, 4);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushliteral(L, "t");
  lua_replace(L, 4);
  if (!has_environment) lua_settop(L, 4);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* setmetatable without __gc. Upvalue: Lua's own. */
static int plain_setmetatable(lua_State *L) {
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) return mcl_lua_fail(L, "a finaliser (__gc) is out of reach in this sandbox");
    lua_pop(L, 1);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* print writes a line to the host's log: nothing here prints. */
static int print_to_log(lua_State *L) {
  int count = lua_gettop(L);
  lua_pushliteral(L, "");
  for (int i = 1; i <= count; i++) {
    if (i > 1) lua_pushliteral(L, "\t");
    luaL_tolstring(L, i, NULL);
    lua_concat(L, i > 1 ? 3 : 2);
  }
  mcl_log(mcl_lua_ctx(L), MCL_LOG_INFO, "%s", lua_tostring(L, -1));
  mcl_lua_check(L, MCL_OK);
  return 0;
}

static void wrap_global(lua_State *L, const char *name, lua_CFunction wrapper) {
  lua_getglobal(L, name);
  lua_pushcclosure(L, wrapper, 1);
  lua_setglobal(L, name);
}

/* os.time, os.clock, os.date, os.difftime: they read the clock, and nothing else. */
static void add_clocks(lua_State *L) {
  static const char *const kept[] = {"time", "clock", "date", "difftime"};
  luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
  lua_createtable(L, 0, 4);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    lua_getfield(L, -2, kept[i]);
    lua_setfield(L, -2, kept[i]);
  }
  lua_pushvalue(L, -1);
  lua_setglobal(L, LUA_OSLIBNAME);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, LUA_OSLIBNAME); /* require "os" gives the same */
  lua_pop(L, 3);
}

/* require finds what is preloaded and mcl's own files. `package` itself is hidden: its paths and loadlib load code. */
static void close_package(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_createtable(L, 0, 3); /* the searcher of mcl is at 2; the file searchers of Lua are 3, 4, 5 */
  lua_rawgeti(L, -2, 1);
  lua_rawseti(L, -2, 1);
  lua_rawgeti(L, -2, 2);
  lua_rawseti(L, -2, 2);
  lua_setfield(L, -3, "searchers"); /* require reads it from the package table, its upvalue */
  lua_pop(L, 2);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  lua_setfield(L, -2, "package");
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setglobal(L, "package");
}

static int build_sandbox(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},          {LUA_LOADLIBNAME, luaopen_package},
                                       {LUA_COLIBNAME, luaopen_coroutine}, {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string},   {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_UTF8LIBNAME, luaopen_utf8}};
  const mcl_lua_limits *limits = lua_touserdata(L, 2);
  mcl_lua *lua = mcl_lua_record_new(L, lua_touserdata(L, 1));
  lua->sandboxed = true;
  lua->files = limits->files;
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
    lua_pop(L, 1);
  }
  mcl_lua_add_searcher(L);
  close_package(L);
  add_clocks(L);
  refuse(L, "dofile");
  refuse(L, "loadfile");
  refuse(L, "collectgarbage");
  lua_pushcfunction(L, print_to_log);
  lua_setglobal(L, "print");
  wrap_global(L, "load", text_load);
  wrap_global(L, "setmetatable", plain_setmetatable);
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  lua->limited = limits->instructions > 0;
  lua->instructions_left = limits->instructions > INT64_MAX ? INT64_MAX : (int64_t)limits->instructions;
  if (lua->limited && lua->instructions_left < lua->hook_period) lua->hook_period = (int)lua->instructions_left;
  mcl_lua_watch(L);
  return 0;
}

mcl_status mcl_lua_new_sandbox(mcl_context *ctx, const mcl_lua_limits *limits, lua_State **out) {
  static const mcl_lua_limits none;
  if (!limits) limits = &none;
  *out = NULL;
  lua_State *L = new_limited_state(limits->memory_bytes);
  if (!L) return mcl_fail(ctx, MCL_ERROR_MEMORY, "a Lua state does not fit into %zu bytes", limits->memory_bytes);
  lua_pushcfunction(L, build_sandbox); /* light, and the stack has room: no error yet */
  lua_pushlightuserdata(L, ctx);
  lua_pushlightuserdata(L, (void *)(uintptr_t)limits);
  if (lua_pcall(L, 2, 0, 0)) {
    const char *text = lua_tostring(L, -1);
    mcl_status status = mcl_fail(ctx, MCL_ERROR_MEMORY, "a sandbox cannot be made: %s", text ? text : "no text");
    lua_close(L);
    return status;
  }
  *out = L;
  return MCL_OK;
}
