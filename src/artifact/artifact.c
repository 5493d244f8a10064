/* Opening artifacts: from a mapped file or from memory; the hash of decoded values. */
#include "artifact/container.h"

mcl_status mcl_model_open(mcl_context *ctx, const char *path, mcl_model **out) {
  mcl_file_map *map;
  *out = NULL;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  return mcl_container_open(ctx, map, map->data, map->size, path, out);
}

mcl_status mcl_model_open_memory(mcl_context *ctx, const void *data, size_t size, mcl_model **out) {
  return mcl_container_open(ctx, NULL, data, size, "memory", out);
}

/* ---- Hashes of values ---- */

#define SLICE 65536 /* values at a time, about */

static void hash_floats(mcl_hasher *hasher, const float *values, size_t count) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  mcl_hasher_add(hasher, values, count * sizeof *values);
#else
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    uint8_t bytes[4];
    memcpy(&bits, &values[i], sizeof bits);
    mcl_store_u32(bytes, bits);
    mcl_hasher_add(hasher, bytes, sizeof bytes);
  }
#endif
}

mcl_status mcl_repr_hash(const mcl_repr *repr, uint64_t *out) {
  int64_t rows = mcl_shape_rows(repr->shape), cols = mcl_shape_cols(repr->shape);
  int64_t step = cols < SLICE ? SLICE / (cols > 0 ? cols : 1) : 1;
  mcl_hasher hasher;
  float *values;
  mcl_hasher_begin(&hasher);
  if (step > rows) step = rows;
  MCL_TRY(mcl_alloc_array(repr->ctx, (size_t)(step * cols), sizeof *values, &values));
  mcl_status status = MCL_OK;
  for (int64_t first = 0; first < rows && !status; first += step) {
    int64_t count = step < rows - first ? step : rows - first;
    status = mcl_check_cancel(repr->ctx);
    if (!status) status = mcl_repr_decode(repr, first, count, values);
    if (!status) hash_floats(&hasher, values, (size_t)(count * cols));
  }
  mcl_free(repr->ctx, values);
  *out = mcl_hasher_end(&hasher);
  return status;
}
