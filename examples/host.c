/* host.c: a program with a Lua state of its own embeds the engine. It registers mcl into that state, lets a Lua script
 * there build a network, runs a recipe from a string on the program's own data with a progress callback, and cancels
 * another recipe from a second thread.
 *
 *   cc host.c $(pkg-config --cflags --libs mcl lua5.4) -lpthread -o host && ./host
 */
#include <mcl/mcl.h>

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROWS = 2000, CLASSES = 3 };

/* ---- What the host gives: a place to show progress, and data ---- */

static void show_progress(void *user, const char *task, double done, double total, const char *unit) {
  int *shown = user;
  if (++*shown <= 3 || done >= total) printf("  %s: %.0f of %.0f %s\n", task, done, total, unit);
}

/* Points on three arms of a spiral; a class an arm. */
static mcl_status make_data(mcl_context *ctx, mcl_tensor **x, mcl_tensor **y) {
  mcl_status status = mcl_tensor_new(ctx, MCL_F32, (mcl_shape){2, {ROWS, 2}}, x);
  if (!status) status = mcl_tensor_new(ctx, MCL_I64, (mcl_shape){1, {ROWS}}, y);
  if (status) return status;
  float *points = mcl_tensor_data(*x);
  int64_t *labels = mcl_tensor_data(*y);
  for (int i = 0; i < ROWS; i++) {
    double along = (i / CLASSES) / (double)(ROWS / CLASSES);
    double angle = 6.2831853 * i / CLASSES + 4 * along + 0.1 * sin(17.0 * i);
    points[2 * i] = (float)(along * cos(angle));
    points[2 * i + 1] = (float)(along * sin(angle));
    labels[i] = i % CLASSES;
  }
  return MCL_OK;
}

/* ---- The scripts ---- */

/* Runs in the host's own state, like any script of the host. */
static const char *const build_network = "local nn = require('mcl').nn\n"
                                         "local net = nn.sequential { input = { 2 },\n"
                                         "  nn.linear { out = 64 }, nn.relu(),\n"
                                         "  nn.linear { out = 64 }, nn.relu(),\n"
                                         "  nn.linear { out = 3 } }\n"
                                         "net:build { seed = 1, name = 'spiral' }:save 'spiral.bin'\n";

static const char *const prune_and_share =
    "local mcl = require 'mcl'\n"
    "return mcl.recipe {\n"
    "  about = 'train, prune, share, train',\n"
    "  options = { density = { 0.5, 'fraction kept', min = 0.01, max = 1 } },\n"
    "  run = function(model, opt, job)\n"
    "    model:fit { job.data.train, epochs = 40, rate = 0.05, schedule = 'cosine' }\n"
    "    model:compress(mcl.prune { density = opt.density } .. mcl.share { bits = 4 })\n"
    "    model:fit { job.data.train, epochs = 10, rate = 0.005 }\n"
    "    local result = model:evaluate(job.data.choose)\n"
    "    job:log('accuracy on held-out points: %.3f', result.accuracy)\n"
    "    assert(result.accuracy > 0.9)\n"
    "  end,\n"
    "}\n";

static const char *const never_ends = "local mcl = require 'mcl'\n"
                                      "return mcl.recipe { about = 'never ends', run = function(model)\n"
                                      "  while true do model:compress(mcl.prune { density = 0.5 }) end\n"
                                      "end }\n";

static void show_log(void *user, mcl_log_level level, const char *line) {
  (void)user;
  if (level <= MCL_LOG_INFO && !strncmp(line, "accuracy", 8)) printf("  %s\n", line);
}

/* ---- Cancel ---- */

static void *cancel_soon(void *ctx) {
  nanosleep(&(struct timespec){0, 200000000}, NULL);
  mcl_context_cancel(ctx); /* the only call that may come from another thread */
  return NULL;
}

static int cancelled_in_time(mcl_context *ctx, lua_State *L, mcl_recipe_run *run) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, cancel_soon, ctx)) return 0;
  run->source = never_ends;
  run->output_path = NULL;
  run->set = NULL;
  mcl_status status = mcl_run_recipe(ctx, L, run);
  pthread_join(thread, NULL);
  mcl_context_resume(ctx);
  printf("the second recipe ended with: %s\n", mcl_status_name(status));
  return status == MCL_ERROR_CANCELLED;
}

static mcl_status run_all(mcl_context *ctx, lua_State *L, mcl_recipe_run *run) {
  const char *const set[] = {"density=0.4", NULL};
  mcl_status status = make_data(ctx, &run->x, &run->y);
  if (status) return status;
  run->name = "prune_and_share";
  run->source = prune_and_share;
  run->model_path = "spiral.bin";
  run->output_path = "spiral.mcl";
  run->set = set;
  puts("running a recipe");
  status = mcl_run_recipe(ctx, L, run);
  if (status) return status;
  printf("spiral.mcl: %zu bytes; the dense weights are %d\n", run->size_bytes,
         4 * (2 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3));
  return cancelled_in_time(ctx, L, run) ? MCL_OK : MCL_ERROR_UNSUPPORTED;
}

int main(void) {
  int shown = 0;
  mcl_options options = {.user = &shown, .progress = show_progress, .log = show_log, .seed = 7};
  mcl_context *ctx;
  if (mcl_engine_new(&options, &ctx)) return 1;
  lua_State *L = luaL_newstate(); /* the host's own, with whatever it has in it */
  luaL_openlibs(L);
  mcl_recipe_run run = {0};
  mcl_status status = mcl_lua_register(L, ctx);
  if (!status && luaL_dostring(L, build_network)) {
    fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
    status = MCL_ERROR_ARGUMENT;
  } else if (!status) {
    status = run_all(ctx, L, &run);
    if (status) fprintf(stderr, "host: %s\n", mcl_context_message(ctx));
  }
  mcl_tensor_release(run.x);
  mcl_tensor_release(run.y);
  lua_close(L);
  mcl_context_free(ctx);
  return status != MCL_OK;
}
