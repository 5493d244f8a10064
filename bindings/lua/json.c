/* Writing JSON: keys in a fixed order, and the shortest digits that give the same number back. A table with elements
 * 1 … n is an array, any other an object with sorted keys; an empty table is an object unless core.json_array marked it.
 * NaN and infinities, which JSON lacks, are written as null; bytes that are no UTF-8 as core.printable shows them, \xNN,
 * since a name in a file may be anything and any reader is to take what is written. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua/json.h"

#define MOST_DEPTH 100

static const char array_key; /* its address names the marking metatable in the registry */

/* ---- Writing ---- */

/* Text that grows in a userdata at stack index HOLDER, so that a Lua error leaks nothing. */
typedef struct json_text {
  lua_State *L;
  char *data;
  size_t size, capacity;
  int indent; /* spaces a level; 0: one line */
  int64_t work;
} json_text;

#define HOLDER 3

static void add(json_text *out, const char *text, size_t size) {
  if (size > out->capacity - out->size) {
    size_t capacity = 2 * out->capacity + size + 256;
    char *data = lua_newuserdatauv(out->L, capacity, 0);
    mcl_lua_check(out->L, mcl_copy(mcl_lua_ctx(out->L), data, out->data, out->size));
    lua_replace(out->L, HOLDER);
    out->data = data;
    out->capacity = capacity;
  }
  memcpy(out->data + out->size, text, size);
  out->size += size;
}

static void add_text(json_text *out, const char *text) { add(out, text, strlen(text)); }

static void add_string(json_text *out, const char *text, size_t size) {
  add_text(out, "\"");
  for (size_t i = 0; i < size;) {
    uint32_t code;
    char escaped[8];
    mcl_lua_worked(out->L, &out->work, 8);
    size_t length = mcl_lua_utf8(text + i, size - i, &code);
    if (!length)
      snprintf(escaped, sizeof escaped, "\\\\x%02x", (uint8_t)text[i]);
    else if (code == '"' || code == '\\')
      snprintf(escaped, sizeof escaped, "\\%c", (char)code);
    else if (code == '\n')
      snprintf(escaped, sizeof escaped, "\\n");
    else if (mcl_lua_is_control(code))
      snprintf(escaped, sizeof escaped, "\\u%04x", code);
    else
      escaped[0] = 0;
    if (escaped[0])
      add_text(out, escaped);
    else
      add(out, text + i, length);
    i += length ? length : 1;
  }
  add_text(out, "\"");
}

static void add_number(json_text *out, double value) {
  char text[40];
  if (!isfinite(value)) {
    add_text(out, "null");
    return;
  }
  for (int digits = 1; digits <= 17; digits++) { /* the fewest that give the same number back */
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  add_text(out, value == 0 && signbit(value) ? "-0.0" : text); /* "-0" would be read as a whole number */
}

static void add_break(json_text *out, int depth) {
  if (!out->indent) return;
  add_text(out, "\n");
  for (int i = 0; i < depth * out->indent; i++) add_text(out, " ");
}

static bool is_array(json_text *out, int table) {
  lua_State *L = out->L;
  if (lua_getmetatable(L, table)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (marked) return true;
  }
  lua_Unsigned length = lua_rawlen(L, table), count = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    count++;
    mcl_lua_worked(L, &out->work, 8);
  }
  return count > 0 && count == length;
}

static void add_value(json_text *out, int depth); /* of the value on the top, which is popped */

static void add_array(json_text *out, int table, int depth) {
  lua_Unsigned length = lua_rawlen(out->L, table);
  add_text(out, "[");
  for (lua_Unsigned i = 1; i <= length; i++) {
    if (i > 1) add_text(out, ",");
    add_break(out, depth + 1);
    lua_rawgeti(out->L, table, (lua_Integer)i);
    add_value(out, depth + 1);
  }
  if (length) add_break(out, depth);
  add_text(out, "]");
}

static void add_object(json_text *out, int table, int depth) {
  int count;
  const mcl_lua_key *names = mcl_lua_push_keys(out->L, table, "json: keys are strings, or 1 … n without gaps", &count);
  add_text(out, "{");
  for (int i = 0; i < count; i++) {
    if (i) add_text(out, ",");
    add_break(out, depth + 1);
    add_string(out, names[i].text, names[i].size);
    add_text(out, out->indent ? ": " : ":");
    lua_pushlstring(out->L, names[i].text, names[i].size);
    lua_rawget(out->L, table);
    add_value(out, depth + 1);
  }
  if (count) add_break(out, depth);
  add_text(out, "}");
}

static void add_value(json_text *out, int depth) {
  lua_State *L = out->L;
  int at = lua_gettop(L);
  size_t size;
  const char *text;
  luaL_checkstack(L, 8, "json");
  mcl_lua_worked(L, &out->work, 1000); /* of a number's digits */
  if (depth > MOST_DEPTH) mcl_lua_fail(L, "json: nested deeper than %d; does a table hold itself?", MOST_DEPTH);
  switch (lua_type(L, at)) {
  case LUA_TNIL:
    add_text(out, "null");
    break;
  case LUA_TBOOLEAN:
    add_text(out, lua_toboolean(L, at) ? "true" : "false");
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, at)) {
      char digits[32];
      snprintf(digits, sizeof digits, "%lld", (long long)lua_tointeger(L, at));
      add_text(out, digits);
    } else {
      add_number(out, lua_tonumber(L, at));
    }
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, at, &size);
    add_string(out, text, size);
    break;
  case LUA_TTABLE:
    if (is_array(out, at))
      add_array(out, at, depth);
    else
      add_object(out, at, depth);
    break;
  default:
    mcl_lua_fail(L, "json: a %s has no JSON form", mcl_lua_type_name(L, at));
  }
  lua_settop(L, at - 1);
}

/* core.json_encode(value[, indent]) */
static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, HOLDER);
  json_text out = {.L = L, .indent = lua_isnil(L, 2) ? 0 : (int)mcl_lua_integer(L, 2, "indent", 0, 8)};
  lua_pushvalue(L, 1);
  add_value(&out, 0);
  lua_pushlstring(L, out.data, out.size);
  return 1;
}

void mcl_lua_json_mark(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
  lua_setmetatable(L, -2);
}

/* core.json_array(t): t, to be written as an array even when it is empty */
static int mark_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  mcl_lua_json_mark(L);
  return 1;
}

void mcl_lua_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json_encode", encode}, {"json_decode", mcl_lua_json_decode}, {"json_array", mark_array}, {NULL, NULL}};
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "mcl"); /* what getmetatable gives: no finaliser is put into the mark */
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
  luaL_setfuncs(L, functions, 0);
}
