/* Singular values so that a cancel is heard within milliseconds: blocked reduction to a bidiagonal matrix (Dongarra, Sorensen &
 * Hammarling 1989), divide and conquer on that (Gu & Eisenstat 1995), and the reflections applied to its vectors.
 *
 * A node of the division has `rows` rows and one column more, but for the last of all: that column's right vector is of
 * the singular value 0. Its middle row joins two nodes; in the vectors of these it is (z₀, z₁ …), and all other rows are one
 * singular value each, so what is left is a diagonal matrix under one full row. */
#include "base/threads.h"
#include "tensor/conquer_blas.h"
#include "tensor/factor_blas.h"
#include "tensor/factor_body.h"

#define LEAF 24

typedef struct svd_work {
  mcl_context *ctx;
  int64_t m, n;
  float *a; /* [m, n]; then the reflections: columns to the left, rows to the right */
  float *tau_left, *tau_right;
  double *d, *e; /* the diagonal, and above it */
  float *u, *v;  /* [n, n] each: vectors of the bidiagonal matrix, in rows */
  float *g, *s;  /* [n + 1, n] each: what a merge multiplies */
  mcl_conquest c;
} svd_work;

/* ---- To a bidiagonal matrix ---- */

/* Column and row i of a panel that began at p. x[m, PANEL], y[n, PANEL]: A so far is less V·yᵀ + x·U. */
static mcl_status reduce_column(svd_work *k, int64_t p, int64_t i, float *x, float *y) {
  int64_t n = k->n, done = i - p, down = k->m - i, right = n - i - 1;
  float *a = k->a, *column = a + i * n + i, t[PANEL];
  mcl_context *ctx = k->ctx;
  MCL_TRY(times_vector(ctx, false, down, done, -1, a + i * n + p, n, y + i * PANEL, 1, 1, column, n));
  MCL_TRY(times_vector(ctx, false, down, done, -1, x + i * PANEL, PANEL, a + p * n + i, n, 1, column, n));
  MCL_TRY(reflect(ctx, down, column, n, &k->tau_left[i], &k->d[i]));
  if (!right) return MCL_OK;
  float *yi = y + (i + 1) * PANEL + done, *row = column + 1;
  MCL_TRY(times_vector(ctx, true, down, right, 1, row, n, column, n, 0, yi, PANEL));
  MCL_TRY(times_vector(ctx, true, down, done, 1, a + i * n + p, n, column, n, 0, t, 1));
  MCL_TRY(times_vector(ctx, false, right, done, -1, y + (i + 1) * PANEL, PANEL, t, 1, 1, yi, PANEL));
  MCL_TRY(times_vector(ctx, true, down, done, 1, x + i * PANEL, PANEL, column, n, 0, t, 1));
  MCL_TRY(times_vector(ctx, true, done, right, -1, a + p * n + i + 1, n, t, 1, 1, yi, PANEL));
  for (int64_t j = 0; j < right; j++) yi[j * PANEL] *= k->tau_left[i];

  MCL_TRY(times_vector(ctx, false, right, done + 1, -1, y + (i + 1) * PANEL, PANEL, a + i * n + p, 1, 1, row, 1));
  MCL_TRY(times_vector(ctx, true, done, right, -1, a + p * n + i + 1, n, x + i * PANEL, 1, 1, row, 1));
  MCL_TRY(reflect(ctx, right, row, 1, &k->tau_right[i], &k->e[i]));
  if (down == 1) return MCL_OK;
  float *xi = x + (i + 1) * PANEL + done;
  MCL_TRY(times_vector(ctx, false, down - 1, right, 1, row + n, n, row, 1, 0, xi, PANEL));
  MCL_TRY(times_vector(ctx, true, right, done + 1, 1, y + (i + 1) * PANEL, PANEL, row, 1, 0, t, 1));
  MCL_TRY(times_vector(ctx, false, down - 1, done + 1, -1, a + (i + 1) * n + p, n, t, 1, 1, xi, PANEL));
  MCL_TRY(times_vector(ctx, false, done, right, 1, a + p * n + i + 1, n, row, 1, 0, t, 1));
  MCL_TRY(times_vector(ctx, false, down - 1, done, -1, x + (i + 1) * PANEL, PANEL, t, 1, 1, xi, PANEL));
  for (int64_t j = 0; j < down - 1; j++) xi[j * PANEL] *= k->tau_right[i];
  return MCL_OK;
}

