/* Dtypes: sizes, names, and conversion of every one to every other.
 *
 * A conversion goes through one of three wide types, block by block, so ten loads and ten stores are enough and each
 * is a loop the compiler turns into vector code:
 *   int64  between integers: exact, then clamped;
 *   float  from f32, f16, bf16 and the small integers to any of the float kinds and to small integers: the wide value
 *          is exact, so there is one rounding;
 *   double the rest. From a double to f16 or bf16 the step through f32 rounds to odd (the lost bits leave a mark in
 *          the last one), so the second rounding still sees on which side of a tie the value was.
 * Rounding to an integer adds and subtracts 1.5·2^52 (2^23 in float), which rounds to even in the current mode without a
 * call. */
#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

static const struct {
  const char *name;
  uint8_t size;
  bool is_integer; /* bool is one */
} dtypes[MCL_DTYPE_COUNT] = {
    [MCL_F32] = {"f32", 4, false}, [MCL_F16] = {"f16", 2, false}, [MCL_BF16] = {"bf16", 2, false},
    [MCL_F64] = {"f64", 8, false}, [MCL_I8] = {"i8", 1, true},    [MCL_I16] = {"i16", 2, true},
    [MCL_I32] = {"i32", 4, true},  [MCL_I64] = {"i64", 8, true},  [MCL_U8] = {"u8", 1, true},
    [MCL_BOOL] = {"bool", 1, true}};

static bool is_known(mcl_dtype dtype) { return (unsigned)dtype < MCL_DTYPE_COUNT; }

size_t mcl_dtype_size(mcl_dtype dtype) { return is_known(dtype) ? dtypes[dtype].size : 0; }

const char *mcl_dtype_name(mcl_dtype dtype) { return is_known(dtype) ? dtypes[dtype].name : "unknown"; }

/* ---- Small floats ---- */

static inline uint32_t bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}

static inline float float_of(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static inline uint16_t f16_of(float f) {
  uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu)); /* NaN, made quiet */
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);                             /* 65520 and above */
  if (magnitude < 0x38800000u) /* subnormal: 0.5 has f16's smallest step as its last bit */
    return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u));
  return (uint16_t)(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}

static inline float float_of_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  return float_of(sign | bits_of(float_of(magnitude << 13) * 0x1p112f)); /* exact, subnormals too */
}

