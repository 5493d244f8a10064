/* The whole Lua API: scripts of random calls in a sandbox with limits, driven by lua_api.lua. A script depends on the
 * input's bytes alone, and when they are used up, on numbers counted from their hash. Whatever it does, it must end as Lua
 * ends: by coming to its end or by an error, within its limits, with nothing left behind.
 *
 * MCL_FUZZ_TRACE=1 writes each call and each failure to stderr before it is made. At its end the program says how many
 * calls were made. */
#include <lauxlib.h>
#include <lua.h>
#include <mcl/mcl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/bytes.h"
#include "base/random.h"
#include "coding/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTEXT_MEMORY ((size_t)16 << 20)
#define LUA_MEMORY ((size_t)64 << 20)
#define INSTRUCTIONS 5000000
#define CPU_SECONDS 2 /* then the script is cancelled */

static struct fuzz {
  mcl_context *ctx;
  bool traces;
  long long calls, failures, scripts;
  char *text[4]; /* annotations, lua_types, lua_values, lua_api */
  /* of the script that runs */
  const uint8_t *data;
  size_t size, at;
  uint64_t seed, counter;
  int64_t allocations_left; /* negative: none fails */
} fuzz;

/* ---- The host ---- */

static void *allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  if (fuzz.allocations_left >= 0 && fuzz.allocations_left-- == 0) return NULL;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release(void *user, void *memory, size_t size) {
  (void)user, (void)size;
  free(memory);
}

static void on_timer(int signal) {
  (void)signal;
  mcl_context_cancel(fuzz.ctx);
}

static void say_counts(void) {
  fprintf(stderr, "%lld calls of the Lua API in %lld scripts, %lld of them failed with an error\n", fuzz.calls,
          fuzz.scripts, fuzz.failures);
}

static char *read_text(const char *name) {
  char path[1000];
  snprintf(path, sizeof path, "%s/%s", MCL_SOURCE_DIR, name);
  FILE *file = fopen(path, "rb");
  if (!file) {
    fprintf(stderr, "%s cannot be read\n", path);
    exit(1);
  }
  char *text = calloc(1, 1 << 17);
  size_t size = text ? fread(text, 1, (1 << 17) - 1, file) : 0;
  fclose(file);
  if (!size) exit(1);
  return text;
}

static bool prepare(void) {
  if (fuzz.ctx) return true;
  mcl_options options = {.memory_limit = CONTEXT_MEMORY, .threads = 1, .allocate = allocate, .release = release};
  fuzz.allocations_left = -1;
  if (mcl_engine_new(&options, &fuzz.ctx)) return false;
  fuzz.text[0] = read_text("lua/mcl.d.lua");
  char *more = read_text("tests/fuzz/core.d.lua");
  fuzz.text[0] = realloc(fuzz.text[0], 1 << 18);
  strcat(fuzz.text[0], more);
  free(more);
  fuzz.text[1] = read_text("tests/fuzz/lua_types.lua");
  fuzz.text[2] = read_text("tests/fuzz/lua_values.lua");
  fuzz.text[3] = read_text("tests/fuzz/lua_api.lua");
  fuzz.traces = getenv("MCL_FUZZ_TRACE") != NULL;
  signal(SIGPROF, on_timer);
  atexit(say_counts);
  return true;
}

/* ---- What the driver is given ---- */

static uint8_t next_byte(void) {
  if (fuzz.at < fuzz.size) return fuzz.data[fuzz.at++];
  uint64_t x = fuzz.seed + ++fuzz.counter * 0x9e3779b97f4a7c15u; /* splitmix64 */
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return (uint8_t)(x >> 56);
}

/* choose(n): 1 … n */
static int choose(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  unsigned number = next_byte();
  if (n > 256) number |= (unsigned)next_byte() << 8;
  lua_pushinteger(L, n > 0 ? (lua_Integer)(number % (uint64_t)n) + 1 : 1);
  return 1;
}

