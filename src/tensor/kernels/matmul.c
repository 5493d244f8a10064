/* Matrix micro-kernels in portable C: the compiler's vectors of four floats. */
#include <math.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "tensor/kernels/matmul_kernels.h"

#define WIDTH 4
#define MR 6
#define DOT_COLUMNS 1
typedef float vector __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(16), aligned(4), may_alias));
#define VECTOR vector
#define ZERO() ((vector){0})
#define LOAD(p) ((vector)(*(const loose *)(p)))
#define STORE(p, v) ((void)(*(loose *)(p) = (v)))
#define BROADCAST(x) ((vector){(x), (x), (x), (x)})
#define FMA(a, b, c) fused(a, b, c)
#define MUL(a, b) ((a) * (b))

#if defined(__FP_FAST_FMAF)
static inline vector fused(vector a, vector b, vector c) {
  vector r;
  for (int i = 0; i < WIDTH; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
}
#else
/* Without an instruction for it: in double a product of floats is exact, so product and sum are rounded once to double and
 * once to float. Both together are the one rounding that is wanted, unless the double lies exactly between two floats, or
 * where floats are subnormal; the C library's exact and slow function does those, which are rare. */
static __attribute__((noinline, cold)) vector fused_singly(vector a, vector b, vector c) {
  vector r;
  for (int i = 0; i < WIDTH; i++) r[i] = fmaf(a[i], b[i], c[i]);
  return r;
}

#if defined(__SSE2__)
static inline vector fused(vector a, vector b, vector c) {
  __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
#define HIGH(v) _mm_cvtps_pd(_mm_movehl_ps(v, v))
  __m128d high = _mm_add_pd(_mm_mul_pd(HIGH(a), HIGH(b)), HIGH(c));
#undef HIGH
  __m128 first = _mm_castpd_ps(low), second = _mm_castpd_ps(high);
  __m128i lesser = _mm_castps_si128(_mm_shuffle_ps(first, second, 0x88)); /* words of each */
  __m128i greater = _mm_castps_si128(_mm_shuffle_ps(first, second, 0xdd));
  __m128i between = _mm_cmpeq_epi32(_mm_slli_epi32(lesser, 3), _mm_set1_epi32(INT32_MIN));
  __m128i before =
      _mm_add_epi32(_mm_slli_epi32(greater, 1), _mm_set1_epi32(INT32_MAX));       /* wraps: zero is the greatest */
  __m128i tiny = _mm_cmplt_epi32(before, _mm_set1_epi32(0x701fffff + INT32_MIN)); /* below 2^-126, and not zero */
  if (__builtin_expect(_mm_movemask_epi8(_mm_or_si128(between, tiny)), 0)) return fused_singly(a, b, c);
  return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
#else
static inline vector fused(vector a, vector b, vector c) { return fused_singly(a, b, c); }
#endif
#endif

static inline vector load_part(const float *p, int n) {
  vector v = {0};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
static inline void store_part(float *p, vector v, int n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}
#define LOAD_PART load_part
#define STORE_PART store_part

#define KERNEL mcl_matmul_portable
#define KERNEL_NAME "portable"
#define BLOCK_M 96
#define BLOCK_N 256
#include "tensor/kernels/matmul_template.h"
