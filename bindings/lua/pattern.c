/* Lua's patterns: find, match, gmatch and gsub as the manual says, by a matcher that counts its steps. A pattern may take
 * time exponential in its length, so every few thousand steps are charged as instructions, and a stop is heard there. */
#include <ctype.h>
#include <lualib.h>
#include <string.h>

#include "lua/binding.h"
#include "lua/limits.h"

#define ESCAPE '%'
#define MOST_CAPTURES 32
#define MOST_DEPTH 200           /* of recursion, as in Lua's own */
#define STEPS_BETWEEN_POLLS 8192 /* some 50 µs */
#define STEPS_PER_INSTRUCTION 4

enum { OPEN = -1, POSITION = -2 }; /* lengths of captures that have none */

typedef struct matcher {
  lua_State *L;
  const char *subject, *subject_end, *pattern_end;
  int depth, captures;
  int64_t steps;
  struct {
    const char *start;
    ptrdiff_t length; /* or OPEN, POSITION */
  } capture[MOST_CAPTURES];
} matcher;

static void take_steps(matcher *m, int64_t steps) {
  m->steps += steps;
  if (m->steps < STEPS_BETWEEN_POLLS) return;
  mcl_lua_poll(m->L, m->steps / STEPS_PER_INSTRUCTION);
  m->steps = 0;
}

/* A match costs a step, even that of an empty pattern. */
static void begin_match(matcher *m) {
  m->depth = m->captures = 0;
  take_steps(m, 1);
}

/* ---- One character ---- */

static bool in_class(int c, int class) {
  bool in;
  switch (tolower(class)) {
  case 'a':
    in = isalpha(c);
    break;
  case 'c':
    in = iscntrl(c);
    break;
  case 'd':
    in = isdigit(c);
    break;
  case 'g':
    in = isgraph(c);
    break;
  case 'l':
    in = islower(c);
    break;
  case 'p':
    in = ispunct(c);
    break;
  case 's':
    in = isspace(c);
    break;
  case 'u':
    in = isupper(c);
    break;
  case 'w':
    in = isalnum(c);
    break;
  case 'x':
    in = isxdigit(c);
    break;
  case 'z': /* no more in the manual, but in Lua */
    in = c == 0;
    break;
  default:
    return class == c;
  }
  return isupper(class) ? !in : in;
}

