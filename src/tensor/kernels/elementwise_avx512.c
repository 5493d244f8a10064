/* The element-wise kernels for AVX-512. */
#if defined(__AVX512F__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Whole vectors go around the caches; the ends, which share their cache lines with neighbours, do not. */
static void stream(float *out, const float *in, size_t n) {
  size_t i = 0;
  for (; i < n && (uintptr_t)(out + i) % 64; i++) out[i] = in[i];
  for (; i + 16 <= n; i += 16) _mm512_stream_ps(out + i, _mm512_loadu_ps(in + i));
  for (; i < n; i++) out[i] = in[i];
}

#define MCL_TABLE mcl_elementwise_avx512
#define MCL_STREAM stream
#include "tensor/kernels/elementwise_body.h"
#else
typedef int mcl_no_avx512;
#endif
