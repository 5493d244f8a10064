/* Errors that are no text: what was raised, and where, as a line for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

#define MOST_FIELDS 6 /* of a table that was raised */
#define FIELD_SIZE 80

static int compare_fields(const void *a, const void *b) { return strcmp(a, b); }

/* "5", "true", "\"text\"", or the name of the type */
static void scalar_text(lua_State *L, int index, char *text, size_t size) {
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
    snprintf(text, size, "\"%.40s\"", lua_tostring(L, index));
    break;
  case LUA_TBOOLEAN:
    snprintf(text, size, "%s", lua_toboolean(L, index) ? "true" : "false");
    break;
  case LUA_TNUMBER:
    lua_pushvalue(L, index); /* lua_tostring would change a key under lua_next */
    snprintf(text, size, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    break;
  default:
    snprintf(text, size, "%s", mcl_lua_type_name(L, index));
  }
}

/* Pushes ": { code = 5, text = \"…\" }": some fields, sorted. The table is read as it is: nothing of it is called. */
static void push_fields(lua_State *L, int table) {
  char field[MOST_FIELDS][FIELD_SIZE], text[MOST_FIELDS * (FIELD_SIZE + 2) + 16];
  int count = 0;
  bool more = false;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if ((more = count == MOST_FIELDS)) break;
    char *to = field[count++], value[48];
    scalar_text(L, lua_absindex(L, -1), value, sizeof value);
    if (lua_type(L, -2) == LUA_TSTRING)
      snprintf(to, FIELD_SIZE, "%.24s = %s", lua_tostring(L, -2), value);
    else
      snprintf(to, FIELD_SIZE, "%s", value);
  }
  if (more) lua_pop(L, 2);
  qsort(field, (size_t)count, FIELD_SIZE, compare_fields);
  size_t used = 0;
  for (int i = 0; i < count; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : ": { ", field[i]);
  snprintf(text + used, sizeof text - used, "%s", !count ? "" : more ? ", … }" : " }");
  lua_pushstring(L, text);
}

int mcl_lua_explain(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) {
    lua_settop(L, 1);
    return 1;
  }
  lua_settop(L, 1);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mcl_lua_where(L);
  if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
    lua_pop(L, 1);
    luaL_tolstring(L, 1, NULL);
    lua_concat(L, 2);
    return 1;
  }
  char text[48];
  scalar_text(L, 1, text, sizeof text);
  bool type = !lua_isnil(L, 1) && !lua_isnumber(L, 1) && !lua_isboolean(L, 1);
  lua_pushfstring(L, "%s%s was raised as an error", type ? "a " : "", text);
  if (lua_istable(L, 1))
    push_fields(L, 1);
  else
    lua_pushliteral(L, "");
  lua_concat(L, 3);
  return 1;
}
