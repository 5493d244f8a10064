/* Base: memory limits, threads, random numbers, bytes. */
#include "unit/check.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/threads.h"

/* ---- Memory ---- */

static void memory_is_counted_and_limited(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options options = {.memory_limit = 1000};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  void *a, *b;
  assert_ok(ctx, mcl_alloc(ctx, 900, &a));
  assert_int_equal((uintptr_t)a % 64, 0);
  assert_int_equal(mcl_context_memory(ctx), 900);
  assert_fails(ctx, MCL_ERROR_MEMORY, "limit of 1000", mcl_alloc(ctx, 101, &b));
  assert_null(b);
  assert_ok(ctx, mcl_realloc(ctx, 90, &a));
  assert_int_equal(mcl_context_memory(ctx), 90);
  mcl_free(ctx, a);
  assert_int_equal(mcl_context_memory(ctx), 0);
  assert_int_equal(mcl_context_memory_peak(ctx), 990);
  mcl_context_free(ctx);
}

static void *refuse_large(void *user, size_t size, size_t alignment) {
  (void)user;
  void *p;
  return size > 100000 || posix_memalign(&p, alignment, size) ? NULL : p;
}
static void free_any(void *user, void *memory, size_t size) {
  (void)user, (void)size;
  free(memory);
}

static void the_peak_is_of_what_was_held_not_of_what_was_refused(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options options = {.allocate = refuse_large, .release = free_any};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  void *a, *b;
  assert_ok(ctx, mcl_alloc(ctx, 300, &a));
  assert_fails(ctx, MCL_ERROR_MEMORY, "were refused", mcl_alloc(ctx, 1000000, &b));
  mcl_free(ctx, a);
  assert_int_equal(mcl_context_memory_peak(ctx), 300);
  mcl_context_free(ctx);
}

static void an_array_whose_size_overflows_is_refused(void **state) {
  void *p;
  assert_fails(*state, MCL_ERROR_MEMORY, "out of memory", mcl_alloc_array(*state, SIZE_MAX / 2, 4, &p));
  assert_fails(*state, MCL_ERROR_MEMORY, "out of memory", mcl_alloc(*state, SIZE_MAX, &p));
}

static size_t host_held;
static void *host_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  host_held += size;
  void *p;
  return posix_memalign(&p, alignment, size) ? NULL : p;
}
static void host_release(void *user, void *memory, size_t size) {
  (void)user;
  host_held -= size;
  free(memory);
}

static void a_hosts_allocator_gets_all_of_its_memory_back(void **state) {
  (void)state;
  mcl_context *ctx;
  mcl_options options = {.allocate = host_allocate, .release = host_release, .threads = 3};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  char *text;
  assert_ok(ctx, mcl_strdup(ctx, "text", &text));
  assert_true(host_held > 5);
  mcl_free(ctx, text);
  mcl_context_free(ctx);
  assert_int_equal(host_held, 0);
  options.release = NULL; /* one without the other */
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_ERROR_ARGUMENT);
}

/* ---- Threads ---- */

typedef struct counts {
  mcl_context *ctx;
  int seen[1000];
  int64_t fail_from;
} counts;

static mcl_status count_chunk(void *arg, int64_t chunk, int worker) {
  counts *c = arg;
  (void)worker;
  c->seen[chunk]++;
  if (chunk >= c->fail_from) return mcl_fail(c->ctx, MCL_ERROR_NUMERIC, "chunk %d", (int)chunk);
  return MCL_OK;
}

static void every_chunk_runs_once_with_any_number_of_threads(void **state) {
  (void)state;
  for (int threads = 1; threads <= 5; threads++) {
    mcl_context *ctx;
    mcl_options options = {.threads = threads};
    assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
    counts c = {.ctx = ctx, .fail_from = 5000};
    for (int round = 1; round <= 50; round++) {
      assert_ok(ctx, mcl_parallel(ctx, 1000, count_chunk, &c));
      for (int i = 0; i < 1000; i++) assert_int_equal(c.seen[i], round);
    }
    mcl_context_free(ctx);
  }
}

static void a_failure_of_a_chunk_is_the_calls_failure_and_the_pool_goes_on(void **state) {
  mcl_context *ctx = *state;
  counts c = {.ctx = ctx, .fail_from = 0};
  assert_fails(ctx, MCL_ERROR_NUMERIC, "chunk", mcl_parallel(ctx, 1000, count_chunk, &c));
  counts good = {.ctx = ctx, .fail_from = 5000};
  assert_ok(ctx, mcl_parallel(ctx, 1000, count_chunk, &good));
}

static mcl_status nested_chunk(void *arg, int64_t chunk, int worker) {
  counts *c = arg;
  (void)worker;
  return chunk ? MCL_OK : mcl_parallel(c->ctx, 1000, count_chunk, c);
}

