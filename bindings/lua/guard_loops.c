/* Lua's own functions of tables, and string.rep, as the manual says, in forms that a stop ends: they loop in C over counts
 * that a caller names, 2^63 included. Each element is charged as an instruction. */
#include <limits.h>
#include <lualib.h>
#include <string.h>

#include "lua/binding.h"
#include "lua/limits.h"

#define POLL_EVERY 256 /* elements; two long strings may be compared for each */
#define COPY_AT_ONCE ((size_t)1 << 20)

static void step(lua_State *L, int *steps) {
  if (++*steps < POLL_EVERY) return;
  *steps = 0;
  mcl_lua_poll(L, POLL_EVERY);
}

/* ---- Tables, and what stands for one by its metamethods ---- */

enum { READ = 1, WRITE = 2, LENGTH = 4 };

static void check_table(lua_State *L, int arg, int uses) {
  static const struct {
    int use;
    const char *field;
  } rows[] = {{READ, "__index"}, {WRITE, "__newindex"}, {LENGTH, "__len"}};
  if (lua_istable(L, arg)) return;
  int top = lua_gettop(L); /* optional arguments are counted by it */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if ((uses & rows[i].use) && luaL_getmetafield(L, arg, rows[i].field) == LUA_TNIL)
      luaL_checktype(L, arg, LUA_TTABLE);
  lua_settop(L, top);
}

static lua_Integer length_of(lua_State *L, int arg, int uses) {
  check_table(L, arg, uses | LENGTH);
  return luaL_len(L, arg);
}

static void move_one(lua_State *L, int from, lua_Integer source, int to, lua_Integer target) {
  lua_geti(L, from, source);
  lua_seti(L, to, target);
}

/* insert(list[, position], value) */
static int table_insert(lua_State *L) {
  int steps = 0;
  lua_Integer end = (lua_Integer)((lua_Unsigned)length_of(L, 1, READ | WRITE) + 1u), position = end;
  int arguments = lua_gettop(L) < 4 ? lua_gettop(L) : 4;
  if (arguments == 3) {
    position = luaL_checkinteger(L, 2);
    luaL_argcheck(L, (lua_Unsigned)position - 1u < (lua_Unsigned)end, 2, "position out of bounds");
    for (lua_Integer i = end; i > position; i--, step(L, &steps)) move_one(L, 1, i - 1, 1, i);
  } else if (arguments != 2) {
    return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_seti(L, 1, position);
  return 0;
}

/* remove(list[, position]) */
static int table_remove(lua_State *L) {
  int steps = 0;
  lua_Integer end = length_of(L, 1, READ | WRITE), position = luaL_optinteger(L, 2, end);
  if (lua_gettop(L) > 1 && position != end)
    luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)end, 2, "position out of bounds");
  lua_geti(L, 1, position);
  for (; position < end; position++, step(L, &steps)) move_one(L, 1, position + 1, 1, position);
  lua_pushnil(L);
  lua_seti(L, 1, position);
  return 1;
}

/* move(from, first, last, target[, to]) */
static int table_move(lua_State *L) {
  int steps = 0, to = lua_isnoneornil(L, 5) ? 1 : 5;
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), target = luaL_checkinteger(L, 4);
  check_table(L, 1, READ);
  check_table(L, to, WRITE);
  if (last >= first) {
    luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    lua_Integer count = last - first + 1;
    luaL_argcheck(L, target <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    bool overlaps = target > first && target <= last && (to == 1 || lua_compare(L, 1, to, LUA_OPEQ));
    for (lua_Integer i = 0; i < count; i++, step(L, &steps)) {
      lua_Integer at = overlaps ? count - 1 - i : i;
      move_one(L, 1, first + at, to, target + at);
    }
  }
  lua_pushvalue(L, to);
  return 1;
}

/* concat(list[, separator[, first[, last]]]) */
static int table_concat(lua_State *L) {
  int steps = 0;
  lua_Integer length = length_of(L, 1, READ);
  size_t separator_length;
  const char *separator = luaL_optlstring(L, 2, "", &separator_length);
  lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, length);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  for (lua_Integer i = first; i <= last; i++, step(L, &steps)) {
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
      return luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1),
                        (LUAI_UACINT)i);
    luaL_addvalue(&text);
    if (i == last) break; /* i may be the greatest integer */
    luaL_addlstring(&text, separator, separator_length);
  }
  luaL_pushresult(&text);
  return 1;
}

