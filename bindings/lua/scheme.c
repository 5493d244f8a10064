/* The class scheme: prune, share, quantize, lowrank, keep; `..` is then, `+` adds. A scheme's uservalue holds the flags
 * of the statistics that it needs, so that calibration can be done before it is applied. */
#include <math.h>
#include <string.h>

#include "lua/binding.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_scheme_release(object);
}

static mcl_scheme **push_scheme(lua_State *L, unsigned needs) {
  mcl_scheme **box = mcl_lua_push_new(L, &mcl_lua_scheme_class);
  lua_pushinteger(L, needs);
  lua_setiuservalue(L, -2, 1);
  return box;
}

static mcl_scheme *scheme_at(lua_State *L, int arg) { return mcl_lua_take(L, arg, &mcl_lua_scheme_class); }

static unsigned needs_of(lua_State *L, int arg) {
  lua_getiuservalue(L, arg, 1);
  unsigned needs = (unsigned)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return needs;
}

/* ---- Criteria written in Lua ---- */

typedef struct criterion {
  mcl_lua *lua;
  int function; /* reference */
} criterion;

typedef struct criterion_call {
  const criterion *by;
  mcl_tensor *weight;
  const mcl_statistics *statistics;
  mcl_expression **out;
} criterion_call;

/* Runs protected. The function sees the weight's matrix view [rows, cols], over which the statistics broadcast. */
static int criterion_protected(lua_State *L) {
  const criterion_call *call = lua_touserdata(L, 1);
  mcl_tensor *matrix = call->weight;
  lua_rawgeti(L, LUA_REGISTRYINDEX, call->by->function);
  mcl_lua_push_lent(L, matrix);
  mcl_lua_push_statistics_view(L, call->statistics);
  lua_call(L, 2, 1);
  if (!mcl_lua_test(L, -1, &mcl_lua_tensor_class) && !mcl_lua_test(L, -1, &mcl_lua_expression_class))
    mcl_lua_fail(L, "a criterion returns scores, a tensor or an expression; this one returned a %s",
                 mcl_lua_type_name(L, -1));
  mcl_expression **scores = mcl_lua_push_new(L, &mcl_lua_expression_class);
  mcl_lua_check(L, mcl_lua_operand(L, -2, scores));
  mcl_shape shape = mcl_expression_shape(*scores);
  if (!mcl_shape_equal(shape, matrix->shape)) {
    char got[MCL_SHAPE_TEXT], wanted[MCL_SHAPE_TEXT];
    mcl_lua_fail(L, "a criterion returns one score a weight, %s here; this one returned %s",
                 mcl_shape_text(matrix->shape, wanted), mcl_shape_text(shape, got));
  }
  *call->out = mcl_expression_retain(*scores);
  return 0;
}

static mcl_status criterion_score(void *user, mcl_tensor *weight, const mcl_statistics *statistics,
                                  mcl_expression **out) {
  const criterion *by = user;
  lua_State *L = by->lua->L ? by->lua->L : by->lua->main;
  criterion_call call = {by, weight, statistics, out};
  *out = NULL;
  if (!lua_checkstack(L, LUA_MINSTACK)) return mcl_fail(weight->ctx, MCL_ERROR_MEMORY, "the Lua stack is full");
  lua_pushcfunction(L, criterion_protected);
  lua_pushlightuserdata(L, &call);
  return mcl_lua_call(by->lua, L, 1, 0);
}

static void criterion_release(void *user) {
  criterion *by = user;
  if (lua_checkstack(by->lua->main, 3)) luaL_unref(by->lua->main, LUA_REGISTRYINDEX, by->function);
  mcl_free(by->lua->ctx, by);
}

/* ---- Making schemes ---- */

static void need_table(lua_State *L) {
  if (!lua_istable(L, 1)) mcl_lua_bad(L, 1, "a table of options");
  lua_settop(L, 1);
}

