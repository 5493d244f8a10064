/* mcl.system: what the commands need of the operating system and Lua's library does not have. */
#ifndef MCL_CLI_SYSTEM_H
#define MCL_CLI_SYSTEM_H

#include <lua.h>

/* Leaves the module's table on the stack: size(path), is_folder(path), same_file(a, b), make_folder(path),
 * list(path), lock(path), is_stream(path), hash(text), hash_file(path). */
/* mcl.system.run_untrusted{source=, name=, model=, x=, y=, scale=, offset=, set=, seed=} (untrusted.c) */
int mcl_cli_run_untrusted(lua_State *L);
int mcl_cli_open_system(lua_State *L);

#endif
