/* Eigenvalues of a symmetric matrix so that a cancel is heard within milliseconds: blocked reduction to a tridiagonal one
 * (Dongarra, Sorensen & Hammarling 1989), divide and conquer on that (Cuppen 1981; Gu & Eisenstat 1995), and the reflections
 * applied to its vectors. All products are cut into pieces; sums do not depend on the threads. */
#include "base/threads.h"
#include "tensor/conquer_blas.h"
#include "tensor/factor_body.h"

#define LEAF 32     /* sides from here down go by QR iterations */
#define COLUMNS 256 /* of the trailing triangle that are updated at once */

typedef struct eigen_work {
  mcl_context *ctx;
  int64_t n;
  real *a; /* [n, n]: the upper triangle of the matrix; then the reflections, in its rows */
  real *tau;
  double *d, *e; /* the diagonal and its neighbour */
  real *q;       /* [n, n]: vectors of the tridiagonal matrix, in rows */
  real *g, *s;   /* [n, n] each: what a merge multiplies */
  mcl_conquest c;
} eigen_work;

/* ---- To a tridiagonal matrix ---- */

/* y = A x for the symmetric A[n, n] of which the upper triangle is there. */
static mcl_status times_symmetric(mcl_context *ctx, int64_t n, const real *a, int64_t lda, const real *x, real *y) {
  int64_t block = n * n <= 2 * PIECE ? n : PIECE / n + 1;
  memset(y, 0, (size_t)n * sizeof *y);
  for (int64_t i = 0; i < n; i += block) {
    int64_t rows = n - i < block ? n - i : block, rest = n - i - rows;
    const real *row = a + i * lda + i;
    MCL_TRY(mcl_blas_enter(ctx));
    BLAS(symv)(CblasRowMajor, CblasUpper, (blasint)rows, 1, row, (blasint)lda, x + i, 1, 1, y + i, 1);
    mcl_blas_unlock();
    if (!rest) break;
    MCL_TRY(times_vector(ctx, false, rows, rest, 1, row + rows, lda, x + i + rows, 1, 1, y + i, 1));
    MCL_TRY(times_vector(ctx, true, rows, rest, 1, row + rows, lda, x + i, 1, 1, y + i + rows, 1));
  }
  return MCL_OK;
}

/* Row j: what the panel's reflections (from row p on; w: their products) did to it, then a reflection of its own. */
static mcl_status reduce_row(eigen_work *k, int64_t p, int64_t j, real *w) {
  int64_t n = k->n, done = j - p, rest = n - j - 1;
  real *v = k->a + p * n, *row = k->a + j * n, t[PANEL];
  MCL_TRY(times_vector(k->ctx, true, done, n - j, -1, v + j, n, w + j, n, 1, row + j, 1));
  MCL_TRY(times_vector(k->ctx, true, done, n - j, -1, w + j, n, v + j, n, 1, row + j, 1));
  k->d[j] = (double)row[j];
  if (!rest) return MCL_OK;
  real *x = row + j + 1, *y = w + done * n + j + 1;
  MCL_TRY(reflect(k->ctx, rest, x, 1, &k->tau[j], &k->e[j]));
  MCL_TRY(times_symmetric(k->ctx, rest, k->a + (j + 1) * n + j + 1, n, x, y));
  MCL_TRY(times_vector(k->ctx, false, done, rest, 1, w + j + 1, n, x, 1, 0, t, 1));
  MCL_TRY(times_vector(k->ctx, true, done, rest, -1, v + j + 1, n, t, 1, 1, y, 1));
  MCL_TRY(times_vector(k->ctx, false, done, rest, 1, v + j + 1, n, x, 1, 0, t, 1));
  MCL_TRY(times_vector(k->ctx, true, done, rest, -1, w + j + 1, n, t, 1, 1, y, 1));
  double dot = 0, tau = (double)k->tau[j];
  for (int64_t i = 0; i < rest; i++) dot += (double)y[i] * (double)x[i];
  for (int64_t i = 0; i < rest; i++) y[i] = (real)(tau * ((double)y[i] - tau * dot / 2 * (double)x[i]));
  return MCL_OK;
}

