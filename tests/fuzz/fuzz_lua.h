/* One Lua state a process for targets that fuzz Lua's half of mcl: a script is loaded once, and called with each input. */
#ifndef MCL_TESTS_FUZZ_LUA_H
#define MCL_TESTS_FUZZ_LUA_H

#include <lauxlib.h>
#include <lua.h>
#include <mcl/mcl.h>

#include "fuzz.h"

#define FUZZ_COLLECT_EVERY 512 /* inputs */

/* A sandboxed state with what `script` returns, function(text), on its stack. The script is given `helper`, or nil. */
static inline lua_State *fuzz_lua_state(const char *script, lua_CFunction helper) {
  static lua_State *L;
  static int inputs;
  if (!L) {
    if (mcl_lua_new_sandbox(fuzz_context((size_t)16 << 20), NULL, &L)) exit(1);
    int status = luaL_loadbufferx(L, script, strlen(script), "=script", "t");
    if (helper) lua_pushcfunction(L, helper);
    if (status || lua_pcall(L, helper ? 1 : 0, 1, 0)) {
      fprintf(stderr, "%s\n", lua_tostring(L, -1));
      exit(1);
    }
  }
  if (++inputs % FUZZ_COLLECT_EVERY == 0) lua_gc(L, LUA_GCCOLLECT);
  return L;
}

/* Calls the script with the bytes. It catches what may fail; what it does not is a fault. */
static inline int fuzz_lua_call(const char *script, lua_CFunction helper, const uint8_t *data, size_t size) {
  lua_State *L = fuzz_lua_state(script, helper);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_settop(L, 1);
  return 0;
}

#endif
