/* Narrowing with a look at its result: where numbers of one type are to be held as another, what leaves its range or is
 * rounded away is told by name. Everything that narrows what a user gave goes through here. */
#include <math.h>

#include "base/threads.h"
#include "tensor/tensor.h"

#define CHUNK ((int64_t)1 << 16)
#define BLOCK 256

/* What f16, bf16 and f32 hold: the least normal number, and whole numbers without a hole up to `exact`. */
static const struct {
  mcl_dtype dtype;
  double least, exact;
  const char *most, *wider;
} ranges[] = {
    {MCL_F16, 0x1p-14, 0x1p11, "65504", "bf16 or f32"},
    {MCL_BF16, 0x1p-126, 0x1p8, "3.39e+38", "smaller numbers"},
    {MCL_F32, 0x1p-126, 0x1p24, "3.4e+38", "smaller numbers"},
};

/* The first element of a kind of loss, in a chunk or in all; count: none. */
typedef struct losses {
  int64_t beyond, rounded;
  double greatest; /* of magnitudes that are finite */
} losses;

typedef struct look {
  const mcl_tensor *from, *to;
  bool is_whole;
  losses *chunk;
} look;

static mcl_status look_at_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const look *l = arg;
  int64_t end = (chunk + 1) * CHUNK < l->from->count ? (chunk + 1) * CHUNK : l->from->count;
  losses found = {INT64_MAX, INT64_MAX, 0};
  for (int64_t first = chunk * CHUNK; first < end; first += BLOCK) {
    double before[BLOCK], after[BLOCK];
    int64_t n = end - first < BLOCK ? end - first : BLOCK;
    const uint8_t *from = l->from->data, *to = l->to->data;
    mcl_convert(l->from->dtype, from + (size_t)first * mcl_dtype_size(l->from->dtype), MCL_F64, before, (size_t)n);
    mcl_convert(l->to->dtype, to + (size_t)first * mcl_dtype_size(l->to->dtype), MCL_F64, after, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
      double size = fabs(before[i]);
      if (isfinite(size) && size > found.greatest) found.greatest = size;
      if (isfinite(size) && !isfinite(after[i]) && found.beyond == INT64_MAX) found.beyond = first + i;
      bool is_rounded = l->is_whole && (before[i] != after[i] || size > 0x1p53); /* f64 itself may have rounded */
      if (is_rounded && found.rounded == INT64_MAX) found.rounded = first + i;
    }
  }
  l->chunk[chunk] = found;
  return MCL_OK;
}

static mcl_status look_at(mcl_tensor *from, mcl_tensor *to, losses *out) {
  int64_t chunks = (from->count + CHUNK - 1) / CHUNK;
  look l = {.from = from, .to = to, .is_whole = mcl_dtype_is_integer(from->dtype)};
  *out = (losses){INT64_MAX, INT64_MAX, 0};
  MCL_TRY(mcl_alloc_array(from->ctx, (size_t)chunks, sizeof *l.chunk, &l.chunk));
  mcl_status status = mcl_parallel(from->ctx, chunks, look_at_chunk, &l);
  for (int64_t c = 0; c < chunks && !status; c++) {
    if (l.chunk[c].beyond < out->beyond) out->beyond = l.chunk[c].beyond;
    if (l.chunk[c].rounded < out->rounded) out->rounded = l.chunk[c].rounded;
    if (l.chunk[c].greatest > out->greatest) out->greatest = l.chunk[c].greatest;
  }
  mcl_free(from->ctx, l.chunk);
  return status;
}

/* Says what was lost; only what has left the range is an error. */
static mcl_status judge(mcl_tensor *t, mcl_tensor *narrow, int range, const char *what, const losses *lost) {
  const char *name = mcl_dtype_name(narrow->dtype);
  double value = 0;
  int64_t at = lost->beyond < lost->rounded ? lost->beyond : lost->rounded;
  if (at < t->count)
    mcl_convert(t->dtype, (const uint8_t *)t->data + (size_t)at * mcl_dtype_size(t->dtype), MCL_F64, &value, 1);
  if (lost->beyond < t->count)
    return mcl_fail(t->ctx, MCL_ERROR_NUMERIC,
                    "%s: infinity at element %lld: %.9g is beyond the %s that %s holds; use %s", what,
                    (long long)lost->beyond, value, ranges[range].most, name, ranges[range].wider);
  if (lost->rounded < t->count)
    mcl_log(t->ctx, MCL_LOG_WARNING, "%s: %.0f at element %lld is rounded: %s holds all whole numbers up to %.0f alone",
            what, value, (long long)lost->rounded, name, ranges[range].exact);
  if (lost->greatest > 0 && lost->greatest < ranges[range].least)
    mcl_log(t->ctx, MCL_LOG_WARNING,
            "%s: no value is above %.3g, and %s holds smaller ones than %.3g by few bits or as 0", what, lost->greatest,
            name, ranges[range].least);
  return MCL_OK;
}

mcl_status mcl_tensor_narrow(mcl_tensor *t, mcl_dtype dtype, const char *what, mcl_tensor **out) {
  losses lost;
  MCL_TRY(mcl_tensor_convert(t, dtype, out));
  if (*out == t || !t->count) return MCL_OK;
  mcl_status status = MCL_OK;
  for (int range = 0; range < (int)(sizeof ranges / sizeof *ranges) && !status; range++) {
    if (ranges[range].dtype != dtype) continue;
    status = look_at(t, *out, &lost);
    if (!status) status = judge(t, *out, range, what, &lost);
  }
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}
