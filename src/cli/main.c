/* The program mcl: starts Lua with the sources it carries, lets Ctrl-C stop work cleanly, and hands the arguments to
 * lua/mcl/commands/init.lua. */
#include "cli/system.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <mcl/mcl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic(mcl_context *) running;   /* what a signal stops; NULL before there is anything to stop */
static volatile sig_atomic_t interrupts; /* the number of the first signal; 0: none yet */

/* A program that a signal has ended, as shells see it. */
static int code_of(int number) { return 128 + number; }

/* The first signal asks the work to stop: it keeps its checkpoint and says how to go on. The second does not wait. */
static void on_signal(int number) {
  mcl_context *ctx = atomic_load(&running);
  if (interrupts || !ctx) _exit(code_of(number));
  interrupts = number;
  mcl_context_cancel(ctx);
}

/* A standard stream that came closed is held shut by a file that refuses its use: the next file opened would take its
 * number, and what is printed would go into an artifact. */
static void hold_standard_streams(void) {
  for (int number = 0; number < 3; number++)
    if (fcntl(number, F_GETFD) < 0 && open("/dev/null", number ? O_RDONLY : O_WRONLY) != number) _exit(1);
}

static void catch_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  action.sa_handler = SIG_IGN; /* a closed pipe is an error of the write, not the end of the program */
  sigaction(SIGPIPE, &action, NULL);
}

/* mcl.system.watch(): from here on a signal cancels the work instead of ending the program. */
static int watch(lua_State *L) {
  mcl_context *ctx;
  if (mcl_lua_context(L, &ctx)) return luaL_error(L, "no memory for a context");
  mcl_lua_watch(L);
  atomic_store(&running, ctx);
  return 0;
}

/* mcl.system.interrupted(): the exit code of a program that the signal has ended, or nil: none has come. */
static int interrupted(lua_State *L) {
  if (interrupts)
    lua_pushinteger(L, code_of(interrupts));
  else
    lua_pushnil(L);
  return 1;
}

/* mcl.system.attempt(handler, f, …): xpcall that a signal does end in: true and the results of f(…), or false, what the
 * handler made of the error, and whether a signal had come. Then the cancel is over: its catcher tidies up. */
static int attempt(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (!lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1)) {
    lua_pushboolean(L, true);
    lua_replace(L, 1);
    return lua_gettop(L);
  }
  mcl_context *ctx = atomic_load(&running);
  if (interrupts && ctx) mcl_context_resume(ctx);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  lua_pushboolean(L, interrupts != 0);
  return 3;
}

/* What os.exit is to recipes and other files that mcl runs: they would end it with nothing written and nothing said. */
static int refuse_to_leave(lua_State *L) {
  return luaL_error(L, "os.exit: a file that mcl runs cannot end it; return from it, or raise an error");
}

/* mcl.system.exit is Lua's own. */
static void keep_exit(lua_State *L) {
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_getfield(L, -1, "exit");
  lua_setfield(L, -3, "exit");
  lua_pushcfunction(L, refuse_to_leave);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}

static int open_system(lua_State *L) {
  mcl_cli_open_system(L);
  lua_pushcfunction(L, watch);
  lua_setfield(L, -2, "watch");
  lua_pushcfunction(L, interrupted);
  lua_setfield(L, -2, "interrupted");
  lua_pushcfunction(L, attempt);
  lua_setfield(L, -2, "attempt");
  lua_pushcfunction(L, mcl_cli_run_untrusted);
  lua_setfield(L, -2, "run_untrusted");
  keep_exit(L);
  return 1;
}

static int traceback(lua_State *L) {
  const char *message = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, message, 1);
  return 1;
}

/* Calls commands.main(arguments), which gives the exit code. Runs protected: argc and argv are on the stack. */
static int start(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  luaL_requiref(L, "mcl.system", open_system, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mcl);
  lua_setfield(L, -2, "mcl");
  lua_settop(L, 2);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mcl");
  lua_call(L, 1, 0); /* puts the embedded sources within reach of require */
  if (mcl_lua_guard(L)) return luaL_error(L, "not enough memory to start");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mcl.commands");
  lua_call(L, 1, 1);
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* Is standard output a pipe that nobody reads any more? */
static bool reader_has_left(void) {
  struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

int main(int argc, char **argv) {
  hold_standard_streams();
  catch_signals();
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("mcl: not enough memory to start\n", stderr);
    return 1;
  }
  lua_pushcfunction(L, traceback);
  lua_pushcfunction(L, start);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code = 1;
  if (lua_pcall(L, 2, 1, 1)) {
    fprintf(stderr, "mcl: %s\n", lua_tostring(L, -1));
  } else {
    code = (int)lua_tointeger(L, -1);
  }
  errno = 0;
  bool unwritten = fflush(stdout) || ferror(stdout); /* print has flushed, and kept silent, before */
  if (unwritten && !code && reader_has_left()) {     /* head(1), say: the end that it gives to other programs */
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
  }
  if (unwritten && !code) {
    fprintf(stderr, "mcl: standard output could not be written%s%s\n", errno ? ": " : "", errno ? strerror(errno) : "");
    code = 1;
  }
  atomic_store(&running, NULL);
  lua_close(L);
  return code;
}