/* core.prune{density=, threshold=, by=function(w, s), statistics={…}, name=} */
static int prune(lua_State *L) {
  need_table(L);
  mcl_lua *lua = mcl_lua_of(L);
  mcl_prune_options options = {.density = mcl_lua_field_number(L, 1, "density", 0, 0, 1),
                               .threshold = mcl_lua_field_number(L, 1, "threshold", 0, -HUGE_VAL, HUGE_VAL)};
  options.has_threshold = mcl_lua_field(L, 1, "threshold") != LUA_TNIL;
  options.by_name = mcl_lua_field_string(L, 1, "name", NULL);
  mcl_lua_field(L, 1, "statistics");
  unsigned needs = mcl_lua_statistics_flags(L, -1);
  int type = mcl_lua_field(L, 1, "by");
  if (type != LUA_TNIL && type != LUA_TFUNCTION)
    mcl_lua_fail(L, "by: a function is wanted, got %s", mcl_lua_type_name(L, -1));
  mcl_scheme **out = push_scheme(L, needs);
  if (type == LUA_TFUNCTION) {
    criterion *by;
    lua_pushvalue(L, -2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX); /* first: this may raise */
    mcl_status status = mcl_alloc(lua->ctx, sizeof *by, &by);
    if (status) luaL_unref(L, LUA_REGISTRYINDEX, function);
    mcl_lua_check(L, status);
    *by = (criterion){lua, function};
    options.by = criterion_score;
    options.user = by;
    options.release_user = criterion_release;
  }
  mcl_status status = mcl_scheme_prune(lua->ctx, &options, out);
  if (status && options.user) criterion_release(options.user);
  mcl_lua_check(L, status);
  return 1;
}

static mcl_codebook_init codebook_init(lua_State *L) {
  static const char *const names[] = {"exact", "linear", "density", "random"};
  const char *name = mcl_lua_field_string(L, 1, "init", "exact");
  for (int i = 0; i < 4; i++)
    if (!strcmp(name, names[i])) return (mcl_codebook_init)i;
  mcl_lua_fail(L, "init: \"%s\" is none of exact linear density random", name);
  return MCL_CODEBOOK_EXACT;
}

static int share(lua_State *L) {
  need_table(L);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_palette_options options = {
      .bits = (int)mcl_lua_field_integer(L, 1, "bits", 0, 1, 8),
      .entries = (int)mcl_lua_field_integer(L, 1, "entries", 0, 1, 256),
      .iterations = (int)mcl_lua_field_integer(L, 1, "iterations", 0, 0, 1000000),
      .seed = (uint64_t)mcl_lua_field_integer(L, 1, "seed", (int64_t)mcl_context_seed(ctx), INT64_MIN, INT64_MAX),
      .half = mcl_lua_field_boolean(L, 1, "half", false),
      .weighted = mcl_lua_field_boolean(L, 1, "weighted", false),
      .init = codebook_init(L)};
  if (!options.bits == !options.entries) mcl_lua_fail(L, "share: give bits or entries, one of the two");
  mcl_scheme **out = push_scheme(L, options.weighted ? MCL_STAT_INPUT_SQUARE : 0);
  mcl_lua_check(L, mcl_scheme_share(ctx, &options, out));
  return 1;
}

/* group: "tensor" (0), "channel" (-1), or a number of values */
static int64_t group_of(lua_State *L) {
  int64_t group = 0;
  int type = mcl_lua_field(L, 1, "group");
  if (type == LUA_TSTRING) {
    const char *name = lua_tostring(L, -1);
    if (!strcmp(name, "channel"))
      group = -1;
    else if (strcmp(name, "tensor"))
      mcl_lua_fail(L, "group: \"%s\" is neither \"tensor\", \"channel\" nor a number", name);
  } else if (type != LUA_TNIL) {
    group = mcl_lua_integer(L, -1, "group", -1, INT64_MAX);
  }
  lua_pop(L, 1);
  return group;
}

