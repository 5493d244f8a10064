/* What the two halves of JSON share: reading (json_read.c) and writing (json.c). */
#ifndef MCL_LUA_JSON_H
#define MCL_LUA_JSON_H

#include "lua/binding.h"

void mcl_lua_json_mark(lua_State *L);  /* the table on the top is an array, even when it is empty */
int mcl_lua_json_decode(lua_State *L); /* core.json_decode(text); null becomes nil */

#endif
