/* The kernels of selection for AVX-512. */
#if defined(__AVX512F__)
#include <immintrin.h>

#include "tensor/kernels/select.h"

/* Counts live in vectors, one step a comparison. What lies inside is compressed in a register and stored whole: the next
 * store overwrites the rest, so there is no branch to mispredict. */
static void band(const float *x, size_t n, float low, float high, mcl_band_count *count, float *found) {
  const __m512 lows = _mm512_set1_ps(low), highs = _mm512_set1_ps(high);
  const __m512i one = _mm512_set1_epi32(1);
  __m512i above = _mm512_setzero_si512(), at_high = above, at_low = above, nans = above;
  float *end = found;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    __m512 v = _mm512_loadu_ps(x + i);
    __mmask16 over_low = _mm512_cmp_ps_mask(v, lows, _CMP_GT_OQ);
    __mmask16 inside = _mm512_mask_cmp_ps_mask(over_low, v, highs, _CMP_LT_OQ);
    above = _mm512_mask_add_epi32(above, _mm512_cmp_ps_mask(v, highs, _CMP_GT_OQ), above, one);
    at_high = _mm512_mask_add_epi32(at_high, _mm512_cmp_ps_mask(v, highs, _CMP_EQ_OQ), at_high, one);
    at_low = _mm512_mask_add_epi32(at_low, _mm512_cmp_ps_mask(v, lows, _CMP_EQ_OQ), at_low, one);
    nans = _mm512_mask_add_epi32(nans, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nans, one);
    _mm512_storeu_ps(end, _mm512_maskz_compress_ps(inside, v));
    end += __builtin_popcount(inside);
  }
  count->above += _mm512_reduce_add_epi32(above);
  count->at_high += _mm512_reduce_add_epi32(at_high);
  count->at_low += low != high ? _mm512_reduce_add_epi32(at_low) : 0;
  count->nans += _mm512_reduce_add_epi32(nans);
  count->inside += end - found;
  mcl_band_scalar(x + i, n - i, low, high, count, end);
}

static inline uint64_t compare_64(const float *x, __m512 value, bool ties) {
  uint64_t word = 0;
  for (int i = 0; i < 4; i++) {
    __m512 v = _mm512_loadu_ps(x + 16 * i);
    __mmask16 bits = ties ? _mm512_cmp_ps_mask(v, value, _CMP_GE_OQ) : _mm512_cmp_ps_mask(v, value, _CMP_GT_OQ);
    word |= (uint64_t)bits << 16 * i;
  }
  return word;
}

static void compare(const float *x, size_t n, float value, bool ties, uint64_t *words) {
  __m512 values = _mm512_set1_ps(value);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) *words++ = compare_64(x + i, values, ties);
  if (i < n) *words = mcl_compare_scalar(x + i, n - i, value, ties);
}

const mcl_select_table mcl_select_avx512 = {.band = band, .compare = compare};
#else
typedef int mcl_no_avx512;
#endif
