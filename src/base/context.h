/* The context: what every call takes instead of global state. Messages, memory, cancel, log, progress. */
#ifndef MCL_BASE_CONTEXT_H
#define MCL_BASE_CONTEXT_H

#include <mcl/mcl_runtime.h>

#if defined(__GNUC__)
#define MCL_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#else
#define MCL_PRINTF(at, first)
#endif

/* Leaves the function on failure. Only where nothing is held; otherwise `goto done`. */
#define MCL_TRY(call)                                                                                                  \
  do {                                                                                                                 \
    mcl_status mcl_try_status = (call);                                                                                \
    if (mcl_try_status) return mcl_try_status;                                                                         \
  } while (0)

/* Records a message and returns `status`: `return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: …", path)`.
 * A message says what, where, and what to do. */
#define mcl_fail(ctx, status, ...) (mcl_fail_message((ctx), __VA_ARGS__), (status)) /* so compilers know it is not 0 */
void mcl_fail_message(mcl_context *ctx, const char *format, ...) MCL_PRINTF(2, 3);
/* Puts "where: " before the message of the failure that is under way; returns `status` for chaining. */
mcl_status mcl_fail_where(mcl_context *ctx, mcl_status status, const char *format, ...) MCL_PRINTF(3, 4);

/* Memory, aligned to 64 bytes and counted against the context's limit. Not zeroed, but for mcl_alloc_zero. A size
 * of 0 gives a pointer that can be freed. Thread-safe. On failure *out is NULL and the message names the size. */
mcl_status mcl_alloc(mcl_context *ctx, size_t size, void *out /* void ** */);
mcl_status mcl_alloc_zero(mcl_context *ctx, size_t size, void *out);
/* count × size with overflow checked. */
mcl_status mcl_alloc_array(mcl_context *ctx, size_t count, size_t size, void *out);
/* Grows or shrinks *memory (which may be NULL); on failure it is left as it was. */
mcl_status mcl_realloc(mcl_context *ctx, size_t size, void *memory /* void ** */);
void mcl_free(mcl_context *ctx, void *memory); /* NULL is fine */
/* Memory that others allocate, counted as if it were ours: it grows or shrinks from `old` to `size` bytes. False, and
 * nothing counted, where that passes the limit. */
bool mcl_memory_count(mcl_context *ctx, size_t old, size_t size);
mcl_status mcl_strdup(mcl_context *ctx, const char *text, char **out);

/* MCL_ERROR_CANCELLED once cancel was asked for. Cheap: call it in every loop that may pass 10 ms. The host's
 * callback is asked only from the thread that owns the context; workers see the flag. */
mcl_status mcl_check_cancel(mcl_context *ctx);
/* For a serial loop: adds `steps`, of some nanoseconds each, to *work, and asks once in MCL_ASK_STEPS of them. */
#define MCL_ASK_STEPS ((int64_t)1 << 20)
static inline mcl_status mcl_worked(mcl_context *ctx, int64_t *work, int64_t steps) {
  *work += steps;
  if (*work < MCL_ASK_STEPS) return MCL_OK;
  *work = 0;
  return mcl_check_cancel(ctx);
}
/* memcpy and memset to zero of much: they ask every few megabytes, and stop there. */
mcl_status mcl_copy(mcl_context *ctx, void *to, const void *from, size_t size);
mcl_status mcl_zero(mcl_context *ctx, void *to, size_t size);
/* qsort, but stable, the same everywhere, and asking; the order is undefined after a cancel. May need memory. */
mcl_status mcl_sort(mcl_context *ctx, void *base, size_t count, size_t size,
                    int (*compare)(const void *a, const void *b));
/* While on, the work under way ends as by a cancel; the host's own cancel is neither set nor taken back. */
void mcl_cancel_work(mcl_context *ctx, bool on);
/* While on, mcl_check_cancel succeeds: for putting things back after a cancel, in a few milliseconds. */
void mcl_cancel_shield(mcl_context *ctx, bool on);

void mcl_log(mcl_context *ctx, mcl_log_level level, const char *format, ...) MCL_PRINTF(3, 4);
void mcl_progress(mcl_context *ctx, const char *task, double done, double total, const char *unit);

uint64_t mcl_now_us(void); /* monotonic */

/* What a module keeps in a context, as long as that lives: made when it is first asked for, by whichever thread. */
typedef enum mcl_slot { MCL_SLOT_MATMUL, MCL_SLOT_FILES, MCL_SLOT_COUNT } mcl_slot;
typedef struct mcl_keeper {
  mcl_status (*make)(mcl_context *ctx, void *out /* void ** */);
  void (*release)(mcl_context *ctx, void *kept);
} mcl_keeper;
/* Threads that race for it get the same; what the others made is released again. NULL: it could not be made. */
void *mcl_context_keep(mcl_context *ctx, mcl_slot slot, const mcl_keeper *keeper);
void *mcl_context_kept(mcl_context *ctx, mcl_slot slot); /* NULL where nobody has asked for it to be made */

/* mcl_options.dense_limit, or its preset for a file of this size. */
uint64_t mcl_context_dense_limit(const mcl_context *ctx, uint64_t file_bytes);
uint64_t mcl_context_seed(const mcl_context *ctx);
void mcl_context_set_seed(mcl_context *ctx, uint64_t seed);

#endif