/* The triangle from row q on less VᵀW + WᵀV. pair: [4 · PANEL, n]. */
static mcl_status update_triangle(eigen_work *k, int64_t p, int64_t q, const real *w, real *pair) {
  int64_t n = k->n, count = q - p;
  real *other = pair + 2 * PANEL * n;
  for (int64_t i = 0; i < count; i++) {
    size_t size = (size_t)(n - q) * sizeof *pair;
    memcpy(pair + i * n, k->a + (p + i) * n + q, size);
    memcpy(pair + (count + i) * n, w + i * n + q, size);
    memcpy(other + i * n, w + i * n + q, size);
    memcpy(other + (count + i) * n, k->a + (p + i) * n + q, size);
  }
  for (int64_t c = q; c < n; c += COLUMNS)
    MCL_TRY(multiply(k->ctx, true, false, n - c < COLUMNS ? n - c : COLUMNS, n - c, 2 * count, -1, other + c - q, n,
                     pair + c - q, n, 1, k->a + c * n + c, n));
  return MCL_OK;
}

static mcl_status tridiagonalise(eigen_work *k) {
  real *w;
  int64_t n = k->n;
  MCL_TRY(mcl_alloc_array(k->ctx, 5 * PANEL, (size_t)n * sizeof *w, &w));
  mcl_status status = MCL_OK;
  for (int64_t p = 0; p < n && !status; p += PANEL) {
    int64_t q = n - p < PANEL ? n : p + PANEL;
    for (int64_t j = p; j < q && !status; j++) status = reduce_row(k, p, j, w);
    if (!status) status = update_triangle(k, p, q, w, w + PANEL * n);
  }
  mcl_free(k->ctx, w);
  return status;
}

/* ---- Divide and conquer ---- */

static mcl_status solve_leaf(eigen_work *k, int64_t lo, int64_t n) {
  double d[LEAF], e[LEAF], z[LEAF * LEAF];
  memcpy(d, k->d + lo, (size_t)n * sizeof *d);
  memcpy(e, k->e + lo, (size_t)n * sizeof *e);
  MCL_TRY(mcl_blas_enter(k->ctx));
  lapack_int info = LAPACKE_dsteqr(LAPACK_COL_MAJOR, 'I', (lapack_int)n, d, e, z, (lapack_int)n);
  mcl_blas_unlock();
  if (info)
    return mcl_fail(k->ctx, MCL_ERROR_NUMERIC, "eigenvalues did not converge (info %d); check the matrix's scale",
                    (int)info);
  memcpy(k->d + lo, d, (size_t)n * sizeof *d);
  for (int64_t i = 0; i < n; i++) /* columns of column-major: rows */
    for (int64_t j = 0; j < n; j++) k->q[(lo + i) * k->n + lo + j] = (real)z[i * n + j];
  return MCL_OK;
}

/* Poles with hardly a part in z stay; of two that are hardly apart, a rotation takes one's part away (it stays, too). */
static mcl_status deflate(eigen_work *k, int64_t lo, double rho) {
  mcl_conquest *c = &k->c;
  mcl_pole *kept = c->pole, *stay;
  double size = 0, most = 0;
  int64_t last = -1, count = 0, stays = 0, work = 0;
  for (int64_t i = 0; i < c->count; i++)
    size = fmax(size, fabs(c->pole[i].value)), most = fmax(most, rho * fabs(c->pole[i].z));
  double tolerance = 8 * REAL_EPSILON * fmax(size, most);
  MCL_TRY(mcl_alloc_array(c->ctx, (size_t)c->count, sizeof *stay, &stay));
  mcl_status status = MCL_OK;
  for (int64_t i = 0; i < c->count && !status; i++) {
    mcl_pole now = c->pole[i];
    if (rho * fabs(now.z) <= tolerance) {
      stay[stays++] = now;
      continue;
    }
    if (last >= 0) {
      mcl_pole *before = &kept[last];
      double length = hypot(now.z, before->z), cosine = now.z / length, sine = -before->z / length;
      double apart = now.value - before->value;
      if (fabs(apart * cosine * sine) <= tolerance) {
        rotate(k->q + before->row * k->n + lo, k->q + now.row * k->n + lo, c->count, cosine, sine);
        double value = before->value * cosine * cosine + now.value * sine * sine;
        now.value = before->value * sine * sine + now.value * cosine * cosine;
        now.z = length;
        if (now.half != before->half) now.half = MCL_HALF_BOTH;
        stay[stays] = *before;
        stay[stays++].value = value;
        *before = now;
        status = mcl_worked(c->ctx, &work, 4 * c->count);
        continue;
      }
    }
    last = count;
    kept[count++] = now;
  }
  c->kept = count;
  memcpy(kept + count, stay, (size_t)stays * sizeof *stay);
  mcl_free(c->ctx, stay);
  return status;
}