/* count(depth, name, …): a call is about to be made */
static int count(lua_State *L) {
  fuzz.calls++;
  if (!fuzz.traces) return 0;
  fprintf(stderr, "%*s%s(", (int)lua_tointeger(L, 1) * 2, "", lua_tostring(L, 2));
  for (int i = 3; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) == LUA_TNUMBER || lua_type(L, i) == LUA_TSTRING) {
      lua_pushvalue(L, i);
      fprintf(stderr, "%s%.40s", i > 3 ? ", " : "", lua_tostring(L, -1));
      lua_pop(L, 1);
    } else {
      fprintf(stderr, "%s%s %p", i > 3 ? ", " : "", luaL_typename(L, i), lua_topointer(L, i));
    }
  }
  fprintf(stderr, ")\n");
  return 0;
}

/* failed(error) */
static int failed(lua_State *L) {
  fuzz.failures++;
  if (fuzz.traces)
    fprintf(stderr, "  -> %.300s\n", lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : luaL_typename(L, 1));
  return 0;
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Leaves the table of methods of the object at 1 on the stack, whether its __index is the table or a function over it. */
static bool push_method_table(lua_State *L) {
  if (!lua_getmetatable(L, 1)) return false;
  lua_pushliteral(L, "__index");
  lua_rawget(L, -2);
  if (lua_istable(L, -1)) return true;
  if (!lua_isfunction(L, -1)) return false;
  for (int i = 1; lua_getupvalue(L, -1, i); i++) {
    if (lua_istable(L, -1)) return true;
    lua_pop(L, 1);
  }
  return false;
}

/* methods(object): names, sorted, so that choices do not depend on the order of a hash */
static int methods(lua_State *L) {
  const char *name[256];
  int found = 0;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (push_method_table(L)) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
      if (found < 256 && lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) &&
          strncmp(lua_tostring(L, -2), "__", 2))
        name[found++] = lua_tostring(L, -2);
  }
  qsort(name, (size_t)found, sizeof *name, compare_texts);
  lua_newtable(L);
  for (int i = 0; i < found; i++) {
    lua_pushstring(L, name[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- A script ---- */

static void load_text(lua_State *L, int text, const char *name) {
  if (luaL_loadbufferx(L, fuzz.text[text], strlen(fuzz.text[text]), name, "t")) lua_error(L);
}

static int run(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"choose", choose}, {"count", count}, {"failed", failed}, {"methods", methods}, {NULL, NULL}};
  load_text(L, 3, "@lua_api.lua");
  luaL_newlib(L, functions);
  lua_pushstring(L, fuzz.text[0]);
  load_text(L, 1, "@lua_types.lua");
  lua_call(L, 0, 1);
  load_text(L, 2, "@lua_values.lua");
  lua_call(L, 0, 1);
  lua_call(L, 4, 0);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!prepare()) return 0;
  fuzz.data = data, fuzz.size = size, fuzz.at = 0;
  fuzz.seed = mcl_hash(data, size), fuzz.counter = 0;
  fuzz.scripts++;
  mcl_lua_limits limits = {.memory_bytes = LUA_MEMORY, .instructions = INSTRUCTIONS};
  lua_State *L;
  mcl_context_resume(fuzz.ctx);
  if (mcl_lua_new_sandbox(fuzz.ctx, &limits, &L)) return 0;
  uint8_t habit = next_byte();
  fuzz.allocations_left = habit < 24 ? (habit + 1) * 20 : -1;
  setitimer(ITIMER_PROF, &(struct itimerval){{CPU_SECONDS, 0}, {CPU_SECONDS, 0}}, NULL);
  lua_pushcfunction(L, run);
  if (lua_pcall(L, 0, 0, 0) && fuzz.traces) fprintf(stderr, "the script: %s\n", lua_tostring(L, -1));
  setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
  fuzz.allocations_left = -1;
  lua_close(L);
  return 0;
}
