/* zstd, for metadata and as an outer wrap. The frame's magic number is not stored: it is the same in every frame. */
#include "coding/coding.h"

#ifdef MCL_WITH_ZSTD
#include <zstd.h>

#define MAGIC_SIZE 4

mcl_status mcl_zstd_decompress(mcl_context *ctx, const uint8_t *data, size_t size, uint8_t *out, size_t out_size) {
  static const uint8_t magic[MAGIC_SIZE] = {0x28, 0xb5, 0x2f, 0xfd};
  uint8_t *frame = NULL; /* in one pass, so that zstd needs no window of the frame's wish */
  MCL_TRY(mcl_alloc(ctx, size + MAGIC_SIZE, &frame));
  memcpy(frame, magic, MAGIC_SIZE);
  if (size) memcpy(frame + MAGIC_SIZE, data, size);
  mcl_status status = MCL_OK;
  size_t written = 0;
  if (ZSTD_findFrameCompressedSize(frame, size + MAGIC_SIZE) != size + MAGIC_SIZE)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: not one whole frame of %zu bytes", size);
  if (!status) written = ZSTD_decompress(out, out_size, frame, size + MAGIC_SIZE);
  if (!status && ZSTD_isError(written))
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: %s", ZSTD_getErrorName(written));
  if (!status && written != out_size)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "zstd: the frame holds %zu bytes, not %zu", written, out_size);
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
