/* The record of a Lua state: its context, the error that is under way, the host's callbacks as Lua functions.
 *
 * A callback that C calls (a criterion, a loss, progress) runs protected. When it raises, the error value is kept here
 * and the C code is given a failing status; when that status comes back to the binding, mcl_lua_check raises the value
 * that was kept, so that the recipe sees its own error, and no C frame is jumped over. */
#include "lua/binding.h"
#include "lua/limits.h"

#include <math.h>
#include <mcl/mcl.h>
#include <stdarg.h>
#include <string.h>

#define HEAVY_LEAST ((size_t)64 << 20)

static const char record_key; /* its address names the record in the registry */

mcl_lua *mcl_lua_record(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &record_key);
  mcl_lua *lua = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return lua;
}

/* ---- Callbacks ---- */

/* The stack of the running coroutine, or NULL: from another thread, or where no call into C is under way. */
static lua_State *callback_stack(mcl_lua *lua, int function) {
  if (function == LUA_NOREF || !lua->L || !pthread_equal(lua->owner, pthread_self()) ||
      !lua_checkstack(lua->L, LUA_MINSTACK))
    return NULL;
  lua_rawgeti(lua->L, LUA_REGISTRYINDEX, function);
  return lua->L;
}

/* For callbacks that have no status of their own: the work is ended as by a cancel, which carries their error out. */
static void stop_by_error(mcl_lua *lua) {
  lua->stopped_by_error = true;
  mcl_cancel_work(lua->ctx, true);
}

static void on_log(void *user, mcl_log_level level, const char *line) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  mcl_lua *lua = user;
  lua_State *L = callback_stack(lua, lua->log);
  if (!L) return;
  lua_pushstring(L, names[level]);
  lua_pushstring(L, line);
  if (mcl_lua_call(lua, L, 2, 0)) stop_by_error(lua);
}

static void on_progress(void *user, const char *task, double done, double total, const char *unit) {
  mcl_lua *lua = user;
  lua_State *L = callback_stack(lua, lua->progress);
  if (!L) return;
  lua_pushstring(L, task);
  lua_pushnumber(L, done);
  lua_pushnumber(L, total);
  lua_pushstring(L, unit);
  if (mcl_lua_call(lua, L, 4, 0)) stop_by_error(lua);
}

static bool on_cancelled(void *user) {
  mcl_lua *lua = user;
  lua_State *L = callback_stack(lua, lua->cancelled);
  if (!L) return false;
  if (mcl_lua_call(lua, L, 0, 1)) {
    stop_by_error(lua);
    return true;
  }
  bool yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return yes;
}

mcl_status mcl_lua_call(mcl_lua *lua, lua_State *L, int arguments, int results) {
  lua_State *outer = lua->L;
  int status = lua_pcall(L, arguments, results, 0);
  lua->L = outer;
  if (status == LUA_OK) return MCL_OK;
  const char *text = lua_tostring(L, -1);
  mcl_status kind = mcl_lua_is_stopped(lua) ? MCL_ERROR_CANCELLED : MCL_ERROR_ARGUMENT;
  mcl_status failed = mcl_fail(lua->ctx, kind, "%s", text ? text : "a Lua function raised an error");
  if (lua->error == LUA_NOREF) {
    lua->error = luaL_ref(L, LUA_REGISTRYINDEX);
  } else {
    lua_pop(L, 1); /* the first one is the cause */
  }
  return failed;
}

/* ---- The record ---- */

static int record_gc(lua_State *L) {
  mcl_lua *lua = lua_touserdata(L, 1);
  if (lua->allocator) *lua->allocator = NULL;
  if (lua->owns_context) mcl_context_free(lua->ctx);
  lua->ctx = NULL;
  return 0;
}

/* The record is the first object of the state with a finaliser, so it is the last to be finalised: all other objects
 * find the context alive. */
