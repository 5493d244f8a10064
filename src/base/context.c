/* The context: messages, cancel, log, progress. */
#include "base/context_private.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CANCEL_INTERVAL_US 50000
#define PROGRESS_INTERVAL_US 100000
#define MOST_THREADS 256
#define DENSE_FLOOR ((uint64_t)1 << 30) /* bytes that any artifact may stand for */
#define DENSE_TIMES 4096                /* its own size, where that is more */

uint64_t mcl_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

#define LARGE ((size_t)8 << 20) /* from here on memory asks for huge pages: filling it the first time costs half */
#define HUGE_PAGE ((size_t)2 << 20)

static void *libc_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  void *memory;
  if (posix_memalign(&memory, size < LARGE ? alignment : HUGE_PAGE, size)) return NULL;
#if defined(MADV_HUGEPAGE)
  if (size >= LARGE) (void)madvise(memory, size, MADV_HUGEPAGE); /* a wish; without it all works */
#endif
  return memory;
}

static void libc_release(void *user, void *memory, size_t size) {
  (void)user, (void)size;
  free(memory);
}

static int usable_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  return CPU_COUNT(&set);
}

mcl_status mcl_context_new(const mcl_options *options, mcl_context **out) {
  mcl_options wishes = options ? *options : (mcl_options){0};
  *out = NULL;
  if (wishes.threads < 0 || wishes.threads > MOST_THREADS || !wishes.allocate != !wishes.release)
    return MCL_ERROR_ARGUMENT;
  if (!wishes.allocate) {
    wishes.allocate = libc_allocate;
    wishes.release = libc_release;
  }
  mcl_context *ctx = wishes.allocate(wishes.user, sizeof *ctx, 64);
  if (!ctx) return MCL_ERROR_MEMORY;
  memset(ctx, 0, sizeof *ctx);
  ctx->options = wishes;
  ctx->threads = wishes.threads ? wishes.threads : usable_processors();
  ctx->owner = pthread_self();
  pthread_mutex_init(&ctx->lock, NULL);
  *out = ctx;
  return MCL_OK;
}

void mcl_context_free(mcl_context *ctx) {
  if (!ctx) return;
  mcl_pool_free(ctx);
  for (int i = MCL_SLOT_COUNT; i-- > 0;)
    if (ctx->kept[i].keeper) ctx->kept[i].keeper->release(ctx, atomic_load(&ctx->kept[i].value));
  pthread_mutex_destroy(&ctx->lock);
  ctx->options.release(ctx->options.user, ctx, sizeof *ctx);
}

void *mcl_context_keep(mcl_context *ctx, mcl_slot slot, const mcl_keeper *keeper) {
  void *kept = atomic_load_explicit(&ctx->kept[slot].value, memory_order_acquire), *made;
  if (kept) return kept;
  if (keeper->make(ctx, &made)) return NULL;
  pthread_mutex_lock(&ctx->lock);
  kept = atomic_load_explicit(&ctx->kept[slot].value, memory_order_relaxed);
  if (!kept) {
    ctx->kept[slot].keeper = keeper;
    atomic_store_explicit(&ctx->kept[slot].value, made, memory_order_release);
  }
  pthread_mutex_unlock(&ctx->lock);
  if (!kept) return made;
  keeper->release(ctx, made);
  return kept;
}

uint64_t mcl_context_dense_limit(const mcl_context *ctx, uint64_t file_bytes) {
  uint64_t by_size = file_bytes < UINT64_MAX / DENSE_TIMES ? file_bytes * DENSE_TIMES : UINT64_MAX;
  if (ctx->options.dense_limit) return ctx->options.dense_limit;
  return by_size > DENSE_FLOOR ? by_size : DENSE_FLOOR;
}

void *mcl_context_kept(mcl_context *ctx, mcl_slot slot) {
  return atomic_load_explicit(&ctx->kept[slot].value, memory_order_acquire);
}

int mcl_context_threads(const mcl_context *ctx) { return ctx->threads; }
uint64_t mcl_context_seed(const mcl_context *ctx) { return ctx->options.seed; }
void mcl_context_set_seed(mcl_context *ctx, uint64_t seed) { ctx->options.seed = seed; }

