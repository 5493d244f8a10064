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

void mcl_lua_run_on(mcl_lua *lua, lua_State *L) {
  if (lua->L == L) return;
  lua->L = L;
  if (!L) return;
  lua_pushthread(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, lua->coroutine);
}

/* Where a function of the user's can run now: on the coroutine that has called C, if it is still in that call. NULL: this
 * is another thread, or the stack is full. */
static lua_State *callback_stack(const mcl_lua *lua) {
  if (!lua->L || !pthread_equal(lua->owner, pthread_self())) return NULL;
  lua_State *L = lua_status(lua->L) == LUA_OK ? lua->L : lua->main;
  return lua_checkstack(L, LUA_MINSTACK) ? L : NULL;
}

/* What log, progress or cancelled is told. */
typedef struct report {
  int function; /* reference */
  const char *text, *unit;
  double done, total;
  int arguments; /* 0; 2: unit and text; 4: text, done, total and unit */
} report;

static int report_protected(lua_State *L) {
  const report *r = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->function);
  if (r->arguments == 2) lua_pushstring(L, r->unit);
  if (r->arguments) lua_pushstring(L, r->text);
  if (r->arguments == 4) {
    lua_pushnumber(L, r->done);
    lua_pushnumber(L, r->total);
    lua_pushstring(L, r->unit);
  }
  lua_call(L, r->arguments, 1);
  return 1;
}

/* Whether the function answers true, or fails: these callbacks have no status of their own, so the work is ended as by a
 * cancel, which carries the error out. */
static bool tell(mcl_lua *lua, const report *r) {
  lua_State *L = r->function == LUA_NOREF ? NULL : callback_stack(lua);
  if (!L) return false;
  bool outer = lua->is_reporting;
  lua_pushcfunction(L, report_protected);
  lua_pushlightuserdata(L, (void *)(uintptr_t)r);
  lua->is_reporting = true;
  mcl_status status = mcl_lua_call(lua, L, 1, 1);
  lua->is_reporting = outer;
  if (status) {
    lua->stopped_by_error = true;
    mcl_cancel_work(lua->ctx, true);
    return true;
  }
  bool yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return yes;
}

static void on_log(void *user, mcl_log_level level, const char *line) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  mcl_lua *lua = user;
  tell(lua, &(report){.function = lua->log, .unit = names[level], .text = line, .arguments = 2});
}

static void on_progress(void *user, const char *task, double done, double total, const char *unit) {
  mcl_lua *lua = user;
  tell(lua, &(report){lua->progress, task, unit, done, total, 4});
}

static bool on_cancelled(void *user) {
  mcl_lua *lua = user;
  return tell(lua, &(report){.function = lua->cancelled});
}

mcl_status mcl_lua_call(mcl_lua *lua, lua_State *L, int arguments, int results) {
  lua_State *outer = lua->L;
  int lua_status = lua_pcall(L, arguments, results, 0);
  mcl_lua_run_on(lua, outer);
  if (lua_status == LUA_OK) return MCL_OK;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  mcl_status kind = mcl_lua_is_stopped(lua) ? MCL_ERROR_CANCELLED : mcl_lua_status_of(lua, lua_status, text);
  mcl_status failed = mcl_fail(lua->ctx, kind, "%s", text ? text : "a Lua function raised an error");
  if (lua->has_error) {
    lua_pop(L, 1); /* the first one is the cause */
  } else {
    lua->has_error = true;
    lua_rawseti(L, LUA_REGISTRYINDEX, lua->error); /* over what is there: no memory is needed */
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
  lua->log = lua->progress = lua->cancelled = LUA_NOREF;
  lua->wishes = (mcl_options){.user = lua, .log = on_log, .progress = on_progress, .cancelled = on_cancelled};
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua->main = lua->running = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, record_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &record_key);
  int *places[] = {&lua->error, &lua->coroutine};
  for (int i = 0; i < 2; i++) {
    lua_pushboolean(L, false);
    *places[i] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
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
  if (status) {
    mcl_lua_remember(lua, status, "mcl: no context could be made");
    luaL_error(L, "mcl: no context could be made (%s)", mcl_status_name(status));
  }
  mcl_lua_run_on(lua, L);
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

void mcl_lua_remember(mcl_lua *lua, mcl_status status, const char *message) {
  enum { most = sizeof lua->failures / sizeof lua->failures[0] };
  unsigned at = lua->failure_count++ % most;
  lua->failures[at].status = status;
  snprintf(lua->failures[at].text, sizeof lua->failures[at].text, "%s", message);
}

mcl_status mcl_lua_status_of(const mcl_lua *lua, int lua_status, const char *text) {
  enum { most = sizeof lua->failures / sizeof lua->failures[0] };
  if (lua_status == LUA_ERRMEM) return MCL_ERROR_MEMORY;
  for (unsigned i = 1; text && i <= most && i <= lua->failure_count; i++) {
    unsigned at = (lua->failure_count - i) % most;
    if (strstr(text, lua->failures[at].text)) return lua->failures[at].status;
  }
  /* Lua's own words, once they were caught and raised anew */
  return text && strstr(text, "not enough memory") ? MCL_ERROR_MEMORY : MCL_ERROR_ARGUMENT;
}

void mcl_lua_check(lua_State *L, mcl_status status) {
  mcl_lua *lua = mcl_lua_record(L);
  if (lua->stopped_by_error) mcl_cancel_work(lua->ctx, false);
  lua->stopped_by_error = false;
  if (status && mcl_lua_is_stopped(lua)) mcl_lua_arm_stop(lua, L);
  if (lua->has_error) {
    lua->has_error = false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, lua->error);
    lua_pushboolean(L, false);
    lua_rawseti(L, LUA_REGISTRYINDEX, lua->error);
    lua_error(L);
  }
  if (!status) return;
  const char *message = mcl_context_message(lua->ctx);
  if (!*message) message = mcl_status_name(status);
  mcl_lua_remember(lua, status, message);
  mcl_lua_fail(L, "%s", message);
}

int mcl_lua_bad(lua_State *L, int arg, const char *wanted) {
  return mcl_lua_fail(L, "argument %d: %s is wanted, got %s", arg, wanted, mcl_lua_type_name(L, arg));
}
