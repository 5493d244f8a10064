/* XXH3-64, compiled in. */
#include <xxhash.h>

#include "coding/coding.h"

_Static_assert(sizeof(XXH3_state_t) <= sizeof(mcl_hasher), "mcl_hasher has room for XXH3's state");

uint64_t mcl_hash(const void *data, size_t size) { return XXH3_64bits(data, size); }

static XXH3_state_t *state_of(mcl_hasher *hasher) { return (XXH3_state_t *)(void *)hasher->state; }

void mcl_hasher_begin(mcl_hasher *hasher) {
  memset(hasher, 0, sizeof *hasher);
  XXH3_64bits_reset(state_of(hasher));
}

void mcl_hasher_add(mcl_hasher *hasher, const void *data, size_t size) {
  if (size) XXH3_64bits_update(state_of(hasher), data, size);
}

uint64_t mcl_hasher_end(const mcl_hasher *hasher) {
  return XXH3_64bits_digest((const XXH3_state_t *)(const void *)hasher->state);
}

mcl_status mcl_hash_long(mcl_context *ctx, const void *data, size_t size, uint64_t *out) {
  const size_t piece = (size_t)4 << 20; /* a file's pages may still have to come from a disk */
  mcl_hasher hasher;
  mcl_hasher_begin(&hasher);
  for (size_t at = 0; at < size; at += piece) {
    MCL_TRY(mcl_check_cancel(ctx));
    mcl_hasher_add(&hasher, (const uint8_t *)data + at, piece < size - at ? piece : size - at);
  }
  *out = mcl_hasher_end(&hasher);
  return MCL_OK;
}
