/* mcl_run_recipe: a recipe from a string, on a model, in the host's state or in a sandbox of its own. What a recipe is
 * given (model, options, job) is made in Lua, by lua/mcl/embed.lua; here are loading, protection, saving. */
#include <mcl/mcl.h>
#include <string.h>

#include "artifact/artifact.h"
#include "formats/formats.h"
#include "lua/binding.h"
#include "lua/limits.h"
#include "train/train.h"

typedef struct recipe_call {
  mcl_lua *lua;
  const mcl_recipe_run *run;
  mcl_model *model; /* the caller's, or loaded for this call; never Lua's */
} recipe_call;

/* {x =, y =, scale =, offset =} or nil */
static void push_data(lua_State *L, const mcl_recipe_run *run) {
  if (!run->x || !run->y) {
    lua_pushnil(L);
    return;
  }
  mcl_lua_check(L, mcl_dataset_new(run->x, run->y, run->scale != 0 ? run->scale : 1, run->offset,
                                   mcl_lua_push_new(L, &mcl_lua_dataset_class)));
}

/* {key = value} from "key=value" texts */
static void push_settings(lua_State *L, const char *const *set) {
  lua_newtable(L);
  for (; set && *set; set++) {
    const char *equals = strchr(*set, '=');
    if (!equals) mcl_lua_fail(L, "option \"%s\": key=value is wanted", *set);
    lua_pushlstring(L, *set, (size_t)(equals - *set));
    lua_pushstring(L, equals + 1);
    lua_settable(L, -3);
  }
}

/* embed.run(source, name, model, data, settings, seed); the model's userdata is at 2 */
static int run_embedded(lua_State *L) {
  const recipe_call *call = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mcl.embed");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "run");
  lua_pushstring(L, call->run->source);
  lua_pushstring(L, call->run->name ? call->run->name : "recipe");
  lua_pushvalue(L, 2);
  push_data(L, call->run);
  push_settings(L, call->run->set);
  lua_pushinteger(L, (lua_Integer)call->run->seed);
  lua_call(L, 6, 0);
  return 0;
}

/* Lends the model to Lua for the time of the call: whatever happens, the userdata is empty afterwards. */
static int run_protected(lua_State *L) {
  recipe_call *call = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mcl.core"); /* the classes must be there before an object is */
  lua_call(L, 1, 0);
  mcl_model **box = mcl_lua_push_new(L, &mcl_lua_model_class);
  lua_pushcfunction(L, mcl_lua_explain);
  lua_pushcfunction(L, run_embedded);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  *box = call->model;
  int status = lua_pcall(L, 2, 0, 3);
  *box = NULL;
  return status ? lua_error(L) : 0;
}

/* The Lua error on the top becomes the context's message. */
static mcl_status take_error(mcl_context *ctx, lua_State *L, int lua_status) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  mcl_status kind = mcl_lua_status_of(mcl_lua_record(L), lua_status, text);
  if (mcl_check_cancel(ctx)) kind = MCL_ERROR_CANCELLED;
  mcl_status status = mcl_fail(ctx, kind, "%s", text ? text : "the recipe raised an error that is no text");
  lua_pop(L, 1);
  return status;
}

typedef struct hook {
  lua_Hook function;
  int mask, count;
} hook;

typedef struct hooks {
  hook running, main; /* of the coroutine that is run in, and of the state's main one */
} hooks;

static hook hook_of(lua_State *L) { return (hook){lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L)}; }
static void set_hook(lua_State *L, hook h) { lua_sethook(L, h.function, h.mask, h.count); }

static mcl_status run_in(mcl_context *ctx, lua_State *L, mcl_recipe_run *run, mcl_model *model) {
  mcl_lua *lua = mcl_lua_record(L);
  if (!lua || lua->ctx != ctx)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "the Lua state does not have mcl with this context: mcl_lua_register");
  if (!lua_checkstack(L, LUA_MINSTACK)) return mcl_fail(ctx, MCL_ERROR_MEMORY, "the Lua stack is full");
  hooks before = {hook_of(L), hook_of(lua->main)};
  int64_t used = lua->instructions_used;
  recipe_call call = {lua, run, model};
  lua_State *running = lua->running;
  lua->running = L;
  mcl_lua_watch(L);
  lua_pushcfunction(L, run_protected);
  lua_pushlightuserdata(L, &call);
  int lua_status = lua_pcall(L, 1, 0, 0);
  lua->running = running;
  run->instructions = lua->instructions_used - used;
  if (!lua->sandboxed) {
    set_hook(lua->main, before.main);
    set_hook(L, before.running);
  }
  return lua_status ? take_error(ctx, L, lua_status) : MCL_OK;
}

mcl_status mcl_run_recipe(mcl_context *ctx, lua_State *L, mcl_recipe_run *run) {
  mcl_model *loaded = NULL, *model = run->model;
  lua_State *own = NULL;
  mcl_status status = MCL_OK;
  run->size_bytes = 0;
  run->instructions = 0;
  if (!run->source) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a recipe to run has no source");
  if (!model && !run->model_path) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "a recipe to run has no model");
  if (!model) {
    status = mcl_load_model(ctx, run->model_path, &loaded);
    model = loaded;
  }
  if (!status && !L) status = mcl_lua_new_sandbox(ctx, NULL, &own);
  if (!status) status = run_in(ctx, L ? L : own, run, model);
  if (!status) status = mcl_artifact_size(model, NULL, &run->size_bytes);
  if (!status && run->output_path) status = mcl_save_model(model, run->output_path, NULL);
  if (own) lua_close(own);
  mcl_model_free(loaded);
  return status;
}