static int quantize(lua_State *L) {
  need_table(L);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_affine_options options = {.bits = (int)mcl_lua_field_integer(L, 1, "bits", 0, 1, 8),
                                .group = group_of(L),
                                .asymmetric = mcl_lua_field_boolean(L, 1, "asymmetric", false),
                                .minimise = mcl_lua_field_boolean(L, 1, "minimise", true),
                                .half = mcl_lua_field_boolean(L, 1, "half", false),
                                .weighted = mcl_lua_field_boolean(L, 1, "weighted", false)};
  if (!options.bits) mcl_lua_fail(L, "quantize: bits is wanted, 1 … 8");
  mcl_scheme **out = push_scheme(L, options.weighted ? MCL_STAT_INPUT_SQUARE : 0);
  mcl_lua_check(L, mcl_scheme_quantize(ctx, &options, out));
  return 1;
}

static int lowrank(lua_State *L) {
  need_table(L);
  mcl_context *ctx = mcl_lua_ctx(L);
  int64_t rank = mcl_lua_field_integer(L, 1, "rank", 0, 1, INT64_MAX);
  double energy = mcl_lua_field_number(L, 1, "energy", 0, 0, 1);
  bool whiten = mcl_lua_field_boolean(L, 1, "whiten", false);
  if (!rank == !(energy > 0)) mcl_lua_fail(L, "lowrank: give rank or energy, one of the two");
  unsigned needs = whiten ? MCL_STAT_GRAM : 0;
  mcl_scheme *factors = NULL;
  if (mcl_lua_field(L, 1, "factors") != LUA_TNIL) {
    factors = mcl_lua_test(L, -1, &mcl_lua_scheme_class);
    if (!factors) mcl_lua_fail(L, "factors: a scheme is wanted, got %s", mcl_lua_type_name(L, -1));
    if (needs_of(L, lua_gettop(L)))
      mcl_lua_fail(L, "factors: statistics are of the whole weight, so its factors cannot use them");
  }
  mcl_scheme **out = push_scheme(L, needs);
  mcl_lua_check(L, mcl_scheme_lowrank(ctx, rank, energy, whiten, factors, out));
  return 1;
}

/* core.keep{dtype="f32"|"f16"|"bf16"} */
static int keep(lua_State *L) {
  need_table(L);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_dtype dtype = mcl_lua_field(L, 1, "dtype") == LUA_TNIL ? MCL_F32 : mcl_lua_dtype(L, -1);
  mcl_lua_check(L, mcl_scheme_keep(ctx, dtype, push_scheme(L, 0)));
  return 1;
}

/* a .. b */
static int scheme_then(lua_State *L) {
  mcl_scheme *a = scheme_at(L, 1), *b = scheme_at(L, 2);
  mcl_scheme **out = push_scheme(L, needs_of(L, 1) | needs_of(L, 2));
  mcl_lua_check(L, mcl_scheme_then(mcl_lua_ctx(L), a, b, out));
  return 1;
}

/* a + b, or core.sum(a, b, alternations) */
static int scheme_sum(lua_State *L) {
  mcl_scheme *a = scheme_at(L, 1), *b = scheme_at(L, 2);
  int alternations = lua_isnoneornil(L, 3) ? MCL_SUM_ALTERNATIONS : (int)mcl_lua_integer(L, 3, "alternations", 0, 1000);
  mcl_scheme **out = push_scheme(L, needs_of(L, 1) | needs_of(L, 2));
  mcl_lua_check(L, mcl_scheme_sum(mcl_lua_ctx(L), a, b, alternations, out));
  return 1;
}

static int scheme_operator_sum(lua_State *L) {
  lua_settop(L, 2);
  return scheme_sum(L);
}

/* ---- Applying ---- */

static const mcl_statistics *statistics_at(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? NULL : mcl_lua_take(L, arg, &mcl_lua_statistics_class);
}

/* scheme:apply(representation or tensor[, statistics]) -> representation */
static int scheme_apply(lua_State *L) {
  lua_settop(L, 3);
  mcl_scheme *scheme = scheme_at(L, 1);
  mcl_repr *weight = mcl_lua_test(L, 2, &mcl_lua_repr_class);
  if (!weight) { weight = mcl_lua_push_dense(L, 2); }
  const mcl_statistics *statistics = statistics_at(L, 3);
  mcl_repr **out = mcl_lua_push_new(L, &mcl_lua_repr_class);
  mcl_lua_check(L, mcl_scheme_apply(scheme, weight, statistics, out));
  return 1;
}

