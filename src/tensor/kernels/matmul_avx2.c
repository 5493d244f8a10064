/* Matrix micro-kernels for AVX2 and FMA: 6 × 16 tiles, twelve of sixteen registers hold sums. */
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define WIDTH 8
#define MR 6
#define DOT_COLUMNS 3
#define VECTOR __m256
#define ZERO() _mm256_setzero_ps()
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define BROADCAST(x) _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MUL(a, b) _mm256_mul_ps(a, b)

static inline __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#define LOAD_PART(p, n) _mm256_maskload_ps(p, first_lanes(n))
#define STORE_PART(p, v, n) _mm256_maskstore_ps(p, first_lanes(n), v)

#define KERNEL mcl_matmul_avx2
#define KERNEL_NAME "avx2"
#define BLOCK_M 192
#define BLOCK_N 512
#include "tensor/kernels/matmul_template.h"
#else
typedef int nothing_here;
#endif