static void a_call_from_within_a_chunk_runs_in_its_thread(void **state) {
  counts c = {.ctx = *state, .fail_from = 5000};
  assert_ok(*state, mcl_parallel(*state, 8, nested_chunk, &c));
  for (int i = 0; i < 1000; i++) assert_int_equal(c.seen[i], 1);
}

/* Keeps the highest worker that a context of one thread was told, in each chunk of a context of four. */
static mcl_status highest_worker(void *arg, int64_t chunk, int worker) {
  (void)chunk;
  if (worker > *(int *)arg) *(int *)arg = worker;
  return MCL_OK;
}

static mcl_status use_another_context(void *arg, int64_t chunk, int worker) {
  (void)worker;
  mcl_options one = {.threads = 1};
  mcl_context *ctx;
  for (volatile int i = 0; i < 200000; i++) continue; /* so that every worker gets a chunk */
  if (mcl_context_new(&one, &ctx)) return MCL_ERROR_MEMORY;
  mcl_status status = mcl_parallel(ctx, 4, highest_worker, &((int *)arg)[chunk]);
  mcl_context_free(ctx);
  return status;
}

static void a_call_in_another_context_is_that_contexts_own(void **state) {
  (void)state;
  mcl_options four = {.threads = 4};
  mcl_context *ctx;
  int highest[64] = {0};
  assert_int_equal(mcl_context_new(&four, &ctx), MCL_OK);
  assert_ok(ctx, mcl_parallel(ctx, 64, use_another_context, highest));
  for (int i = 0; i < 64; i++) assert_int_equal(highest[i], 0);
  mcl_context_free(ctx);
}

typedef struct two_contexts {
  mcl_context *outer, *inner;
  int worker;
} two_contexts;

static mcl_status same_worker(void *arg, int64_t chunk, int worker) {
  (void)chunk;
  return worker == ((two_contexts *)arg)->worker ? MCL_OK : MCL_ERROR_ARGUMENT;
}

static mcl_status back_to_the_outer(void *arg, int64_t chunk, int worker) {
  (void)chunk, (void)worker;
  return mcl_parallel(((two_contexts *)arg)->outer, 4, same_worker, arg);
}

static mcl_status into_the_inner(void *arg, int64_t chunk, int worker) {
  two_contexts *contexts = arg;
  if (chunk) return MCL_OK;
  contexts->worker = worker;
  return mcl_parallel(contexts->inner, 1, back_to_the_outer, arg);
}

static void a_call_through_another_context_is_still_within_the_first(void **state) {
  two_contexts contexts = {.outer = *state};
  mcl_options one = {.threads = 1};
  assert_int_equal(mcl_context_new(&one, &contexts.inner), MCL_OK);
  assert_ok(*state, mcl_parallel(*state, 8, into_the_inner, &contexts));
  mcl_context_free(contexts.inner);
}

static void a_child_of_fork_goes_on_with_a_context_that_was_used(void **state) {
  mcl_context *ctx = *state;
  counts c = {.ctx = ctx, .fail_from = 5000};
  assert_ok(ctx, mcl_parallel(ctx, 1000, count_chunk, &c));
  pid_t child = fork();
  if (child == 0) {
    alarm(20); /* where it hung */
    bool done = mcl_parallel(ctx, 1000, count_chunk, &c) == MCL_OK;
    for (int i = 0; i < 1000; i++) done &= c.seen[i] == 2;
    mcl_context_free(ctx);
    _exit(done ? 0 : 1);
  }
  int ended = -1;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
  assert_ok(ctx, mcl_parallel(ctx, 1000, count_chunk, &c)); /* and the parent as before */
}

static void cancel_stops_work_until_resumed(void **state) {
  mcl_context *ctx = *state;
  counts c = {.ctx = ctx, .fail_from = 5000};
  mcl_context_cancel(ctx);
  assert_fails(ctx, MCL_ERROR_CANCELLED, "cancelled", mcl_parallel(ctx, 1000, count_chunk, &c));
  mcl_context_resume(ctx);
  assert_ok(ctx, mcl_parallel(ctx, 1000, count_chunk, &c));
}

/* ---- Random numbers ---- */

/* The known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_gives_the_published_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], expected[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint32_t out[4];
    mcl_philox(known[i].key, known[i].counter, out);
    assert_memory_equal(out, known[i].expected, sizeof out);
  }
}

static void numbers_have_their_distributions(void **state) {
  (void)state;
  enum { N = 200000 };
  mcl_random random = mcl_random_at(1, mcl_random_stream("test"));
  double sum = 0, squares = 0, uniform = 0;
  int below[7] = {0};
  for (int i = 0; i < N; i++) {
    double x = mcl_random_normal(&random), u = mcl_random_uniform(&random);
    assert_true(u >= 0 && u < 1);
    sum += x, squares += x * x, uniform += u;
    below[mcl_random_below(&random, 7)]++;
  }
  assert_close(sum / N, 0, 0.01); /* 4.5 deviations of the mean */
  assert_close(squares / N, 1, 0.015);
  assert_close(uniform / N, 0.5, 0.003);
  for (int i = 0; i < 7; i++) assert_close(below[i] / (double)N, 1 / 7.0, 0.0035);
}