static int scheme_needs(lua_State *L) {
  scheme_at(L, 1);
  mcl_lua_push_statistic_names(L, needs_of(L, 1));
  return 1;
}

static int scheme_tostring(lua_State *L) {
  char text[512];
  mcl_scheme_text(scheme_at(L, 1), text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

/* core.distortion(before, after[, statistics]) */
static int distortion(lua_State *L) {
  lua_settop(L, 3);
  double value;
  mcl_repr *before = mcl_lua_take(L, 1, &mcl_lua_repr_class), *after = mcl_lua_take(L, 2, &mcl_lua_repr_class);
  mcl_lua_check(L, mcl_distortion(before, after, statistics_at(L, 3), &value));
  lua_pushnumber(L, value);
  return 1;
}

static const luaL_Reg methods[] = {{"apply", scheme_apply}, {"needs", scheme_needs}, {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__concat", scheme_then}, {"__add", scheme_operator_sum}, {"__tostring", scheme_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_scheme_class = {"scheme", release, methods, meta, NULL};

/* ---- The budget solver ---- */

#define MOST_CHOICES (1 << 24) /* of all layers together */

/* Pushes row i of the table at 1. */
static void push_row(lua_State *L, int i) {
  if (lua_rawgeti(L, 1, i) != LUA_TTABLE) mcl_lua_fail(L, "plan_solve: choices[%d] is not a table", i);
}

/* Number j of the pair on the top of the stack. */
static double pair_number(lua_State *L, int j, const char *name) {
  if (!lua_istable(L, -1))
    mcl_lua_fail(L, "plan_solve: a choice is {cost, distortion}, not a %s", mcl_lua_type_name(L, -1));
  lua_rawgeti(L, -1, j);
  double number = mcl_lua_number(L, -1, name, 0, 1e300);
  lua_pop(L, 1);
  return number;
}

/* core.plan_solve({ {{cost, distortion}, …}, … }, budget) -> {index, …}, gap */
static int plan_solve(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  double gap, budget = mcl_lua_number(L, 2, "budget", 0, HUGE_VAL);
  int n = mcl_lua_list(L, 1, "plan_solve", MOST_CHOICES);
  size_t total = 0, rows = (size_t)n + 1;
  int *counts = lua_newuserdatauv(L, rows * sizeof *counts, 0),
      *chosen = lua_newuserdatauv(L, rows * sizeof *chosen, 0);
  for (int i = 0; i < n; i++) {
    push_row(L, i + 1);
    total += (size_t)(counts[i] = mcl_lua_list(L, -1, "plan_solve", MOST_CHOICES));
    lua_pop(L, 1);
    if (total > MOST_CHOICES) mcl_lua_fail(L, "plan_solve: more than %d choices", MOST_CHOICES);
  }
  mcl_choice *next = lua_newuserdatauv(L, (total + 1) * sizeof *next, 0);
  const mcl_choice **choices = lua_newuserdatauv(L, rows * sizeof *choices, 0);
  for (int i = 0; i < n; i++) {
    choices[i] = next;
    push_row(L, i + 1);
    for (int j = 0; j < counts[i]; j++, next++) {
      lua_rawgeti(L, -1, j + 1);
      next->cost = pair_number(L, 1, "cost");
      next->distortion = pair_number(L, 2, "distortion");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  mcl_lua_check(L, mcl_plan_solve(mcl_lua_ctx(L), n, choices, counts, budget, chosen, &gap));
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, chosen[i] + 1);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushnumber(L, gap);
  return 2;
}

void mcl_lua_open_scheme(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"prune", prune},    {"share", share},           {"quantize", quantize},     {"lowrank", lowrank}, {"keep", keep},
      {"sum", scheme_sum}, {"distortion", distortion}, {"plan_solve", plan_solve}, {NULL, NULL}};
  mcl_lua_class_register(L, &mcl_lua_scheme_class);
  luaL_setfuncs(L, functions, 0);
}
