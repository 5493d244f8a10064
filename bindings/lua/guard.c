/* Lua's own functions that catch errors, in forms that a stop passes through: pcall, xpcall, load with a reader, and
 * coroutines. What a stop raises reaches whoever called Lua, whatever lies between. */
#include <limits.h>
#include <lualib.h>
#include <mcl/mcl.h>

#include "lua/binding.h"
#include "lua/limits.h"

#define LONGEST_TEXT ((size_t)256 << 10) /* of one chunk that is not trusted */
#define PIECE 64      /* bytes of a chunk between two questions: up to some milliseconds of compiling */
#define MOST_CLOSES 8 /* one within the other: Lua counts the depth of C's stack anew in each */

/* ---- pcall, xpcall ---- */

static int finish_call(lua_State *L, int status, lua_KContext before_results) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)before_results;
  mcl_lua_pass_stop(L);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int guarded_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  return finish_call(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_call), 0);
}

/* Runs where the error was raised, before anything is unwound; after a stop that may be with hooks off. Upvalue: the
 * handler that was given. */
static int guarded_handler(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  if (lua && (lua->stopping || mcl_lua_is_stopped(lua))) return 1;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* xpcall(f, handler, …) */
static int guarded_xpcall(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  mcl_lua_poll(L, 0);
  int arguments = lua_gettop(L) - 2;
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, guarded_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, true);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  return finish_call(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, 2, finish_call), 2);
}

/* ---- Coroutines ---- */

static lua_State *coroutine_at(lua_State *L, int arg) {
  lua_State *coroutine = lua_tothread(L, arg);
  luaL_argexpected(L, coroutine, arg, "coroutine");
  return coroutine;
}

/* The error of a coroutine goes over to L. One that a stop has ended is left as it is: its hooks are off. */
static void take_error(lua_State *L, lua_State *coroutine) {
  mcl_lua *lua = mcl_lua_record(L);
  lua_xmove(coroutine, L, 1);
  if (!mcl_lua_is_stopped(lua)) return;
  lua->killed = true;
  mcl_lua_pass_stop(L);
}

