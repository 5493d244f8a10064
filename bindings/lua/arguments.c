/* Arguments: numbers in a range, fields of option tables, shapes, names of dtypes. Every message says what was wanted. */
#include "lua/binding.h"

#include <string.h>

static const char *text_of(lua_State *L, int arg) {
  static _Thread_local char text[96];
  size_t length;
  const char *value = luaL_tolstring(L, arg, &length);
  snprintf(text, sizeof text, "%.60s%s", value, length > 60 ? "…" : "");
  lua_pop(L, 1);
  return text;
}

int64_t mcl_lua_integer(lua_State *L, int arg, const char *name, int64_t least, int64_t most) {
  int is_integer;
  lua_Integer value = lua_type(L, arg) == LUA_TNUMBER ? lua_tointegerx(L, arg, &is_integer) : (is_integer = 0);
  if (!is_integer) mcl_lua_fail(L, "%s: an integer is wanted, got %s", name, text_of(L, arg));
  if (value < least || value > most) {
    if (most == INT64_MAX)
      mcl_lua_fail(L, "%s: %lld is out of range: at least %lld", name, (long long)value, (long long)least);
    mcl_lua_fail(L, "%s: %lld is out of range %lld … %lld", name, (long long)value, (long long)least, (long long)most);
  }
  return value;
}

double mcl_lua_number(lua_State *L, int arg, const char *name, double least, double most) {
  if (lua_type(L, arg) != LUA_TNUMBER) mcl_lua_fail(L, "%s: a number is wanted, got %s", name, text_of(L, arg));
  double value = lua_tonumber(L, arg);
  if (!(value >= least && value <= most)) /* NaN too */
    mcl_lua_fail(L, "%s: %g is out of range %g … %g", name, value, least, most);
  return value;
}

const char *mcl_lua_string(lua_State *L, int arg, const char *name) {
  if (lua_type(L, arg) != LUA_TSTRING) mcl_lua_fail(L, "%s: a string is wanted, got %s", name, text_of(L, arg));
  return lua_tostring(L, arg);
}

/* ---- Tables ---- */

int mcl_lua_field(lua_State *L, int arg, const char *key) {
  arg = lua_absindex(L, arg);
  lua_pushstring(L, key);
  return lua_rawget(L, arg);
}

int mcl_lua_list(lua_State *L, int arg, const char *name, int most) {
  lua_Unsigned length = lua_rawlen(L, arg);
  if (length > (lua_Unsigned)most)
    mcl_lua_fail(L, "%s: a list of %llu, but %d are the most", name, (unsigned long long)length, most);
  return (int)length;
}

const char **mcl_lua_push_texts(lua_State *L, int arg, const char *name) {
  if (lua_isnoneornil(L, arg)) return NULL;
  if (!lua_istable(L, arg)) mcl_lua_bad(L, arg, "a list of names");
  arg = lua_absindex(L, arg);
  int count = mcl_lua_list(L, arg, name, 1 << 20);
  const char **texts = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *texts, 0);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, arg, i + 1);
    texts[i] = mcl_lua_string(L, -1, name);
    lua_rawseti(L, -2, i + 1);
  }
  texts[count] = NULL;
  return texts;
}

static int compare_keys(const void *a, const void *b) {
  const mcl_lua_key *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
  return order ? order : (x->size > y->size) - (x->size < y->size);
}

const mcl_lua_key *mcl_lua_push_keys(lua_State *L, int arg, const char *rule, int *count) {
  arg = lua_absindex(L, arg);
  lua_newtable(L);
  int kept = lua_gettop(L), found = 0;
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) mcl_lua_fail(L, "%s; got a %s", rule, mcl_lua_type_name(L, -2));
    if (found == INT32_MAX) mcl_lua_fail(L, "a table of more than %d keys", INT32_MAX);
    lua_pushvalue(L, -2);
    lua_rawseti(L, kept, ++found);
  }
  mcl_lua_key *keys = lua_newuserdatauv(L, ((size_t)found + 1) * sizeof *keys, 0);
  for (int i = 0; i < found; i++) {
    lua_rawgeti(L, kept, i + 1);
    keys[i].text = lua_tolstring(L, -1, &keys[i].size);
    lua_pop(L, 1);
  }
  mcl_lua_check(L, mcl_sort(mcl_lua_ctx(L), keys, (size_t)found, sizeof *keys, compare_keys));
  *count = found;
  return keys;
}

int64_t mcl_lua_field_integer(lua_State *L, int arg, const char *key, int64_t preset, int64_t least, int64_t most) {
  int64_t value = preset;
  if (mcl_lua_field(L, arg, key) != LUA_TNIL) value = mcl_lua_integer(L, -1, key, least, most);
  lua_pop(L, 1);
  return value;
}

double mcl_lua_field_number(lua_State *L, int arg, const char *key, double preset, double least, double most) {
  double value = preset;
  if (mcl_lua_field(L, arg, key) != LUA_TNIL) value = mcl_lua_number(L, -1, key, least, most);
  lua_pop(L, 1);
  return value;
}

bool mcl_lua_field_boolean(lua_State *L, int arg, const char *key, bool preset) {
  bool value = preset;
  int type = mcl_lua_field(L, arg, key);
  if (type == LUA_TBOOLEAN) {
    value = lua_toboolean(L, -1);
  } else if (type != LUA_TNIL) {
    mcl_lua_fail(L, "%s: true or false is wanted, got %s", key, text_of(L, -1));
  }
  lua_pop(L, 1);
  return value;
}

const char *mcl_lua_field_string(lua_State *L, int arg, const char *key, const char *preset) {
  return mcl_lua_field(L, arg, key) == LUA_TNIL ? preset : mcl_lua_string(L, -1, key);
}

mcl_shape mcl_lua_shape(lua_State *L, int arg) {
  mcl_shape shape = {0};
  if (lua_type(L, arg) == LUA_TNUMBER) {
    shape.rank = 1;
    shape.dim[0] = mcl_lua_integer(L, arg, "shape", -1, INT64_MAX);
    return shape;
  }
  if (!lua_istable(L, arg)) mcl_lua_fail(L, "shape: a table such as {2, 3} is wanted, got %s", text_of(L, arg));
  shape.rank = mcl_lua_list(L, arg, "shape", MCL_MAX_RANK);
  for (int i = 0; i < shape.rank; i++) {
    lua_rawgeti(L, arg, i + 1);
    shape.dim[i] = mcl_lua_integer(L, -1, "shape", -1, INT64_MAX);
    lua_pop(L, 1);
  }
  return shape;
}

void mcl_lua_push_shape(lua_State *L, mcl_shape shape) {
  lua_createtable(L, shape.rank, 0);
  for (int i = 0; i < shape.rank; i++) {
    lua_pushinteger(L, shape.dim[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

mcl_dtype mcl_lua_dtype(lua_State *L, int arg) {
  const char *name = mcl_lua_string(L, arg, "dtype");
  for (int i = 0; i < MCL_DTYPE_COUNT; i++)
    if (!strcmp(name, mcl_dtype_name((mcl_dtype)i))) return (mcl_dtype)i;
  mcl_lua_fail(L, "dtype: \"%s\" is none of f32 f16 bf16 f64 i8 i16 i32 i64 u8 bool", name);
  return MCL_F32;
}
