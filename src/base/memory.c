/* Memory: every block carries its size in front, so that the host's release gets it and a limit can be kept. */
#include "base/context_private.h"

#include <stdint.h>
#include <string.h>

#define HEAD 64 /* keeps the alignment */

static size_t *head_of(void *memory) { return (size_t *)(void *)((uint8_t *)memory - HEAD); }

/* Counts `size` more bytes, unless that passes the limit; *held is what it makes. What is refused is never counted, so
 * that no other thread's request is refused for it. */
static bool take(mcl_context *ctx, size_t size, size_t *held) {
  size_t before = atomic_load_explicit(&ctx->memory, memory_order_relaxed);
  do {
    *held = before + size;
    if (ctx->options.memory_limit && *held > ctx->options.memory_limit) return false;
  } while (
      !atomic_compare_exchange_weak_explicit(&ctx->memory, &before, *held, memory_order_relaxed, memory_order_relaxed));
  return true;
}

/* The peak is of memory that was there: it is noted once the host has given it. */
static void note_peak(mcl_context *ctx, size_t held) {
  size_t peak = atomic_load_explicit(&ctx->memory_peak, memory_order_relaxed);
  while (held > peak && !atomic_compare_exchange_weak_explicit(&ctx->memory_peak, &peak, held, memory_order_relaxed,
                                                               memory_order_relaxed)) {}
}

static mcl_status refuse(mcl_context *ctx, size_t size, bool limit) {
  if (limit)
    return mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: %zu more bytes would pass the limit of %zu", size,
                    ctx->options.memory_limit);
  return mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: %zu bytes were refused", size);
}

mcl_status mcl_alloc(mcl_context *ctx, size_t size, void *out) {
  void **to = out;
  size_t held;
  *to = NULL;
  if (size > PTRDIFF_MAX - HEAD) return refuse(ctx, size, false);
  if (!take(ctx, size, &held)) return refuse(ctx, size, true);
  uint8_t *block = ctx->options.allocate(ctx->options.user, size + HEAD, 64);
  if (!block) {
    atomic_fetch_sub_explicit(&ctx->memory, size, memory_order_relaxed);
    return refuse(ctx, size, false);
  }
  note_peak(ctx, held);
  *to = block + HEAD;
  *head_of(*to) = size;
  return MCL_OK;
}

/* ---- Much memory, in pieces between which a cancel is heard ---- */

#define PIECE ((size_t)8 << 20) /* 2 to 10 ms where the pages are new */

mcl_status mcl_copy(mcl_context *ctx, void *to, const void *from, size_t size) {
  for (size_t at = 0; at < size; at += PIECE) {
    if (at) MCL_TRY(mcl_check_cancel(ctx));
    memcpy((uint8_t *)to + at, (const uint8_t *)from + at, size - at < PIECE ? size - at : PIECE);
  }
  return MCL_OK;
}

mcl_status mcl_zero(mcl_context *ctx, void *to, size_t size) {
  for (size_t at = 0; at < size; at += PIECE) {
    if (at) MCL_TRY(mcl_check_cancel(ctx));
    memset((uint8_t *)to + at, 0, size - at < PIECE ? size - at : PIECE);
  }
  return MCL_OK;
}

mcl_status mcl_alloc_zero(mcl_context *ctx, size_t size, void *out) {
  void **to = out;
  MCL_TRY(mcl_alloc(ctx, size, out));
  mcl_status status = mcl_zero(ctx, *to, size);
  if (!status) return MCL_OK;
  mcl_free(ctx, *to);
  *to = NULL;
  return status;
}

mcl_status mcl_alloc_array(mcl_context *ctx, size_t count, size_t size, void *out) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    *(void **)out = NULL;
    return mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: %zu elements of %zu bytes are more than an address holds",
                    count, size);
  }
  return mcl_alloc(ctx, total, out);
}

mcl_status mcl_realloc(mcl_context *ctx, size_t size, void *memory) {
  void **at = memory, *fresh;
  MCL_TRY(mcl_alloc(ctx, size, &fresh));
  if (*at) {
    size_t old = *head_of(*at);
    mcl_status status = mcl_copy(ctx, fresh, *at, old < size ? old : size);
    mcl_free(ctx, status ? fresh : *at);
    if (status) return status;
  }
  *at = fresh;
  return MCL_OK;
}

void mcl_free(mcl_context *ctx, void *memory) {
  if (!memory) return;
  size_t size = *head_of(memory);
  atomic_fetch_sub_explicit(&ctx->memory, size, memory_order_relaxed);
  ctx->options.release(ctx->options.user, (uint8_t *)memory - HEAD, size + HEAD);
}

bool mcl_memory_count(mcl_context *ctx, size_t old, size_t size) {
  size_t held;
  if (size <= old) {
    atomic_fetch_sub_explicit(&ctx->memory, old - size, memory_order_relaxed);
    return true;
  }
  if (!take(ctx, size - old, &held)) return false;
  note_peak(ctx, held);
  return true;
}

mcl_status mcl_strdup(mcl_context *ctx, const char *text, char **out) {
  size_t size = strlen(text) + 1;
  MCL_TRY(mcl_alloc(ctx, size, out));
  memcpy(*out, text, size);
  return MCL_OK;
}

size_t mcl_context_memory(const mcl_context *ctx) { return atomic_load_explicit(&ctx->memory, memory_order_relaxed); }
size_t mcl_context_memory_peak(const mcl_context *ctx) {
  return atomic_load_explicit(&ctx->memory_peak, memory_order_relaxed);
}