/* What lies below and to the right of a panel, less V·yᵀ + x·U. left: [m, 2 · PANEL], right: [2 · PANEL, n]. */
static mcl_status update_rest(svd_work *k, int64_t p, const float *x, const float *y, float *left, float *right) {
  int64_t n = k->n, q = p + PANEL, ld = 2 * PANEL, down = k->m - q, across = n - q;
  for (int64_t i = 0; i < down; i++)
    for (int64_t j = 0; j < PANEL; j++) {
      left[i * ld + j] = k->a[(q + i) * n + p + j];
      left[i * ld + PANEL + j] = x[(q + i) * PANEL + j];
    }
  for (int64_t j = 0; j < PANEL; j++) {
    for (int64_t i = 0; i < across; i++) right[j * across + i] = y[(q + i) * PANEL + j];
    memcpy(right + (PANEL + j) * across, k->a + (p + j) * n + q, (size_t)across * sizeof *right);
  }
  return multiply(k->ctx, false, false, down, across, ld, -1, left, ld, right, across, 1, k->a + q * n + q, n);
}

static mcl_status bidiagonalise(svd_work *k) {
  float *x;
  MCL_TRY(mcl_alloc_array(k->ctx, (size_t)(k->m + k->n), 3 * PANEL * sizeof *x, &x));
  float *y = x + k->m * PANEL, *left = y + k->n * PANEL, *right = left + 2 * PANEL * k->m;
  mcl_status status = MCL_OK;
  for (int64_t p = 0; p < k->n && !status; p += PANEL) {
    for (int64_t i = p; i < p + PANEL && i < k->n && !status; i++) status = reduce_column(k, p, i, x, y);
    if (!status && p + PANEL < k->n) status = update_rest(k, p, x, y, left, right);
  }
  mcl_free(k->ctx, x);
  return status;
}

/* ---- Divide and conquer: rows lo … of the bidiagonal matrix; `extra`: one column more than rows ---- */

static mcl_status solve_leaf(svd_work *k, int64_t lo, int64_t rows, int extra) {
  double b[LEAF * (LEAF + 1)] = {0}, u[LEAF * LEAF], v[(LEAF + 1) * (LEAF + 1)], rest[LEAF];
  int64_t columns = rows + extra;
  for (int64_t i = 0; i < rows; i++) {
    b[i * columns + i] = k->d[lo + i];
    if (i + 1 < columns) b[i * columns + i + 1] = k->e[lo + i];
  }
  MCL_TRY(mcl_blas_enter(k->ctx)); /* Bᵀ in column-major: its right vectors are our left ones, in rows */
  lapack_int info = LAPACKE_dgesvd(LAPACK_COL_MAJOR, 'A', 'A', (lapack_int)columns, (lapack_int)rows, b,
                                   (lapack_int)columns, k->d + lo, v, (lapack_int)columns, u, (lapack_int)rows, rest);
  mcl_blas_unlock();
  if (info)
    return mcl_fail(k->ctx, MCL_ERROR_NUMERIC, "singular values did not converge (info %d); check the matrix's scale",
                    (int)info);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < rows; j++) k->u[(lo + i) * k->n + lo + j] = (float)u[j * rows + i];
  for (int64_t i = 0; i < columns; i++)
    for (int64_t j = 0; j < columns; j++) k->v[(lo + i) * k->n + lo + j] = (float)v[i * columns + j];
  return MCL_OK;
}

/* Fills poles 1 … with the children's singular values, and pole 0 with what the columns of value 0 have in the middle
 * row, which are turned into one and a new column of value 0, the node's own. */
static void list_poles(svd_work *k, int64_t lo, int64_t left, int64_t rows, int extra) {
  mcl_conquest *c = &k->c;
  int64_t n = k->n, middle = lo + left, columns = rows + extra;
  double alpha = k->d[middle], beta = middle + 1 < lo + columns ? k->e[middle] : 0;
  c->count = 0;
  for (int64_t i = 0; i < rows; i++) {
    int64_t row = lo + i;
    if (row == middle) continue;
    bool is_left = row < middle;
    double edge = (double)k->v[row * n + (is_left ? middle : middle + 1)];
    c->pole[++c->count] =
        (mcl_pole){k->d[row], (is_left ? alpha : beta) * edge, row, is_left ? MCL_HALF_LEFT : MCL_HALF_RIGHT};
  }
  float *zero = k->v + middle * n + lo, *other = k->v + (lo + rows) * n + lo;
  double z = alpha * (double)zero[left], w = extra ? beta * (double)other[left + 1] : 0, length = hypot(z, w);
  if (extra) rotate(zero, other, columns, length > 0 ? z / length : 1, length > 0 ? w / length : 0);
  c->pole[0] = (mcl_pole){0, extra ? length : z, middle, extra ? MCL_HALF_BOTH : MCL_HALF_LEFT};
}

