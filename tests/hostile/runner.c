/* Runs one hostile script as a game runs a mod's: in a sandbox of limits, with a cancel after two seconds
 * of processor time, or twenty of waiting.
 *
 *   runner FILE.lua
 *
 * A file recipe_*.lua is run as a recipe, on a small model with data, by mcl_run_recipe; a file files_*.lua may read and write
 * files, in a folder of its own that has folders and pipes by the names of files. The first line of a script says
 * what it tries, the second how it must end:
 *
 *   -- ends: well                      no error
 *   -- ends: "part of the message"     an error that says so
 *   -- ends: anyhow                    either, as long as it ends and does no harm
 *
 * All scripts alike must leave no memory behind, and return at most 100 ms of processor time after the
 * cancel. What else they could break, the sanitizer build sees. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <mcl/mcl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "unit/small_model.h"

#define THREADS 2
#define CANCEL_AFTER_MS 2000
#define MOST_WAITS 400                       /* of 50 ms */
#define MOST_AFTER_CANCEL_MS (100 * THREADS) /* processor time of all threads */
#if defined(__SANITIZE_ADDRESS__)
#define SLACK 5 /* instrumented code is that much slower */
#else
#define SLACK 1
#endif

/* ---- The cancel ---- */

typedef struct canceller {
  mcl_context *ctx;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool has_ended, has_cancelled;
  double cpu_ms; /* when it cancelled */
} canceller;

static double cpu_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void *cancel_in_time(void *user) {
  canceller *c = user;
  pthread_mutex_lock(&c->lock);
  for (int waits = 0; !c->has_ended && !c->has_cancelled; waits++) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_cond_timedwait(&c->ended, &c->lock, &until) != ETIMEDOUT) continue;
    if (cpu_ms() < CANCEL_AFTER_MS && waits < MOST_WAITS) continue;
    c->cpu_ms = cpu_ms();
    c->has_cancelled = true;
    mcl_context_cancel(c->ctx);
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

static void begin(canceller *c, mcl_context *ctx) {
  *c = (canceller){.ctx = ctx, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
  if (pthread_create(&c->thread, NULL, cancel_in_time, c)) abort();
}

/* Processor time since the cancel; 0: there was none. */
static double end(canceller *c) {
  double now = cpu_ms();
  pthread_mutex_lock(&c->lock);
  c->has_ended = true;
  pthread_cond_signal(&c->ended);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->thread, NULL);
  return c->has_cancelled ? now - c->cpu_ms : 0;
}

/* ---- The host ---- */

static void show_line(void *user, mcl_log_level level, const char *line) {
  (void)user, (void)level;
  fprintf(stderr, "%.300s\n", line);
}

/* ---- The script ---- */

/* Its message, "" where there is no error. */
static void run_script(lua_State *L, const char *source, char *message, size_t size) {
  *message = '\0';
  if (!luaL_loadbufferx(L, source, strlen(source), "=script", "t") && !lua_pcall(L, 0, 0, 0)) return;
  snprintf(message, size, "%s", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is no text");
}

static void run_recipe(mcl_context *ctx, lua_State *L, const char *source, char *message, size_t size) {
  mcl_recipe_run run = {.source = source, .name = "script", .model = new_model(ctx)};
  new_data(ctx, &run.x, &run.y);
  mcl_status status = mcl_run_recipe(ctx, L, &run);
  snprintf(message, size, "%s", status ? mcl_context_message(ctx) : "");
  if (status && !*message) snprintf(message, size, "no message");
  mcl_tensor_release(run.x);
  mcl_tensor_release(run.y);
  mcl_model_free(run.model);
}

static bool ends_as_said(const char *source, const char *message) {
  const char *line = strchr(source, '\n');
  char wanted[200] = "";
  if (!line) return false;
  if (!strncmp(line, "\n-- ends: well\n", 15)) return !*message;
  if (!strncmp(line, "\n-- ends: anyhow\n", 17)) return true;
  return sscanf(line, "\n-- ends: \"%199[^\"\n]\"", wanted) == 1 && strstr(message, wanted);
}

static bool is_named(const char *path, const char *prefix) {
  const char *slash = strrchr(path, '/');
  return !strncmp(slash ? slash + 1 : path, prefix, strlen(prefix));
}

/* Makes it the working folder; what is left in it goes with the build's folder. */
static void enter_folder_of_oddities(void) {
  char folder[] = "hostile_XXXXXX";
  if (!mkdtemp(folder) || chdir(folder) || mkdir("folder.mcl", 0700) || mkdir("folder.npz", 0700) ||
      mkfifo("pipe.mcl", 0600) || mkfifo("pipe.npz", 0600)) {
    perror("runner");
    exit(2);
  }
}

static char source[1 << 16];

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  if (!file || !fread(source, 1, sizeof source - 1, file)) {
    fprintf(stderr, "usage: runner FILE.lua\n");
    return 2;
  }
  fclose(file);
  mcl_context *ctx;
  lua_State *L;
  canceller cancel;
  char message[1024];
  counter held = {0};
  mcl_options options = {.memory_limit = 512 << 20,
                         .threads = THREADS,
                         .log = show_line,
                         .user = &held,
                         .allocate = counted_allocate,
                         .release = counted_release};
  must(mcl_engine_new(&options, &ctx));
  mcl_lua_limits limits = {
      .memory_bytes = 256 << 20, .instructions = 20000000, .files = is_named(arguments[1], "files_")};
  must(mcl_lua_new_sandbox(ctx, &limits, &L));
  if (limits.files) enter_folder_of_oddities();
  begin(&cancel, ctx);
  if (is_named(arguments[1], "recipe_"))
    run_recipe(ctx, L, source, message, sizeof message);
  else
    run_script(L, source, message, sizeof message);
  double late = end(&cancel);
  lua_close(L);
  mcl_context_free(ctx);
  bool good = ends_as_said(source, message) && late <= MOST_AFTER_CANCEL_MS * SLACK && held.bytes == 0;
  printf("%s: %s; %.0f ms after the cancel, %zu bytes held: %.300s\n", arguments[1], good ? "good" : "BAD", late,
         (size_t)held.bytes, *message ? message : "no error");
  return !good;
}