/* Copies the kept vectors by halves into g, those that stay behind them; *left and *right: where the halves begin. */
static mcl_status gather(eigen_work *k, int64_t lo, int64_t n1, real **right, real **stay) {
  const mcl_conquest *c = &k->c;
  int64_t n = k->n, n2 = c->count - n1, work = 0;
  int64_t in_left = c->halves[MCL_HALF_LEFT] + c->halves[MCL_HALF_BOTH];
  *right = k->g + in_left * n1;
  *stay = *right + (c->kept - c->halves[MCL_HALF_LEFT]) * n2;
  for (int64_t i = 0; i < c->count; i++) {
    const real *row = k->q + c->pole[i].row * n + lo;
    int64_t at = i < c->kept ? c->place[i] : 0, at_right = at - c->halves[MCL_HALF_LEFT];
    if (i >= c->kept) {
      memcpy(*stay + (i - c->kept) * c->count, row, (size_t)c->count * sizeof *row);
    } else {
      if (at < in_left) memcpy(k->g + at * n1, row, (size_t)n1 * sizeof *row);
      if (at_right >= 0) memcpy(*right + at_right * n2, row + n1, (size_t)n2 * sizeof *row);
    }
    MCL_TRY(mcl_worked(c->ctx, &work, c->count));
  }
  return MCL_OK;
}

/* Row i of s: the vector of root i, in the kept ones. */
static mcl_status vector_chunk(void *arg, int64_t i, int worker) {
  const eigen_work *k = arg;
  const mcl_conquest *c = &k->c;
  real *row = k->s + i * c->kept;
  double sum = 0;
  (void)worker;
  for (int64_t j = 0; j < c->kept; j++) {
    double entry = c->refined[j] / mcl_secular_distance(&c->secular, j, i);
    sum += entry * entry;
  }
  double scale = 1 / sqrt(sum);
  for (int64_t j = 0; j < c->kept; j++) {
    double entry = c->refined[j] / mcl_secular_distance(&c->secular, j, i);
    row[c->place[j]] = (real)(copysign(entry, c->pole[j].z * entry) * scale);
  }
  return MCL_OK;
}

static mcl_status merge_vectors(eigen_work *k, int64_t lo, int64_t n1) {
  mcl_conquest *c = &k->c;
  int64_t n = k->n, n2 = c->count - n1, kept = c->kept;
  int64_t left = c->halves[MCL_HALF_LEFT], in_left = left + c->halves[MCL_HALF_BOTH];
  real *right, *stay, *q = k->q + lo * n + lo;
  MCL_TRY(gather(k, lo, n1, &right, &stay));
  if (kept) MCL_TRY(mcl_parallel(k->ctx, kept, vector_chunk, k));
  MCL_TRY(multiply(k->ctx, false, false, kept, n1, in_left, 1, k->s, kept, k->g, n1, 0, q, n));
  MCL_TRY(multiply(k->ctx, false, false, kept, n2, kept - left, 1, k->s + left, kept, right, n2, 0, q + n1, n));
  for (int64_t i = kept; i < c->count; i++)
    memcpy(q + i * n, stay + (i - kept) * c->count, (size_t)c->count * sizeof *q);
  for (int64_t i = 0; i < c->count; i++)
    k->d[lo + i] = i < kept ? c->square[c->origin[i]] + c->offset[i] : c->pole[i].value;
  return MCL_OK;
}

/* The two halves of rows lo …, the first of n1, that `joint` joined. */
static mcl_status merge(eigen_work *k, int64_t lo, int64_t n1, int64_t n, double joint) {
  mcl_conquest *c = &k->c;
  double rho = 2 * fabs(joint), sign = joint < 0 ? -1 : 1;
  c->count = n;
  for (int64_t i = 0; i < n; i++) {
    bool left = i < n1;
    double edge = (double)k->q[(lo + i) * k->n + lo + (left ? n1 - 1 : n1)];
    c->pole[i] = (mcl_pole){k->d[lo + i], (left ? edge : sign * edge) * M_SQRT1_2, lo + i,
                            left ? MCL_HALF_LEFT : MCL_HALF_RIGHT};
  }
  MCL_TRY(mcl_conquest_sort(c));
  MCL_TRY(deflate(k, lo, rho));
  for (int64_t i = 0; i < c->kept; i++) {
    c->square[i] = c->pole[i].value;
    c->weight[i] = rho * c->pole[i].z * c->pole[i].z;
  }
  MCL_TRY(mcl_conquest_solve(c));
  return merge_vectors(k, lo, n1);
}

