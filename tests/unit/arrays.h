/* What the tests of array files share: a context whose memory must all come back, and files in the working folder. */
#ifndef MCL_TESTS_ARRAYS_H
#define MCL_TESTS_ARRAYS_H

#include "unit/check.h"

#include <unistd.h>

#include "formats/arrays.h"

static inline int teardown_empty_context(void **state) {
  size_t held = mcl_context_memory(*state);
  mcl_context_free(*state);
  if (held) print_error("%zu bytes were not given back\n", held);
  return held ? -1 : 0;
}
#define array_test(fn) cmocka_unit_test_setup_teardown(fn, setup_context, teardown_empty_context)

/* A copy that ends where its allocation ends, so that the sanitizers see a read past it. */
static inline uint8_t *exact_copy(mcl_context *ctx, const void *data, size_t size) {
  uint8_t *copy;
  assert_ok(ctx, mcl_alloc(ctx, size, &copy));
  if (size) memcpy(copy, data, size);
  return copy;
}

static inline void write_file(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

#endif
