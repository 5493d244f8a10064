/* QR by blocked reflections (Schreiber & Van Loan 1989). A panel's columns are copied into rows, so that each lies together. */
#include "tensor/factor_blas.h"
#include "tensor/factor_body.h"

typedef struct qr_work {
  mcl_context *ctx;
  int64_t m, n, k;
  float *a;
  float *v; /* reflections: [k, m] in rows, zeros in front */
  float *tau;
  float *t; /* [panels, PANEL, PANEL] */
  float *w; /* [2 · PANEL, max(n, k)] */
} qr_work;

/* Columns p … of a, from row p down, become reflections in rows of v; what they leave is R's. */
static mcl_status factor_panel(qr_work *k, int64_t p, int64_t count) {
  int64_t m = k->m, n = k->n, work = 0;
  float *v = k->v + p * m, t[PANEL];
  for (int64_t i = 0; i < count; i++) memset(v + i * m, 0, (size_t)p * sizeof *v);
  for (int64_t r = p; r < m; r++) {
    for (int64_t i = 0; i < count; i++) v[i * m + r] = k->a[r * n + p + i];
    MCL_TRY(mcl_worked(k->ctx, &work, count));
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t at = p + i, rest = count - i - 1;
    float *x = v + i * m + at;
    double result;
    MCL_TRY(reflect(k->ctx, m - at, x, 1, &k->tau[at], &result));
    for (int64_t j = 0; j < i; j++) k->a[(p + j) * n + at] = v[i * m + p + j], v[i * m + p + j] = 0;
    k->a[at * n + at] = (float)result;
    MCL_TRY(times_vector(k->ctx, false, rest, m - at, 1, x + m, m, x, 1, 0, t, 1));
    for (int64_t j = 0; j < rest; j++) {
      float by = k->tau[at] * t[j], *column = x + (j + 1) * m;
      for (int64_t r = 0; r < m - at; r++) column[r] -= by * x[r];
      MCL_TRY(mcl_worked(k->ctx, &work, m - at));
    }
  }
  return compact(k->ctx, count, m - p, v + p, m, k->tau + p, k->t + p * PANEL);
}

/* c[m − p, columns] from row p on: (I − Vᵀ T V) c, or with Tᵀ. */
static mcl_status reflect_columns(qr_work *k, int64_t p, int64_t count, bool transpose, int64_t columns, float *c,
                                  int64_t ldc) {
  const float *v = k->v + p * k->m + p;
  float *w = k->w, *x = w + PANEL * columns;
  MCL_TRY(multiply(k->ctx, false, false, count, columns, k->m - p, 1, v, k->m, c, ldc, 0, w, columns));
  MCL_TRY(
      multiply(k->ctx, transpose, false, count, columns, count, 1, k->t + p * PANEL, PANEL, w, columns, 0, x, columns));
  return multiply(k->ctx, true, false, k->m - p, columns, count, -1, v, k->m, x, columns, 1, c, ldc);
}

static mcl_status factor(qr_work *k, float *q) {
  int64_t m = k->m, n = k->n;
  for (int64_t p = 0; p < k->k; p += PANEL) {
    int64_t count = k->k - p < PANEL ? k->k - p : PANEL, after = p + count;
    MCL_TRY(factor_panel(k, p, count));
    MCL_TRY(reflect_columns(k, p, count, true, n - after, k->a + p * n + after, n));
  }
  MCL_TRY(mcl_zero(k->ctx, q, (size_t)(m * k->k) * sizeof *q));
  for (int64_t i = 0; i < k->k; i++) q[i * k->k + i] = 1;
  for (int64_t p = (k->k - 1) / PANEL * PANEL; p >= 0; p -= PANEL) {
    int64_t count = k->k - p < PANEL ? k->k - p : PANEL;
    MCL_TRY(reflect_columns(k, p, count, false, k->k - p, q + p * k->k + p, k->k));
  }
  return MCL_OK;
}

mcl_status mcl_qr_f32(mcl_context *ctx, int64_t m, int64_t n, float *a, float *q) {
  qr_work k = {.ctx = ctx, .m = m, .n = n, .k = m < n ? m : n, .a = a};
  mcl_status status = mcl_alloc_array(ctx, (size_t)k.k, (size_t)m * sizeof(float), &k.v);
  if (!status) status = mcl_alloc_array(ctx, (size_t)k.k + PANEL, (PANEL + 1) * sizeof(float), &k.t);
  if (!status) status = mcl_alloc_array(ctx, 2 * PANEL, (size_t)n * sizeof(float), &k.w);
  if (!status) {
    k.tau = k.t + (k.k + PANEL) * PANEL;
    status = factor(&k, q);
  }
  mcl_free(ctx, k.v);
  mcl_free(ctx, k.t);
  mcl_free(ctx, k.w);
  return status;
}