/* ---- Messages ---- */

const char *mcl_context_message(const mcl_context *ctx) { return ctx->message; }

const char *mcl_status_name(mcl_status status) {
  static const char *const names[] = {[MCL_OK] = "ok",
                                      [MCL_ERROR_MEMORY] = "memory",
                                      [MCL_ERROR_ARGUMENT] = "argument",
                                      [MCL_ERROR_IO] = "io",
                                      [MCL_ERROR_FORMAT] = "format",
                                      [MCL_ERROR_UNSUPPORTED] = "unsupported",
                                      [MCL_ERROR_NUMERIC] = "numeric",
                                      [MCL_ERROR_BUDGET] = "budget",
                                      [MCL_ERROR_CANCELLED] = "cancelled"};
  if ((unsigned)status >= sizeof names / sizeof *names) return "unknown";
  return names[status];
}

void mcl_fail_message(mcl_context *ctx, const char *format, ...) {
  char text[sizeof ctx->message]; /* arguments may point into the old message */
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&ctx->lock);
  memcpy(ctx->message, text, sizeof text);
  pthread_mutex_unlock(&ctx->lock);
}

mcl_status mcl_fail_where(mcl_context *ctx, mcl_status status, const char *format, ...) {
  char where[sizeof ctx->message];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(where, sizeof where, format, args);
  va_end(args);
  if (length < 0) return status;
  pthread_mutex_lock(&ctx->lock);
  size_t used = strnlen(where, sizeof where);
  if (snprintf(where + used, sizeof where - used, ": %s", ctx->message) < 0)
    where[used] = '\0'; /* cut where it is full */
  memcpy(ctx->message, where, sizeof where);
  pthread_mutex_unlock(&ctx->lock);
  return status;
}

/* ---- Cancel ---- */

void mcl_context_cancel(mcl_context *ctx) { atomic_store_explicit(&ctx->cancel, true, memory_order_relaxed); }
void mcl_context_resume(mcl_context *ctx) { atomic_store_explicit(&ctx->cancel, false, memory_order_relaxed); }

void mcl_cancel_work(mcl_context *ctx, bool on) { atomic_store_explicit(&ctx->ended, on, memory_order_relaxed); }

void mcl_cancel_shield(mcl_context *ctx, bool on) { atomic_store(&ctx->shielded, on); }

mcl_status mcl_check_cancel(mcl_context *ctx) {
  if (ctx->asked) ctx->asked(ctx);
  if (atomic_load_explicit(&ctx->shielded, memory_order_relaxed)) return MCL_OK;
  if (ctx->options.cancelled && pthread_equal(pthread_self(), ctx->owner)) {
    uint64_t now = mcl_now_us();
    if (now >= ctx->next_ask_us) {
      ctx->next_ask_us = now + CANCEL_INTERVAL_US;
      if (ctx->options.cancelled(ctx->options.user)) mcl_context_cancel(ctx);
    }
  }
  if (!atomic_load_explicit(&ctx->cancel, memory_order_relaxed) &&
      !atomic_load_explicit(&ctx->ended, memory_order_relaxed))
    return MCL_OK;
  return mcl_fail(ctx, MCL_ERROR_CANCELLED, "cancelled");
}

/* ---- Log and progress ---- */

void mcl_log(mcl_context *ctx, mcl_log_level level, const char *format, ...) {
  if (!ctx->options.log) return;
  char line[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  ctx->options.log(ctx->options.user, level, line);
}

void mcl_progress(mcl_context *ctx, const char *task, double done, double total, const char *unit) {
  if (!ctx->options.progress || !pthread_equal(pthread_self(), ctx->owner)) return;
  uint64_t now = mcl_now_us();
  if (now < ctx->next_progress_us && done < total) return; /* the end is always told */
  ctx->next_progress_us = now + PROGRESS_INTERVAL_US;
  ctx->options.progress(ctx->options.user, task, done, total, unit);
}