mcl_lua *mcl_lua_record_new(lua_State *L, mcl_context *ctx) {
  mcl_lua *lua = lua_newuserdatauv(L, sizeof *lua, 0);
  memset(lua, 0, sizeof *lua);
  lua->ctx = ctx;
  lua->files = true;
  lua->error = lua->log = lua->progress = lua->cancelled = LUA_NOREF;
  lua->wishes = (mcl_options){.user = lua, .log = on_log, .progress = on_progress, .cancelled = on_cancelled};
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua->main = lua->running = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, record_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &record_key);
  mcl_lua_keep_stop_texts(L);
  return lua;
}

static mcl_status make_context(mcl_lua *lua) {
  if (lua->ctx) return MCL_OK;
  lua->owner = pthread_self();
  mcl_status status = mcl_engine_new(&lua->wishes, &lua->ctx);
  lua->owns_context = !status;
  return status;
}

mcl_lua *mcl_lua_of_stopped(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua) luaL_error(L, "mcl is not in this Lua state, or the state is closing");
  mcl_status status = make_context(lua);
  if (status) luaL_error(L, "mcl: no context could be made (%s)", mcl_status_name(status));
  lua->L = L;
  return lua;
}

mcl_lua *mcl_lua_of(lua_State *L) {
  mcl_lua *lua = mcl_lua_of_stopped(L);
  if (mcl_lua_is_stopped(lua)) mcl_lua_stop(L);
  return lua;
}

mcl_context *mcl_lua_ctx(lua_State *L) { return mcl_lua_of(L)->ctx; }

mcl_status mcl_lua_context(lua_State *L, mcl_context **out) {
  mcl_lua *lua = mcl_lua_record(L);
  *out = NULL;
  if (!lua) return MCL_ERROR_ARGUMENT;
  MCL_TRY(make_context(lua));
  *out = lua->ctx;
  return MCL_OK;
}

void mcl_lua_relieve(lua_State *L) {
  mcl_lua *lua = mcl_lua_of(L);
  size_t held = mcl_context_memory(lua->ctx);
  if (!lua->heavy_bytes) lua->heavy_bytes = held + HEAVY_LEAST;
  if (held <= lua->heavy_bytes) return;
  lua_gc(L, LUA_GCCOLLECT);
  held = mcl_context_memory(lua->ctx);
  lua->heavy_bytes = held + held / 2 + HEAVY_LEAST;
}

void mcl_lua_need_files(lua_State *L, const char *what) {
  if (!mcl_lua_of(L)->files) mcl_lua_fail(L, "%s: files are out of reach in this sandbox", what);
}

/* ---- Errors ---- */

/* Lua's own half of mcl is not where a user looks for a mistake. */
static bool is_ours(const lua_Debug *frame) { return !strncmp(frame->source, "@lua/mcl/", 9); }

void mcl_lua_where(lua_State *L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline <= 0 || is_ours(&frame)) continue;
    lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

int mcl_lua_fail(lua_State *L, const char *format, ...) {
  char text[1200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  mcl_lua_where(L);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  return lua_error(L);
}

void mcl_lua_check(lua_State *L, mcl_status status) {
  mcl_lua *lua = mcl_lua_record(L);
  if (lua->stopped_by_error) mcl_cancel_work(lua->ctx, false);
  lua->stopped_by_error = false;
  if (status && mcl_lua_is_stopped(lua)) mcl_lua_arm_stop(lua, L);
  if (lua->error != LUA_NOREF) {
    int error = lua->error;
    lua->error = LUA_NOREF;
    lua_rawgeti(L, LUA_REGISTRYINDEX, error);
    luaL_unref(L, LUA_REGISTRYINDEX, error);
    lua_error(L);
  }
  if (!status) return;
  const char *message = mcl_context_message(lua->ctx);
  mcl_lua_fail(L, "%s", *message ? message : mcl_status_name(status));
}

int mcl_lua_bad(lua_State *L, int arg, const char *wanted) {
  return mcl_lua_fail(L, "argument %d: %s is wanted, got %s", arg, wanted, mcl_lua_type_name(L, arg));
}
