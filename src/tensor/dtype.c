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

/* ---- Blocks: loads to a wide type, stores from it; a function a dtype, for the table ---- */

#define BLOCK 512

#define LOAD(NAME, TYPE, WIDE, EXPRESSION)                                                                             \
  static void NAME(const void *src, WIDE *out, size_t n) {                                                             \
    const TYPE *from = src;                                                                                            \
    for (size_t i = 0; i < n; i++) out[i] = (EXPRESSION);                                                              \
  }

#define STORE(NAME, TYPE, WIDE, EXPRESSION)                                                                            \
  static void NAME(const WIDE *in, void *dst, size_t n) {                                                              \
    TYPE *to = dst;                                                                                                    \
    for (size_t i = 0; i < n; i++) to[i] = (EXPRESSION);                                                               \
  }

LOAD(i8_to_i64, int8_t, int64_t, from[i])
LOAD(i16_to_i64, int16_t, int64_t, from[i])
LOAD(i32_to_i64, int32_t, int64_t, from[i])
LOAD(i64_to_i64, int64_t, int64_t, from[i])
LOAD(u8_to_i64, uint8_t, int64_t, from[i])
LOAD(bool_to_i64, uint8_t, int64_t, from[i] != 0)

static inline int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

STORE(i8_from_i64, int8_t, int64_t, (int8_t)clamp(in[i], INT8_MIN, INT8_MAX))
STORE(i16_from_i64, int16_t, int64_t, (int16_t)clamp(in[i], INT16_MIN, INT16_MAX))
STORE(i32_from_i64, int32_t, int64_t, (int32_t)clamp(in[i], INT32_MIN, INT32_MAX))
STORE(i64_from_i64, int64_t, int64_t, in[i])
STORE(u8_from_i64, uint8_t, int64_t, (uint8_t)clamp(in[i], 0, UINT8_MAX))
STORE(bool_from_i64, uint8_t, int64_t, in[i] != 0)

LOAD(f32_to_float, float, float, from[i])
LOAD(f16_to_float, uint16_t, float, float_of_f16(from[i]))
LOAD(bf16_to_float, uint16_t, float, float_of_bf16(from[i]))
LOAD(f64_to_float, double, float, (float)from[i])
LOAD(i8_to_float, int8_t, float, from[i])
LOAD(i16_to_float, int16_t, float, from[i])
LOAD(i32_to_float, int32_t, float, (float)from[i])
LOAD(i64_to_float, int64_t, float, (float)from[i])
LOAD(u8_to_float, uint8_t, float, from[i])
LOAD(bool_to_float, uint8_t, float, from[i] != 0)

/* Rounded to even and clamped; NaN becomes 0. |bounds| stay below 2^22. */
static inline int32_t small_of(float f, float low, float high) {
  f = f != f ? 0.0f : f;
  f = f < low ? low : f;
  f = f > high ? high : f;
  return (int32_t)((f + 0x1.8p23f) - 0x1.8p23f);
}

STORE(f32_from_float, float, float, in[i])
STORE(f16_from_float, uint16_t, float, f16_of(in[i]))
STORE(bf16_from_float, uint16_t, float, bf16_of(in[i]))
STORE(f64_from_float, double, float, in[i])
STORE(i8_from_float, int8_t, float, (int8_t)small_of(in[i], INT8_MIN, INT8_MAX))
STORE(i16_from_float, int16_t, float, (int16_t)small_of(in[i], INT16_MIN, INT16_MAX))
STORE(u8_from_float, uint8_t, float, (uint8_t)small_of(in[i], 0, UINT8_MAX))
STORE(bool_from_float, uint8_t, float, in[i] != 0)

LOAD(f32_to_double, float, double, from[i])
LOAD(f16_to_double, uint16_t, double, float_of_f16(from[i]))
LOAD(bf16_to_double, uint16_t, double, float_of_bf16(from[i]))
LOAD(f64_to_double, double, double, from[i])
LOAD(i8_to_double, int8_t, double, from[i])
LOAD(i16_to_double, int16_t, double, from[i])
LOAD(i32_to_double, int32_t, double, from[i])
LOAD(i64_to_double, int64_t, double, odd_double_of(from[i])) /* on its way to f16 or bf16 */
LOAD(u8_to_double, uint8_t, double, from[i])
LOAD(bool_to_double, uint8_t, double, from[i] != 0)

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

STORE(f32_from_double, float, double, (float)in[i])
STORE(f16_from_double, uint16_t, double, f16_of(odd_float_of(in[i])))
STORE(bf16_from_double, uint16_t, double, bf16_of(odd_float_of(in[i])))
STORE(f64_from_double, double, double, in[i])
STORE(i8_from_double, int8_t, double, (int8_t)(int32_t)rounded(in[i], INT8_MIN, INT8_MAX))
STORE(i16_from_double, int16_t, double, (int16_t)(int32_t)rounded(in[i], INT16_MIN, INT16_MAX))
STORE(i32_from_double, int32_t, double, (int32_t)rounded(in[i], INT32_MIN, INT32_MAX))
STORE(i64_from_double, int64_t, double, i64_of(in[i]))
STORE(u8_from_double, uint8_t, double, (uint8_t)(int32_t)rounded(in[i], 0, UINT8_MAX))
STORE(bool_from_double, uint8_t, double, in[i] != 0)

