/* The module's doors: luaopen_mcl for a stock Lua, mcl_lua_register for a host, and mcl.core, the C half. */
#include <lualib.h>
#include <mcl/mcl.h>

#include "lua/binding.h"

int mcl_lua_open_core(lua_State *L) {
  lua_newtable(L);
  mcl_lua_open_system(L);
  mcl_lua_open_tensor(L);
  mcl_lua_open_linalg(L);
  mcl_lua_open_repr(L);
  mcl_lua_open_scheme(L);
  mcl_lua_open_statistics(L);
  mcl_lua_open_model(L);
  mcl_lua_open_dataset(L);
  mcl_lua_open_files(L);
  mcl_lua_open_json(L);
  mcl_lua_open_text(L);
  return 1;
}

/* The record and the searcher, once a state. */
static mcl_lua *prepare(lua_State *L, mcl_context *ctx) {
  mcl_lua *lua = mcl_lua_record(L);
  if (lua) return lua;
  lua = mcl_lua_record_new(L, ctx);
  mcl_lua_add_searcher(L);
  return lua;
}

static int open_half(lua_State *L) {
  size_t size;
  const char *text = mcl_lua_push_embedded(L, "lua/mcl/init.lua", &size);
  if (!text) return luaL_error(L, "mcl: lua/mcl/init.lua is missing from this build");
  if (luaL_loadbufferx(L, text, size, "@lua/mcl/init.lua", "t")) return lua_error(L);
  lua_pushliteral(L, "mcl");
  lua_call(L, 1, 1);
  return 1;
}

int luaopen_mcl(lua_State *L) {
  luaL_checkversion(L);
  prepare(L, NULL);
  return open_half(L);
}

static int register_protected(lua_State *L) {
  prepare(L, lua_touserdata(L, 1));
  return 0;
}

mcl_status mcl_lua_register(lua_State *L, mcl_context *ctx) {
  if (mcl_lua_record(L)) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "mcl is in this Lua state already");
  lua_pushcfunction(L, register_protected);
  lua_pushlightuserdata(L, ctx);
  int lua_status = lua_pcall(L, 1, 0, 0);
  if (!lua_status) return MCL_OK;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  mcl_status status = mcl_fail(ctx, lua_status == LUA_ERRMEM ? MCL_ERROR_MEMORY : MCL_ERROR_ARGUMENT,
                               "mcl could not be put into the Lua state: %s", text ? text : "an error without text");
  lua_pop(L, 1);
  return status;
}