static void a_shuffle_is_a_permutation_that_the_seed_decides(void **state) {
  (void)state;
  uint32_t a[100], b[100], seen[100] = {0};
  for (uint32_t i = 0; i < 100; i++) a[i] = b[i] = i;
  mcl_random one = mcl_random_at(5, 1), same = mcl_random_at(5, 1);
  mcl_random_shuffle(&one, a, 100);
  mcl_random_shuffle(&same, b, 100);
  assert_memory_equal(a, b, sizeof a);
  int moved = 0;
  for (uint32_t i = 0; i < 100; i++) {
    seen[a[i]]++;
    moved += a[i] != i;
  }
  for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
  assert_true(moved > 80);
}

/* ---- Bytes ---- */

static void numbers_read_back_as_written(void **state) {
  mcl_buffer buffer = {.ctx = *state};
  static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
  for (size_t i = 0; i < 8; i++) assert_ok(*state, mcl_buffer_varint(&buffer, numbers[i]));
  assert_ok(*state, mcl_buffer_f32(&buffer, -1.5f));
  assert_ok(*state, mcl_buffer_u64(&buffer, 0x0123456789abcdef));
  mcl_reader reader = {*state, buffer.data, buffer.size, 0, "here"};
  uint64_t value;
  for (size_t i = 0; i < 8; i++) {
    assert_ok(*state, mcl_read_varint(&reader, &value));
    assert_true(value == numbers[i]);
  }
  uint32_t bits;
  assert_ok(*state, mcl_read_u32(&reader, &bits));
  assert_int_equal(bits, 0xbfc00000); /* -1.5 */
  assert_ok(*state, mcl_read_u64(&reader, &value));
  assert_true(value == 0x0123456789abcdef);
  assert_int_equal(reader.at, reader.size);
  uint8_t byte;
  assert_fails(*state, MCL_ERROR_FORMAT, "here: ends at byte", mcl_read_u8(&reader, &byte));
  mcl_buffer_free(&buffer);
}

static void a_varint_has_one_form_and_an_end(void **state) {
  static const uint8_t overlong[] = {0x80, 0x00}, endless[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
                       above[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, cut[] = {0x80};
  uint64_t value;
  mcl_reader r = {*state, overlong, sizeof overlong, 0, "file"};
  assert_fails(*state, MCL_ERROR_FORMAT, "varint", mcl_read_varint(&r, &value));
  r = (mcl_reader){*state, endless, sizeof endless, 0, "file"};
  assert_fails(*state, MCL_ERROR_FORMAT, "varint", mcl_read_varint(&r, &value));
  r = (mcl_reader){*state, above, sizeof above, 0, "file"};
  assert_fails(*state, MCL_ERROR_FORMAT, "varint", mcl_read_varint(&r, &value));
  r = (mcl_reader){*state, cut, sizeof cut, 0, "file"};
  assert_fails(*state, MCL_ERROR_FORMAT, "ends at byte 1", mcl_read_varint(&r, &value));
}

static void a_message_says_where_first(void **state) {
  assert_fails(*state, MCL_ERROR_FORMAT, "outer: inner 7",
               mcl_fail_where(*state, mcl_fail(*state, MCL_ERROR_FORMAT, "inner %d", 7), "outer"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_counted_and_limited),
      cmocka_unit_test(the_peak_is_of_what_was_held_not_of_what_was_refused),
      context_test(an_array_whose_size_overflows_is_refused),
      cmocka_unit_test(a_hosts_allocator_gets_all_of_its_memory_back),
      cmocka_unit_test(every_chunk_runs_once_with_any_number_of_threads),
      context_test(a_failure_of_a_chunk_is_the_calls_failure_and_the_pool_goes_on),
      context_test(a_call_from_within_a_chunk_runs_in_its_thread),
      cmocka_unit_test(a_call_in_another_context_is_that_contexts_own),
      context_test(a_call_through_another_context_is_still_within_the_first),
      context_test(a_child_of_fork_goes_on_with_a_context_that_was_used),
      context_test(cancel_stops_work_until_resumed),
      cmocka_unit_test(philox_gives_the_published_answers),
      cmocka_unit_test(numbers_have_their_distributions),
      cmocka_unit_test(a_shuffle_is_a_permutation_that_the_seed_decides),
      context_test(numbers_read_back_as_written),
      context_test(a_varint_has_one_form_and_an_end),
      context_test(a_message_says_where_first),
  };
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