#undef LOAD
#undef STORE

/* ---- The table ---- */

typedef struct dtype_row {
  const char *name;
  uint8_t size;
  bool is_integer;                                         /* bool is one */
  void (*to_i64)(const void *src, int64_t *out, size_t n); /* integers alone */
  void (*from_i64)(const int64_t *in, void *dst, size_t n);
  void (*to_float)(const void *src, float *out, size_t n);
  void (*from_float)(const float *in, void *dst, size_t n); /* NULL: a float has too few digits for it */
  void (*to_double)(const void *src, double *out, size_t n);
  void (*from_double)(const double *in, void *dst, size_t n);
} dtype_row;

#define FLOAT_ROW(NAME, SIZE)                                                                                          \
  {                                                                                                                    \
    .name = #NAME, .size = SIZE, .to_float = NAME##_to_float, .from_float = NAME##_from_float,                         \
    .to_double = NAME##_to_double, .from_double = NAME##_from_double                                                   \
  }
#define INTEGER_ROW(NAME, SIZE, FROM_FLOAT)                                                                            \
  {                                                                                                                    \
#NAME, SIZE, true, NAME##_to_i64, NAME##_from_i64, NAME##_to_float, FROM_FLOAT, NAME##_to_double,                  \
        NAME##_from_double                                                                                             \
  }

static const dtype_row dtypes[MCL_DTYPE_COUNT] = {
    [MCL_F32] = FLOAT_ROW(f32, 4),
    [MCL_F16] = FLOAT_ROW(f16, 2),
    [MCL_BF16] = FLOAT_ROW(bf16, 2),
    [MCL_F64] = FLOAT_ROW(f64, 8),
    [MCL_I8] = INTEGER_ROW(i8, 1, i8_from_float),
    [MCL_I16] = INTEGER_ROW(i16, 2, i16_from_float),
    [MCL_I32] = INTEGER_ROW(i32, 4, NULL),
    [MCL_I64] = INTEGER_ROW(i64, 8, NULL),
    [MCL_U8] = INTEGER_ROW(u8, 1, u8_from_float),
    [MCL_BOOL] = INTEGER_ROW(bool, 1, bool_from_float),
};

static bool is_known(mcl_dtype dtype) { return (unsigned)dtype < MCL_DTYPE_COUNT; }

size_t mcl_dtype_size(mcl_dtype dtype) { return is_known(dtype) ? dtypes[dtype].size : 0; }

const char *mcl_dtype_name(mcl_dtype dtype) { return is_known(dtype) ? dtypes[dtype].name : "unknown"; }

bool mcl_dtype_is_integer(mcl_dtype dtype) { return is_known(dtype) && dtypes[dtype].is_integer; }

/* ---- Conversion ---- */

/* Is every value of it a float? */
static bool is_exact_in_float(mcl_dtype dtype) { return dtype != MCL_F64 && dtype != MCL_I32 && dtype != MCL_I64; }

static void convert_block(const dtype_row *from, const void *in, const dtype_row *to, void *out, size_t n,
                          bool through_float) {
  union {
    int64_t i[BLOCK];
    float f[BLOCK];
    double d[BLOCK];
  } wide;
  if (from->is_integer && to->is_integer) {
    from->to_i64(in, wide.i, n);
    to->from_i64(wide.i, out, n);
  } else if (through_float) {
    from->to_float(in, wide.f, n);
    to->from_float(wide.f, out, n);
  } else {
    from->to_double(in, wide.d, n);
    to->from_double(wide.d, out, n);
  }
}

static void i64_to_f64(const int64_t *in, double *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = (double)in[i];
}

void mcl_convert(mcl_dtype from, const void *src, mcl_dtype to, void *dst, size_t n) {
  const dtype_row *source = &dtypes[from], *target = &dtypes[to];
  if (n == 0) return;
  if (from == to) {
    memcpy(dst, src, n * source->size);
  } else if (to == MCL_F32) { /* without the copy through a block: what expressions and ops ask for */
    source->to_float(src, dst, n);
  } else if (from == MCL_F32 && target->from_float) {
    target->from_float(src, dst, n);
  } else if (from == MCL_I64 && to == MCL_F64) { /* one rounding, where a block would round to odd for a second */
    i64_to_f64(src, dst, n);
  } else {
    bool through_float = is_exact_in_float(from) && target->from_float;
    for (size_t at = 0; at < n; at += BLOCK)
      convert_block(source, (const uint8_t *)src + at * source->size, target, (uint8_t *)dst + at * target->size,
                    n - at < BLOCK ? n - at : BLOCK, through_float);
  }
}
