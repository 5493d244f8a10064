/* Files: arrays in and out, artifacts inspected and verified, whole files written atomically. */
#include <string.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "formats/formats.h"
#include "lua/binding.h"

static const char *path_argument(lua_State *L, int arg, const char *what) {
  mcl_lua_need_files(L, what);
  return mcl_lua_string(L, arg, "path");
}

/* ---- Arrays ---- */

static int npy_load(lua_State *L) {
  const char *path = path_argument(L, 1, "npy_load");
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_lua_check(L, mcl_npy_load(ctx, path, mcl_lua_push_tensor(L)));
  return 1;
}

static int npy_save(lua_State *L) {
  const char *path = path_argument(L, 1, "npy_save");
  mcl_lua_check(L, mcl_npy_save(mcl_lua_tensor(L, 2), path));
  return 0;
}

static int idx_load(lua_State *L) {
  const char *path = path_argument(L, 1, "idx_load");
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_lua_check(L, mcl_idx_load(ctx, path, mcl_lua_push_tensor(L)));
  return 1;
}

typedef struct named_list {
  mcl_named_tensor *items;
  int count;
} named_list;

static int push_named(lua_State *L) {
  named_list *list = lua_touserdata(L, 1);
  lua_createtable(L, 0, list->count);
  lua_createtable(L, list->count, 0);
  for (int i = 0; i < list->count; i++) {
    lua_pushstring(L, list->items[i].name);
    lua_rawseti(L, -2, i + 1);
    if (!list->items[i].tensor) continue;
    mcl_tensor **box = mcl_lua_push_tensor(L);
    *box = mcl_tensor_retain(list->items[i].tensor);
    lua_setfield(L, -3, list->items[i].name);
  }
  return 2;
}

/* npz_load(path[, {name, …}]) -> {name = tensor, …} of these members, or of all; and the names of all */
static int npz_load(lua_State *L) {
  const char *path = path_argument(L, 1, "npz_load");
  mcl_context *ctx = mcl_lua_ctx(L);
  named_list list = {0};
  const char **wanted = mcl_lua_push_texts(L, 2, "name");
  mcl_lua_check(L, mcl_npz_load_some(ctx, path, wanted, &list.items, &list.count));
  lua_pushcfunction(L, push_named); /* light: never fails */
  lua_pushlightuserdata(L, &list);
  int status = lua_pcall(L, 1, 2, 0);
  mcl_tensor_list_free(ctx, list.items, list.count);
  return status ? lua_error(L) : 2;
}

/* npz_save(path, {name = tensor, …}[, compress]); in the order of the names, so that the file's bytes are fixed */
static int npz_save(lua_State *L) {
  const char *path = path_argument(L, 1, "npz_save");
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  int count;
  const mcl_lua_key *names = mcl_lua_push_keys(L, 2, "npz_save: names are texts", &count);
  mcl_named_tensor *list = lua_newuserdatauv(L, sizeof *list * ((size_t)count + 1), 0);
  lua_createtable(L, count, 0); /* keeps the tensors */
  int kept = lua_gettop(L);
  for (int i = 0; i < count; i++) {
    if (strlen(names[i].text) != names[i].size)
      mcl_lua_fail(L, "npz_save: the name \"%s\" goes on after a zero byte", names[i].text);
    mcl_lua_field(L, 2, names[i].text);
    list[i] = (mcl_named_tensor){.name = (char *)(uintptr_t)names[i].text, .tensor = mcl_lua_tensor(L, -1)};
    lua_rawseti(L, kept, i + 1);
  }
  mcl_lua_check(L, mcl_npz_save(mcl_lua_ctx(L), path, list, count, lua_toboolean(L, 3)));
  return 0;
}

/* ---- Artifacts ---- */

static void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* One entry of `layers`, with the keys that the command line promises. */
static void push_inspected(lua_State *L, const mcl_artifact_weight *weight) {
  double count = (double)weight->dense_bytes / 4;
  lua_newtable(L);
  set_string(L, "name", weight->name);
  set_string(L, "node", weight->node);
  set_string(L, "op", weight->op);
  set_string(L, "coder", weight->coder);
  set_string(L, "representation", weight->representation);
  mcl_lua_push_shape(L, weight->shape);
  lua_setfield(L, -2, "shape");
  lua_pushnumber(L, count > 0 ? (double)weight->nonzeros / count : 1);
  lua_setfield(L, -2, "density");
  lua_pushnumber(L, count > 0 ? 8 * (double)weight->coded_bytes / count : 0);
  lua_setfield(L, -2, "bits");
  lua_createtable(L, 0, 4);
  set_integer(L, "dense", (int64_t)weight->dense_bytes);
  set_integer(L, "packed", (int64_t)weight->packed_bytes);
  set_integer(L, "coded", (int64_t)weight->coded_bytes);
  set_integer(L, "file", (int64_t)weight->file_bytes);
  lua_setfield(L, -2, "bytes");
}

