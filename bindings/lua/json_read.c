/* Reading JSON (RFC 8259) straight into Lua values: no tree in between, so what a text takes counts as Lua's memory, and a
 * cancel is heard while it is read. Arrays are marked, as core.json_array does, so that they are written as arrays again; null
 * is absent. Refused besides what the grammar refuses: a key twice in one object, bytes that are not UTF-8,
 * numbers that do not fit, nesting deeper than MOST_DEPTH. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/json.h"

#define MOST_DEPTH 100
#define MOST_NUMBER 2000 /* characters; a double needs some 1100 at most to be written exactly */

typedef struct json_reader {
  lua_State *L;
  const char *text, *at, *end;
  int64_t work;
  int depth;
} json_reader;

/* An error at what is being read: its line, and the column up to it. */
static int refuse(json_reader *r, const char *what) {
  int line = 1;
  const char *start = r->text, *place = r->at < r->end ? r->at + 1 : r->end;
  for (const char *c = r->text; c < place && c < r->end; c++) {
    mcl_lua_worked(r->L, &r->work, 1);
    if (*c == '\n' && c + 1 < place) line++, start = c + 1;
  }
  return mcl_lua_fail(r->L, "json: line %d, column %d: %s", line, (int)(place - start), what);
}

static void skip_space(json_reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
    r->at++;
    mcl_lua_worked(r->L, &r->work, 1);
  }
}

static bool take(json_reader *r, char c) {
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

/* ---- Strings ---- */

static unsigned read_hex(json_reader *r) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++, r->at++) {
    const char *digits = "0123456789abcdef", *found = NULL;
    if (r->at < r->end && *r->at) found = strchr(digits, *r->at >= 'A' && *r->at <= 'F' ? *r->at + 32 : *r->at);
    if (!found) refuse(r, "four hexadecimal digits are wanted after \\u");
    value = value << 4 | (unsigned)(found - digits);
  }
  return value;
}

/* What follows \u, as UTF-8. */
static void add_escaped_code(json_reader *r, luaL_Buffer *out) {
  unsigned code = read_hex(r);
  if (code >= 0xd800 && code < 0xdc00) {
    if (!take(r, '\\') || !take(r, 'u')) refuse(r, "half of a surrogate pair");
    unsigned low = read_hex(r);
    if (low < 0xdc00 || low > 0xdfff) refuse(r, "half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code >= 0xdc00 && code <= 0xdfff) {
    refuse(r, "half of a surrogate pair");
  }
  if (code < 0x80) {
    luaL_addchar(out, (char)code);
    return;
  }
  int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
  luaL_addchar(out, (char)(lead[more] | code >> 6 * more));
  while (more-- > 0) luaL_addchar(out, (char)(0x80 | (code >> 6 * more & 0x3f)));
}

static void add_escape(json_reader *r, luaL_Buffer *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  char c = r->at < r->end ? *r->at : 0;
  const char *found = c ? strchr(from, c) : NULL;
  if (!found && c != 'u') refuse(r, "an unknown escape");
  r->at++;
  if (found)
    luaL_addchar(out, to[found - from]);
  else
    add_escaped_code(r, out);
}

/* Up to what ends a run of characters that stand for themselves. */
static void skip_plain(json_reader *r) {
  while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
    uint32_t code;
    size_t length = mcl_lua_utf8(r->at, (size_t)(r->end - r->at), &code);
    if (length == 0) refuse(r, "a byte that is not UTF-8");
    if ((unsigned char)*r->at < 0x20) refuse(r, "a control character in a string; write it as \\u00XX");
    r->at += length;
    mcl_lua_worked(r->L, &r->work, 1);
  }
}

static void push_string(json_reader *r) {
  const char *begin = ++r->at;
  skip_plain(r);
  if (r->at < r->end && *r->at == '"') { /* as nearly all are */
    lua_pushlstring(r->L, begin, (size_t)(r->at++ - begin));
    return;
  }
  luaL_Buffer out;
  luaL_buffinit(r->L, &out);
  for (;;) {
    luaL_addlstring(&out, begin, (size_t)(r->at - begin));
    if (r->at == r->end) refuse(r, "the string does not end");
    if (*r->at++ == '"') break;
    add_escape(r, &out);
    begin = r->at;
    skip_plain(r);
  }
  luaL_pushresult(&out);
}

/* ---- Numbers ---- */

static void skip_digits(json_reader *r) {
  if (r->at == r->end || *r->at < '0' || *r->at > '9') refuse(r, "a digit is wanted");
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
    r->at++;
    mcl_lua_worked(r->L, &r->work, 1);
  }
}

