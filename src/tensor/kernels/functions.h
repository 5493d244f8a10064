/* Functions of one float, computed in double, for the element-wise kernels: no branches, no calls, only operations that
 * IEEE 754 defines to the last bit; so that a compiler can put them into vectors and every machine gets the same result.
 * Relative errors stay below 1e-9, a sixtieth of a float's half unit. Each takes care of zero, infinity and NaN. */
#ifndef MCL_TENSOR_KERNELS_FUNCTIONS_H
#define MCL_TENSOR_KERNELS_FUNCTIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MCL_NEAREST 0x1.8p52 /* added and taken away, it rounds to an integer, ties to even, below 2^51 */
#define MCL_LN2 0x1.62e42fefa39efp-1
#define MCL_ANGLE_LIMIT 1e5f

static inline uint64_t mcl_double_bits(double d) {
  uint64_t u;
  memcpy(&u, &d, sizeof u);
  return u;
}

static inline double mcl_double_from(uint64_t u) {
  double d;
  memcpy(&d, &u, sizeof d);
  return d;
}

/* Half to even; keeps the sign of zero, infinities and NaN. */
static inline float mcl_round(float a) {
  float size = fabsf(a), near = (size + 0x1p23f) - 0x1p23f;
  float whole = copysignf(near, a);
  return size < 0x1p23f ? whole : a;
}

static inline float mcl_floor(float a) {
  float whole = mcl_round(a), less = whole - 1.0f;
  return whole > a ? less : whole;
}

/* e^r - 1 for |r| ≤ ln 2 / 2: Taylor's series, to r^9 */
static inline double mcl_exp_less_one(double r) {
  double p = 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  return (p * r) * r + r;
}

/* x = k ln 2 + r; *scale is 2^k. x is first brought to where a float's exponential is neither 0 nor infinity. */
static inline double mcl_exp_reduce(double x, double *scale) {
  x = x < -110.0 ? -110.0 : x;
  x = x > 90.0 ? 90.0 : x;
  double shifted = x * 0x1.71547652b82fep0 + MCL_NEAREST, k = shifted - MCL_NEAREST;
  *scale = mcl_double_from((mcl_double_bits(shifted) << 52) + 0x3ff0000000000000u); /* k stands in the low bits */
  return x - k * MCL_LN2;
}

static inline double mcl_exp(double x) {
  double scale, r = mcl_exp_reduce(x, &scale);
  return scale * (1.0 + mcl_exp_less_one(r));
}

/* tanh x = (e^2x - 1) / (e^2x + 1), from e^2x - 1 so that small x lose nothing */
static inline double mcl_tanh(double x) {
  double size = fabs(x), scale;
  size = size > 20.0 ? 20.0 : size;
  double r = mcl_exp_reduce(2.0 * size, &scale);
  double less_one = scale * mcl_exp_less_one(r) + (scale - 1.0);
  double t = copysign(less_one / (less_one + 2.0), x);
  return x == 0 ? x : t;
}

/* x = 2^k m with m in [√½, √2): log x = k ln 2 + 2 atanh((m - 1)/(m + 1)), the latter as a series. x as a float has
 * a normal double. */
static inline double mcl_log_of(double x) {
  uint64_t bits = mcl_double_bits(x), from_half = bits - 0x3fe6a09e667f3bcdu + (1024ull << 52);
  uint64_t exponent = from_half >> 52; /* k + 1024 */
  double k = mcl_double_from(exponent | 0x4330000000000000u) - (0x1p52 + 1024.0);
  double m = mcl_double_from(bits - (exponent << 52) + (1024ull << 52));
  double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  double y = k * MCL_LN2 + (2.0 * s + 2.0 * s * (z * p));
  y = x == 0 ? -INFINITY : y;
  y = x == INFINITY ? INFINITY : y;
  return x >= 0 ? y : NAN;
}

/* As C's pow: 1 where b is 0 or a is 1, a negative a only to whole powers. */
static inline double mcl_pow(double a, double b) {
  double power = mcl_exp(b * mcl_log_of(fabs(a)));
  double whole = (b + MCL_NEAREST) - MCL_NEAREST, half = 0.5 * b, whole_half = (half + MCL_NEAREST) - MCL_NEAREST;
  int large = fabs(b) >= 0x1p24; /* and so even, infinity too */
  int is_whole = (b == whole) | large, is_odd = is_whole & (half != whole_half) & !large;
  int is_negative = mcl_double_bits(a) >> 63 != 0;
  double negated = -power;
  power = (is_odd & is_negative) ? negated : power;
  power = (!is_whole & (a < 0) & (a != -INFINITY)) ? NAN : power;
  power = ((fabs(a) == 1) & is_whole & !is_odd) ? 1.0 : power;
  power = ((a != a) | (b != b)) ? NAN : power;
  return ((b == 0) | (a == 1)) ? 1.0 : power;
}

/* sin x, or cos x, for |x| ≤ MCL_ANGLE_LIMIT: x = k π/2 + r, then the series of the quadrant. π/2 is taken in two
 * parts, the first of 33 bits, so that its products with k are exact. */
static inline double mcl_sin(double x, int cosine) {
  double shifted = x * 0x1.45f306dc9c883p-1 + MCL_NEAREST, k = shifted - MCL_NEAREST;
  double r = (x - k * 0x1.921fb544p0) - k * 0x1.0b4611a626331p-34;
  uint64_t quadrant = mcl_double_bits(shifted) + (uint64_t)cosine;
  double z = r * r;
  double s = -1.0 / 39916800, c = 1.0 / 479001600;
  s = s * z + 1.0 / 362880, c = c * z - 1.0 / 3628800;
  s = s * z - 1.0 / 5040, c = c * z + 1.0 / 40320;
  s = s * z + 1.0 / 120, c = c * z - 1.0 / 720;
  s = s * z - 1.0 / 6, c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  s = r + r * (z * s), c = 1.0 + c * z;
  double y = (quadrant & 1u) ? c : s;
  return mcl_double_from(mcl_double_bits(y) ^ (quadrant & 2u) << 62);
}

/* erf: x P(x²) up to 1, then 1 - e^-Q(x), where Q fits -log erfc on [1, 4]. Both were interpolated at Chebyshev's
 * points; errors 9e-13 (relative) and 1.3e-9. */
static inline double mcl_erf(double x) {
  double size = fabs(x);
  size = size > 4.0 ? 4.0 : size;
  double z = size * size, p = 1.058938064107502e-06, q = 7.582681969725275e-08;
  p = p * z - 1.3909340021874599e-05;
  p = p * z + 0.0001195656256820733;
  p = p * z - 0.0008542637997087229;
  p = p * z + 0.005223783477189248;
  p = p * z - 0.026866133235095593;
  p = p * z + 0.11283791308604582;
  p = p * z - 0.3761263888963531;
  p = p * z + 1.1283791670946768;
  q = q * size - 3.321684590731722e-06;
  q = q * size + 6.22983532516145e-05;
  q = q * size - 0.0006858366830115038;
  q = q * size + 0.0050649469202164845;
  q = q * size - 0.027099523293990374;
  q = q * size + 0.11105501737188005;
  q = q * size + 0.6309530298165722;
  q = q * size + 1.1306751441818166;
  q = q * size - 0.0004163292177097496;
  double inner = size * p, outer = 1.0 - mcl_exp(-q);
  double y = copysign(size < 1.0 ? inner : outer, x);
  y = x == 0 ? x : y;
  return x == x ? y : x;
}

#endif
