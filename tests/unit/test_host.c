/* Promises to programs that embed the engine: their own Lua state, sandboxes with limits, recipes from strings, cancel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <mcl/mcl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "artifact/artifact.h"
#include "graph/graph.h"
#include "unit/small_model.h"

static mcl_context *new_context(const mcl_options *options) {
  mcl_context *ctx;
  assert_int_equal(mcl_engine_new(options, &ctx), MCL_OK);
  return ctx;
}

static mcl_status run(mcl_context *ctx, lua_State *L, const char *source, mcl_recipe_run *result) {
  mcl_model *model = new_model(ctx);
  *result = (mcl_recipe_run){.source = source, .model = model};
  mcl_status status = mcl_run_recipe(ctx, L, result);
  mcl_model_free(model);
  return status;
}

static void has_message(mcl_context *ctx, const char *part) {
  if (!strstr(mcl_context_message(ctx), part))
    fail_msg("\"%s\" is not in the message: %s", part, mcl_context_message(ctx));
}

/* ---- The host's own state ---- */

static void a_host_state_gets_the_module_with_the_hosts_context(void **state) {
  (void)state;
  mcl_options options = {.threads = 3, .seed = 42};
  mcl_context *ctx = new_context(&options), *same;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  assert_int_equal(mcl_lua_register(L, ctx), MCL_OK);
  assert_int_equal(lua_gettop(L), 0);
  assert_int_equal(mcl_lua_context(L, &same), MCL_OK);
  assert_ptr_equal(same, ctx);
  int failed = luaL_dostring(L, "local mcl = require 'mcl'\n"
                                "assert(mcl.threads() == 3 and mcl.seed() == 42)\n"
                                "assert(mcl.tensor({1, 2, 3}):sum() == 6)\n"
                                "assert(rawget(_G, 'mcl') == nil)\n"
                                "assert(not pcall(require('mcl.core').context, {threads = 2}))\n");
  if (failed) fail_msg("%s", lua_tostring(L, -1));
  assert_int_equal(mcl_lua_register(L, ctx), MCL_ERROR_ARGUMENT);
  lua_close(L);
  mcl_context_free(ctx);
}

static int hook_calls;
static void host_hook(lua_State *L, lua_Debug *event) { (void)L, (void)event, hook_calls++; }

static void a_run_leaves_the_hosts_stack_and_hook_as_they_were(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_recipe_run result;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  assert_int_equal(mcl_lua_register(L, ctx), MCL_OK);
  lua_sethook(L, host_hook, LUA_MASKLINE, 0);
  lua_pushinteger(L, 7);
  assert_int_equal(run(ctx, L, RECIPE("model:compress(mcl.prune { density = opt.density })"), &result), MCL_OK);
  assert_int_equal(run(ctx, L, RECIPE("error 'no'"), &result), MCL_ERROR_ARGUMENT);
  assert_int_equal(lua_gettop(L), 1);
  assert_ptr_equal(lua_gethook(L), host_hook);
  assert_int_equal(lua_gethookmask(L), LUA_MASKLINE);
  lua_close(L);
  mcl_context_free(ctx);
}

/* A coroutine that has called mcl is not where callbacks run once it is gone. */
static void callbacks_outlive_the_coroutine_that_called_last(void **state) {
  (void)state;
  static const char text[] = "local core = require 'mcl.core'\n"
                             "core.context { log = function(_, line) said = (said or '') .. line end }\n"
                             "coroutine.wrap(function() core.zeros { 3 } end)()\n"
                             "local left = coroutine.wrap(function() core.zeros { 3 } coroutine.yield() end)\n"
                             "left()\n"
                             "left = nil\n"
                             "for i = 1, 100 do collectgarbage() local t = { {}, {}, {} } end";
  mcl_context *ctx;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "mcl", luaopen_mcl, 0);
  if (luaL_dostring(L, text)) fail_msg("%s", lua_tostring(L, -1));
  assert_int_equal(mcl_lua_context(L, &ctx), MCL_OK);
  mcl_log(ctx, MCL_LOG_WARNING, "still here");
  lua_getglobal(L, "said");
  assert_string_equal(lua_tostring(L, -1), "still here");
  lua_close(L);
}

/* ---- Recipes ---- */