typedef struct deflation {
  svd_work *k;
  int64_t lo, rows, columns;
  double tolerance;
  mcl_pole *stay;
  int64_t stays;
} deflation;

/* Is `now`, apart from the kept pole before it by no more than the tolerance, merged into that place? Its partner then
 * stays as it is, without a part in the joint row. Pole 0 has no left vector to turn: it keeps its place, and the other
 * stays. */
static bool is_absorbed(deflation *f, mcl_pole *before, mcl_pole now, bool is_first) {
  svd_work *k = f->k;
  if (now.value - before->value > f->tolerance) return false;
  double length = hypot(now.z, before->z);
  int64_t n = k->n;
  mcl_half half = now.half == before->half ? now.half : MCL_HALF_BOTH;
  if (is_first) {
    double cosine = before->z / length, sine = now.z / length;
    rotate(k->v + before->row * n + f->lo, k->v + now.row * n + f->lo, f->columns, cosine, sine);
    before->z = length;
    before->half = now.half = half;
    now.value *= fabs(cosine);
    for (int64_t i = 0; cosine < 0 && i < f->rows; i++) /* a singular value is not negative */
      k->u[now.row * n + f->lo + i] = -k->u[now.row * n + f->lo + i];
    f->stay[f->stays++] = now;
    return true;
  }
  double cosine = now.z / length, sine = -before->z / length;
  rotate(k->u + before->row * n + f->lo, k->u + now.row * n + f->lo, f->rows, cosine, sine);
  rotate(k->v + before->row * n + f->lo, k->v + now.row * n + f->lo, f->columns, cosine, sine);
  f->stay[f->stays] = *before;
  f->stay[f->stays++].half = half;
  now.z = length;
  now.half = half;
  *before = now;
  return true;
}

static mcl_status deflate(svd_work *k, int64_t lo, int64_t columns, double joint) {
  mcl_conquest *c = &k->c;
  deflation f = {.k = k, .lo = lo, .rows = c->count + 1, .columns = columns};
  int64_t count = 1, work = 0;
  double size = joint;
  mcl_pole *kept = c->pole;
  for (int64_t i = 1; i <= c->count; i++) size = fmax(size, c->pole[i].value);
  f.tolerance = fmax(8 * REAL_EPSILON * size, 1e-140); /* of zeros alone, too */
  MCL_TRY(mcl_alloc_array(c->ctx, (size_t)c->count + 1, sizeof *f.stay, &f.stay));
  if (fabs(kept[0].z) < f.tolerance) kept[0].z = copysign(f.tolerance, kept[0].z);
  mcl_status status = MCL_OK;
  for (int64_t i = 1; i <= c->count && !status; i++) {
    mcl_pole now = c->pole[i];
    if (fabs(now.z) <= f.tolerance)
      f.stay[f.stays++] = now;
    else if (!is_absorbed(&f, &kept[count - 1], now, count == 1))
      kept[count++] = now;
    status = mcl_worked(c->ctx, &work, 8 * columns);
  }
  c->kept = count;
  c->count++;
  memcpy(kept + count, f.stay, (size_t)f.stays * sizeof *f.stay);
  mcl_free(c->ctx, f.stay);
  return status;
}

/* ---- The vectors of a merge ---- */

typedef struct vectors {
  svd_work *k;
  bool is_left; /* left singular vectors */
} vectors;

/* Row i of s: the vector of root i, in the kept ones. */
static mcl_status vector_chunk(void *arg, int64_t i, int worker) {
  const vectors *w = arg;
  const mcl_conquest *c = &w->k->c;
  float *row = w->k->s + i * c->kept;
  double sum = 0;
  (void)worker;
  for (int64_t j = 0; j < c->kept; j++) {
    double entry = c->refined[j] / mcl_secular_distance(&c->secular, j, i);
    if (w->is_left) entry = j ? entry * c->pole[j].value : 1;
    sum += entry * entry;
  }
  double scale = 1 / sqrt(sum);
  for (int64_t j = 0; j < c->kept; j++) {
    double z = copysign(c->refined[j], c->pole[j].z), entry = z / mcl_secular_distance(&c->secular, j, i);
    if (w->is_left) entry = j ? entry * c->pole[j].value : -1;
    row[c->place[j]] = (float)(entry * scale);
  }
  return MCL_OK;
}

