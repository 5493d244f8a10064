/* The element-wise kernels for any processor, and the choice among the tables. */
#include <string.h>

static void stream(float *out, const float *in, unsigned long n) { memcpy(out, in, n * sizeof *out); }

#define MCL_TABLE mcl_elementwise_portable
#define MCL_STREAM stream
#include "tensor/kernels/elementwise_body.h"

const mcl_elementwise_table *mcl_elementwise_kernels(mcl_isa isa) {
#if defined(__x86_64__)
  if (isa == MCL_ISA_AVX512) return &mcl_elementwise_avx512;
  if (isa == MCL_ISA_AVX2) return &mcl_elementwise_avx2;
#else
  (void)isa;
#endif
  return &mcl_elementwise_portable;
}