static mcl_status conquer(eigen_work *k, int64_t lo, int64_t n) {
  if (n <= LEAF) return solve_leaf(k, lo, n);
  int64_t n1 = n / 2;
  double joint = k->e[lo + n1 - 1];
  k->d[lo + n1 - 1] -= fabs(joint);
  k->d[lo + n1] -= fabs(joint);
  MCL_TRY(conquer(k, lo, n1));
  MCL_TRY(conquer(k, lo + n1, n - n1));
  return merge(k, lo, n1, n, joint);
}

/* ---- Back ---- */

/* The top `wanted` vectors of q into rows of out, ascending, and their values. */
static mcl_status take_top(eigen_work *k, int64_t wanted, double *values, real *out) {
  mcl_conquest *c = &k->c;
  int64_t work = 0;
  c->count = k->n;
  for (int64_t i = 0; i < k->n; i++) c->pole[i] = (mcl_pole){.value = k->d[i], .row = i};
  MCL_TRY(mcl_conquest_sort(c));
  for (int64_t i = 0; i < wanted; i++) {
    const mcl_pole *from = &c->pole[k->n - wanted + i];
    values[i] = from->value;
    memcpy(out + i * k->n, k->q + from->row * k->n, (size_t)k->n * sizeof *out);
    MCL_TRY(mcl_worked(k->ctx, &work, k->n));
  }
  return MCL_OK;
}

/* The reflections, last panel first, applied to rows of z. */
static mcl_status reflect_back(eigen_work *k, int64_t rows, real *z) {
  int64_t n = k->n;
  real *v, t[PANEL * PANEL];
  MCL_TRY(mcl_alloc_array(k->ctx, PANEL, (size_t)(n + 2 * rows) * sizeof *v, &v));
  mcl_status status = MCL_OK;
  for (int64_t p = (n - 2) / PANEL * PANEL; p >= 0 && !status; p -= PANEL) {
    int64_t count = n - 1 - p < PANEL ? n - 1 - p : PANEL, length = n - p - 1;
    for (int64_t i = 0; i < count; i++) {
      memset(v + i * length, 0, (size_t)i * sizeof *v);
      memcpy(v + i * length + i, k->a + (p + i) * n + p + i + 1, (size_t)(length - i) * sizeof *v);
    }
    status = compact(k->ctx, count, length, v, length, k->tau + p, t);
    if (!status) status = reflect_rows(k->ctx, count, length, v, length, t, rows, z + p + 1, n, v + PANEL * n);
  }
  mcl_free(k->ctx, v);
  return status;
}

static mcl_status eigen_work_new(mcl_context *ctx, int64_t n, real *a, eigen_work *k) {
  size_t side = (size_t)n * sizeof(real);
  *k = (eigen_work){.ctx = ctx, .n = n, .a = a};
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n, 2 * sizeof *k->d, &k->d));
  k->e = k->d + n;
  MCL_TRY(mcl_alloc(ctx, side, &k->tau));
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)n * side, &k->q));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n, side, &k->g));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n, side, &k->s));
  return mcl_conquest_new(ctx, n, &k->c);
}

static void eigen_work_free(eigen_work *k) {
  mcl_free(k->ctx, k->d);
  mcl_free(k->ctx, k->tau);
  mcl_free(k->ctx, k->q);
  mcl_free(k->ctx, k->g);
  mcl_free(k->ctx, k->s);
  if (k->c.ctx) mcl_conquest_free(&k->c);
}

/* Of the symmetric a[n, n], whose upper triangle is read and overwritten: the `wanted` largest eigenvalues, ascending, and
 * their vectors as rows. */
static mcl_status eigen(mcl_context *ctx, int64_t n, real *a, int64_t wanted, double *values, real *vectors) {
  eigen_work k;
  mcl_status status = eigen_work_new(ctx, n, a, &k);
  if (!status) status = tridiagonalise(&k);
  if (!status) status = conquer(&k, 0, n);
  if (!status) status = take_top(&k, wanted, values, vectors);
  if (!status) status = reflect_back(&k, wanted, vectors);
  eigen_work_free(&k);
  return status;
}
