/* What the two halves of JSON share: reading (json_read.c) and writing (json.c). */
#ifndef MCL_LUA_JSON_H
#define MCL_LUA_JSON_H

#include "lua/binding.h"

void mcl_lua_json_mark(lua_State *L); /* the table on the top is an array, even when it is empty */
/* Bytes of the character that `text` begins with; 0: it is not UTF-8 (cut short, overlong, a surrogate, past U+10FFFF). */
size_t mcl_lua_json_character(const unsigned char *text, size_t size);
int mcl_lua_json_decode(lua_State *L); /* core.json_decode(text); null becomes nil */

#endif
