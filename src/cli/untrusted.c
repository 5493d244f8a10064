/* Recipes that are not trusted: run as a host program's are, in a sandbox of their own, on the command's model. */
#include <lauxlib.h>
#include <mcl/mcl.h>

#include "cli/system.h"
#include "lua/binding.h"

/* The field of the table at 1, left on the stack; its index, or 0 where there is none. */
static int field(lua_State *L, const char *key) {
  if (mcl_lua_field(L, 1, key) != LUA_TNIL) return lua_gettop(L);
  lua_pop(L, 1);
  return 0;
}

static const char *text_field(lua_State *L, const char *key) {
  int index = field(L, key);
  return index ? luaL_checkstring(L, index) : NULL;
}

static mcl_tensor *tensor_field(lua_State *L, const char *key) {
  int index = field(L, key);
  return index ? mcl_lua_tensor(L, index) : NULL;
}

static double number_field(lua_State *L, const char *key) {
  int index = field(L, key);
  return index ? luaL_checknumber(L, index) : 0;
}

int mcl_cli_run_untrusted(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_settop(L, 1);
  mcl_recipe_run run = {.source = text_field(L, "source"), .name = text_field(L, "name")};
  run.model = mcl_lua_take(L, field(L, "model"), &mcl_lua_model_class);
  run.x = tensor_field(L, "x");
  run.y = tensor_field(L, "y");
  run.scale = number_field(L, "scale");
  run.offset = number_field(L, "offset");
  run.seed = (uint64_t)luaL_checkinteger(L, field(L, "seed"));
  mcl_lua_field(L, 1, "set");
  run.set = mcl_lua_push_texts(L, -1, "set");
  mcl_lua_check(L, mcl_run_recipe(mcl_lua_ctx(L), NULL, &run));
  return 0;
}