/* Copies rows of q by halves into g: the first `left` columns and the last `right`; those that stay behind them. */
static mcl_status gather(svd_work *k, const float *q, int64_t left, int64_t right, int64_t columns, float **other,
                         float **stay) {
  const mcl_conquest *c = &k->c;
  int64_t only_left = c->halves[MCL_HALF_LEFT], in_left = only_left + c->halves[MCL_HALF_BOTH], work = 0;
  *other = k->g + in_left * left;
  *stay = *other + (c->kept - only_left) * right;
  for (int64_t i = 0; i < c->count; i++) {
    const float *row = q + c->pole[i].row * k->n;
    int64_t at = i < c->kept ? c->place[i] : 0;
    if (i >= c->kept) {
      memcpy(*stay + (i - c->kept) * columns, row, (size_t)columns * sizeof *row);
    } else {
      if (at < in_left) memcpy(k->g + at * left, row, (size_t)left * sizeof *row);
      if (at >= only_left)
        memcpy(*other + (at - only_left) * right, row + columns - right, (size_t)right * sizeof *row);
    }
    MCL_TRY(mcl_worked(k->ctx, &work, columns));
  }
  return MCL_OK;
}

/* The kept rows of q (its node begins at column lo), multiplied by s; the middle column, if any, is the caller's. */
static mcl_status merge_side(svd_work *k, bool is_left, float *q, int64_t lo, int64_t left, int64_t right,
                             int64_t columns) {
  const mcl_conquest *c = &k->c;
  int64_t n = k->n, kept = c->kept, only_left = c->halves[MCL_HALF_LEFT],
          in_left = only_left + c->halves[MCL_HALF_BOTH];
  float *other, *stay, *to = q + lo * n + lo;
  vectors w = {k, is_left};
  MCL_TRY(gather(k, q + lo, left, right, columns, &other, &stay));
  MCL_TRY(mcl_parallel(k->ctx, kept, vector_chunk, &w));
  MCL_TRY(multiply(k->ctx, false, false, kept, left, in_left, 1, k->s, kept, k->g, left, 0, to, n));
  MCL_TRY(multiply(k->ctx, false, false, kept, right, kept - only_left, 1, k->s + only_left, kept, other, right, 0,
                   to + columns - right, n));
  for (int64_t i = kept; i < c->count; i++)
    memcpy(to + i * n, stay + (i - kept) * columns, (size_t)columns * sizeof *to);
  return MCL_OK;
}

static mcl_status merge(svd_work *k, int64_t lo, int64_t left, int64_t rows, int extra) {
  mcl_conquest *c = &k->c;
  int64_t n = k->n, middle = lo + left, columns = rows + extra;
  double joint = fmax(fabs(k->d[middle]), middle + 1 < lo + columns ? fabs(k->e[middle]) : 0);
  list_poles(k, lo, left, rows, extra);
  mcl_pole first = c->pole[0];
  c->pole++;
  mcl_status status = mcl_conquest_sort(c);
  c->pole--;
  MCL_TRY(status);
  c->pole[0] = first;
  memset(k->u + middle * n + lo, 0, (size_t)rows * sizeof *k->u); /* of pole 0: no part in either half */
  MCL_TRY(deflate(k, lo, columns, joint));
  for (int64_t i = 0; i < c->kept; i++) {
    c->square[i] = c->pole[i].value * c->pole[i].value;
    c->weight[i] = c->pole[i].z * c->pole[i].z;
  }
  MCL_TRY(mcl_conquest_solve(c));
  MCL_TRY(merge_side(k, false, k->v, lo, left + 1, columns - left - 1, columns));
  MCL_TRY(merge_side(k, true, k->u, lo, left, rows - left - 1, rows));
  for (int64_t i = 0; i < rows; i++) k->u[(lo + i) * n + middle] = i < c->kept ? k->s[i * c->kept + c->place[0]] : 0;
  for (int64_t i = 0; i < rows; i++)
    k->d[lo + i] = i < c->kept ? sqrt(c->square[c->origin[i]] + c->offset[i]) : c->pole[i].value;
  return MCL_OK;
}

static mcl_status conquer(svd_work *k, int64_t lo, int64_t rows, int extra) {
  if (rows <= LEAF) return solve_leaf(k, lo, rows, extra);
  int64_t left = rows / 2;
  double alpha = k->d[lo + left], beta = k->e[lo + left];
  MCL_TRY(conquer(k, lo, left, 1));
  MCL_TRY(conquer(k, lo + left + 1, rows - left - 1, extra));
  k->d[lo + left] = alpha;
  k->e[lo + left] = beta;
  return merge(k, lo, left, rows, extra);
}

