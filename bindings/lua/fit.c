/* model:fit: mcl_fit_options by name, and what a recipe may write itself: a loss, a penalty, what to do after each epoch.
 *
 * A loss is fn(output, target) -> expression, summed over its elements and divided by the rows of the batch; or
 * fn(output, target) -> number, gradient, for losses whose gradient is known and whose value needs reductions.
 * A penalty is fn(weights, name) -> expression, summed over its elements, or nil for a weight that has none. */
#include <math.h>
#include <string.h>

#include "graph/graph.h"
#include "lua/binding.h"
#include "train/train.h"

typedef struct fit_calls {
  mcl_lua *lua;
  lua_State *L;
  int loss, penalty, epoch_end; /* stack indices of the functions; 0: none */
} fit_calls;

/* The memory of t is the trainer's, and Lua code may keep what it is given, within an expression too: it gets a copy. */
static mcl_tensor *push_copy(lua_State *L, mcl_tensor *t) {
  mcl_tensor **box = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_copy(t, box));
  return *box;
}

/* gradient += or = factor · d sum(e) / d t; *value = factor · sum(e) */
static void differentiate(lua_State *L, mcl_expression *e, mcl_tensor *t, mcl_tensor *gradient, double factor, bool add,
                          double *value) {
  mcl_tensor **slope = mcl_lua_push_tensor(L);
  double sum;
  mcl_lua_check(L, mcl_expression_reduce_all(e, MCL_R_SUM, &sum));
  mcl_lua_check(L, mcl_expression_gradient(e, NULL, &t, 1, slope));
  float *to = mcl_tensor_f32(gradient);
  const float *from = mcl_tensor_f32(*slope);
  for (int64_t i = 0; i < gradient->count; i++) to[i] = (add ? to[i] : 0) + (float)factor * from[i];
  *value = factor * sum;
}

/* ---- Loss ---- */

typedef struct loss_call {
  fit_calls *calls;
  mcl_tensor *output, *target, *gradient;
  double *value;
} loss_call;

static int loss_protected(lua_State *L) {
  loss_call *call = lua_touserdata(L, 2);
  mcl_tensor *output = push_copy(L, call->output);
  push_copy(L, call->target);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 4);
  lua_call(L, 2, 2);
  if (lua_type(L, -2) == LUA_TNUMBER) {
    *call->value = lua_tonumber(L, -2);
    if (lua_isnil(L, -1)) mcl_lua_fail(L, "loss: a number comes with the gradient, a tensor of the output's shape");
    mcl_tensor *gradient = mcl_lua_tensor(L, -1);
    if (!mcl_shape_equal(gradient->shape, output->shape) || gradient->dtype != MCL_F32)
      mcl_lua_fail(L, "loss: the gradient, its second result, must have the output's shape, f32");
    memcpy(call->gradient->data, gradient->data, (size_t)gradient->count * sizeof(float));
  } else {
    if (!mcl_lua_test(L, -2, &mcl_lua_tensor_class) && !mcl_lua_test(L, -2, &mcl_lua_expression_class))
      mcl_lua_fail(L, "loss: an expression is wanted, or a number and a gradient; got %s", mcl_lua_type_name(L, -2));
    lua_pop(L, 1);
    mcl_expression **e = mcl_lua_push_new(L, &mcl_lua_expression_class);
    mcl_lua_check(L, mcl_lua_operand(L, -2, e));
    double rows = (double)mcl_shape_rows(output->shape);
    differentiate(L, *e, output, call->gradient, 1 / rows, false, call->value);
  }
  return 0;
}

static mcl_status on_loss(void *user, mcl_tensor *output, mcl_tensor *target, mcl_tensor *gradient, double *value) {
  fit_calls *calls = user;
  loss_call call = {calls, output, target, gradient, value};
  lua_pushcfunction(calls->L, loss_protected);
  lua_pushvalue(calls->L, calls->loss);
  lua_pushlightuserdata(calls->L, &call);
  return mcl_lua_call(calls->lua, calls->L, 2, 0);
}

