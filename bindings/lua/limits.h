/* How long Lua code may run, and what catches errors without ending that. limits.c, guard.c. */
#ifndef MCL_LUA_LIMITS_H
#define MCL_LUA_LIMITS_H

#include "lua/binding.h"

/* A stop is a cancel, or the end of a limited state's instructions. Where errors are caught by guard.c it cannot be
 * caught; nothing goes on until the host resumes, or for ever. */
bool mcl_lua_is_stopped(mcl_lua *lua);
void mcl_lua_keep_stop_texts(lua_State *L);            /* once a state */
int mcl_lua_stop(lua_State *L);                        /* raises the error of a stop; never returns */
void mcl_lua_arm_stop(mcl_lua *lua, lua_State *L);     /* an error of a stop is about to be raised in L */
void mcl_lua_pass_stop(lua_State *L);                  /* the error on the top was caught: after a stop it goes on */
void mcl_lua_poll(lua_State *L, int64_t instructions); /* charges them; an error after a stop */
/* Around the running of a coroutine: charges for a short slice, after which its hook has a look. */
lua_State *mcl_lua_enter_coroutine(lua_State *L, lua_State *coroutine); /* returns what to leave it with */
void mcl_lua_leave_coroutine(lua_State *L, lua_State *before);
/* The running code's hook is to have a look after so many instructions at the latest. Raises nothing. */
void mcl_lua_hurry(mcl_lua *lua, int instructions);
void mcl_lua_set_heaviest(mcl_lua *lua, int heavy_class);

void mcl_lua_guard_patterns(lua_State *L); /* pattern.c: into the table of string functions on the top */
void mcl_lua_guard_loops(lua_State *L);    /* guard_loops.c: functions of tables, and string.rep */
/* guard.c: all of that, and what of Lua's own library catches errors, or loops in C, in forms that a stop ends. */
void mcl_lua_guard_library(lua_State *L, bool text_alone); /* text_alone: load takes no bytecode, and no long text */

#endif
