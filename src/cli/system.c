/* Folders, locks, sizes and hashes for the commands. A function that the system refuses raises an error with the path and the
 * reason. */
#include "cli/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* is_stream(path): is it there, and neither a file nor a folder: a device, a pipe? */
static int is_stream(lua_State *L) {
  struct stat info;
  lua_pushboolean(L, !stat(luaL_checkstring(L, 1), &info) && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
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

/* list(path): the names in a folder, sorted; nil where there is none. */
static int list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct dirent **entries;
  int count = scandir(path, &entries, NULL, alphasort);
  if (count < 0) {
    if (errno != ENOENT) return refuse(L, path);
    lua_pushnil(L);
    return 1;
  }
  lua_newtable(L); /* what Lua's memory refuses here ends the program anyway */
  for (int i = 0, at = 0; i < count; i++) {
    if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, "..")) {
      lua_pushstring(L, entries[i]->d_name);
      lua_rawseti(L, -2, ++at);
    }
    free(entries[i]);
  }
  free(entries);
  return 1;
}

/* Opens the file of a lock and locks it; -1 with EWOULDBLOCK where another process holds it. The holder before may have
 * removed the file between the two: then what was locked is a file without a name, and the next one is tried. */
static int open_locked(const char *path) {
  for (;;) {
    struct stat held, named;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
      int reason = errno;
      close(fd);
      errno = reason;
      return -1;
    }
    if (!fstat(fd, &held) && !stat(path, &named) && held.st_dev == named.st_dev && held.st_ino == named.st_ino)
      return fd;
    close(fd);
  }
}

/* lock(path): true, and the file at path is this process's until it ends, however it ends; or false and the number of the
 * process that has it, where that is known. */
static int lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char holder[24] = "";
  int fd = open_locked(path);
  if (fd < 0 && errno != EWOULDBLOCK) return refuse(L, path);
  lua_pushboolean(L, fd >= 0);
  if (fd >= 0) {
    int length = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || write(fd, holder, (size_t)length) != length)
      return 1; /* a courtesy; the lock holds without it */
    return 1;
  }
  FILE *file = fopen(path, "r");
  if (!file) return 1;
  bool known = fgets(holder, sizeof holder, file) && atol(holder) > 0;
  fclose(file);
  if (known) lua_pushinteger(L, atol(holder));
  return known ? 2 : 1;
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
                                       {"is_stream", is_stream},
                                       {"same_file", same_file},
                                       {"make_folder", make_folder},
                                       {"list", list},
                                       {"lock", lock},
                                       {"hash", hash_text},
                                       {"hash_file", hash_file},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