/* unpack(list[, first[, last]]) */
static int table_unpack(lua_State *L) {
  int steps = 0;
  lua_Integer first = luaL_optinteger(L, 2, 1), last = luaL_opt(L, luaL_checkinteger, 3, luaL_len(L, 1));
  if (first > last) return 0;
  lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
  if (count >= INT_MAX || !lua_checkstack(L, (int)count + 1)) return luaL_error(L, "too many results to unpack");
  for (lua_Integer i = first; i < last; i++, step(L, &steps)) lua_geti(L, 1, i);
  lua_geti(L, 1, last);
  return (int)count + 1;
}

/* ---- sort: a merge sort between two lists of its own, so the order of equals stays, and an error changes nothing ---- */

enum { LIST = 1, LESS = 2, LISTS = 3 }; /* stack indices: the caller's list and function, the first of the two lists */

/* Is the value on the top less than the one below it? Both stay. */
static bool top_is_less(lua_State *L) {
  if (lua_isnil(L, LESS)) return lua_compare(L, -1, -2, LUA_OPLT);
  lua_pushvalue(L, LESS);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -4);
  lua_call(L, 2, 1);
  bool less = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return less;
}

/* Elements middle … end-1 and those before them from `first`, each in order, into `to` in order. */
static void merge(lua_State *L, int from, int to, lua_Integer first, lua_Integer middle, lua_Integer end, int *steps) {
  lua_Integer left = first, right = middle;
  for (lua_Integer at = first; at < end; at++) {
    bool take_right = left == middle;
    if (left < middle && right < end) {
      lua_rawgeti(L, from, left);
      lua_rawgeti(L, from, right);
      take_right = top_is_less(L);
      if (!take_right) lua_pop(L, 1); /* what is taken is on the top */
      lua_rawseti(L, to, at);
      if (take_right) lua_pop(L, 1);
      step(L, steps);
    } else {
      lua_rawgeti(L, from, take_right ? right : left);
      lua_rawseti(L, to, at);
    }
    if (take_right)
      right++;
    else
      left++;
  }
}

static lua_Integer least(lua_Integer a, lua_Integer b) { return a < b ? a : b; }

/* sort(list[, less]) */
static int table_sort(lua_State *L) {
  int steps = 0, from = LISTS, to = LISTS + 1;
  lua_Integer count = length_of(L, LIST, READ | WRITE);
  if (count < 2) return 0;
  luaL_argcheck(L, count < INT_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, LESS)) luaL_checktype(L, LESS, LUA_TFUNCTION);
  lua_settop(L, LESS);
  for (int i = 0; i < 2; i++) lua_createtable(L, (int)least(count, 1 << 16), 0);
  for (lua_Integer i = 1; i <= count; i++, step(L, &steps)) {
    lua_geti(L, LIST, i);
    lua_rawseti(L, from, i);
  }
  for (lua_Integer width = 1; width < count; width *= 2) {
    for (lua_Integer first = 1; first <= count; first += 2 * width)
      merge(L, from, to, first, least(first + width, count + 1), least(first + 2 * width, count + 1), &steps);
    int other = from;
    from = to;
    to = other;
  }
  for (lua_Integer i = 1; i <= count; i++, step(L, &steps)) {
    lua_rawgeti(L, from, i);
    lua_seti(L, LIST, i);
  }
  return 0;
}

/* ---- string.rep(text, count[, separator]) ---- */

static int string_rep(lua_State *L) {
  size_t length, separator_length;
  const char *text = luaL_checklstring(L, 1, &length), *separator = luaL_optlstring(L, 3, "", &separator_length);
  lua_Integer count = luaL_checkinteger(L, 2);
  size_t period = length + separator_length;
  if (count <= 0 || !period) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (period > INT_MAX / (size_t)count) return luaL_error(L, "resulting string too large");
  size_t total = (size_t)count * period - separator_length, filled = length;
  char *to = lua_newuserdatauv(L, total, 0); /* a luaL_Buffer would not collect garbage before it gives up */
  memcpy(to, text, length);
  if (count > 1) {
    memcpy(to + length, separator, separator_length);
    filled = period;
  }
  while (filled < total) { /* whole periods, from the beginning */
    size_t most = COPY_AT_ONCE < period ? period : COPY_AT_ONCE / period * period;
    size_t size = filled < most ? filled : most;
    if (size > total - filled) size = total - filled;
    memcpy(to + filled, to, size);
    filled += size;
    mcl_lua_poll(L, (int64_t)size / 64);
  }
  lua_pushlstring(L, to, total);
  return 1;
}

