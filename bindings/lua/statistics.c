/* The class statistics: what calibration saw at a layer. Its fields are tensors; one that was not collected is an
 * error that says what was. */
#include <string.h>

#include "lua/binding.h"

static void release(mcl_context *ctx, void *object) { mcl_statistics_free(ctx, object); }

typedef struct statistic_row {
  const char *name;
  unsigned flag;
} statistic_row;

static const statistic_row rows[] = {{"input_norm", MCL_STAT_INPUT_NORM},
                                     {"input_mean", MCL_STAT_INPUT_MEAN},
                                     {"input_square", MCL_STAT_INPUT_SQUARE},
                                     {"gram", MCL_STAT_GRAM},
                                     {"range", MCL_STAT_RANGE},
                                     {"zero_rate", MCL_STAT_ZERO_RATE},
                                     {"fisher", MCL_STAT_GRADIENT_SQUARE}};
#define ROW_COUNT (sizeof rows / sizeof *rows)

unsigned mcl_lua_statistics_flags(lua_State *L, int arg) {
  unsigned flags = 0;
  if (lua_isnoneornil(L, arg)) return 0;
  if (!lua_istable(L, arg)) mcl_lua_bad(L, arg, "a list of statistics such as {\"input_norm\"}");
  arg = lua_absindex(L, arg);
  int count = mcl_lua_list(L, arg, "statistics", 64);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, arg, i);
    const char *name = mcl_lua_string(L, -1, "statistics");
    size_t row = 0;
    while (row < ROW_COUNT && strcmp(rows[row].name, name)) row++;
    if (row == ROW_COUNT)
      mcl_lua_fail(L, "statistics: \"%s\" is none of input_norm input_mean input_square gram range zero_rate fisher",
                   name);
    flags |= rows[row].flag;
    lua_pop(L, 1);
  }
  return flags;
}

void mcl_lua_push_statistic_names(lua_State *L, unsigned flags) {
  lua_newtable(L);
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (!(flags & rows[i].flag)) continue;
    lua_pushstring(L, rows[i].name);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
}

static mcl_tensor *field_of(const mcl_statistics *s, const char *name) {
  if (!strcmp(name, "input_norm")) return s->input_norm;
  if (!strcmp(name, "input_mean")) return s->input_mean;
  if (!strcmp(name, "input_square")) return s->input_square;
  if (!strcmp(name, "gram")) return s->gram;
  if (!strcmp(name, "zero_rate")) return s->zero_rate;
  if (!strcmp(name, "fisher")) return s->fisher;
  return NULL;
}

static bool is_field(const char *name) {
  for (size_t i = 0; i < ROW_COUNT; i++)
    if (!strcmp(rows[i].name, name)) return true;
  return false;
}

/* ---- As a criterion sees them ---- */

static int view_missing(lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
  if (is_field(name))
    return mcl_lua_fail(L, "the statistic \"%s\" was not collected; name it: mcl.criterion { \"%s\", function … }",
                        name, name);
  return mcl_lua_fail(L, "statistics have no \"%s\"", name);
}

void mcl_lua_push_statistics_view(lua_State *L, const mcl_statistics *s) {
  lua_newtable(L);
  for (size_t i = 0; s && i < ROW_COUNT; i++) {
    mcl_tensor *t = field_of(s, rows[i].name);
    if (!t) continue;
    if (t == s->zero_rate) { /* one a row: a column, so that it broadcasts over the row */
      mcl_tensor **column = mcl_lua_push_tensor(L);
      mcl_lua_check(L, mcl_tensor_reshape(t, mcl_shape_2(t->count, 1), column));
      (*column)->read_only = true;
    } else {
      mcl_lua_push_lent(L, t);
    }
    lua_setfield(L, -2, rows[i].name);
  }
  if (s) {
    lua_pushinteger(L, s->rows_seen);
    lua_setfield(L, -2, "rows_seen");
    lua_pushnumber(L, s->least);
    lua_setfield(L, -2, "least");
    lua_pushnumber(L, s->greatest);
    lua_setfield(L, -2, "greatest");
  }
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, view_missing);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* ---- The class ---- */

static int statistics_index(lua_State *L) {
  mcl_statistics *s = mcl_lua_take(L, 1, &mcl_lua_statistics_class);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  mcl_tensor *t = field_of(s, key);
  if (t) {
    mcl_lua_push_lent(L, t);
  } else if (!strcmp(key, "rows_seen")) {
    lua_pushinteger(L, s->rows_seen);
  } else if (!strcmp(key, "least") || !strcmp(key, "greatest")) {
    lua_pushnumber(L, key[0] == 'l' ? s->least : s->greatest);
  } else if (is_field(key)) {
    lua_pushnil(L); /* not collected */
  } else {
    mcl_lua_fail(L, "statistics have no \"%s\"", key);
  }
  return 1;
}

static int statistics_tostring(lua_State *L) {
  mcl_statistics *s = mcl_lua_take(L, 1, &mcl_lua_statistics_class);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, "statistics:");
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (!field_of(s, rows[i].name)) continue;
    luaL_addchar(&text, ' ');
    luaL_addstring(&text, rows[i].name);
  }
  char seen[64];
  snprintf(seen, sizeof seen, " over %lld rows", (long long)s->rows_seen);
  luaL_addstring(&text, seen);
  luaL_pushresult(&text);
  return 1;
}

static const luaL_Reg meta[] = {{"__tostring", statistics_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_statistics_class = {"statistics", release, NULL, meta, statistics_index};

/* core.statistic_names(list) -> the same names checked, in one order and once each */
static int statistic_names(lua_State *L) {
  mcl_lua_push_statistic_names(L, mcl_lua_statistics_flags(L, 1));
  return 1;
}

void mcl_lua_open_statistics(lua_State *L) {
  mcl_lua_class_register(L, &mcl_lua_statistics_class);
  lua_pushcfunction(L, statistic_names);
  lua_setfield(L, -2, "statistic_names");
}
