/* How long the calling thread goes on after a cancel, in processor time, so that other programs do not matter. Each long
 * operation, as a recipe calls it, is run once whole and then cancelled at several points of its course; the longest
 * way from the request to the return counts. Besides, the longest silence: between two questions of that thread whether to
 * stop, in the whole run, which is what a request may meet at the worst. The limit is the peer. */
#include <lauxlib.h>
#include <lualib.h>
#include <mcl/mcl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/context_private.h"

static const double limit_ms = 100, aim_ms = 20;

/* `work` is what is measured; `prepare` makes its globals. DIR is a folder for files. */
static const struct {
  const char *name, *prepare, *work;
} cases[] = {
    {"full", "", "mcl.full({150000000}, 1.5)"},
    {"zeros", "", "mcl.zeros({150000000})"},
    {"arange", "", "mcl.arange(150000000)"},
    {"random", "", "mcl.random({100000000}, {kind='normal'})"},
    {"argmax of one row", "t = mcl.arange(150000000)", "t:argmax()"},
    {"totable", "t = mcl.arange(20000000)", "t:totable()"},
    {"tensor of a table", "t = mcl.arange(10000000):totable()", "mcl.tensor(t)"},
    {"conversion of 1 GB", "t = mcl.random({250000000})", "t:to('bf16')"},
    {"permute of a plane", "t = mcl.random({2, 12000, 12000})", "t:permute{1, 3, 2}"},
    {"set", "t = mcl.zeros{80000000}", "t:set(mcl.arange(80000000):sin())"},
    {"an expression of 20,000 operations", "e = mcl.random{1000000} for i = 1, 20000 do e = e:sin() + 1 end",
     "e:sum()"},
    {"sum of columns", "t = mcl.random({20, 20000000})", "t:sum(1)"},
    {"quantile", "t = mcl.random({80000000})", "t:quantile(0.3)"},
    {"top", "t = mcl.random({80000000})", "t:top(40000000)"},
    {"matmul", "t = mcl.random({4000, 4000})", "t:matmul(t)"},
    {"hash of 600 MB", "t = mcl.zeros({150000000})", "core.hash(t)"},
    {"JSON, writing", "t = {} for i = 1, 1000000 do t[i] = i / 7 end", "core.json_encode(t)"},
    {"JSON, reading", "t = '[' .. ('[1.5],'):rep(6000000) .. '1]'", "core.json_decode(t)"},
    {"JSON, a million keys", "t = {} for i = 1, 1000000 do t['key ' .. i * 7919 % 1000003] = i end",
     "core.json_encode(t)"},
    {"svd 2000 x 2000", "t = mcl.random({2000, 2000}, {kind='normal'})", "mcl.linalg.svd(t)"},
    {"svd 400 x 400", "t = mcl.random({400, 400}, {kind='normal'})", "mcl.linalg.svd(t)"},
    {"svd 3000 x 1000", "t = mcl.random({3000, 1000}, {kind='normal'})", "mcl.linalg.svd(t)"},
    {"svd 2000 x 2000, the top 400", "t = mcl.random({2000, 2000}, {kind='normal'})", "mcl.linalg.svd(t, 400)"},
    {"svd 6000 x 6000, the top 10", "t = mcl.random({6000, 6000}, {kind='normal'})", "mcl.linalg.svd(t, 10)"},
    {"svd 2,000,000 x 40, the top 10", "t = mcl.random({2000000, 40}, {kind='normal'})", "mcl.linalg.svd(t, 10)"},
    {"eigen 2000 x 2000", "t = mcl.random({2000, 2000}) t = (t + t:transpose()):eval()", "mcl.linalg.eigen(t)"},
    {"eigen 530 x 530", "t = mcl.random({530, 530}) t = (t + t:transpose()):eval()", "mcl.linalg.eigen(t)"},
    {"qr 3000 x 3000", "t = mcl.random({3000, 3000})", "mcl.linalg.qr(t)"},
    {"qr 1,000,000 x 60", "t = mcl.random({1000000, 60})", "mcl.linalg.qr(t)"},
    {"cholesky 4000 x 4000", "t = mcl.random({4000, 4000}) t = t:matmul(t:transpose())", "mcl.linalg.cholesky(t)"},
    {"solve 4000 x 4000", "t = mcl.random({4000, 4000})", "mcl.linalg.solve(t, t)"},
    {"prune of 100 M", "t = mcl.random({10000, 10000}, {kind='normal'})", "mcl.prune{density = 0.1}:apply(t)"},
    {"share of 16 M, exact", "t = mcl.random({4000, 4000}, {kind='normal'})", "mcl.share{bits = 5}:apply(t)"},
    {"share of 100 M, from density", "t = mcl.random({10000, 10000})",
     "mcl.share{bits = 5, init = 'density'}:apply(t)"},
    {"quantize of 100 M", "t = mcl.random({10000, 10000})", "mcl.quantize{bits = 4}:apply(t)"},
    {"quantize of 100 M, by channel", "t = mcl.random({10000, 10000})",
     "mcl.quantize{bits = 4, group = 'channel'}:apply(t)"},
    {"quantize of 100 M, two to a group", "t = mcl.random({10000, 10000})",
     "mcl.quantize{bits = 4, group = 2}:apply(t)"},
    {"keep of 100 M", "t = mcl.random({10000, 10000})", "mcl.keep{dtype = 'f16'}:apply(t)"},
    {"lowrank", "t = mcl.random({3000, 3000})", "mcl.lowrank{rank = 500}:apply(t)"},
    {"sum of two", "t = mcl.random({5000, 5000})", "(mcl.quantize{bits = 2} + mcl.prune{density = 0.01}):apply(t)"},
    {"bytes of a sparse weight", "t = mcl.prune{density = 0.3}:apply(mcl.random({10000, 10000}, {kind='normal'}))",
     "t:bytes()"},
    {"bytes of a palette", "t = mcl.share{bits = 4, init = 'linear', iterations = 1}:apply(mcl.random({10000, 10000}))",
     "t:bytes()"},
    {"bytes of floats", "t = mcl.keep{}:apply(mcl.random({10000, 10000}))", "t:bytes()"},
    {"values of a sparse weight", "t = mcl.prune{density = 0.3}:apply(mcl.random({10000, 10000}, {kind='normal'}))",
     "t:values()"},
    {"values of a palette",
     "t = mcl.share{bits = 4, init = 'linear', iterations = 1}:apply(mcl.random({10000, 10000}))", "t:values()"},
    {"a plan of 3,000 weights",
     "t = {} for i = 1, 3000 do t[i] = {} for j = 1, 20 do t[i][j] = {j + i % 7, 1 / (j + i % 3)} end end",
     "core.plan_solve(t, 20000)"},
    {"fit, one batch of 20,000", "wide(20000)", "model:fit{data, epochs = 3, batch = 20000, rate = 0.01}"},
    {"fit of a convolution, one batch of 20,000", "images(20000)",
     "model:fit{data, epochs = 1, batch = 20000, rate = 0.01}"},
    {"fit under a palette", "wide(20000) model:compress(mcl.share{bits = 4})",
     "model:fit{data, epochs = 3, batch = 20000, rate = 0.01}"},
    {"evaluate", "images(20000)", "model:evaluate(data)"},
    {"run, a batch of 20,000", "images(20000) x = data:rows()", "model:run(x)"},
    {"calibrate", "wide(20000)", "model:calibrate(data, {'gram', 'input_norm', 'fisher', 'range'})"},
    {"a model's save", "wide(10) model:compress(mcl.share{bits = 4})", "model:save(DIR .. '/out.mcl')"},
    {"a model's save, zstd", "wide(10) model:compress(mcl.share{bits = 8})",
     "model:save(DIR .. '/out.mcl', {zstd = 22})"},
    {"a model's save as .bin", "wide(10)", "model:save(DIR .. '/out.bin')"},
    {"a model's save as .onnx", "wide(10)", "model:save(DIR .. '/out.onnx')"},
    {"a model's save as .npz", "wide(10)", "model:save(DIR .. '/out.npz')"},
    {"a model's save as .safetensors", "wide(10)", "model:save(DIR .. '/out.safetensors')"},
    {"load of .mcl", "wide(10) model:compress(mcl.share{bits = 4}) model:save(DIR .. '/in.mcl')",
     "mcl.load(DIR .. '/in.mcl'):layers()[1].weight:sum()"},
    {"load of .onnx", "wide(10) model:save(DIR .. '/in.onnx')", "mcl.load(DIR .. '/in.onnx')"},
    {"load of .bin", "wide(10) model:save(DIR .. '/in.bin')", "mcl.load(DIR .. '/in.bin'):layers()[1].weight:sum()"},
    {"verify", "wide(10) model:compress(mcl.share{bits = 4}) model:save(DIR .. '/in.mcl')",
     "core.verify(DIR .. '/in.mcl')"},
    {"hash of a file", "wide(10) model:save(DIR .. '/in.bin')", "core.hash_file(DIR .. '/in.bin')"},
    {"npz, deflated", "t = mcl.random({20000000})", "core.npz_save(DIR .. '/out.npz', {t = t}, true)"},
    {"npz, stored", "t = mcl.random({100000000})", "core.npz_save(DIR .. '/out.npz', {t = t})"},
    {"npz, inflated", "core.npz_save(DIR .. '/in.npz', {t = (mcl.arange(100000000) * 0 + 1):eval()}, true)",
     "core.npz_load(DIR .. '/in.npz')"},
    {"npy", "core.npy_save(DIR .. '/in.npy', mcl.random({100000000}))", "core.npy_load(DIR .. '/in.npy')"},
};
#define CASES (int)(sizeof cases / sizeof *cases)

