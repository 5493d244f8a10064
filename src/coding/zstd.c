/* zstd, for metadata and as an outer wrap. The frame's magic number is not stored: it is the same in every frame. */
#include "coding/coding.h"

#ifdef MCL_WITH_ZSTD
#define ZSTD_STATIC_LINKING_ONLY /* for decoding block by block */
#include <zstd.h>

#define MAGIC_SIZE 4

/* The blocks of one frame, each of 128 KB at most, one after the other into `out`: so that zstd needs no window of
 * the frame's wish, and a cancel is heard between them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* for streams through windows there is another way by now */
static mcl_status decompress_blocks(mcl_context *ctx, ZSTD_DCtx *zstd, const uint8_t *frame, size_t size, uint8_t *out,
                                    size_t out_size, size_t *written) {
  size_t at = 0, wanted, code = ZSTD_decompressBegin(zstd);
  while (!ZSTD_isError(code) && (wanted = ZSTD_nextSrcSizeToDecompress(zstd)) > 0) {
    MCL_TRY(mcl_check_cancel(ctx));
    if (wanted > size - at) return mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: the frame is cut short");
    code = ZSTD_decompressContinue(zstd, out + *written, out_size - *written, frame + at, wanted);
    at += wanted;
    if (!ZSTD_isError(code)) *written += code;
  }
  if (ZSTD_isError(code)) return mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: %s", ZSTD_getErrorName(code));
  return MCL_OK;
}
#pragma GCC diagnostic pop

mcl_status mcl_zstd_decompress(mcl_context *ctx, const uint8_t *data, size_t size, uint8_t *out, size_t out_size) {
  static const uint8_t magic[MAGIC_SIZE] = {0x28, 0xb5, 0x2f, 0xfd};
  uint8_t *frame = NULL;
  ZSTD_DCtx *zstd = NULL;
  MCL_TRY(mcl_alloc(ctx, size + MAGIC_SIZE, &frame));
  memcpy(frame, magic, MAGIC_SIZE);
  mcl_status status = mcl_copy(ctx, frame + MAGIC_SIZE, data, size);
  size_t written = 0;
  if (!status && ZSTD_findFrameCompressedSize(frame, size + MAGIC_SIZE) != size + MAGIC_SIZE)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: not one whole frame of %zu bytes", size);
  if (!status && !(zstd = ZSTD_createDCtx())) status = mcl_fail(ctx, MCL_ERROR_MEMORY, "out of memory: zstd got none");
  if (!status) status = decompress_blocks(ctx, zstd, frame, size + MAGIC_SIZE, out, out_size, &written);
  if (!status && written != out_size)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: the frame holds %zu bytes, not %zu", written, out_size);
  ZSTD_freeDCtx(zstd);
  mcl_free(ctx, frame);
  return status;
}

#else

mcl_status mcl_zstd_decompress(mcl_context *ctx, const uint8_t *data, size_t size, uint8_t *out, size_t out_size) {
  (void)data, (void)size, (void)out, (void)out_size;
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                  "zstd: this runtime was built without it (MCL_WITH_ZSTD); `mcl convert IN OUT --portable` writes "
                  "files that it opens");
}

#endif