/* ---- Back ---- */

/* Reflection i of the left: column i of a from row i on; of the right: row i from column i + 1 on. */
static void copy_reflection(const svd_work *k, bool is_left, int64_t i, int64_t length, float *to) {
  const float *from = k->a + i * k->n + (is_left ? i : i + 1);
  for (int64_t j = 0; j < length; j++) to[j] = from[is_left ? j * k->n : j];
}

/* Applies the reflections of one side, last panel first, to rows of z[n, length + shift]. */
static mcl_status reflect_back(svd_work *k, bool is_left, float *z, int64_t ldz) {
  int64_t shift = is_left ? 0 : 1, count = k->n - shift, all = is_left ? k->m : k->n;
  const float *tau = is_left ? k->tau_left : k->tau_right;
  float *v, t[PANEL * PANEL];
  MCL_TRY(mcl_alloc_array(k->ctx, PANEL, (size_t)(all + 2 * k->n) * sizeof *v, &v));
  mcl_status status = MCL_OK;
  for (int64_t p = (count - 1) / PANEL * PANEL; p >= 0 && !status; p -= PANEL) {
    int64_t some = count - p < PANEL ? count - p : PANEL, length = all - shift - p;
    for (int64_t i = 0; i < some && !status; i++) {
      memset(v + i * length, 0, (size_t)i * sizeof *v);
      copy_reflection(k, is_left, p + i, length - i, v + i * length + i);
      status = mcl_check_cancel(k->ctx);
    }
    if (!status) status = compact(k->ctx, some, length, v, length, tau + p, t);
    if (!status) status = reflect_rows(k->ctx, some, length, v, length, t, k->n, z + p + shift, ldz, v + PANEL * all);
  }
  mcl_free(k->ctx, v);
  return status;
}

/* Vectors in descending order of their values into u[n, m] and v[n, n]. */
static mcl_status take_all(svd_work *k, float *u, double *values, float *v) {
  mcl_conquest *c = &k->c;
  size_t side = (size_t)k->n * sizeof *u;
  c->count = k->n;
  for (int64_t i = 0; i < k->n; i++) c->pole[i] = (mcl_pole){.value = -k->d[i], .row = i};
  MCL_TRY(mcl_conquest_sort(c));
  for (int64_t i = 0; i < k->n; i++) {
    const mcl_pole *from = &c->pole[i];
    values[i] = -from->value;
    memcpy(u + i * k->m, k->u + from->row * k->n, side);
    memset(u + i * k->m + k->n, 0, (size_t)(k->m - k->n) * sizeof *u);
    memcpy(v + i * k->n, k->v + from->row * k->n, side);
    MCL_TRY(mcl_check_cancel(k->ctx));
  }
  return MCL_OK;
}

static mcl_status svd_work_new(mcl_context *ctx, int64_t m, int64_t n, float *a, svd_work *k) {
  size_t side = (size_t)n * sizeof(float);
  *k = (svd_work){.ctx = ctx, .m = m, .n = n, .a = a};
  MCL_TRY(mcl_alloc_zero(ctx, 2 * (size_t)n * sizeof *k->d, &k->d));
  k->e = k->d + n;
  MCL_TRY(mcl_alloc(ctx, 2 * side, &k->tau_left));
  k->tau_right = k->tau_left + n;
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)n * side, &k->u));
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)n * side, &k->v));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n + 1, side, &k->g));
  MCL_TRY(mcl_alloc_array(ctx, (size_t)n + 1, side, &k->s));
  return mcl_conquest_new(ctx, n + 1, &k->c);
}

static void svd_work_free(svd_work *k) {
  mcl_free(k->ctx, k->d);
  mcl_free(k->ctx, k->tau_left);
  mcl_free(k->ctx, k->u);
  mcl_free(k->ctx, k->v);
  mcl_free(k->ctx, k->g);
  mcl_free(k->ctx, k->s);
  if (k->c.ctx) mcl_conquest_free(&k->c);
}

mcl_status mcl_svd_f32(mcl_context *ctx, int64_t m, int64_t n, float *a, float *u, double *s, float *v) {
  svd_work k;
  mcl_status status = svd_work_new(ctx, m, n, a, &k);
  if (!status) status = bidiagonalise(&k);
  if (!status) status = conquer(&k, 0, n, 0);
  if (!status) status = take_all(&k, u, s, v);
  if (!status) status = reflect_back(&k, true, u, m);
  if (!status) status = reflect_back(&k, false, v, n);
  svd_work_free(&k);
  return status;
}
