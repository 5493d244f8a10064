/* How long Lua code may run: until a cancel, or until its instructions are used up; both are called a stop here.
 *
 * A count hook looks after pure Lua code, and each of mcl's functions asks as it is entered. Instructions are paid for in
 * advance, a period at a time; a coroutine pays for a short slice whenever it is entered, so that many short ones cost what
 * they run. The more memory a single instruction can touch, the shorter is the period: joining two strings of a megabyte
 * takes as long as a thousand additions.
 *
 * An error raised by a hook leaves hooks off for whatever handles it before the stack is unwound; so no handler of
 * others' may run there, and a coroutine that died so must not be closed (guard.c). */
#include <mcl/mcl.h>
#include <stdint.h>
#include <string.h>

#include "lua/binding.h"
#include "lua/limits.h"

#define HOOK_PERIOD 4000 /* instructions between two looks: some 50 µs */
#define SLICE 100        /* what a coroutine pays when it is entered */

static void count_hook(lua_State *L, lua_Debug *event);

static void set_period(lua_State *L, int period) { lua_sethook(L, count_hook, LUA_MASKCOUNT, period); }

static int longest_period(const mcl_lua *lua) {
  int period = HOOK_PERIOD >> lua->heavy_class;
  return period ? period : 1;
}

/* Takes `wanted` instructions from what is left, or the rest; 0: there is nothing left. */
static int pay(mcl_lua *lua, int wanted) {
  if (lua->limited) {
    if (lua->instructions_left < wanted) wanted = (int)lua->instructions_left;
    lua->instructions_left -= wanted;
    lua->spent = !wanted;
  }
  lua->instructions_used += wanted;
  return wanted;
}

/* ---- Stops ---- */

bool mcl_lua_is_stopped(mcl_lua *lua) { return lua->spent || (lua->ctx && mcl_check_cancel(lua->ctx)); }

/* Where errors are guarded, the next instruction anywhere is the last. Elsewhere whoever catches the error has one period,
 * time to call resume; then each instruction raises, and no loop that catches errors gets anywhere. */
static void shorten(mcl_lua *lua, lua_State *L, bool by_hook) {
  if (lua_gethook(L) != count_hook) return;
  int period = 1;
  if (!lua->guarded && !lua->graced) {
    lua->graced = true;
    period = HOOK_PERIOD;
  } else if (!lua->guarded && !by_hook) {
    return; /* the period of grace goes on */
  }
  set_period(L, period);
  if (L != lua->main && !lua->guarded) set_period(lua->main, period);
}

void mcl_lua_arm_stop(mcl_lua *lua, lua_State *L) { shorten(lua, L, false); }

static const char *const stop_texts[] = {"cancelled", "the limit of Lua instructions is used up"};

/* The texts stay in the state, so that they can be raised where memory has run out. */
void mcl_lua_keep_stop_texts(lua_State *L) {
  for (int i = 0; i < 2; i++) {
    lua_pushstring(L, stop_texts[i]);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &stop_texts[i]);
  }
}

static int place_text(lua_State *L) {
  mcl_lua_where(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, 1));
  lua_concat(L, 2);
  return 1;
}

/* Variables to be closed are closed as a stop unwinds the stack, up to a million; each handler ends at its first
 * instruction, by an error that costs no formatting. */
static int raise_stop(mcl_lua *lua, lua_State *L) {
  const void *text = &stop_texts[lua->spent];
  bool place = !lua->stopping || !lua->guarded;
  lua->stopping = true;
  if (place) {
    lua_pushcfunction(L, place_text);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    if (!lua_pcall(L, 1, 1, 0)) return lua_error(L);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, text);
  return lua_error(L);
}

int mcl_lua_stop(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  shorten(lua, L, false);
  return raise_stop(lua, L);
}

void mcl_lua_pass_stop(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua || !mcl_lua_is_stopped(lua)) return;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  bool own = lua->stopping && text && strstr(text, stop_texts[lua->spent]);
  shorten(lua, L, false);
  if (own) lua_error(L); /* with the place where it was first raised */
  raise_stop(lua, L);
}

void mcl_lua_poll(lua_State *L, int64_t instructions) {
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua) return;
  lua->instructions_used += instructions;
  if (lua->limited && (lua->instructions_left -= instructions) <= 0) lua->spent = true;
  lua_State *outer = lua->L;
  mcl_lua_run_on(lua, L);
  if (mcl_lua_is_stopped(lua)) mcl_lua_stop(L);
  lua->stopping = false;
  mcl_lua_run_on(lua, outer);
}

void mcl_lua_worked(lua_State *L, int64_t *work, int64_t steps) {
  *work += steps;
  if (*work < MCL_ASK_STEPS) return;
  *work = 0;
  mcl_lua_poll(L, 0);
}

/* ---- The hook ---- */

static void count_hook(lua_State *L, lua_Debug *event) {
  (void)event;
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua || !lua->ctx) return;
  lua_State *outer = lua->L;
  mcl_lua_run_on(lua, L);
  int before = lua_gethookcount(L), longest = longest_period(lua);
  int period = before < longest / 2 ? 2 * before : longest; /* what was short grows again */
  if (!mcl_lua_is_stopped(lua)) period = pay(lua, period);
  if (mcl_lua_is_stopped(lua)) {
    shorten(lua, L, true);
    raise_stop(lua, L);
  }
  lua->graced = lua->stopping = false;
  if (period != before) set_period(L, period);
  mcl_lua_run_on(lua, outer);
}

void mcl_lua_watch(lua_State *L) {
  mcl_lua *lua = mcl_lua_record(L);
  if (lua_gethook(L) == count_hook) return; /* to set it anew would give it another period */
  int period = lua ? pay(lua, longest_period(lua)) : HOOK_PERIOD;
  set_period(L, period ? period : 1);
}

lua_State *mcl_lua_enter_coroutine(lua_State *L, lua_State *coroutine) {
  mcl_lua *lua = mcl_lua_record(L);
  lua_State *before = lua->running;
  mcl_lua_poll(L, 0);
  if (lua_gethook(L) == count_hook) {
    int longest = longest_period(lua), period = pay(lua, longest < SLICE ? longest : SLICE);
    if (!period) mcl_lua_stop(L);
    set_period(coroutine, period);
  }
  lua->running = coroutine;
  return before;
}

void mcl_lua_leave_coroutine(lua_State *L, lua_State *before) {
  mcl_lua *lua = mcl_lua_record(L);
  lua->running = before;
  mcl_lua_hurry(lua, longest_period(lua));
}

void mcl_lua_hurry(mcl_lua *lua, int instructions) {
  lua_State *L = lua->running;
  if (lua_gethook(L) == count_hook && lua_gethookcount(L) > instructions) set_period(L, instructions);
}

void mcl_lua_set_heaviest(mcl_lua *lua, int heavy_class) {
  bool heavier = heavy_class > lua->heavy_class;
  lua->heavy_class = heavy_class;
  if (heavier) mcl_lua_hurry(lua, longest_period(lua));
}
