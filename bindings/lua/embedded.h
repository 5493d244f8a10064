/* The Lua sources that the program carries (made by cmake/embed.cmake). */
#ifndef MCL_LUA_EMBEDDED_H
#define MCL_LUA_EMBEDDED_H

#include <stddef.h>

typedef struct mcl_embedded_file {
  const char *name; /* "lua/mcl/init.lua", "recipes/magnitude.lua"; NULL ends the table */
  const char *data; /* NUL-terminated */
  size_t size;
} mcl_embedded_file;

extern const mcl_embedded_file mcl_embedded_files[];

#endif
