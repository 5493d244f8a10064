/* zstd's compressing half. One thread and no checksum: the same bytes everywhere, and the container has its hashes. */
#include "coding/coding.h"

#ifdef MCL_WITH_ZSTD
#define ZSTD_STATIC_LINKING_ONLY /* for memory of our own */
#include <zstd.h>

#define MAGIC_SIZE 4
#define PIECE                                                                                                          \
  ((size_t)32 << 10) /* of input, between questions whether to stop; a block is 128 KB, 30 to 100 ms at level 22 */

/* zstd clears its tables at once, half a gigabyte at the highest levels: much faster where the pages are there
 * already, and what makes them here can be stopped. They count as the context's memory, too. */
static void *allocate(void *ctx, size_t size) {
  void *memory;
  return mcl_alloc_zero(ctx, size, &memory) ? NULL : memory;
}

static void release(void *ctx, void *memory) { mcl_free(ctx, memory); }

/* The whole frame, magic and all, into `to`. */
static mcl_status compress_pieces(mcl_context *ctx, ZSTD_CCtx *zstd, const uint8_t *data, size_t size,
                                  ZSTD_outBuffer *to) {
  ZSTD_inBuffer from = {data, 0, 0};
  size_t left = 1;
  while (left) {
    MCL_TRY(mcl_check_cancel(ctx));
    from.size = size - from.pos < PIECE ? size : from.pos + PIECE;
    left = ZSTD_compressStream2(zstd, to, &from, from.size == size ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) MCL_TRY(mcl_check_cancel(ctx));
    if (ZSTD_isError(left)) return mcl_fail(ctx, MCL_ERROR_MEMORY, "zstd: %s", ZSTD_getErrorName(left));
    if (from.size < size) left = 1;
    mcl_progress(ctx, "zstd", (double)from.pos, (double)size, "bytes");
  }
  return MCL_OK;
}

mcl_status mcl_zstd_compress(mcl_context *ctx, const uint8_t *data, size_t size, int level, mcl_buffer *out) {
  if (level < 1 || level > ZSTD_maxCLevel())
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "zstd: level %d is not within 1 … %d", level, ZSTD_maxCLevel());
  ZSTD_outBuffer to = {NULL, ZSTD_compressBound(size), 0};
  uint8_t *frame = NULL;
  MCL_TRY(mcl_alloc(ctx, to.size, &frame));
  to.dst = frame;
  ZSTD_CCtx *zstd = ZSTD_createCCtx_advanced((ZSTD_customMem){allocate, release, ctx});
  mcl_status status = MCL_OK;
  if (!zstd) {
    status = mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: zstd got none");
  } else {
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setPledgedSrcSize(zstd, size);
    status = compress_pieces(ctx, zstd, data, size, &to);
  }
  if (!status) status = mcl_buffer_append(out, frame + MAGIC_SIZE, to.pos - MAGIC_SIZE);
  ZSTD_freeCCtx(zstd);
  mcl_free(ctx, frame);
  return status;
}

#else

mcl_status mcl_zstd_compress(mcl_context *ctx, const uint8_t *data, size_t size, int level, mcl_buffer *out) {
  (void)data, (void)size, (void)level, (void)out;
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "zstd: this library was built without it (MCL_WITH_ZSTD)");
}

#endif
