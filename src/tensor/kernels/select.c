/* The kernels of selection for any processor, and the choice among the tables. */
#include "tensor/kernels/select.h"

static void band(const float *x, size_t n, float low, float high, mcl_band_count *count, float *found) {
  mcl_band_scalar(x, n, low, high, count, found);
}

static void compare(const float *x, size_t n, float value, bool ties, uint64_t *words) {
  for (size_t i = 0; i < n; i += 64) *words++ = mcl_compare_scalar(x + i, n - i < 64 ? n - i : 64, value, ties);
}

const mcl_select_table mcl_select_portable = {.band = band, .compare = compare};

const mcl_select_table *mcl_select_kernels(mcl_isa isa) {
#if defined(__x86_64__)
  if (isa == MCL_ISA_AVX512) return &mcl_select_avx512;
  if (isa == MCL_ISA_AVX2) return &mcl_select_avx2;
#else
  (void)isa;
#endif
  return &mcl_select_portable;
}