static void a_recipe_compresses_the_model_that_is_lent(void **state) {
  (void)state;
  counter held = {0};
  mcl_options options = {.user = &held, .allocate = counted_allocate, .release = counted_release};
  mcl_context *ctx = new_context(&options);
  mcl_model *model = new_model(ctx);
  const char *const set[] = {"density=0.25", NULL};
  mcl_recipe_run result = {
      .source = RECIPE("model:compress(mcl.prune { density = opt.density })"), .model = model, .set = set};
  size_t size;
  assert_int_equal(mcl_run_recipe(ctx, NULL, &result), MCL_OK);
  assert_int_equal(mcl_repr_nonzeros(model->weights[0].repr), 8);
  assert_int_equal(mcl_artifact_size(model, NULL, &size), MCL_OK);
  assert_int_equal(result.size_bytes, size);
  mcl_model_free(model);
  mcl_context_free(ctx);
  assert_int_equal(held.bytes, 0);
}

static void a_recipe_may_keep_nothing_of_the_model(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_recipe_run result;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  assert_int_equal(mcl_lua_register(L, ctx), MCL_OK);
  assert_int_equal(run(ctx, L, RECIPE("kept, weight = model, model:layer('fc').weight"), &result), MCL_OK);
  assert_true(luaL_dostring(L, "assert(weight.count == 32); return kept:parameters()"));
  assert_non_null(strstr(lua_tostring(L, -1), "was closed"));
  lua_close(L);
  mcl_context_free(ctx);
}

static void a_recipe_fits_by_the_hosts_data(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_model *model = new_model(ctx);
  mcl_recipe_run result = {.source = RECIPE("local before = model:evaluate(job.data.train).loss\n"
                                            "model:fit { job.data.train, epochs = 3, rate = 0.05 }\n"
                                            "assert(model:evaluate(job.data.train).loss < before)\n"
                                            "assert(job.data.choose.count == 20)\n"
                                            "assert(not pcall(function() return job.data.report end))"),
                           .model = model};
  new_data(ctx, &result.x, &result.y);
  mcl_status status = mcl_run_recipe(ctx, NULL, &result);
  if (status) fail_msg("%s", mcl_context_message(ctx));
  mcl_tensor_release(result.x);
  mcl_tensor_release(result.y);
  mcl_model_free(model);
  mcl_context_free(ctx);
}