/* ---- Penalty ---- */

typedef struct penalty_call {
  const char *name;
  mcl_tensor *values, *gradient;
  double *value;
} penalty_call;

static int penalty_protected(lua_State *L) {
  penalty_call *call = lua_touserdata(L, 2);
  mcl_tensor *values = push_copy(L, call->values);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_pushstring(L, call->name);
  lua_call(L, 2, 1);
  if (!lua_isnil(L, -1)) {
    if (!mcl_lua_test(L, -1, &mcl_lua_tensor_class) && !mcl_lua_test(L, -1, &mcl_lua_expression_class))
      mcl_lua_fail(L, "penalty: an expression or nil is wanted, got %s", mcl_lua_type_name(L, -1));
    mcl_expression **e = mcl_lua_push_new(L, &mcl_lua_expression_class);
    mcl_lua_check(L, mcl_lua_operand(L, -2, e));
    double value;
    differentiate(L, *e, values, call->gradient, 1, true, &value);
    *call->value += value;
  }
  return 0;
}

static mcl_status on_penalty(void *user, mcl_model *model, int weight, mcl_tensor *values, mcl_tensor *gradient,
                             double *value) {
  fit_calls *calls = user;
  penalty_call call = {model->weights[weight].name, values, gradient, value};
  lua_pushcfunction(calls->L, penalty_protected);
  lua_pushvalue(calls->L, calls->penalty);
  lua_pushlightuserdata(calls->L, &call);
  return mcl_lua_call(calls->lua, calls->L, 2, 0);
}

/* ---- After each epoch ---- */

