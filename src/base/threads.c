/* The thread pool. One job at a time; workers spin a little before they sleep, since steps of training follow each
 * other within microseconds. Each worker begins with a share of its own, the same share of every job, so that what one
 * op left in its cache is there for the next; then it helps the others. */
#include "base/threads.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/context_private.h"

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() ((void)0)
#endif

#define SPINS 4000 /* some 50 µs */

/* A worker's share: chunks next … end-1 are nobody's yet. Alone in its cache line. */
typedef struct mcl_share {
  _Alignas(64) atomic_llong next;
  int64_t end;
} mcl_share;

typedef struct mcl_job {
  mcl_chunk_fn fn;
  void *arg;
  mcl_share *share; /* [workers] */
  int workers;
  pthread_mutex_t lock; /* of the two below */
  int64_t failed_chunk;
  mcl_status status;
  char message[sizeof((mcl_context *)0)->message];
  atomic_bool stop;
} mcl_job;

struct mcl_pool {
  mcl_context *ctx;
  pid_t process; /* that has its threads: a child after fork has none of them */
  int helpers;   /* threads besides the caller */
  pthread_t *thread;
  mcl_job job;
  atomic_uint generation; /* goes up with every job, and at the end */
  atomic_int busy;        /* helpers that have not finished the job */
  atomic_int sleepers;
  bool quit;
  pthread_mutex_t lock;
  pthread_cond_t wake;
};

typedef struct mcl_helper {
  mcl_pool *pool;
  int worker;
} mcl_helper;

/* The chunks that this thread is within, innermost first: of one context at most one each. A call from a chunk runs in
 * its thread, as the worker that it is in that context; in another context it is as from anywhere. */
typedef struct mcl_within {
  const mcl_context *ctx;
  int worker;
  const struct mcl_within *outer;
} mcl_within;

static _Thread_local const mcl_within *within;

static const mcl_within *find_within(const mcl_context *ctx) {
  const mcl_within *at = within;
  while (at && at->ctx != ctx) at = at->outer;
  return at;
}

/* Keeps the failure of the lowest chunk, and its message. */
static void note_failure(mcl_context *ctx, mcl_job *job, int64_t chunk, mcl_status status) {
  pthread_mutex_lock(&job->lock);
  if (!job->status || chunk < job->failed_chunk) {
    job->status = status;
    job->failed_chunk = chunk;
    pthread_mutex_lock(&ctx->lock);
    memcpy(job->message, ctx->message, sizeof job->message);
    pthread_mutex_unlock(&ctx->lock);
  }
  pthread_mutex_unlock(&job->lock);
  atomic_store_explicit(&job->stop, true, memory_order_relaxed);
}

static void run_chunks(mcl_context *ctx, mcl_job *job, int worker) {
  const mcl_within here = {ctx, worker, within};
  within = &here;
  for (int i = 0; i < job->workers; i++) {
    mcl_share *share = &job->share[(worker + i) % job->workers];
    while (!atomic_load_explicit(&job->stop, memory_order_relaxed)) {
      int64_t chunk = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
      if (chunk >= share->end) break;
      mcl_status status = mcl_check_cancel(ctx);
      if (!status) status = job->fn(job->arg, chunk, worker);
      if (status) note_failure(ctx, job, chunk, status);
    }
  }
  within = here.outer;
}

static void wait_for_job(mcl_pool *pool, unsigned seen) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
    RELAX();
  }
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
    pthread_cond_wait(&pool->wake, &pool->lock);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->lock);
}

static void *helper_main(void *arg) {
  mcl_helper helper = *(mcl_helper *)arg;
  mcl_pool *pool = helper.pool;
  mcl_free(pool->ctx, arg);
  for (unsigned seen = 0;;) {
    wait_for_job(pool, seen);
    seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (pool->quit) return NULL;
    run_chunks(pool->ctx, &pool->job, helper.worker);
    atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_release);
  }
}

