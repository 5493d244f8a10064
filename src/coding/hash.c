/* XXH3-64, compiled in. */
#include <xxhash.h>

#include "coding/coding.h"

uint64_t mcl_hash(const void *data, size_t size) { return XXH3_64bits(data, size); }
