/* The context seen from Lua: its wishes, cancel, seed; and a few things that Lua itself lacks: a clock, terminals,
 * whether a file exists. Embedded files are read here. */
#include <errno.h>
#include <mcl/mcl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lua/binding.h"
#include "lua/embedded.h"

/* ---- The context ---- */

static void keep_function(lua_State *L, const char *key, int *reference) {
  int type = mcl_lua_field(L, 1, key);
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (type != LUA_TFUNCTION) mcl_lua_fail(L, "%s: a function is wanted, got %s", key, lua_typename(L, type));
  int fresh = luaL_ref(L, LUA_REGISTRYINDEX);
  luaL_unref(L, LUA_REGISTRYINDEX, *reference);
  *reference = fresh;
}

/* core.context{threads=, seed=, memory=, dense_limit=, log=, progress=, cancelled=} */
static int context(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua->ctx && !lua->owns_context) mcl_lua_fail(L, "the context is the host's, and so are its settings");
  int threads = (int)mcl_lua_field_integer(L, 1, "threads", lua->wishes.threads, 0, 256);
  double dense = mcl_lua_field_number(L, 1, "dense_limit", (double)lua->wishes.dense_limit, 0, 1e18);
  double memory = mcl_lua_field_number(L, 1, "memory", (double)lua->wishes.memory_limit, 0, 1e18);
  if (lua->ctx && threads != lua->wishes.threads)
    mcl_lua_fail(L, "threads: the number is chosen before mcl is first used");
  if (lua->ctx && (size_t)memory != lua->wishes.memory_limit)
    mcl_lua_fail(L, "memory: the limit is chosen before mcl is first used");
  if (lua->ctx && (size_t)dense != lua->wishes.dense_limit)
    mcl_lua_fail(L, "dense_limit: it is chosen before mcl is first used");
  lua->wishes.dense_limit = (size_t)dense;
  lua->wishes.threads = threads;
  lua->wishes.memory_limit = (size_t)memory;
  lua->wishes.seed = (uint64_t)mcl_lua_field_integer(L, 1, "seed", (int64_t)lua->wishes.seed, INT64_MIN, INT64_MAX);
  keep_function(L, "log", &lua->log);
  keep_function(L, "progress", &lua->progress);
  keep_function(L, "cancelled", &lua->cancelled);
  mcl_context_set_seed(mcl_lua_of_stopped(L)->ctx, lua->wishes.seed);
  return 0;
}

static int threads(lua_State *L) {
  lua_pushinteger(L, mcl_context_threads(mcl_lua_ctx(L)));
  return 1;
}

/* core.seed(n) sets, core.seed() asks. */
static int seed(lua_State *L) {
  mcl_lua *lua = mcl_lua_of(L);
  if (!lua_isnoneornil(L, 1)) {
    mcl_context_set_seed(lua->ctx, (uint64_t)mcl_lua_integer(L, 1, "seed", INT64_MIN, INT64_MAX));
    lua->random_calls = 0;
  }
  lua_pushinteger(L, (lua_Integer)mcl_context_seed(lua->ctx));
  return 1;
}

/* In a sandbox the flag is the host's: code there could otherwise outlive a cancel, or stop others. */
static void need_own_cancel(lua_State *L) {
  if (mcl_lua_of_stopped(L)->sandboxed) mcl_lua_fail(L, "cancel and resume are out of reach in this sandbox");
}

static int cancel(lua_State *L) {
  need_own_cancel(L);
  mcl_context_cancel(mcl_lua_of_stopped(L)->ctx);
  return 0;
}

static int resume(lua_State *L) {
  need_own_cancel(L);
  mcl_context_resume(mcl_lua_of_stopped(L)->ctx);
  return 0;
}

/* Is a cancel asked for? Raises nothing. */
static int is_cancelled(lua_State *L) {
  mcl_lua *lua = mcl_lua_of_stopped(L);
  bool yes = mcl_check_cancel(lua->ctx) != MCL_OK;
  if (lua->has_error) mcl_lua_check(L, MCL_OK);
  lua_pushboolean(L, yes);
  return 1;
}

static int check_cancel(lua_State *L) {
  mcl_lua_check(L, mcl_check_cancel(mcl_lua_ctx(L)));
  return 0;
}

