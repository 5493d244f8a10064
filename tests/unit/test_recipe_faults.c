/* Memory that runs out while a recipe runs: the context's, Lua's in a sandbox, and both in a host's own state, at one
 * request or from one on. Each run ends with MCL_ERROR_MEMORY, or does without; nothing crashes, and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <mcl/mcl.h>
#include <string.h>

#include "unit/small_model.h"

/* Whatever calls from C into Lua and back: a criterion, a plan's measure, a loss, a penalty, the end of an epoch. */
static const char much_of_it[] =
    RECIPE("local by = mcl.criterion { 'input_norm', function(w, s) return w:abs() * s.input_norm end }\n"
           "local plan = mcl.plan { model, candidates = { mcl.share { bits = 2 }, mcl.share { bits = 4 } },\n"
           "  budget = { ratio = 0.5 }, distortion = function(_, a, b) return (a:values() - b:values()):norm() end }\n"
           "local planned = model:copy():compress(plan)\n"
           "model:compress(mcl.prune { density = 0.5, by = by } .. mcl.share { bits = 2 })\n"
           "model:fit { job.data.train, epochs = 1, penalty = function(w) return w:abs() end }\n"
           "model:fit { job.data.train, epochs = 1, loss = function(y, t) return (y - t):square() end,\n"
           "  epoch_end = function(report) assert(planned:evaluate(job.data.choose).loss and report.loss) end }\n"
           "for _, layer in ipairs(model:layers()) do layer.weight = layer.weight * 0.5 end");

typedef struct job {
  counter *held;                /* the context's allocator */
  const mcl_lua_limits *limits; /* of a sandbox; NULL and no host: none */
  counter *host;                /* the allocator of a host's own Lua state, instead of a sandbox */
} job;

static void *host_allocate(void *user, void *memory, size_t old_size, size_t size) {
  counter *host = user;
  if (!memory) old_size = 0;
  if (size > old_size && is_refused(host)) return NULL; /* to shrink never fails */
  void *moved = size ? realloc(memory, size) : (free(memory), NULL);
  if (moved || !size) host->bytes += size - old_size;
  return moved;
}

/* The state, and whether it is there: what it takes to open one is the host's affair, but not to register mcl. */
static mcl_status open_state(mcl_context *ctx, const job *j, lua_State **L) {
  if (!j->host) return mcl_lua_new_sandbox(ctx, j->limits, L);
  long fail_at = j->host->fail_at;
  j->host->fail_at = 0;
  *L = lua_newstate(host_allocate, j->host);
  assert_non_null(*L);
  luaL_openlibs(*L);
  if (fail_at) j->host->fail_at = j->host->calls + fail_at;
  return mcl_lua_register(*L, ctx);
}

/* Counted from the moment the test's own objects are there. */
static mcl_status run(const job *j) {
  mcl_options options = {.user = j->held, .allocate = counted_allocate, .release = counted_release, .threads = 1};
  long fail_at = j->held->fail_at;
  mcl_context *ctx;
  lua_State *L = NULL;
  j->held->fail_at = 0;
  assert_int_equal(mcl_engine_new(&options, &ctx), MCL_OK);
  mcl_recipe_run result = {.source = much_of_it, .model = new_model(ctx)};
  new_data(ctx, &result.x, &result.y);
  if (fail_at) j->held->fail_at = j->held->calls + fail_at;
  mcl_status status = open_state(ctx, j, &L);
  if (!status) status = mcl_run_recipe(ctx, L, &result);
  if (status && status != MCL_ERROR_MEMORY)
    fail_msg("%s, not memory: %s", mcl_status_name(status), mcl_context_message(ctx));
  if (status) assert_true(strlen(mcl_context_message(ctx)) > 0);
  if (L) lua_close(L);
  mcl_tensor_release(result.x);
  mcl_tensor_release(result.y);
  mcl_model_free(result.model);
  mcl_context_free(ctx);
  assert_int_equal(j->held->bytes, 0);
  if (j->host) assert_int_equal(j->host->bytes, 0);
  return status;
}

static void any_request_of_the_context_may_fail(void **state) {
  (void)state;
  bool reached = true;
  long failed = 0;
  for (long at = 1; reached; at += 1 + at / 256) {
    counter held = {.fail_at = at};
    job j = {.held = &held};
    failed += run(&j) != MCL_OK; /* scratch that can be done without may be missing */
    reached = held.calls >= held.fail_at;
  }
  assert_true(failed > 200);
}

static void all_requests_of_the_context_may_fail_from_one_on(void **state) {
  (void)state;
  mcl_status status = MCL_ERROR_MEMORY;
  for (long at = 1; status; at += 1 + at / 64) {
    counter held = {.fail_at = at, .for_good = true};
    job j = {.held = &held};
    status = run(&j);
    assert_true(status || held.calls < held.fail_at);
  }
}

static void whatever_memory_a_sandbox_has_is_enough_or_too_little(void **state) {
  (void)state;
  mcl_status status = MCL_ERROR_MEMORY;
  for (size_t bytes = 20000; status && bytes < (64u << 20); bytes += 1013 + bytes / 64) {
    mcl_lua_limits limits = {.memory_bytes = bytes};
    counter held = {0};
    job j = {.held = &held, .limits = &limits};
    status = run(&j);
  }
  assert_int_equal(status, MCL_OK);
}

/* One request that fails is made again after a collection: so it takes many in a row to be out of memory. */
static void a_hosts_lua_may_run_out_of_memory_anywhere(void **state) {
  (void)state;
  bool reached = true;
  long failed = 0;
  for (long at = 1; reached; at += 1 + at / 48) {
    counter held = {0}, host = {.fail_at = at, .for_good = true};
    job j = {.held = &held, .host = &host};
    failed += run(&j) != MCL_OK;
    reached = host.calls >= host.fail_at;
  }
  assert_true(failed > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_request_of_the_context_may_fail),
      cmocka_unit_test(all_requests_of_the_context_may_fail_from_one_on),
      cmocka_unit_test(whatever_memory_a_sandbox_has_is_enough_or_too_little),
      cmocka_unit_test(a_hosts_lua_may_run_out_of_memory_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