static const char preamble[] =
    "mcl, core = require 'mcl', require 'mcl.core'\n"
    "local nn = mcl.nn\n"
    "function wide(n)\n"
    "  data = core.dataset(mcl.random({n, 2000}), (mcl.arange(n) * 0):eval():to('i64'))\n"
    "  model = nn.sequential{input = {2000}, nn.linear{out = 2500}, nn.relu(), nn.linear{out = 2500}, nn.relu(),\n"
    "    nn.linear{out = 10}}:build{seed = 1}\n"
    "end\n"
    "function images(n)\n"
    "  data = core.dataset(mcl.random({n, 3, 16, 16}), (mcl.arange(n) * 0):eval():to('i64'))\n"
    "  model = nn.sequential{input = {3, 16, 16}, nn.conv{out = 16, kernel = 3}, nn.relu(), nn.max_pool{2},\n"
    "    nn.conv{out = 16, kernel = 3}, nn.batch_norm(), nn.relu(), nn.flatten(), nn.linear{out = 10}}:build{seed = "
    "1}\n"
    "end\n";

static const double points[] = {0.03, 0.25, 0.5, 0.75, 0.95};

/* ---- The clock of the thread that calls ---- */

static clockid_t caller_clock;

static double caller_ms(void) {
  struct timespec time;
  clock_gettime(caller_clock, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static double last_question_ms, longest_silence_ms;
static pthread_t caller;

static void note_silence(double now) {
  if (now - last_question_ms > longest_silence_ms) longest_silence_ms = now - last_question_ms;
  last_question_ms = now;
}

static void asked(mcl_context *ctx) {
  (void)ctx;
  if (pthread_equal(pthread_self(), caller)) note_silence(caller_ms());
}

/* ---- Cancelling at a point ---- */

typedef struct request {
  mcl_context *ctx;
  double at_ms;
  atomic_bool has_ended;
  double made_ms; /* below 0: it was not */
} request;

static void *cancel_at_point(void *user) {
  request *r = user;
  const struct timespec pause = {.tv_nsec = 100000};
  while (!atomic_load(&r->has_ended)) {
    double now = caller_ms();
    if (now < r->at_ms) {
      nanosleep(&pause, NULL);
      continue;
    }
    r->made_ms = now;
    mcl_context_cancel(r->ctx);
    break;
  }
  return NULL;
}

static void fail(const char *name, const char *what) {
  fprintf(stderr, "bench_cancel: %s: %s\n", name, what);
  exit(1);
}

static void load(lua_State *L, const char *name, const char *text) {
  if (luaL_loadstring(L, text)) fail(name, lua_tostring(L, -1));
}

/* Processor time from the request to the return; 0 where the work had ended before. */
static double cancelled_once(lua_State *L, mcl_context *ctx, int index, double after_ms) {
  request r = {.ctx = ctx, .at_ms = caller_ms() + after_ms, .made_ms = -1};
  pthread_t thread;
  load(L, cases[index].name, cases[index].work);
  if (pthread_create(&thread, NULL, cancel_at_point, &r)) fail(cases[index].name, "no thread");
  int status = lua_pcall(L, 0, 0, 0);
  double end = caller_ms();
  atomic_store(&r.has_ended, true);
  pthread_join(thread, NULL);
  mcl_context_resume(ctx);
  if (status && r.made_ms < 0) fail(cases[index].name, lua_tostring(L, -1));
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  return status && r.made_ms >= 0 ? end - r.made_ms : 0;
}

static void measure(int index, const char *folder, FILE *json) {
  mcl_context *ctx;
  const char *name = cases[index].name;
  mcl_options options = {.threads = 1}; /* all work is the caller's */
  if (mcl_engine_new(&options, &ctx)) fail(name, "no context");
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (mcl_lua_register(L, ctx)) fail(name, mcl_context_message(ctx));
  lua_pushstring(L, folder);
  lua_setglobal(L, "DIR");
  load(L, name, preamble);
  if (lua_pcall(L, 0, 0, 0)) fail(name, lua_tostring(L, -1));
  load(L, name, cases[index].prepare);
  if (lua_pcall(L, 0, 0, 0)) fail(name, lua_tostring(L, -1));
  load(L, name, cases[index].work);
  double begin = last_question_ms = caller_ms(), worst = 0;
  longest_silence_ms = 0;
  ctx->asked = asked;
  if (lua_pcall(L, 0, 0, 0)) fail(name, lua_tostring(L, -1));
  double whole = caller_ms() - begin;
  note_silence(begin + whole);
  ctx->asked = NULL;
  lua_gc(L, LUA_GCCOLLECT);
  for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
    double took = cancelled_once(L, ctx, index, points[i] * whole);
    if (took > worst) worst = took;
  }
  lua_close(L);
  mcl_context_free(ctx);
  printf("cancel, %s: ours %.1f ms, limit %.0f ms, ratio %.2f (aim %.1f), of %.0f ms, longest silence %.1f ms\n", name,
         worst, limit_ms, limit_ms / (worst > 0.01 ? worst : 0.01), limit_ms / aim_ms, whole, longest_silence_ms);
  fflush(stdout);
  fprintf(json, "{\"bench\": \"cancel\", \"case\": \"%s\", \"ours\": %.3f, \"peer\": %.1f, ", name, worst, limit_ms);
  fprintf(json, "\"peer_name\": \"a limit, no peer\", \"unit\": \"ms\", \"ratio\": %.4f, ",
          limit_ms / (worst > 0.01 ? worst : 0.01));
  fprintf(json, "\"at_least\": 1.0, \"aim\": %.2f, \"seconds\": %.3f, \"silence_ms\": %.3f}\n", limit_ms / aim_ms,
          whole / 1e3, longest_silence_ms);
}

/* bench_cancel FOLDER FRAGMENT [PART OF A NAME] */
int main(int count, char **arguments) {
  if (count < 3) return 2;
  caller = pthread_self();
  if (pthread_getcpuclockid(caller, &caller_clock)) return 1;
  FILE *json = fopen(arguments[2], "a");
  if (!json) return 1;
  for (int i = 0; i < CASES; i++)
    if (count == 3 || strstr(cases[i].name, arguments[3])) measure(i, arguments[1], json);
  return fclose(json) ? 1 : 0;
}