/* Resumes with the `arguments` on the top; how many results are there, or -1 and a message. */
static int resume_with(lua_State *L, lua_State *coroutine, int arguments) {
  int results;
  if (!lua_checkstack(coroutine, arguments)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_State *before = mcl_lua_enter_coroutine(L, coroutine);
  lua_xmove(L, coroutine, arguments);
  int status = lua_resume(coroutine, L, arguments, &results);
  mcl_lua_leave_coroutine(L, before);
  if (status != LUA_OK && status != LUA_YIELD) {
    take_error(L, coroutine);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(coroutine, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(coroutine, L, results);
  return results;
}

static int guarded_resume(lua_State *L) {
  int results = resume_with(L, coroutine_at(L, 1), lua_gettop(L) - 1);
  lua_pushboolean(L, results >= 0);
  if (results < 0) results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

/* Ends a coroutine, its variables closed by handlers that run in it. False: an error, moved to L. */
static bool end_coroutine(lua_State *L, lua_State *coroutine) {
  mcl_lua *lua = mcl_lua_record(L);
  bool died = lua_status(coroutine) != LUA_OK && lua_status(coroutine) != LUA_YIELD;
  if (died && lua->killed) {
    lua_pushliteral(L, "the coroutine was stopped");
    return false;
  }
  if (lua->closes == MOST_CLOSES) {
    lua_pushliteral(L, "C stack overflow: coroutines close one another");
    return false;
  }
  lua_State *before = mcl_lua_enter_coroutine(L, coroutine);
  lua->closes++;
  int status = lua_resetthread(coroutine); /* raises nothing */
  lua->closes--;
  mcl_lua_leave_coroutine(L, before);
  if (status == LUA_OK) return true;
  take_error(L, coroutine);
  return false;
}

static int call_wrapped(lua_State *L) {
  lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
  int results = resume_with(L, coroutine, lua_gettop(L));
  if (results >= 0) return results;
  int status = lua_status(coroutine);
  if (status != LUA_OK && status != LUA_YIELD && !end_coroutine(L, coroutine)) lua_remove(L, -2);
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) { /* the place of the call goes before it */
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int guarded_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *coroutine = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, coroutine, 1);
  lua_pushcclosure(L, call_wrapped, 1);
  return 1;
}

static bool is_active(lua_State *L, lua_State *coroutine) {
  lua_Debug frame;
  return coroutine == L || (lua_status(coroutine) == LUA_OK && lua_getstack(coroutine, 0, &frame));
}

static int guarded_close(lua_State *L) {
  lua_State *coroutine = coroutine_at(L, 1);
  if (is_active(L, coroutine))
    return luaL_error(L, "cannot close a %s coroutine", coroutine == L ? "running" : "normal");
  if (end_coroutine(L, coroutine)) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

/* ---- load ---- */

/* Gathers what the reader at 1 gives into one string at 1; otherwise pushes nil and the message. */
static bool gather(lua_State *L, size_t most) {
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  for (;;) {
    mcl_lua_poll(L, 0);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 0, 1, 0)) {
      mcl_lua_pass_stop(L);
      break;
    }
    size_t length = 0;
    if (lua_isnil(L, -1) || (lua_tolstring(L, -1, &length) && !length)) {
      lua_pop(L, 1);
      luaL_pushresult(&text);
      lua_replace(L, 1);
      return true;
    }
    if (!length) lua_pushliteral(L, "reader function must return a string");
    if (length && luaL_bufflen(&text) + length > most) lua_pushfstring(L, "a chunk of more than %d bytes", (int)most);
    if (!length || luaL_bufflen(&text) + length > most) break;
    luaL_addvalue(&text);
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return false;
}

/* Lua's own load asks for a text piece by piece: one name costs a look at up to 255 variables in each of 200 functions
 * around it. Upvalues: the text, how many of its bytes were given. */
static int next_piece(lua_State *L) {
  size_t length;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
  size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(2)), size = length - at < PIECE ? length - at : PIECE;
  mcl_lua_poll(L, (int64_t)size / 8);
  lua_pushinteger(L, (lua_Integer)(at + size));
  lua_replace(L, lua_upvalueindex(2));
  lua_pushlstring(L, text + at, size);
  return 1;
}

/* The text at 1, which names itself where nothing else does, becomes a function that gives it. */
static void cut_text(lua_State *L) {
  if (lua_isnil(L, 2)) {
    lua_pushvalue(L, 1);
    lua_replace(L, 2);
  }
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_piece, 2);
  lua_replace(L, 1);
}

/* load(text or function[, name[, mode[, env]]]). Upvalues: Lua's own load; is text alone to be taken, whatever the mode
 * says? */
static int guarded_load(lua_State *L) {
  int arguments = lua_gettop(L) > 4 ? 4 : lua_gettop(L);
  bool text_alone = lua_toboolean(L, lua_upvalueindex(2));
  size_t most = text_alone ? LONGEST_TEXT : INT_MAX, length = 0;
  lua_settop(L, 4);
  if (!lua_isstring(L, 1)) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lua_isnil(L, 2)) {
      lua_pushliteral(L, "=(load)");
      lua_replace(L, 2);
    }
    if (!gather(L, most)) return 2;
  }
  lua_tolstring(L, 1, &length);
  if (length > most) {
    lua_pushnil(L);
    lua_pushfstring(L, "a chunk of more than %d bytes is out of reach in this sandbox", (int)most);
    return 2;
  }
  cut_text(L);
  if (text_alone) {
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (arguments < 4) lua_settop(L, 4); /* no environment is not the environment nil */
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  if (lua_isnil(L, 1)) mcl_lua_pass_stop(L);
  return lua_gettop(L);
}

/* ---- Into a state ---- */

static void guard_load(lua_State *L, bool text_alone) {
  lua_getglobal(L, "load");
  lua_pushboolean(L, text_alone);
  lua_pushcclosure(L, guarded_load, 2);
  lua_setglobal(L, "load");
}

void mcl_lua_guard_library(lua_State *L, bool text_alone) {
  static const luaL_Reg base[] = {{"pcall", guarded_pcall}, {"xpcall", guarded_xpcall}, {NULL, NULL}};
  static const luaL_Reg coroutines[] = {
      {"resume", guarded_resume}, {"wrap", guarded_wrap}, {"close", guarded_close}, {NULL, NULL}};
  lua_pushglobaltable(L);
  luaL_setfuncs(L, base, 0);
  lua_pop(L, 1);
  if (lua_getglobal(L, LUA_COLIBNAME) == LUA_TTABLE) luaL_setfuncs(L, coroutines, 0);
  lua_pop(L, 1);
  if (lua_getglobal(L, LUA_STRLIBNAME) == LUA_TTABLE) mcl_lua_guard_patterns(L);
  lua_pop(L, 1);
  mcl_lua_guard_loops(L);
  guard_load(L, text_alone);
  mcl_lua_record(L)->guarded = true;
}

static int guard_protected(lua_State *L) {
  mcl_lua_guard_library(L, false);
  return 0;
}

mcl_status mcl_lua_guard(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua) return MCL_ERROR_ARGUMENT;
  if (lua->guarded) return MCL_OK;
  lua_pushcfunction(L, guard_protected);
  if (!lua_pcall(L, 0, 0, 0)) return MCL_OK;
  lua_pop(L, 1);
  return MCL_ERROR_MEMORY;
}
