/* zstd's compressing half. One thread and no checksum: the same bytes everywhere, and the container has its hashes. */
#include "coding/coding.h"

#ifdef MCL_WITH_ZSTD
#include <zstd.h>

#define MAGIC_SIZE 4

mcl_status mcl_zstd_compress(mcl_context *ctx, const uint8_t *data, size_t size, int level, mcl_buffer *out) {
  if (level < 1 || level > ZSTD_maxCLevel())
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "zstd: level %d is not within 1 … %d", level, ZSTD_maxCLevel());
  size_t bound = ZSTD_compressBound(size);
  uint8_t *frame = NULL;
  MCL_TRY(mcl_alloc(ctx, bound, &frame));
  ZSTD_CCtx *zstd = ZSTD_createCCtx();
  mcl_status status = MCL_OK;
  if (!zstd) {
    status = mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: zstd got none");
  } else {
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    size_t written = ZSTD_compress2(zstd, frame, bound, data, size);
    if (ZSTD_isError(written))
      status = mcl_fail(ctx, MCL_ERROR_MEMORY, "zstd: %s", ZSTD_getErrorName(written));
    else
      status = mcl_buffer_append(out, frame + MAGIC_SIZE, written - MAGIC_SIZE);
  }
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