static void set_number(lua_State *L, const char *key, double value) {
  if (isnan(value)) return; /* not measured */
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static int push_report(lua_State *L) {
  const mcl_epoch_report *report = lua_touserdata(L, 1);
  lua_createtable(L, 0, 8);
  lua_pushinteger(L, report->epoch);
  lua_setfield(L, -2, "epoch");
  lua_pushinteger(L, report->epochs);
  lua_setfield(L, -2, "epochs");
  set_number(L, "loss", report->loss);
  set_number(L, "accuracy", report->accuracy);
  set_number(L, "validation_loss", report->validation_loss);
  set_number(L, "validation_accuracy", report->validation_accuracy);
  set_number(L, "rate", report->rate);
  set_number(L, "seconds", report->seconds);
  return 1;
}

static int epoch_protected(lua_State *L) {
  lua_pushvalue(L, 1);
  lua_pushcfunction(L, push_report);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  lua_call(L, 1, 1);
  lua_pushboolean(L, lua_isboolean(L, -1) && !lua_toboolean(L, -1)); /* false alone ends the fit */
  return 1;
}

static mcl_status on_epoch_end(void *user, const mcl_epoch_report *report, bool *stop) {
  fit_calls *calls = user;
  lua_State *L = calls->L;
  lua_pushcfunction(L, epoch_protected);
  lua_pushvalue(L, calls->epoch_end);
  lua_pushlightuserdata(L, (void *)(uintptr_t)report);
  MCL_TRY(mcl_lua_call(calls->lua, L, 2, 1));
  *stop = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return MCL_OK;
}

/* ---- Options ---- */

/* The function at key, kept on the stack; 0: none. */
static int function_field(lua_State *L, const char *key) {
  int type = mcl_lua_field(L, 3, key);
  if (type == LUA_TFUNCTION) return lua_gettop(L);
  if (type != LUA_TNIL) mcl_lua_fail(L, "%s: a function is wanted, got %s", key, mcl_lua_type_name(L, -1));
  return 0;
}

static mcl_optimiser_options optimiser_options(lua_State *L) {
  mcl_optimiser_options options = {.name = mcl_lua_field_string(L, 3, "optimiser", "sgd")};
  options.rate = mcl_lua_field_number(L, 3, "rate", 0, 0, 1e6);
  mcl_lua_field(L, 3, "rate");
  options.no_rate = !lua_isnil(L, -1) && options.rate == 0;
  options.momentum = mcl_lua_field_number(L, 3, "momentum", 0, 0, 1);
  mcl_lua_field(L, 3, "momentum");
  options.no_momentum = !lua_isnil(L, -1) && options.momentum == 0;
  options.nesterov = mcl_lua_field_boolean(L, 3, "nesterov", false);
  options.beta1 = mcl_lua_field_number(L, 3, "beta1", 0, 0, 1);
  options.beta2 = mcl_lua_field_number(L, 3, "beta2", 0, 0, 1);
  options.epsilon = mcl_lua_field_number(L, 3, "epsilon", 0, 0, 1);
  options.weight_decay = mcl_lua_field_number(L, 3, "weight_decay", 0, 0, 1e6);
  return options;
}

/* schedule = "cosine", or {name, step_factor=, …} with the name first */
static mcl_schedule_options schedule_options(lua_State *L) {
  mcl_schedule_options options = {.name = "constant"};
  int type = mcl_lua_field(L, 3, "schedule");
  int at = lua_gettop(L);
  if (type == LUA_TSTRING) {
    options.name = lua_tostring(L, at);
  } else if (type == LUA_TTABLE) {
    if (lua_rawgeti(L, at, 1) == LUA_TNIL) mcl_lua_field(L, at, "name");
    options.name = mcl_lua_string(L, -1, "schedule");
    options.step_factor = mcl_lua_field_number(L, at, "step_factor", 0, 0, 1e6);
    options.step_epochs = mcl_lua_field_number(L, at, "step_epochs", 0, 0, 1e9);
    options.final_factor = mcl_lua_field_number(L, at, "final_factor", 0, 0, 1e6);
    options.warmup = mcl_lua_field_number(L, at, "warmup", 0, 0, 1);
  } else if (type != LUA_TNIL) {
    mcl_lua_fail(L, "schedule: a name or a table is wanted, got %s", mcl_lua_type_name(L, at));
  }
  return options;
}

static mcl_augment augment_options(lua_State *L) {
  mcl_augment augment = {0};
  if (mcl_lua_field(L, 3, "augment") == LUA_TNIL) return augment;
  int at = lua_gettop(L);
  if (!lua_istable(L, at)) mcl_lua_fail(L, "augment: a table is wanted, got %s", mcl_lua_type_name(L, at));
  augment.shift = (int)mcl_lua_field_integer(L, at, "shift", 0, 0, 1 << 16);
  augment.flip = mcl_lua_field_number(L, at, "flip", 0, 0, 1);
  augment.rotate = mcl_lua_field_number(L, at, "rotate", 0, 0, 180);
  augment.scale = mcl_lua_field_number(L, at, "scale", 0, 0, 1);
  return augment;
}

static void loss_option(lua_State *L, fit_calls *calls, mcl_fit_options *options) {
  int type = mcl_lua_field(L, 3, "loss");
  if (type == LUA_TSTRING) {
    options->loss = lua_tostring(L, -1);
  } else if (type == LUA_TFUNCTION) {
    calls->loss = lua_gettop(L);
    options->custom_loss = on_loss;
  } else if (type != LUA_TNIL) {
    mcl_lua_fail(L, "loss: a name or a function is wanted, got %s", mcl_lua_type_name(L, -1));
  }
}

/* ---- What functions do, for checkpoints ---- */

#define MOST_DEPTH 4 /* of functions within functions */

static uint64_t mix(uint64_t hash, const void *data, size_t size) { /* FNV-1a */
  for (const uint8_t *at = data, *end = at + size; at < end; at++) hash = (hash ^ *at) * 0x100000001b3u;
  return hash;
}

static int mix_chunk(lua_State *L, const void *data, size_t size, void *hash) {
  (void)L;
  *(uint64_t *)hash = mix(*(uint64_t *)hash, data, size);
  return 0;
}

/* A value by its contents, or by its type where those cannot be read: of functions their code and what they close over. */
static uint64_t hash_value(lua_State *L, int at, int depth, uint64_t hash) {
  int type = lua_type(L, at);
  size_t size;
  hash = mix(hash, &type, sizeof type);
  if (type == LUA_TNUMBER || type == LUA_TSTRING) {
    lua_pushvalue(L, at); /* a number is made text in the copy */
    const char *text = lua_tolstring(L, -1, &size);
    hash = mix(hash, text, size);
    lua_pop(L, 1);
  } else if (type == LUA_TBOOLEAN) {
    int value = lua_toboolean(L, at);
    hash = mix(hash, &value, sizeof value);
  } else if (type == LUA_TFUNCTION && depth < MOST_DEPTH && !lua_iscfunction(L, at)) {
    luaL_checkstack(L, 4, "fit");
    lua_pushvalue(L, at);
    lua_dump(L, mix_chunk, &hash, 0);
    for (int i = 1; lua_getupvalue(L, -1, i); i++) {
      hash = hash_value(L, lua_gettop(L), depth + 1, hash);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return hash;
}

/* What moves the weights; epoch_end only looks on. */
static uint64_t hash_callbacks(lua_State *L, const fit_calls *calls) {
  const int functions[] = {calls->loss, calls->penalty};
  uint64_t hash = 0xcbf29ce484222325u;
  for (int i = 0; i < 2; i++) hash = functions[i] ? hash_value(L, functions[i], 0, hash) : mix(hash, "-", 1);
  return hash;
}

/* core model:fit(dataset, options) -> the last epoch's report. Strings of the options stay on the stack. */
int mcl_lua_model_fit(lua_State *L) {
  lua_settop(L, 3);
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_dataset *train = mcl_lua_take(L, 2, &mcl_lua_dataset_class);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  } else if (!lua_istable(L, 3)) {
    mcl_lua_bad(L, 3, "a table of options");
  }
  luaL_checkstack(L, 60, "fit");
  fit_calls calls = {.lua = mcl_lua_of(L), .L = L};
  mcl_fit_options options = {
      .train = train,
      .epochs = mcl_lua_field_integer(L, 3, "epochs", 1, 0, INT32_MAX),
      .batch = mcl_lua_field_integer(L, 3, "batch", 64, 1, 1 << 20),
      .label_smoothing = mcl_lua_field_number(L, 3, "label_smoothing", 0, 0, 1),
      .optimiser = optimiser_options(L),
      .schedule = schedule_options(L),
      .augment = augment_options(L),
      .seed = (uint64_t)mcl_lua_field_integer(L, 3, "seed", (int64_t)mcl_context_seed(m->ctx), INT64_MIN, INT64_MAX),
      .keep_best = mcl_lua_field_boolean(L, 3, "keep_best", false),
      .clip_norm = mcl_lua_field_number(L, 3, "clip_norm", 0, 0, 1e30),
      .checkpoint = mcl_lua_field_string(L, 3, "checkpoint", NULL),
      .user = &calls};
  if (options.checkpoint) mcl_lua_need_files(L, "checkpoint");
  if (mcl_lua_field(L, 3, "validation") != LUA_TNIL)
    options.validation = mcl_lua_take(L, lua_gettop(L), &mcl_lua_dataset_class);
  loss_option(L, &calls, &options);
  if ((calls.penalty = function_field(L, "penalty"))) options.penalty = on_penalty;
  if ((calls.epoch_end = function_field(L, "epoch_end"))) options.epoch_end = on_epoch_end;
  if (options.checkpoint) options.callbacks = hash_callbacks(L, &calls);
  mcl_epoch_report report = {0};
  mcl_lua_check(L, mcl_fit(m, &options, &report));
  lua_pushcfunction(L, push_report);
  lua_pushlightuserdata(L, &report);
  lua_call(L, 1, 1);
  return 1;
}