static void push_number(json_reader *r) {
  const char *begin = r->at;
  char digits[MOST_NUMBER + 1];
  bool whole = true;
  take(r, '-');
  if (!take(r, '0')) skip_digits(r);
  if (take(r, '.')) whole = false, skip_digits(r);
  if (take(r, 'e') || take(r, 'E')) {
    whole = false;
    if (!take(r, '+')) take(r, '-');
    skip_digits(r);
  }
  size_t size = (size_t)(r->at - begin);
  if (size > MOST_NUMBER) refuse(r, "a number of more characters than a number needs");
  memcpy(digits, begin, size);
  digits[size] = 0;
  errno = 0;
  long long integer = whole ? strtoll(digits, NULL, 10) : 0;
  if (whole && errno) refuse(r, "the integer does not fit 64 bits");
  if (whole)
    lua_pushinteger(r->L, integer);
  else if (!lua_stringtonumber(r->L, digits)) /* whatever the locale's decimal point is */
    refuse(r, "a number that cannot be read");
  if (!isfinite(lua_tonumber(r->L, -1))) refuse(r, "the number does not fit a double");
}

/* ---- Values ---- */

static void push_value(json_reader *r);

static void push_array(json_reader *r) {
  lua_State *L = r->L;
  r->at++;
  lua_newtable(L);
  skip_space(r);
  bool ends = take(r, ']');
  for (lua_Integer i = 1; !ends; i++) {
    push_value(r);
    lua_rawseti(L, -2, i);
    skip_space(r);
    ends = take(r, ']');
    if (!ends && !take(r, ',')) refuse(r, "\",\" or \"]\" is wanted");
  }
  mcl_lua_json_mark(L);
}

/* Keys of null are in the table until it ends, so that they are not taken twice. */
static const char absent;

static void drop_absent(json_reader *r) {
  for (lua_pushnil(r->L); lua_next(r->L, -2);) {
    bool drop = lua_touserdata(r->L, -1) == (const void *)&absent;
    lua_pop(r->L, 1);
    mcl_lua_worked(r->L, &r->work, 16);
    if (!drop) continue;
    lua_pushvalue(r->L, -1);
    lua_pushnil(r->L);
    lua_rawset(r->L, -4);
  }
}

static void push_object(json_reader *r) {
  lua_State *L = r->L;
  bool has_absent = false;
  r->at++;
  lua_newtable(L);
  skip_space(r);
  bool ends = take(r, '}');
  while (!ends) {
    skip_space(r);
    if (r->at == r->end || *r->at != '"') refuse(r, "a key in quotes is wanted");
    push_string(r);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) refuse(r, "a duplicate key");
    lua_pop(L, 1);
    skip_space(r);
    if (!take(r, ':')) refuse(r, "\":\" is wanted");
    push_value(r);
    if (lua_isnil(L, -1)) {
      has_absent = true;
      lua_pop(L, 1);
      lua_pushlightuserdata(L, (void *)(uintptr_t)&absent);
    }
    lua_rawset(L, -3);
    skip_space(r);
    ends = take(r, '}');
    if (!ends && !take(r, ',')) refuse(r, "\",\" or \"}\" is wanted");
  }
  if (has_absent) drop_absent(r);
}

static bool take_word(json_reader *r, const char *word) {
  size_t size = strlen(word);
  if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0) return false;
  r->at += size;
  return true;
}

static void push_value(json_reader *r) {
  lua_State *L = r->L;
  skip_space(r);
  mcl_lua_worked(L, &r->work, 32);
  luaL_checkstack(L, 8, "json");
  char c = r->at < r->end ? *r->at : 0;
  if (c == '{' || c == '[') {
    if (++r->depth > MOST_DEPTH) refuse(r, "nested deeper than 100");
    (c == '{' ? push_object : push_array)(r);
    r->depth--;
  } else if (c == '"') {
    push_string(r);
  } else if (c == '-' || (c >= '0' && c <= '9')) {
    push_number(r);
  } else if (take_word(r, "true")) {
    lua_pushboolean(L, true);
  } else if (take_word(r, "false")) {
    lua_pushboolean(L, false);
  } else if (take_word(r, "null")) {
    lua_pushnil(L);
  } else {
    refuse(r, "a value is wanted");
  }
}

int mcl_lua_json_decode(lua_State *L) {
  size_t size;
  mcl_lua_string(L, 1, "text");
  const char *text = lua_tolstring(L, 1, &size);
  json_reader r = {.L = L, .text = text, .at = text, .end = text + size};
  push_value(&r);
  skip_space(&r);
  if (r.at < r.end) refuse(&r, "the text goes on after its value");
  return 1;
}