static void an_error_becomes_a_message_with_the_recipes_line(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_recipe_run result;
  assert_int_equal(run(ctx, NULL, RECIPE("\nmodel:compress(mcl.prune { denstiy = 1 })"), &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "recipe:4: prune: unknown key \"denstiy\"; did you mean \"density\"?");
  assert_int_equal(run(ctx, NULL, "return 3", &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "does not return mcl.recipe");
  assert_int_equal(run(ctx, NULL, "return (", &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "recipe:1:");
  assert_int_equal(run(ctx, NULL, RECIPE("error {code = 5, text = 'why'}"), &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "recipe:3: a table was raised as an error: { code = 5, text = \"why\" }");
  assert_int_equal(run(ctx, NULL, RECIPE("\nerror(nil)"), &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "recipe:4: nil was raised as an error");
  assert_int_equal(run(ctx, NULL, "\x1bLua", &result), MCL_ERROR_ARGUMENT); /* bytecode */
  mcl_context_free(ctx);
}

static void a_run_without_what_it_needs_says_so(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  lua_State *L = luaL_newstate();
  mcl_recipe_run result = {.source = "return 1"};
  assert_int_equal(mcl_run_recipe(ctx, NULL, &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "has no model");
  assert_int_equal(run(ctx, NULL, NULL, &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "has no source");
  assert_int_equal(run(ctx, L, "return 1", &result), MCL_ERROR_ARGUMENT);
  has_message(ctx, "mcl_lua_register");
  lua_close(L);
  mcl_context_free(ctx);
}

/* ---- Statuses ---- */

static void what_failed_in_c_keeps_its_status_through_lua(void **state) {
  (void)state;
  static const struct {
    const char *source;
    mcl_status status;
  } cases[] = {
      {RECIPE("mcl.zeros { 1 << 40 }"), MCL_ERROR_MEMORY},
      {RECIPE("local ok, e = pcall(mcl.zeros, { 1 << 40 }) error(e, 0)"), MCL_ERROR_MEMORY},
      {RECIPE("local ok, e = pcall(mcl.zeros, { 1 << 40 }) error('gave up: ' .. e)"), MCL_ERROR_MEMORY},
      {RECIPE("pcall(mcl.zeros, { 1 << 40 }) error 'another matter'"), MCL_ERROR_ARGUMENT},
      {RECIPE("pcall(mcl.zeros, { 1 << 40 }) mcl.zeros { -5 }"), MCL_ERROR_ARGUMENT},
      {RECIPE("model:compress(mcl.prune { density = 0.5, by = function() return mcl.zeros { 1 << 40 } end })"),
       MCL_ERROR_MEMORY},
      {RECIPE("model:fit { job.data.train, epoch_end = function() mcl.zeros { 1 << 40 } end }"), MCL_ERROR_MEMORY},
      {RECIPE("coroutine.wrap(function() mcl.zeros { 1 << 40 } end)()"), MCL_ERROR_MEMORY},
      {RECIPE("local t = {} while true do t[#t + 1] = {} end"), MCL_ERROR_MEMORY}, /* Lua's own */
      {RECIPE("local ok, e = pcall(function() local t = {} while true do t[#t + 1] = {} end end) error(e)"),
       MCL_ERROR_MEMORY},
      {RECIPE("mcl.load 'missing.mcl'"), MCL_ERROR_IO},
      {RECIPE("mcl.load 'test_host_damaged.mcl'"), MCL_ERROR_FORMAT},
      {RECIPE("mcl.tensor({ 0 / 0 }):check_finite()"), MCL_ERROR_NUMERIC},
      {RECIPE("mcl.plan { model, candidates = { mcl.share { bits = 2 } }, budget = { bytes = 1 } }"), MCL_ERROR_BUDGET},
      {RECIPE("require('mcl.core').plan_solve({ { { 2, 1 } } }, 1)"), MCL_ERROR_BUDGET},
      {RECIPE("model:compress(mcl.prune { density = 2 })"), MCL_ERROR_ARGUMENT},
      {RECIPE("error { 'a table' }"), MCL_ERROR_ARGUMENT},
  };
  FILE *file = fopen("test_host_damaged.mcl", "wb");
  assert_non_null(file);
  assert_true(fputs("no model, though it is called one", file) >= 0 && !fclose(file));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mcl_options options = {.memory_limit = 64 << 20};
    mcl_lua_limits limits = {.memory_bytes = 8 << 20, .files = true};
    mcl_context *ctx = new_context(&options);
    lua_State *L;
    mcl_recipe_run result = {.source = cases[i].source, .model = new_model(ctx)};
    new_data(ctx, &result.x, &result.y);
    assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
    mcl_status status = mcl_run_recipe(ctx, L, &result);
    if (status != cases[i].status)
      fail_msg("%s: %s: %s", cases[i].source, mcl_status_name(status), mcl_context_message(ctx));
    lua_close(L);
    mcl_tensor_release(result.x);
    mcl_tensor_release(result.y);
    mcl_model_free(result.model);
    mcl_context_free(ctx);
  }
  remove("test_host_damaged.mcl");
}

/* ---- Progress and cancel ---- */

typedef struct watcher {
  int calls, stop_after;
} watcher;

static void count_progress(void *user, const char *task, double done, double total, const char *unit) {
  (void)task, (void)done, (void)total, (void)unit;
  ((watcher *)user)->calls++;
}

static bool ask(void *user) { return ((watcher *)user)->calls >= ((watcher *)user)->stop_after; }

static void training_is_stopped_by_the_hosts_callback(void **state) {
  (void)state;
  watcher seen = {0, 3};
  mcl_options options = {.user = &seen, .progress = count_progress, .cancelled = ask};
  mcl_context *ctx = new_context(&options);
  mcl_model *model = new_model(ctx);
  mcl_recipe_run result = {.source = RECIPE("model:fit { job.data.train, epochs = 1000000 }"), .model = model};
  new_data(ctx, &result.x, &result.y);
  assert_int_equal(mcl_run_recipe(ctx, NULL, &result), MCL_ERROR_CANCELLED);
  assert_true(seen.calls >= 3);
  mcl_tensor_release(result.x);
  mcl_tensor_release(result.y);
  mcl_model_free(model);
  mcl_context_free(ctx);
}

static void *cancel_soon(void *user) {
  nanosleep(&(struct timespec){0, 30000000}, NULL);
  mcl_context_cancel(user);
  return NULL;
}

static void a_loop_in_pure_lua_is_stopped_from_another_thread(void **state) {
  (void)state;
  static const char *const loops[] = {
      RECIPE("while true do end"),
      RECIPE("while true do pcall(function() while true do end end) end"), /* catching does not help */
      RECIPE("coroutine.wrap(function() while true do end end)()"),
      RECIPE("while true do local w = mcl.zeros { 10 } + 1; w = w:sum() end"),
  };
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    mcl_context *ctx = new_context(NULL);
    mcl_recipe_run result;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, ctx), 0);
    assert_int_equal(run(ctx, NULL, loops[i], &result), MCL_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    mcl_context_resume(ctx);
    assert_int_equal(run(ctx, NULL, RECIPE("return"), &result), MCL_OK);
    mcl_context_free(ctx);
  }
}

/* ---- Sandboxes ---- */

static int run_text(lua_State *L, const char *text) {
  return luaL_loadbufferx(L, text, strlen(text), "=text", "t") || lua_pcall(L, 0, 0, 0);
}

static void memory_of_a_sandbox_is_bounded(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_lua_limits limits = {.memory_bytes = 4 << 20};
  lua_State *L;
  assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
  assert_int_not_equal(run_text(L, "local t = {} for i = 1, 1e9 do t[i] = i end"), 0);
  assert_non_null(strstr(lua_tostring(L, -1), "not enough memory"));
  lua_settop(L, 0);
  assert_int_not_equal(run_text(L, "return ('x'):rep(1 << 30)"), 0);
  lua_settop(L, 0);
  assert_int_equal(run_text(L, "local t = {} for i = 1, 1000 do t[i] = i end"), 0); /* and goes on */
  mcl_recipe_run result;
  assert_int_equal(run(ctx, L, RECIPE("local t = {} while true do t[#t + 1] = {} end"), &result), MCL_ERROR_MEMORY);
  lua_close(L);
  mcl_context_free(ctx);
}

static void a_sandbox_that_does_not_fit_is_refused_whatever_the_limit(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  bool made = false;
  for (size_t bytes = 500; bytes < 200000 && !made; bytes += 97) { /* memory runs out at every place in turn */
    mcl_lua_limits limits = {.memory_bytes = bytes};
    lua_State *L;
    made = !mcl_lua_new_sandbox(ctx, &limits, &L);
    if (made)
      lua_close(L);
    else
      assert_null(L);
  }
  assert_true(made);
  mcl_context_free(ctx);
}

static void instructions_of_a_sandbox_are_bounded(void **state) {
  (void)state;
  static const char *const loops[] = {
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "local function f() return f() end f()",
      "while true do coroutine.wrap(function() while true do end end)() end",
      "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
      "local t = setmetatable({}, {__index = function(t) while true do end end}) return t.x",
  };
  mcl_context *ctx = new_context(NULL);
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    mcl_lua_limits limits = {.instructions = 100000};
    lua_State *L;
    assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
    assert_int_not_equal(run_text(L, loops[i]), 0);
    assert_non_null(strstr(lua_tostring(L, -1), "limit of Lua instructions"));
    lua_settop(L, 0);
    assert_int_not_equal(run_text(L, "local x = 0 for i = 1, 10 do x = x + i end"), 0); /* used up for good */
    lua_close(L);
  }
  mcl_context_free(ctx);
}

static void a_recipe_within_its_limits_runs_and_is_counted(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_lua_limits limits = {.memory_bytes = 8 << 20, .instructions = 10000000};
  lua_State *L;
  mcl_recipe_run result;
  assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
  assert_int_equal(run(ctx, L, RECIPE("for i = 1, 100000 do end model:compress(mcl.share { bits = 2 })"), &result),
                   MCL_OK);
  assert_in_range(result.instructions, 100000, 10000000);
  lua_close(L);
  mcl_context_free(ctx);
}

static void nothing_in_a_sandbox_leads_out(void **state) {
  (void)state;
  static const char *const attempts[] = {
      "return io.open('/etc/passwd')",
      "return os.execute('true')",
      "return os.getenv('HOME')",
      "return require('io')",
      "return require('os').remove('x')",
      "return require('debug')",
      "return debug.getregistry()",
      "return package.loadlib('libc.so.6', '*')",
      "return require('package').path",
      "return require('socket')",
      "dofile('/etc/passwd')",
      "loadfile('/etc/passwd')",
      "assert(load('\\27Lua', 'x', 'b'))",
      "assert(load(string.dump(function() end)))",
      "collectgarbage('stop')",
      "setmetatable({}, {__gc = function() while true do end end})",
      "getmetatable(require('mcl').zeros {1}).__gc = nil",
      "require('mcl').load('/tmp/x.mcl')",
      "require('mcl').save_arrays('/tmp/x.npy', require('mcl').zeros {1})",
      "require('mcl.core').write_file('/tmp/x', '')",
      "require('mcl.core').stat('/tmp')",
      "require('mcl.core').model('m'):save('/tmp/x.mcl')",
      "require('mcl.core').resume()",
      "require('mcl.core').cancel()",
      "require('mcl.core').context {threads = 1}",
  };
  mcl_context *ctx = new_context(NULL);
  lua_State *L;
  assert_int_equal(mcl_lua_new_sandbox(ctx, NULL, &L), MCL_OK);
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    if (!run_text(L, attempts[i])) fail_msg("%s was let through", attempts[i]);
    lua_settop(L, 0);
  }
  assert_int_equal(run_text(L, "assert(os.time() > 0 and os.clock() >= 0 and load('return 1')() == 1)"), 0);
  assert_int_equal(run_text(L, "local e = {} load('x = 1', 'n', 'bt', e)() assert(e.x == 1 and x == nil)"), 0);
  assert_int_equal(run_text(L, "local t = setmetatable({}, {__index = {a = 1}}) assert(t.a == 1)"), 0);
  lua_close(L);
  mcl_context_free(ctx);
}

static void files_may_be_allowed(void **state) {
  (void)state;
  mcl_context *ctx = new_context(NULL);
  mcl_lua_limits limits = {.files = true};
  lua_State *L;
  assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
  assert_int_equal(run_text(L, "local mcl = require 'mcl'\n"
                               "mcl.save_arrays('test_host.npy', mcl.arange(3))\n"
                               "assert(mcl.load_arrays('test_host.npy'):sum() == 6)\n"
                               "assert(not io)"),
                   0);
  lua_close(L);
  remove("test_host.npy");
  mcl_context_free(ctx);
}

static void take_line(void *user, mcl_log_level level, const char *line) {
  (void)level;
  snprintf(user, 100, "%s", line);
}

static void print_goes_to_the_hosts_log(void **state) {
  (void)state;
  char line[100] = "";
  mcl_options options = {.user = line, .log = take_line};
  mcl_context *ctx = new_context(&options);
  lua_State *L;
  assert_int_equal(mcl_lua_new_sandbox(ctx, NULL, &L), MCL_OK);
  assert_int_equal(run_text(L, "print('size', 3, nil)"), 0);
  assert_string_equal(line, "size\t3\tnil");
  lua_close(L);
  mcl_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_host_state_gets_the_module_with_the_hosts_context),
      cmocka_unit_test(a_run_leaves_the_hosts_stack_and_hook_as_they_were),
      cmocka_unit_test(callbacks_outlive_the_coroutine_that_called_last),
      cmocka_unit_test(a_recipe_compresses_the_model_that_is_lent),
      cmocka_unit_test(a_recipe_may_keep_nothing_of_the_model),
      cmocka_unit_test(a_recipe_fits_by_the_hosts_data),
      cmocka_unit_test(an_error_becomes_a_message_with_the_recipes_line),
      cmocka_unit_test(a_run_without_what_it_needs_says_so),
      cmocka_unit_test(what_failed_in_c_keeps_its_status_through_lua),
      cmocka_unit_test(training_is_stopped_by_the_hosts_callback),
      cmocka_unit_test(a_loop_in_pure_lua_is_stopped_from_another_thread),
      cmocka_unit_test(memory_of_a_sandbox_is_bounded),
      cmocka_unit_test(a_sandbox_that_does_not_fit_is_refused_whatever_the_limit),
      cmocka_unit_test(instructions_of_a_sandbox_are_bounded),
      cmocka_unit_test(a_recipe_within_its_limits_runs_and_is_counted),
      cmocka_unit_test(nothing_in_a_sandbox_leads_out),
      cmocka_unit_test(files_may_be_allowed),
      cmocka_unit_test(print_goes_to_the_hosts_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
