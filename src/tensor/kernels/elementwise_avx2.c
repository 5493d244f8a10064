/* The element-wise kernels for AVX2. */
#if defined(__AVX2__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Whole vectors go around the caches; the ends, which share their cache lines with neighbours, do not. */
static void stream(float *out, const float *in, size_t n) {
  size_t i = 0;
  for (; i < n && (uintptr_t)(out + i) % 32; i++) out[i] = in[i];
  for (; i + 8 <= n; i += 8) _mm256_stream_ps(out + i, _mm256_loadu_ps(in + i));
  for (; i < n; i++) out[i] = in[i];
}

#define MCL_TABLE mcl_elementwise_avx2
#define MCL_STREAM stream
#include "tensor/kernels/elementwise_body.h"
#else
typedef int mcl_no_avx2;
#endif
