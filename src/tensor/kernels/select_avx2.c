/* The kernels of selection for AVX2. */
#if defined(__AVX2__)
#include <immintrin.h>

#include "tensor/kernels/select.h"

static inline int64_t sum_of(__m256i counts) {
  int32_t lanes[8];
  int64_t sum = 0;
  _mm256_storeu_si256((__m256i *)(void *)lanes, counts);
  for (int i = 0; i < 8; i++) sum += lanes[i];
  return sum;
}

/* The elements whose bit is set, moved to the front: the bits are spread to bytes, which pick the bytes of 0 … 7. */
static inline __m256 compress(__m256 v, unsigned bits) {
  uint64_t bytes = _pdep_u64(bits, 0x0101010101010101u) * 0xff;
  __m128i picked = _mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100u, bytes));
  return _mm256_permutevar8x32_ps(v, _mm256_cvtepu8_epi32(picked));
}

/* A true comparison is -1 in its lane, so counts are differences. */
static void band(const float *x, size_t n, float low, float high, mcl_band_count *count, float *found) {
  const __m256 lows = _mm256_set1_ps(low), highs = _mm256_set1_ps(high);
  __m256i above = _mm256_setzero_si256(), at_high = above, at_low = above, nans = above;
  float *end = found;
  size_t i = 0;
#define COUNT(INTO, A, B, HOW) INTO = _mm256_sub_epi32(INTO, _mm256_castps_si256(_mm256_cmp_ps(A, B, HOW)))
  for (; i + 8 <= n; i += 8) {
    __m256 v = _mm256_loadu_ps(x + i);
    __m256 inside = _mm256_and_ps(_mm256_cmp_ps(v, lows, _CMP_GT_OQ), _mm256_cmp_ps(v, highs, _CMP_LT_OQ));
    unsigned bits = (unsigned)_mm256_movemask_ps(inside);
    COUNT(above, v, highs, _CMP_GT_OQ);
    COUNT(at_high, v, highs, _CMP_EQ_OQ);
    COUNT(at_low, v, lows, _CMP_EQ_OQ);
    COUNT(nans, v, v, _CMP_UNORD_Q);
    if (!bits) continue;
    _mm256_storeu_ps(end, compress(v, bits));
    end += __builtin_popcount(bits);
  }
#undef COUNT
  count->above += sum_of(above);
  count->at_high += sum_of(at_high);
  count->at_low += low != high ? sum_of(at_low) : 0;
  count->nans += sum_of(nans);
  count->inside += end - found;
  mcl_band_scalar(x + i, n - i, low, high, count, end);
}

static inline uint64_t compare_64(const float *x, __m256 value, bool ties) {
  uint64_t word = 0;
  for (int i = 0; i < 8; i++) {
    __m256 v = _mm256_loadu_ps(x + 8 * i);
    __m256 chosen = ties ? _mm256_cmp_ps(v, value, _CMP_GE_OQ) : _mm256_cmp_ps(v, value, _CMP_GT_OQ);
    word |= (uint64_t)(unsigned)_mm256_movemask_ps(chosen) << 8 * i;
  }
  return word;
}

static void compare(const float *x, size_t n, float value, bool ties, uint64_t *words) {
  __m256 values = _mm256_set1_ps(value);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) *words++ = compare_64(x + i, values, ties);
  if (i < n) *words = mcl_compare_scalar(x + i, n - i, value, ties);
}

const mcl_select_table mcl_select_avx2 = {.band = band, .compare = compare};
#else
typedef int mcl_no_avx2;
#endif