static int memory(lua_State *L) {
  mcl_context *ctx = mcl_lua_ctx(L);
  lua_pushinteger(L, (lua_Integer)mcl_context_memory(ctx));
  lua_pushinteger(L, (lua_Integer)mcl_context_memory_peak(ctx));
  return 2;
}

static int log_line(lua_State *L) {
  static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
  int level = luaL_checkoption(L, 1, NULL, levels);
  mcl_log(mcl_lua_ctx(L), (mcl_log_level)level, "%s", mcl_lua_string(L, 2, "line"));
  mcl_lua_check(L, MCL_OK);
  return 0;
}

static int progress(lua_State *L) {
  const char *unit = lua_isnoneornil(L, 4) ? "" : mcl_lua_string(L, 4, "unit");
  mcl_progress(mcl_lua_ctx(L), mcl_lua_string(L, 1, "task"), luaL_checknumber(L, 2), luaL_checknumber(L, 3), unit);
  mcl_lua_check(L, MCL_OK);
  return 0;
}

static int watch(lua_State *L) {
  mcl_lua_watch(L);
  return 0;
}

static int where(lua_State *L) {
  mcl_lua_where(L);
  return 1;
}

/* core.fail(status, text): an error that keeps its status for C callers, "budget" for one */
static int fail(lua_State *L) {
  const char *name = mcl_lua_string(L, 1, "status"), *text = mcl_lua_string(L, 2, "text");
  int status = MCL_ERROR_CANCELLED;
  while (status > MCL_OK && strcmp(name, mcl_status_name((mcl_status)status))) status--;
  if (status == MCL_OK) mcl_lua_fail(L, "status \"%s\" is unknown", name);
  mcl_lua_remember(mcl_lua_of(L), (mcl_status)status, text);
  return mcl_lua_fail(L, "%s", text);
}

static int type_name(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, mcl_lua_type_name(L, 1));
  return 1;
}

/* ---- Embedded files ---- */

static int embedded(lua_State *L) {
  size_t size;
  const char *text = mcl_lua_push_embedded(L, mcl_lua_string(L, 1, "name"), &size);
  if (text) lua_pushlstring(L, text, size);
  return 1;
}

static int embedded_names(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; mcl_embedded_files[i].name; i++) {
    lua_pushstring(L, mcl_embedded_files[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- The system ---- */

static int now(lua_State *L) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  lua_pushnumber(L, (double)time.tv_sec + (double)time.tv_nsec * 1e-9);
  return 1;
}

static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)mcl_lua_integer(L, 1, "file descriptor", 0, 1 << 20)));
  return 1;
}

/* core.stat(path) -> {kind=, size=, modified=} or nil, reason */
static int file_stat(lua_State *L) {
  mcl_lua_need_files(L, "stat");
  struct stat info;
  if (stat(mcl_lua_string(L, 1, "path"), &info)) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, S_ISDIR(info.st_mode) ? "directory" : S_ISREG(info.st_mode) ? "file" : "other");
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, (lua_Integer)info.st_size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, (lua_Integer)info.st_mtime);
  lua_setfield(L, -2, "modified");
  return 1;
}

/* rmdir(path): true; nil and a reason on failure, as Lua's own os functions do. */
static int remove_folder(lua_State *L) {
  mcl_lua_need_files(L, "rmdir");
  if (rmdir(mcl_lua_string(L, 1, "path"))) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushboolean(L, true);
  return 1;
}

void mcl_lua_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"context", context},
                                       {"threads", threads},
                                       {"seed", seed},
                                       {"cancel", cancel},
                                       {"resume", resume},
                                       {"is_cancelled", is_cancelled},
                                       {"check_cancel", check_cancel},
                                       {"memory", memory},
                                       {"log", log_line},
                                       {"progress", progress},
                                       {"watch", watch},
                                       {"where", where},
                                       {"explain", mcl_lua_explain},
                                       {"fail", fail},
                                       {"type", type_name},
                                       {"embedded", embedded},
                                       {"embedded_names", embedded_names},
                                       {"now", now},
                                       {"isatty", is_terminal},
                                       {"stat", file_stat},
                                       {"rmdir", remove_folder},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, MCL_VERSION);
  lua_setfield(L, -2, "version");
}