/* Past the item that begins at p: a character, %x, or a set. */
static const char *item_end(matcher *m, const char *p) {
  if (*p == ESCAPE) {
    if (p + 1 == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 2;
  }
  if (*p++ != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  bool first = true; /* a ] that comes first is one of the set */
  for (; first || p == m->pattern_end || *p != ']'; first = false) {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    if (*p++ == ESCAPE && p < m->pattern_end) p++;
  }
  return p + 1;
}

/* `set` is at its [, `end` at its ] */
static bool in_set(int c, const char *set, const char *end) {
  bool inside = set[1] != '^';
  const unsigned char *p = (const unsigned char *)set + (inside ? 1 : 2), *last = (const unsigned char *)end;
  while (p < last) {
    if (*p == ESCAPE) {
      if (in_class(c, p[1])) return inside;
      p += 2;
    } else if (p[1] == '-' && p + 2 < last) {
      if (p[0] <= c && c <= p[2]) return inside;
      p += 3;
    } else if (*p++ == c) {
      return inside;
    }
  }
  return !inside;
}

static bool fits(matcher *m, const char *s, const char *item, const char *end) {
  take_steps(m, end - item);
  if (s >= m->subject_end) return false;
  int c = (unsigned char)*s;
  switch (*item) {
  case '.':
    return true;
  case ESCAPE:
    return in_class(c, (unsigned char)item[1]);
  case '[':
    return in_set(c, item, end - 1);
  default:
    return (unsigned char)*item == c;
  }
}

/* ---- Captures ---- */

static const char *match(matcher *m, const char *s, const char *p);

static const char *open_capture(matcher *m, const char *s, const char *p, ptrdiff_t kind) {
  if (m->captures >= MOST_CAPTURES) luaL_error(m->L, "too many captures");
  m->capture[m->captures].start = s;
  m->capture[m->captures++].length = kind;
  const char *end = match(m, s, p);
  if (!end) m->captures--;
  return end;
}

static const char *close_capture(matcher *m, const char *s, const char *p) {
  int open = m->captures - 1;
  while (open >= 0 && m->capture[open].length != OPEN) open--;
  if (open < 0) luaL_error(m->L, "invalid pattern capture");
  m->capture[open].length = s - m->capture[open].start;
  const char *end = match(m, s, p);
  if (!end) m->capture[open].length = OPEN;
  return end;
}

/* %1 … %9: the same text again. Past it, or NULL. */
static const char *repeat_capture(matcher *m, const char *s, int digit) {
  int index = digit - '1';
  if (index < 0 || index >= m->captures || m->capture[index].length == OPEN)
    luaL_error(m->L, "invalid capture index %%%d", index + 1);
  size_t length = (size_t)m->capture[index].length;
  take_steps(m, m->capture[index].length / 16);
  if ((size_t)(m->subject_end - s) < length || memcmp(m->capture[index].start, s, length)) return NULL;
  return s + length;
}

/* Text and length of a capture, or POSITION; the whole match stands for the first where there is none. */
static ptrdiff_t captured(matcher *m, int index, const char *start, const char *end, const char **text) {
  if (index >= m->captures) {
    if (index) luaL_error(m->L, "invalid capture index %%%d", index + 1);
    *text = start;
    return end - start;
  }
  if (m->capture[index].length == OPEN) luaL_error(m->L, "unfinished capture");
  *text = m->capture[index].start;
  return m->capture[index].length;
}

static void push_capture(matcher *m, int index, const char *start, const char *end) {
  const char *text;
  ptrdiff_t length = captured(m, index, start, end, &text);
  if (length == POSITION)
    lua_pushinteger(m->L, text - m->subject + 1);
  else
    lua_pushlstring(m->L, text, (size_t)length);
}

/* All of them; without any the whole match, unless start is NULL. */
static int push_captures(matcher *m, const char *start, const char *end) {
  int count = m->captures || !start ? m->captures : 1;
  luaL_checkstack(m->L, count, "too many captures");
  for (int i = 0; i < count; i++) push_capture(m, i, start, end);
  return count;
}

/* ---- The matcher: each function returns where the match of the rest of the pattern ends, or NULL ---- */

/* %bxy, p past the b: from an x to the y that balances it. Past that, or NULL. */
static const char *balanced(matcher *m, const char *s, const char *p) {
  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->subject_end || *s != p[0]) return NULL;
  int64_t open = 1;
  for (s++; s < m->subject_end; s++) {
    take_steps(m, 1);
    if (*s == p[1]) {
      if (--open == 0) return s + 1;
    } else if (*s == p[0]) {
      open++;
    }
  }
  return NULL;
}

/* %f[set], p at the set: between a character that is not in it and one that is. The end counts as \0. Past the set, or
 * NULL. */
static const char *frontier(matcher *m, const char *s, const char *p) {
  if (p >= m->pattern_end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
  const char *end = item_end(m, p);
  int before = s == m->subject ? 0 : (unsigned char)s[-1], after = s == m->subject_end ? 0 : (unsigned char)*s;
  take_steps(m, 2 * (end - p));
  return !in_set(before, p, end - 1) && in_set(after, p, end - 1) ? end : NULL;
}

static const char *most(matcher *m, const char *s, const char *item, const char *end) {
  ptrdiff_t count = 0;
  while (fits(m, s + count, item, end)) count++;
  for (; count >= 0; count--) {
    const char *found = match(m, s + count, end + 1);
    if (found) return found;
  }
  return NULL;
}

static const char *fewest(matcher *m, const char *s, const char *item, const char *end) {
  for (;; s++) {
    const char *found = match(m, s, end + 1);
    if (found) return found;
    if (!fits(m, s, item, end)) return NULL;
  }
}

/* An item and what repeats it. *rest: the pattern goes on there, from the result. */
static const char *repeated(matcher *m, const char *s, const char *p, const char **rest) {
  const char *end = item_end(m, p), *found;
  char suffix = end < m->pattern_end ? *end : '\0';
  *rest = NULL;
  switch (suffix) {
  case '*':
    return most(m, s, p, end);
  case '+':
    return fits(m, s, p, end) ? most(m, s + 1, p, end) : NULL;
  case '-':
    return fewest(m, s, p, end);
  case '?':
    if (fits(m, s, p, end) && (found = match(m, s + 1, end + 1))) return found;
    *rest = end + 1;
    return s;
  default:
    if (!fits(m, s, p, end)) return NULL;
    *rest = end;
    return s + 1;
  }
}

/* One item or special thing at p. *rest as above; NULL there: the result is that of the whole pattern. */
static const char *match_one(matcher *m, const char *s, const char *p, const char **rest) {
  *rest = NULL;
  if (*p == '(') {
    bool position = p + 1 < m->pattern_end && p[1] == ')';
    return position ? open_capture(m, s, p + 2, POSITION) : open_capture(m, s, p + 1, OPEN);
  }
  if (*p == ')') return close_capture(m, s, p + 1);
  if (*p == '$' && p + 1 == m->pattern_end) return s == m->subject_end ? s : NULL;
  if (*p == ESCAPE && p + 1 < m->pattern_end) {
    const char *end;
    if (p[1] == 'b') {
      end = balanced(m, s, p + 2);
      *rest = p + 4;
      return end;
    }
    if (p[1] == 'f') {
      end = frontier(m, s, p + 2);
      *rest = end;
      return end ? s : NULL;
    }
    if (isdigit((unsigned char)p[1])) {
      *rest = p + 2;
      return repeat_capture(m, s, p[1]);
    }
  }
  return repeated(m, s, p, rest);
}

static const char *match(matcher *m, const char *s, const char *p) {
  if (m->depth++ >= MOST_DEPTH) luaL_error(m->L, "pattern too complex");
  while (s && p && p != m->pattern_end) {
    take_steps(m, 1);
    s = match_one(m, s, p, &p);
  }
  m->depth--;
  return s;
}

/* ---- find, match ---- */

/* A position counted from 1, or from the end where negative, as an offset. */
static size_t offset_of(lua_Integer position, size_t length) {
  if (position > 0) return (size_t)position - 1;
  if (position == 0 || position < -(lua_Integer)length) return 0;
  return length + (size_t)position;
}

static bool is_plain(const char *pattern, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (pattern[i] && strchr("^$*+?.([%-", pattern[i])) return false;
  return true;
}

static int find_or_match(lua_State *L, bool find) {
  size_t length, pattern_length;
  const char *s = luaL_checklstring(L, 1, &length), *p = luaL_checklstring(L, 2, &pattern_length);
  size_t first = offset_of(luaL_optinteger(L, 3, 1), length);
  if (first > length) {
    luaL_pushfail(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || is_plain(p, pattern_length))) {
    const char *found = memmem(s + first, length - first, p, pattern_length);
    if (length - first > STEPS_BETWEEN_POLLS) mcl_lua_poll(L, (int64_t)(length - first) / 64);
    if (!found) {
      luaL_pushfail(L);
      return 1;
    }
    lua_pushinteger(L, found - s + 1);
    lua_pushinteger(L, found - s + (lua_Integer)pattern_length);
    return 2;
  }
  matcher m = {.L = L, .subject = s, .subject_end = s + length, .pattern_end = p + pattern_length};
  bool anchored = pattern_length && *p == '^';
  for (const char *at = s + first; at <= m.subject_end; at++) {
    begin_match(&m);
    const char *end = match(&m, at, p + anchored);
    if (end && !find) return push_captures(&m, at, end);
    if (end) {
      lua_pushinteger(L, at - s + 1);
      lua_pushinteger(L, end - s);
      return push_captures(&m, NULL, NULL) + 2;
    }
    if (anchored) break;
  }
  luaL_pushfail(L);
  return 1;
}

static int string_find(lua_State *L) { return find_or_match(L, true); }
static int string_match(lua_State *L) { return find_or_match(L, false); }

/* ---- gmatch ---- */

typedef struct walk {
  size_t at, last; /* offsets: where to look next; where the last match ended, SIZE_MAX: nowhere */
} walk;

/* Upvalues: subject, pattern, walk. */
static int next_match(lua_State *L) {
  size_t length, pattern_length;
  const char *s = lua_tolstring(L, lua_upvalueindex(1), &length);
  const char *p = lua_tolstring(L, lua_upvalueindex(2), &pattern_length);
  walk *w = lua_touserdata(L, lua_upvalueindex(3));
  matcher m = {.L = L, .subject = s, .subject_end = s + length, .pattern_end = p + pattern_length};
  for (; w->at <= length; w->at++) {
    begin_match(&m);
    const char *end = match(&m, s + w->at, p);
    if (!end || (size_t)(end - s) == w->last) continue;
    const char *start = s + w->at;
    w->at = w->last = (size_t)(end - s);
    return push_captures(&m, start, end);
  }
  return 0;
}

static int string_gmatch(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t first = offset_of(luaL_optinteger(L, 3, 1), length);
  lua_settop(L, 2);
  walk *w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (walk){first > length ? length + 1 : first, SIZE_MAX};
  lua_pushcclosure(L, next_match, 3);
  return 1;
}

/* ---- gsub ---- */

/* The replacement text at 3, with %0 … %9 in it. */
static void add_text(matcher *m, luaL_Buffer *to, const char *start, const char *end) {
  size_t length;
  const char *text = lua_tolstring(m->L, 3, &length), *text_end = text + length;
  take_steps(m, (int64_t)length / 8 + 1);
  for (const char *escape; (escape = memchr(text, ESCAPE, (size_t)(text_end - text))); text = escape + 2) {
    luaL_addlstring(to, text, (size_t)(escape - text));
    unsigned char c = (unsigned char)escape[1];
    const char *part = start;
    ptrdiff_t size = end - start;
    if (c == ESCAPE) {
      luaL_addchar(to, ESCAPE);
      continue;
    }
    if (!isdigit(c)) luaL_error(m->L, "invalid use of '%%' in replacement string");
    if (c != '0') size = captured(m, c - '1', start, end, &part);
    if (size == POSITION) {
      lua_pushfstring(m->L, "%I", (LUAI_UACINT)(part - m->subject + 1));
      luaL_addvalue(to);
    } else {
      luaL_addlstring(to, part, (size_t)size);
    }
  }
  luaL_addlstring(to, text, (size_t)(text_end - text));
}

/* Adds what stands for the match from start to end. Is that another text? */
static bool add_replacement(matcher *m, luaL_Buffer *to, const char *start, const char *end, int type) {
  lua_State *L = m->L;
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, start, end), 1);
  } else if (type == LUA_TTABLE) {
    push_capture(m, 0, start, end);
    lua_gettable(L, 3);
  } else {
    add_text(m, to, start, end);
    return true;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(to, start, (size_t)(end - start));
    return false;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(to);
  return true;
}

static int string_gsub(lua_State *L) {
  size_t length, pattern_length;
  const char *s = luaL_checklstring(L, 1, &length), *p = luaL_checklstring(L, 2, &pattern_length), *last = NULL;
  int type = lua_type(L, 3);
  lua_Integer most_matches = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
  luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                   "string/function/table");
  matcher m = {.L = L, .subject = s, .subject_end = s + length, .pattern_end = p + pattern_length};
  bool anchored = pattern_length && *p == '^', changed = false;
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  while (count < most_matches) {
    begin_match(&m);
    const char *end = match(&m, s, p + anchored);
    if (end && end != last) {
      count++;
      changed |= add_replacement(&m, &text, s, end, type);
      s = last = end;
    } else if (s < m.subject_end) {
      luaL_addchar(&text, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&text, s, (size_t)(m.subject_end - s));
    luaL_pushresult(&text);
  } else {
    lua_pushvalue(L, 1);
  }
  lua_pushinteger(L, count);
  return 2;
}

void mcl_lua_guard_patterns(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
