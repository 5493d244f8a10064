/* Where `require` finds mcl's Lua half: in the table of embedded files. MCL_LUA_PATH=DIR in the environment names a
 * source tree whose files go before the embedded ones, for work on mcl itself; a sandbox does not look at it. */
#include "lua/embedded.h"

#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

static const mcl_embedded_file *find(const char *name) {
  for (const mcl_embedded_file *file = mcl_embedded_files; file->name; file++)
    if (!strcmp(file->name, name)) return file;
  return NULL;
}

/* Pushes the text of DIR/name, or nothing. */
static bool push_file(lua_State *L, const char *directory, const char *name) {
  FILE *file = fopen(lua_pushfstring(L, "%s/%s", directory, name), "rb");
  lua_pop(L, 1);
  if (!file) return false;
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  size_t got;
  do { /* a Lua error (memory) would leave the file open: this is for developers only */
    got = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&text, got);
  } while (got);
  fclose(file);
  luaL_pushresult(&text);
  return true;
}

const char *mcl_lua_push_embedded(lua_State *L, const char *name, size_t *size) {
  const mcl_lua *lua = mcl_lua_record(L);
  const char *tree = lua && lua->sandboxed ? NULL : getenv("MCL_LUA_PATH");
  if (tree && *tree && push_file(L, tree, name)) return lua_tolstring(L, -1, size);
  const mcl_embedded_file *file = find(name);
  if (!file) {
    lua_pushnil(L);
    return NULL;
  }
  lua_pushlightuserdata(L, (void *)(uintptr_t)file); /* static memory: nothing to keep alive */
  *size = file->size;
  return file->data;
}

/* Tries one name: leaves the loader and the file's name, or nothing. */
static bool load_as(lua_State *L, const char *name) {
  char chunk[256];
  size_t size;
  snprintf(chunk, sizeof chunk, "@%s", name);
  const char *text = mcl_lua_push_embedded(L, name, &size);
  if (!text) {
    lua_pop(L, 1);
    return false;
  }
  if (luaL_loadbufferx(L, text, size, chunk, "t")) lua_error(L);
  lua_remove(L, -2);
  lua_pushstring(L, name);
  return true;
}

/* mcl.a.b is lua/mcl/a/b.lua or lua/mcl/a/b/init.lua. */
static int searcher(lua_State *L) {
  const char *module = luaL_checkstring(L, 1);
  const char *path = luaL_gsub(L, module, ".", "/");
  char name[200];
  snprintf(name, sizeof name, "lua/%s.lua", path);
  if (load_as(L, name)) return 2;
  snprintf(name, sizeof name, "lua/%s/init.lua", path);
  if (load_as(L, name)) return 2;
  lua_pushfstring(L, "no embedded file 'lua/%s.lua'", path);
  return 1;
}

/* Our own modules come from us, whatever lies in the working directory; others come from us last. */
static int own_searcher(lua_State *L) {
  const char *module = luaL_checkstring(L, 1);
  if (strncmp(module, "mcl.", 4) && strcmp(module, "mcl")) {
    lua_pushnil(L);
    return 1;
  }
  return searcher(L);
}

void mcl_lua_add_searcher(lua_State *L) {
  lua_getglobal(L, "package");
  if (lua_getfield(L, -1, "searchers") != LUA_TTABLE) luaL_error(L, "mcl: package.searchers is not a table");
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = count; i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, own_searcher);
  lua_rawseti(L, -2, 2); /* after preload */
  lua_pushcfunction(L, searcher);
  lua_rawseti(L, -2, count + 2);
  lua_getfield(L, -2, "preload");
  lua_pushcfunction(L, mcl_lua_open_core);
  lua_setfield(L, -2, "mcl.core");
  lua_pop(L, 3);
}