static int push_info(lua_State *L) {
  const mcl_artifact_info *info = lua_touserdata(L, 1);
  lua_newtable(L);
  set_integer(L, "bytes", (int64_t)info->bytes);
  set_integer(L, "dense_bytes", (int64_t)info->dense_bytes);
  set_integer(L, "overhead_bytes", (int64_t)info->overhead_bytes);
  set_integer(L, "parameters", info->parameters);
  set_integer(L, "alignment", info->alignment);
  lua_pushfstring(L, "%d.%d", info->version_major, info->version_minor);
  lua_setfield(L, -2, "version");
  lua_pushboolean(L, info->zstd_wrapped);
  lua_setfield(L, -2, "zstd");
  lua_pushnumber(L, info->bytes ? (double)info->dense_bytes / (double)info->bytes : 0);
  lua_setfield(L, -2, "ratio");
  lua_createtable(L, info->weights, 0);
  for (int i = 0; i < info->weights; i++) {
    push_inspected(L, &info->weight[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "layers");
  return 1;
}

static int inspect(lua_State *L) {
  const char *path = path_argument(L, 1, "inspect");
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_artifact_info *info;
  lua_pushcfunction(L, push_info);
  mcl_lua_check(L, mcl_artifact_inspect(ctx, path, &info));
  lua_pushlightuserdata(L, info);
  int status = lua_pcall(L, 1, 1, 0);
  mcl_artifact_info_free(ctx, info);
  return status ? lua_error(L) : 1;
}

static int verify(lua_State *L) {
  const char *path = path_argument(L, 1, "verify");
  mcl_lua_check(L, mcl_artifact_verify(mcl_lua_ctx(L), path));
  return 0;
}

static mcl_format_use use_argument(lua_State *L, int arg) {
  const char *use = mcl_lua_string(L, arg, "use");
  if (strcmp(use, "read") && strcmp(use, "written")) mcl_lua_bad(L, arg, "\"read\" or \"written\"");
  return use[0] == 'r' ? MCL_FORMAT_READ : MCL_FORMAT_WRITTEN;
}

/* format_of(path, "read" or "written") -> the name of the format that the extension stands for, and whether that is a
 * container of mcl's own; an error where there is none for this use */
static int format_of(lua_State *L) {
  const mcl_format *format;
  mcl_format_use use = use_argument(L, 2);
  mcl_lua_check(L, mcl_format_of_path(mcl_lua_ctx(L), mcl_lua_string(L, 1, "path"), use, &format));
  lua_pushstring(L, format->name);
  lua_pushboolean(L, format->is_container);
  return 2;
}

/* extensions("read" or "written") -> ".mcl .bin …" */
static int extensions(lua_State *L) {
  char text[128];
  lua_pushstring(L, mcl_format_extensions(use_argument(L, 1), text));
  return 1;
}

/* ---- Plain files ---- */

/* write_file(path, text): whole or not at all */
static int write_file(lua_State *L) {
  const char *path = path_argument(L, 1, "write_file");
  size_t size;
  mcl_lua_string(L, 2, "text");
  const char *text = lua_tolstring(L, 2, &size);
  mcl_lua_check(L, mcl_file_save(mcl_lua_ctx(L), path, text, size));
  return 0;
}

/* hash(text) or hash(tensor) -> 16 hexadecimal digits, XXH3-64 */
static int hash(lua_State *L) {
  char digits[24];
  size_t size;
  const void *data;
  if (lua_type(L, 1) == LUA_TSTRING) {
    data = lua_tolstring(L, 1, &size);
  } else {
    mcl_tensor *t = mcl_lua_tensor(L, 1);
    data = t->data;
    size = (size_t)t->count * mcl_dtype_size(t->dtype);
  }
  uint64_t value;
  mcl_lua_check(L, mcl_hash_long(mcl_lua_ctx(L), data, size, &value));
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)value);
  lua_pushstring(L, digits);
  return 1;
}

/* hash_file(path) -> the same over a file's bytes */
static int hash_file(lua_State *L) {
  const char *path = path_argument(L, 1, "hash_file");
  char digits[24];
  mcl_file_map *map;
  uint64_t value = 0;
  mcl_lua_check(L, mcl_file_map_open(mcl_lua_ctx(L), path, &map));
  mcl_status status = mcl_hash_long(map->ctx, map->data, map->size, &value);
  mcl_file_map_release(map);
  mcl_lua_check(L, status);
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)value);
  lua_pushstring(L, digits);
  return 1;
}

/* files_read() -> the names of files that the engine has read since the first call, in the order of their first reading */
static int files_read(lua_State *L) {
  mcl_lua_need_files(L, "files_read");
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_lua_check(L, mcl_file_reads_watch(ctx));
  lua_newtable(L);
  const char *name;
  for (size_t i = 0; (name = mcl_file_reads_name(ctx, i)); i++) {
    lua_pushstring(L, name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void mcl_lua_open_files(lua_State *L) {
  static const luaL_Reg functions[] = {{"npy_load", npy_load},
                                       {"npy_save", npy_save},
                                       {"npz_load", npz_load},
                                       {"npz_save", npz_save},
                                       {"idx_load", idx_load},
                                       {"inspect", inspect},
                                       {"verify", verify},
                                       {"format_of", format_of},
                                       {"extensions", extensions},
                                       {"write_file", write_file},
                                       {"hash", hash},
                                       {"hash_file", hash_file},
                                       {"files_read", files_read},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