static inline uint16_t bf16_of(float f) {
  uint32_t bits = bits_of(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* NaN, made quiet */
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float float_of_bf16(uint16_t b) { return float_of((uint32_t)b << 16); }

/* To f32 with "round to odd". */
static inline float odd_float_of(double d) {
  float f = (float)d;
  if ((double)f == d || d != d) return f;
  uint32_t bits = bits_of(f);
  if (fabs((double)f) > fabs(d)) bits--; /* towards zero; from infinity to the largest */
  return float_of(bits | 1u);
}

/* An int64 whose 53 leading bits, as a double, show on which side of a tie it was. */
static inline double odd_double_of(int64_t i) {
  if (i > -(1LL << 53) && i < (1LL << 53)) return (double)i;
  return (double)((i & ~0x7ffLL) | ((i & 0x7ff) ? 0x800 : 0));
}

/* ---- Blocks: loads to a wide type, stores from it ---- */

#define BLOCK 512

#define LOAD(TYPE, EXPRESSION)                                                                                         \
  do {                                                                                                                 \
    const TYPE *from = src;                                                                                            \
    for (size_t i = 0; i < n; i++) out[i] = (EXPRESSION);                                                              \
  } while (0);                                                                                                         \
  break

#define STORE(TYPE, EXPRESSION)                                                                                        \
  do {                                                                                                                 \
    TYPE *to = dst;                                                                                                    \
    for (size_t i = 0; i < n; i++) to[i] = (EXPRESSION);                                                               \
  } while (0);                                                                                                         \
  break

static void load_i64(mcl_dtype dtype, const void *src, int64_t *out, size_t n) {
  switch (dtype) {
  case MCL_I8:
    LOAD(int8_t, from[i]);
  case MCL_I16:
    LOAD(int16_t, from[i]);
  case MCL_I32:
    LOAD(int32_t, from[i]);
  case MCL_I64:
    LOAD(int64_t, from[i]);
  case MCL_U8:
    LOAD(uint8_t, from[i]);
  case MCL_BOOL:
    LOAD(uint8_t, from[i] != 0);
  default:
    break;
  }
}

static inline int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

static void store_i64(mcl_dtype dtype, const int64_t *in, void *dst, size_t n) {
  switch (dtype) {
  case MCL_I8:
    STORE(int8_t, (int8_t)clamp(in[i], INT8_MIN, INT8_MAX));
  case MCL_I16:
    STORE(int16_t, (int16_t)clamp(in[i], INT16_MIN, INT16_MAX));
  case MCL_I32:
    STORE(int32_t, (int32_t)clamp(in[i], INT32_MIN, INT32_MAX));
  case MCL_I64:
    STORE(int64_t, in[i]);
  case MCL_U8:
    STORE(uint8_t, (uint8_t)clamp(in[i], 0, UINT8_MAX));
  case MCL_BOOL:
    STORE(uint8_t, in[i] != 0);
  default:
    break;
  }
}

static void load_float(mcl_dtype dtype, const void *src, float *out, size_t n) {
  switch (dtype) {
  case MCL_F32:
    memcpy(out, src, n * sizeof *out);
    break;
  case MCL_F16:
    LOAD(uint16_t, float_of_f16(from[i]));
  case MCL_BF16:
    LOAD(uint16_t, float_of_bf16(from[i]));
  case MCL_F64:
    LOAD(double, (float)from[i]);
  case MCL_I8:
    LOAD(int8_t, from[i]);
  case MCL_I16:
    LOAD(int16_t, from[i]);
  case MCL_I32:
    LOAD(int32_t, (float)from[i]);
  case MCL_I64:
    LOAD(int64_t, (float)from[i]);
  case MCL_U8:
    LOAD(uint8_t, from[i]);
  case MCL_BOOL:
    LOAD(uint8_t, from[i] != 0);
  default:
    break;
  }
}

/* Rounded to even and clamped; NaN becomes 0. |bounds| stay below 2^22. */
static inline int32_t small_of(float f, float low, float high) {
  f = f != f ? 0.0f : f;
  f = f < low ? low : f;
  f = f > high ? high : f;
  return (int32_t)((f + 0x1.8p23f) - 0x1.8p23f);
}

static void store_float(mcl_dtype dtype, const float *in, void *dst, size_t n) {
  switch (dtype) {
  case MCL_F32:
    memcpy(dst, in, n * sizeof *in);
    break;
  case MCL_F16:
    STORE(uint16_t, f16_of(in[i]));
  case MCL_BF16:
    STORE(uint16_t, bf16_of(in[i]));
  case MCL_F64:
    STORE(double, in[i]);
  case MCL_I8:
    STORE(int8_t, (int8_t)small_of(in[i], INT8_MIN, INT8_MAX));
  case MCL_I16:
    STORE(int16_t, (int16_t)small_of(in[i], INT16_MIN, INT16_MAX));
  case MCL_U8:
    STORE(uint8_t, (uint8_t)small_of(in[i], 0, UINT8_MAX));
  case MCL_BOOL:
    STORE(uint8_t, in[i] != 0);
  default:
    break;
  }
}

static void load_double(mcl_dtype dtype, const void *src, double *out, size_t n) {
  switch (dtype) {
  case MCL_F32:
    LOAD(float, from[i]);
  case MCL_F16:
    LOAD(uint16_t, float_of_f16(from[i]));
  case MCL_BF16:
    LOAD(uint16_t, float_of_bf16(from[i]));
  case MCL_F64:
    memcpy(out, src, n * sizeof *out);
    break;
  case MCL_I8:
    LOAD(int8_t, from[i]);
  case MCL_I16:
    LOAD(int16_t, from[i]);
  case MCL_I32:
    LOAD(int32_t, from[i]);
  case MCL_I64:
    LOAD(int64_t, odd_double_of(from[i])); /* on its way to f16 or bf16 */
  case MCL_U8:
    LOAD(uint8_t, from[i]);
  case MCL_BOOL:
    LOAD(uint8_t, from[i] != 0);
  default:
    break;
  }
}

/* Rounded to even and clamped; NaN becomes 0. |bounds| stay below 2^51. */
static inline double rounded(double d, double low, double high) {
  d = d != d ? 0.0 : d;
  d = d < low ? low : d;
  d = d > high ? high : d;
  return (d + 0x1.8p52) - 0x1.8p52;
}

static inline int64_t i64_of(double d) {
  if (d != d) return 0;
  if (d >= 0x1p63) return INT64_MAX;
  return d <= -0x1p63 ? INT64_MIN : (int64_t)llrint(d);
}

static void store_double(mcl_dtype dtype, const double *in, void *dst, size_t n) {
  switch (dtype) {
  case MCL_F32:
    STORE(float, (float)in[i]);
  case MCL_F16:
    STORE(uint16_t, f16_of(odd_float_of(in[i])));
  case MCL_BF16:
    STORE(uint16_t, bf16_of(odd_float_of(in[i])));
  case MCL_F64:
    memcpy(dst, in, n * sizeof *in);
    break;
  case MCL_I8:
    STORE(int8_t, (int8_t)(int32_t)rounded(in[i], INT8_MIN, INT8_MAX));
  case MCL_I16:
    STORE(int16_t, (int16_t)(int32_t)rounded(in[i], INT16_MIN, INT16_MAX));
  case MCL_I32:
    STORE(int32_t, (int32_t)rounded(in[i], INT32_MIN, INT32_MAX));
  case MCL_I64:
    STORE(int64_t, i64_of(in[i]));
  case MCL_U8:
    STORE(uint8_t, (uint8_t)(int32_t)rounded(in[i], 0, UINT8_MAX));
  case MCL_BOOL:
    STORE(uint8_t, in[i] != 0);
  default:
    break;
  }
}

#undef LOAD
#undef STORE

/* ---- Conversion ---- */

/* float is exact for the first, and the second needs no more than it holds. */
static bool goes_through_float(mcl_dtype from, mcl_dtype to) {
  bool exact = from != MCL_F64 && from != MCL_I32 && from != MCL_I64;
  return exact && to != MCL_I32 && to != MCL_I64;
}

void mcl_convert(mcl_dtype from, const void *src, mcl_dtype to, void *dst, size_t n) {
  const uint8_t *in = src;
  uint8_t *out = dst;
  size_t from_size = mcl_dtype_size(from), to_size = mcl_dtype_size(to);
  if (n == 0) return;
  if (from == to) {
    memcpy(dst, src, n * from_size);
    return;
  }
  if (to == MCL_F32) { /* without the copy through a block: what expressions and ops ask for */
    load_float(from, src, dst, n);
    return;
  }
  if (from == MCL_F32 && to != MCL_I32 && to != MCL_I64) {
    store_float(to, src, dst, n);
    return;
  }
  if (from == MCL_I64 && to == MCL_F64) {
    const int64_t *values = src;
    for (size_t i = 0; i < n; i++) ((double *)dst)[i] = (double)values[i];
    return;
  }
  bool integers = dtypes[from].is_integer && dtypes[to].is_integer, through_float = goes_through_float(from, to);
  union {
    int64_t i[BLOCK];
    float f[BLOCK];
    double d[BLOCK];
  } wide;
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t block = n - at < BLOCK ? n - at : BLOCK;
    const void *block_in = in + at * from_size;
    void *block_out = out + at * to_size;
    if (integers) {
      load_i64(from, block_in, wide.i, block);
      store_i64(to, wide.i, block_out, block);
    } else if (through_float) {
      load_float(from, block_in, wide.f, block);
      store_float(to, wide.f, block_out, block);
    } else {
      load_double(from, block_in, wide.d, block);
      store_double(to, wide.d, block_out, block);
    }
  }
}
