/* Fresh states for code that is not trusted: Lua's memory counted against a limit, its instructions against another,
 * and nothing within reach that leaves the state: no io, no os but clocks, no debug, no bytecode, no finalisers (they run
 * with hooks off, so no limit would stop them). */
#include <lualib.h>
#include <mcl/mcl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"
#include "lua/limits.h"

/* ---- Memory ---- */

#define COUNT_STEP ((size_t)64 << 10)  /* the context's count is told of Lua's memory in such steps */
#define LIGHT_BLOCK ((size_t)64 << 10) /* up to here a block does not shorten the period of the hook */
#define LARGEST_NEW                                                                                                    \
  ((size_t)32 << 20) /* a string, or the hash part of a table: one instruction may go through it all */
#define BLOCK_CLASSES 32

typedef struct memory_count {
  mcl_context *ctx;
  mcl_lua *lua;              /* the state's record, while it is there */
  size_t used, limit;        /* limit 0: none */
  size_t told;               /* what of it the context has counted */
  int blocks[BLOCK_CLASSES]; /* live ones by log2 of size / LIGHT_BLOCK; not counted in class 0 */
} memory_count;

/* Tells the context, in steps. False: that passes the context's limit. */
static bool tell(memory_count *count, size_t used) {
  size_t told = (used + COUNT_STEP - 1) / COUNT_STEP * COUNT_STEP;
  if (told <= count->told && count->told - told <= COUNT_STEP && used) return true; /* not for every byte to and fro */
  if (!used) told = 0;
  if (!mcl_memory_count(count->ctx, count->told, told)) return false;
  count->told = told;
  return true;
}

static int class_of(size_t size) {
  int class = 0;
  for (; size > LIGHT_BLOCK && class < BLOCK_CLASSES - 1; size /= 2) class ++;
  return class;
}

static void note_block(memory_count *count, size_t old_size, size_t size) {
  int before = class_of(old_size), after = class_of(size), heaviest = BLOCK_CLASSES - 1;
  if (before == after) return;
  count->blocks[before]--;
  count->blocks[after]++;
  while (heaviest > 0 && !count->blocks[heaviest]) heaviest--;
  if (count->lua) mcl_lua_set_heaviest(count->lua, heaviest);
}

/* Before it fails for lack of memory Lua collects all of its garbage: code that catches the error and asks again spends
 * its time there, so the hook looks after every single instruction. */
static void *refuse_memory(memory_count *count) {
  if (count->lua) mcl_lua_hurry(count->lua, 1);
  return NULL;
}

/* Lua's allocator; old_size is a type's tag where `memory` is NULL. The state's own block is the first to be taken and
 * the last to be given back, so the count goes with it. Until the state stands, `used` is one too many, and its maker
 * owns the count. */
static void *limited_allocate(void *user, void *memory, size_t old_size, size_t size) {
  memory_count *count = user;
  if (!memory) old_size = 0;
  size_t used = count->used - old_size + size;
  if (size > old_size) {
    if (!memory && size > LARGEST_NEW) return refuse_memory(count);
    if (count->limit && size - old_size > count->limit - count->used) return refuse_memory(count);
    if (!tell(count, used)) return refuse_memory(count);
  }
  void *moved = NULL;
  if (size == 0) {
    free(memory);
  } else {
    moved = realloc(memory, size);
    if (!moved) return refuse_memory(count);
  }
  count->used = used;
  if (size < old_size) tell(count, used);
  note_block(count, old_size, size);
  if (old_size && !used) free(count);
  return moved;
}

static lua_State *new_limited_state(mcl_context *ctx, size_t limit) {
  memory_count *count = malloc(sizeof *count);
  if (!count) return NULL;
  *count = (memory_count){.ctx = ctx, .used = 1, .limit = limit ? limit + 1 : 0};
  lua_State *L = lua_newstate(limited_allocate, count);
  if (L) {
    count->used--;
  } else {
    mcl_memory_count(ctx, count->told, 0);
    free(count);
  }
  return L;
}

/* The record tells the count of itself, and takes that back before it goes. */
static void join(lua_State *L, mcl_lua *lua) {
  void *count;
  lua_getallocf(L, &count);
  lua->allocator = &((memory_count *)count)->lua;
  *lua->allocator = lua;
}

/* ---- What of the base library is left ---- */

#define LOG_LINE 1024

static int refused(lua_State *L) {
  return mcl_lua_fail(L, "%s is out of reach in this sandbox", lua_tostring(L, lua_upvalueindex(1)));
}

static void refuse(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_pushcclosure(L, refused, 1);
  lua_setglobal(L, name);
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

/* print writes a line to the host's log: nothing here prints. A line of the log is short, so what is long is cut. */
static int print_to_log(lua_State *L) {
  char line[LOG_LINE];
  size_t used = 0;
  int count = lua_gettop(L);
  for (int i = 1; i <= count && used < sizeof line - 1; i++) {
    const char *text = luaL_tolstring(L, i, NULL);
    int length = snprintf(line + used, sizeof line - used, "%s%s", i > 1 ? "\t" : "", text);
    used += length < 0 ? 0 : (size_t)length;
    lua_pop(L, 1);
  }
  if (!count) line[0] = '\0';
  mcl_log(mcl_lua_ctx(L), MCL_LOG_INFO, "%s", line);
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
  join(L, lua);
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
  mcl_lua_guard_library(L, true);
  wrap_global(L, "setmetatable", plain_setmetatable);
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  lua->limited = limits->instructions > 0;
  lua->instructions_left = limits->instructions > INT64_MAX ? INT64_MAX : (int64_t)limits->instructions;
  mcl_lua_watch(L);
  return 0;
}

mcl_status mcl_lua_new_sandbox(mcl_context *ctx, const mcl_lua_limits *limits, lua_State **out) {
  static const mcl_lua_limits none;
  if (!limits) limits = &none;
  *out = NULL;
  lua_State *L = new_limited_state(ctx, limits->memory_bytes);
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
