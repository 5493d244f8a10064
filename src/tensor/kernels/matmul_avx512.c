/* Matrix micro-kernels for AVX-512: 14 × 32 tiles, 28 of 32 registers hold sums. */
#if defined(__AVX512F__)
#include <immintrin.h>

#define WIDTH 16
#define MR 14
#define DOT_COLUMNS 4
#define VECTOR __m512
#define ZERO() _mm512_setzero_ps()
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define BROADCAST(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define FIRST_LANES(n) ((__mmask16)((1u << (n)) - 1u))
#define LOAD_PART(p, n) _mm512_maskz_loadu_ps(FIRST_LANES(n), p)
#define STORE_PART(p, v, n) _mm512_mask_storeu_ps(p, FIRST_LANES(n), v)

#define KERNEL mcl_matmul_avx512
#define KERNEL_NAME "avx512"
#define BLOCK_M 168
#define BLOCK_N 512
#include "tensor/kernels/matmul_template.h"
#else
typedef int nothing_here;
#endif
