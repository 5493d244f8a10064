/* Folders, sizes and hashes for the commands. A function that the system refuses raises an error with the path and the
 * reason. */
#include "cli/system.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static int refuse(lua_State *L, const char *path) {
  lua_pushfstring(L, "%s: %s", path, strerror(errno)); /* without luaL_error's place, a line of mcl's own Lua */
  return lua_error(L);
}

/* size(path): bytes, or nil where there is no such file. */
static int size_of(lua_State *L) {
  struct stat info;
  if (stat(luaL_checkstring(L, 1), &info)) {
    lua_pushnil(L);
  } else {
    lua_pushinteger(L, (lua_Integer)info.st_size);
  }
  return 1;
}

static int is_folder(lua_State *L) {
  struct stat info;
  lua_pushboolean(L, !stat(luaL_checkstring(L, 1), &info) && S_ISDIR(info.st_mode));
  return 1;
}

/* same_file(a, b): do both paths lead to one file that is there? */
static int same_file(lua_State *L) {
  struct stat a, b;
  lua_pushboolean(L, !stat(luaL_checkstring(L, 1), &a) && !stat(luaL_checkstring(L, 2), &b) && a.st_dev == b.st_dev &&
                         a.st_ino == b.st_ino);
  return 1;
}

static int make_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (mkdir(path, 0777) && errno != EEXIST) return refuse(L, path);
  return 0;
}

/* remove_folder(path): the files in it, then itself; none there is fine. A folder within it is not touched, and then the
 * outer one stays too, with an error. */
static int remove_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  DIR *folder = opendir(path);
  if (!folder) return errno == ENOENT ? 0 : refuse(L, path);
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (unlinkat(dirfd(folder), entry->d_name, 0)) break;
  }
  closedir(folder);
  if (rmdir(path)) return refuse(L, path);
  return 0;
}

static int push_hash(lua_State *L, XXH128_hash_t hash) {
  char text[33];
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  lua_pushstring(L, text);
  return 1;
}

static int hash_text(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  return push_hash(L, XXH3_128bits(text, size));
}

static int hash_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  FILE *file = fopen(path, "rb");
  if (!file) return refuse(L, path);
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  char block[1 << 16];
  size_t count;
  while ((count = fread(block, 1, sizeof block, file)) > 0) XXH3_128bits_update(&state, block, count);
  bool failed = ferror(file);
  fclose(file);
  if (failed) return luaL_error(L, "%s cannot be read", path);
  return push_hash(L, XXH3_128bits_digest(&state));
}

int mcl_cli_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"size", size_of},
                                       {"is_folder", is_folder},
                                       {"same_file", same_file},
                                       {"make_folder", make_folder},
                                       {"remove_folder", remove_folder},
                                       {"hash", hash_text},
                                       {"hash_file", hash_file},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