/* ---- What goes through a whole text once ---- */

#define BYTES_PER_INSTRUCTION 8
#define SHORT_TEXT 1024 /* costs no more than the call */

/* Upvalue: Lua's own function, which has none itself, so that it can run in this frame, and under its name. */
static int charged(lua_State *L) {
  int64_t bytes = 0;
  for (int i = 1; i <= lua_gettop(L); i++)
    if (lua_type(L, i) == LUA_TSTRING) bytes += (int64_t)lua_rawlen(L, i);
  if (bytes > SHORT_TEXT) mcl_lua_poll(L, bytes / BYTES_PER_INSTRUCTION);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- What a short text makes long work of ---- */

#define MOST_VALUES 4096                 /* to format at once; one takes some microseconds */
#define MOST_PADDING ((int64_t)64 << 20) /* bytes, which string.pack adds one by one */
#define LONGEST_DATE 1024                /* bytes of a format; two of them take a microsecond */

static int bounded_format(lua_State *L) {
  if (lua_gettop(L) > MOST_VALUES + 1) return luaL_error(L, "more than %d values to format at once", MOST_VALUES);
  return charged(L);
}

static int bounded_pack(lua_State *L) {
  int64_t padding = 0;
  for (const char *c = luaL_checkstring(L, 1); *c; c++) { /* "c123": as many bytes, whatever the text has */
    int64_t size = 0;
    if (*c != 'c') continue;
    for (; c[1] >= '0' && c[1] <= '9'; c++)
      if (size <= MOST_PADDING) size = size * 10 + (c[1] - '0');
    padding += size;
    if (padding > MOST_PADDING) return luaL_error(L, "more than %d bytes to pack", (int)MOST_PADDING);
  }
  if (padding > SHORT_TEXT) mcl_lua_poll(L, padding / BYTES_PER_INSTRUCTION);
  return charged(L);
}

static int bounded_date(lua_State *L) {
  size_t length;
  luaL_optlstring(L, 1, "", &length);
  luaL_argcheck(L, length <= LONGEST_DATE, 1, "a format of more than 1024 bytes");
  return charged(L);
}

/* Wraps those of the library's functions that are there. */
static void charge(lua_State *L, const char *library, lua_CFunction wrapper, const char *const *names) {
  if (lua_getglobal(L, library) == LUA_TTABLE) {
    for (; *names; names++) {
      if (lua_getfield(L, -1, *names) == LUA_TFUNCTION && lua_iscfunction(L, -1)) {
        lua_pushcclosure(L, wrapper, 1);
        lua_setfield(L, -2, *names);
      } else {
        lua_pop(L, 1);
      }
    }
  }
  lua_pop(L, 1);
}

static void replace(lua_State *L, const char *library, const luaL_Reg *functions) {
  if (lua_getglobal(L, library) == LUA_TTABLE) luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

void mcl_lua_guard_loops(lua_State *L) {
  static const luaL_Reg tables[] = {
      {"insert", table_insert}, {"remove", table_remove}, {"move", table_move}, {"concat", table_concat},
      {"unpack", table_unpack}, {"sort", table_sort},     {NULL, NULL}};
  static const luaL_Reg strings[] = {{"rep", string_rep}, {NULL, NULL}};
  replace(L, LUA_TABLIBNAME, tables);
  replace(L, LUA_STRLIBNAME, strings);
  static const char *const of_strings[] = {"upper", "lower", "reverse", "packsize", "unpack", NULL};
  static const char *const of_utf8[] = {"len", "offset", "codepoint", NULL};
  charge(L, LUA_STRLIBNAME, charged, of_strings);
  charge(L, LUA_UTF8LIBNAME, charged, of_utf8);
  charge(L, LUA_STRLIBNAME, bounded_format, (const char *const[]){"format", NULL});
  charge(L, LUA_STRLIBNAME, bounded_pack, (const char *const[]){"pack", NULL});
  charge(L, LUA_OSLIBNAME, bounded_date, (const char *const[]){"date", NULL});
}