static void announce(mcl_pool *pool) {
  atomic_fetch_add(&pool->generation, 1); /* sequentially consistent, as is sleepers: no wake-up is lost */
  if (atomic_load(&pool->sleepers) == 0) return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

static mcl_status pool_new(mcl_context *ctx) {
  mcl_pool *pool;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *pool, &pool));
  mcl_status status = mcl_alloc_array(ctx, (size_t)ctx->threads, sizeof *pool->thread, &pool->thread);
  if (!status) status = mcl_alloc_array(ctx, (size_t)ctx->threads, sizeof *pool->job.share, &pool->job.share);
  if (status) {
    mcl_free(ctx, pool->thread);
    mcl_free(ctx, pool);
    return status;
  }
  pool->ctx = ctx;
  pool->process = getpid();
  pthread_mutex_init(&pool->lock, NULL);
  pthread_mutex_init(&pool->job.lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  ctx->pool = pool;
  for (int i = 1; i < ctx->threads; i++) {
    mcl_helper *helper;
    if (mcl_alloc(ctx, sizeof *helper, &helper)) break; /* fewer threads do the same work */
    *helper = (mcl_helper){pool, i};
    if (pthread_create(&pool->thread[pool->helpers], NULL, helper_main, helper)) {
      mcl_free(ctx, helper);
      break;
    }
    pool->helpers++;
  }
  pool->job.workers = pool->helpers + 1;
  return MCL_OK;
}

static void end_threads(mcl_pool *pool) {
  pool->quit = true;
  announce(pool);
  for (int i = 0; i < pool->helpers; i++) pthread_join(pool->thread[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  pthread_mutex_destroy(&pool->job.lock);
}

void mcl_pool_free(mcl_context *ctx) {
  mcl_pool *pool = ctx->pool;
  if (!pool) return;
  if (pool->process == getpid())
    end_threads(pool); /* else its threads are the parent's, and its locks as fork met them */
  mcl_free(ctx, pool->thread);
  mcl_free(ctx, pool->job.share);
  mcl_free(ctx, pool);
  ctx->pool = NULL;
}

/* In the calling thread, in order. */
static mcl_status run_here(mcl_context *ctx, int worker, int64_t chunks, mcl_chunk_fn fn, void *arg) {
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    MCL_TRY(mcl_check_cancel(ctx));
    MCL_TRY(fn(arg, chunk, worker));
  }
  return MCL_OK;
}

/* Where worker i's share begins; chunks · i could overflow. */
static int64_t boundary(int64_t chunks, int i, int workers) {
  return chunks / workers * i + chunks % workers * i / workers;
}

mcl_status mcl_parallel(mcl_context *ctx, int64_t chunks, mcl_chunk_fn fn, void *arg) {
  const mcl_within *outer = find_within(ctx);
  if (chunks <= 1 || ctx->threads == 1 || outer) return run_here(ctx, outer ? outer->worker : 0, chunks, fn, arg);
  if (ctx->pool && ctx->pool->process != getpid()) mcl_pool_free(ctx);
  if (!ctx->pool) MCL_TRY(pool_new(ctx));
  mcl_pool *pool = ctx->pool;
  mcl_job *job = &pool->job;
  job->fn = fn;
  job->arg = arg;
  job->status = MCL_OK;
  atomic_store(&job->stop, false);
  for (int i = 0; i < job->workers; i++) {
    atomic_store_explicit(&job->share[i].next, boundary(chunks, i, job->workers), memory_order_relaxed);
    job->share[i].end = boundary(chunks, i + 1, job->workers);
  }
  atomic_store(&pool->busy, pool->helpers);
  announce(pool);
  run_chunks(ctx, job, 0);
  for (int i = 0; atomic_load_explicit(&pool->busy, memory_order_acquire) > 0; i++) {
    if (i < SPINS)
      RELAX();
    else
      sched_yield();
  }
  if (job->status) return mcl_fail(ctx, job->status, "%s", job->message);
  return MCL_OK;
}

typedef struct ranges {
  mcl_range_fn fn;
  void *arg;
  int64_t n, grain;
} ranges;

static mcl_status run_range(void *arg, int64_t chunk, int worker) {
  const ranges *all = arg;
  int64_t first = chunk * all->grain, left = all->n - first;
  return all->fn(all->arg, first, left < all->grain ? left : all->grain, worker);
}

mcl_status mcl_parallel_ranges(mcl_context *ctx, int64_t n, int64_t grain, mcl_range_fn fn, void *arg) {
  ranges all = {fn, arg, n, grain};
  return n > 0 ? mcl_parallel(ctx, (n - 1) / grain + 1, run_range, &all) : MCL_OK;
}
