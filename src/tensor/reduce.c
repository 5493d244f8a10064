/* Reductions of expressions: over everything, along an axis, and back to a shape that was broadcast.
 *
 * All are one scheme. The shape is seen as [outer, reduced, inner]; what is gathered are outer × inner numbers, in f64.
 * Work is cut into tasks, each a strip of the reduced axis for a few of those numbers; every task keeps partial results
 * of its own, and they are combined in order, so the threads do not matter.
 *   inner = 1: a strip is contiguous: blocks are gathered into 16 lanes, which are then combined pairwise.
 *   otherwise: a block is some rows of `inner`, or a part of one, and is gathered row by row. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "base/whole.h"
#include "tensor/program.h"

typedef struct reduction {
  const mcl_program *program;
  mcl_program_scratch scratch;
  mcl_reduction kind;
  int64_t outer, reduced, inner;
  int64_t strip;  /* of the reduced axis, a task */
  int64_t strips; /* in the reduced axis */
  int64_t group;  /* outer indices a task: 1 unless all of an index is little */
  int64_t tile;   /* of inner, a task */
  int64_t tiles;
  double *partial;         /* [strips][outer][inner] */
  double empty[MCL_LANES]; /* lanes that have gathered nothing; copied, which is quicker than filling */
} reduction;

static double identity(mcl_reduction kind) {
  return kind == MCL_R_MIN ? INFINITY : kind == MCL_R_MAX ? -INFINITY : 0.0;
}

static double combine(mcl_reduction kind, double a, double b) {
  if (kind == MCL_R_MIN) return b != b || b < a ? b : a;
  if (kind == MCL_R_MAX) return b != b || b > a ? b : a;
  return a + b;
}

/* Pairwise; of fixed lengths, which the compiler keeps in registers. */
static double combine_lanes(mcl_reduction kind, const double *lanes) {
  double eight[8], four[4];
  for (int i = 0; i < 8; i++) eight[i] = combine(kind, lanes[i], lanes[i + 8]);
  for (int i = 0; i < 4; i++) four[i] = combine(kind, eight[i], eight[i + 4]);
  return combine(kind, combine(kind, four[0], four[2]), combine(kind, four[1], four[3]));
}

/* ---- Tasks ---- */

static double gather_range(reduction *r, int worker, int64_t first, int64_t end) {
  const mcl_program *p = r->program;
  double lanes[MCL_LANES];
  memcpy(lanes, r->empty, sizeof lanes);
  while (first < end) {
    size_t n = mcl_program_block_size(p, first, end);
    p->kernels->gather[r->kind](lanes, mcl_program_block(p, &r->scratch, worker, first, n), n);
    first += (int64_t)n;
  }
  return combine_lanes(r->kind, lanes);
}

/* A row of a few elements, whole within a block: without lanes. */
static double gather_few(mcl_reduction kind, const float *x, int64_t n) {
  double sum = identity(kind);
  switch (kind) {
  case MCL_R_SUM_SQUARES:
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    break;
  case MCL_R_COUNT_NONZERO:
    for (int64_t i = 0; i < n; i++) sum += x[i] != 0;
    break;
  case MCL_R_MIN:
  case MCL_R_MAX:
    for (int64_t i = 0; i < n; i++) sum = combine(kind, sum, (double)x[i]);
    break;
  default:
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    break;
  }
  return sum;
}

/* Rows one after the other, several in a block where they are short. */
static void gather_rows(reduction *r, int worker, int64_t row, int64_t last_row) {
  const mcl_program *p = r->program;
  int64_t first = row * r->reduced, end = last_row * r->reduced, at = 0; /* in the row */
  double lanes[MCL_LANES];
  while (first < end) {
    int64_t n = (int64_t)mcl_program_block_size(p, first, end);
    const float *block = mcl_program_block(p, &r->scratch, worker, first, (size_t)n);
    first += n;
    while (n > 0) {
      if (at == 0 && r->reduced < MCL_LANES && n >= r->reduced) {
        r->partial[row++] = gather_few(r->kind, block, r->reduced);
        block += r->reduced;
        n -= r->reduced;
        continue;
      }
      int64_t run = mcl_min_i64(r->reduced - at, n);
      if (at == 0) memcpy(lanes, r->empty, sizeof lanes);
      p->kernels->gather[r->kind](lanes, block, (size_t)run);
      block += run;
      n -= run;
      at += run;
      if (at < r->reduced) continue;
      r->partial[row++] = combine_lanes(r->kind, lanes);
      at = 0;
    }
  }
}

/* inner = 1: a strip of one row, or several rows. */
static mcl_status rows_task(void *arg, int64_t task, int worker) {
  reduction *r = arg;
  MCL_TRY(mcl_check_cancel(r->program->ctx));
  if (r->strips == 1) {
    gather_rows(r, worker, task * r->group, mcl_min_i64((task + 1) * r->group, r->outer));
    return MCL_OK;
  }
  int64_t row = task % r->outer, strip = task / r->outer;
  int64_t begin = strip * r->strip, end = mcl_min_i64(begin + r->strip, r->reduced);
  r->partial[strip * r->outer + row] = gather_range(r, worker, row * r->reduced + begin, row * r->reduced + end);
  return MCL_OK;
}

/* Whole rows of `inner` at once, where they are short. */
static void gather_short_rows(reduction *r, int worker, int64_t first, int64_t end, double *sums) {
  const mcl_program *p = r->program;
  int64_t at = 0; /* in the row */
  while (first < end) {
    size_t n = mcl_program_block_size(p, first, end);
    const float *block = mcl_program_block(p, &r->scratch, worker, first, n);
    first += (int64_t)n;
    while (n > 0) {
      size_t run = (size_t)mcl_min_i64(r->inner - at, (int64_t)n);
      p->kernels->gather_rows[r->kind](sums + at, block, run);
      block += run;
      n -= run;
      at = at + (int64_t)run == r->inner ? 0 : at + (int64_t)run;
    }
  }
}

/* One strip of one outer index, for the columns of one tile. */
static void gather_columns(reduction *r, int worker, int64_t strip, int64_t outer, int64_t tile) {
  const mcl_program *p = r->program;
  int64_t begin = strip * r->strip, end = mcl_min_i64(begin + r->strip, r->reduced);
  int64_t column = tile * r->tile, last_column = mcl_min_i64(column + r->tile, r->inner), base = outer * r->reduced;
  double *sums = r->partial + (strip * r->outer + outer) * r->inner;
  for (int64_t i = column; i < last_column; i++) sums[i] = identity(r->kind);
  if (r->tiles == 1) {
    gather_short_rows(r, worker, (base + begin) * r->inner, (base + end) * r->inner, sums);
    return;
  }
  for (int64_t row = begin; row < end; row++) {
    int64_t first = (base + row) * r->inner + column, stop = (base + row) * r->inner + last_column;
    for (double *at = sums + column; first < stop;) {
      size_t n = mcl_program_block_size(p, first, stop);
      p->kernels->gather_rows[r->kind](at, mcl_program_block(p, &r->scratch, worker, first, n), n);
      first += (int64_t)n;
      at += n;
    }
  }
}

static mcl_status columns_task(void *arg, int64_t task, int worker) {
  reduction *r = arg;
  MCL_TRY(mcl_check_cancel(r->program->ctx));
  int64_t tile = task % r->tiles, groups = (r->outer + r->group - 1) / r->group;
  int64_t group = task / r->tiles % groups, strip = task / r->tiles / groups;
  int64_t last = mcl_min_i64((group + 1) * r->group, r->outer);
  for (int64_t outer = group * r->group; outer < last; outer++) gather_columns(r, worker, strip, outer, tile);
  return MCL_OK;
}

/* Tasks of about MCL_CHUNK elements, from the shape alone. Returns how many. */
static int64_t cut(reduction *r) {
  /* Tiles are wide, so that memory is read in long runs; strips have at least 64 rows, so that partial results are few
   * beside the elements. */
  r->tile = mcl_min_i64(r->inner, 4 * MCL_BLOCK);
  r->tiles = (r->inner + r->tile - 1) / r->tile;
  r->strip = r->tile > MCL_BLOCK ? 64 : MCL_CHUNK / r->tile;
  r->strips = (r->reduced + r->strip - 1) / r->strip;
  int64_t whole = r->reduced * r->inner;
  r->group = r->strips > 1 || r->tiles > 1 || whole >= MCL_CHUNK ? 1 : MCL_CHUNK / whole;
  return r->strips * ((r->outer + r->group - 1) / r->group) * r->tiles;
}

/* The strips' results into the first one's; a mean is divided. */
static mcl_status combine_strips(const reduction *r) {
  int64_t count = r->outer * r->inner, work = 0;
  for (int64_t strip = 1; strip < r->strips; strip++)
    for (int64_t i = 0; i < count; i += MCL_BLOCK) {
      int64_t end = mcl_min_i64(i + MCL_BLOCK, count);
      for (int64_t j = i; j < end; j++) r->partial[j] = combine(r->kind, r->partial[j], r->partial[strip * count + j]);
      MCL_TRY(mcl_worked(r->program->ctx, &work, end - i));
    }
  for (int64_t i = 0; r->kind == MCL_R_MEAN && i < count; i++) {
    r->partial[i] /= (double)r->reduced;
    MCL_TRY(mcl_worked(r->program->ctx, &work, 1));
  }
  return MCL_OK;
}

/* sums: outer × inner numbers, the caller's. Not empty. */
static mcl_status run(const mcl_program *p, mcl_reduction kind, int64_t outer, int64_t reduced, int64_t inner,
                      double **sums) {
  reduction r = {.program = p, .kind = kind, .outer = outer, .reduced = reduced, .inner = inner};
  int64_t tasks = cut(&r), count = outer * inner;
  for (int i = 0; i < MCL_LANES; i++) r.empty[i] = identity(kind);
  *sums = NULL;
  mcl_status status = mcl_program_scratch_new(p, &r.scratch);
  if (status) return status;
  status = mcl_alloc_array(p->ctx, (size_t)r.strips, (size_t)count * sizeof(double), &r.partial);
  if (!status) status = mcl_program_parallel(p->ctx, tasks, inner == 1 ? rows_task : columns_task, &r);
  if (!status) status = combine_strips(&r);
  mcl_program_scratch_free(&r.scratch);
  if (status)
    mcl_free(p->ctx, r.partial);
  else
    *sums = r.partial;
  return status;
}

/* ---- What callers ask ---- */

static mcl_status check_not_empty(mcl_expression *e, mcl_reduction kind, int64_t reduced) {
  char text[MCL_SHAPE_TEXT];
  if ((unsigned)kind > MCL_R_COUNT_NONZERO)
    return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "reduction %d is not known", (int)kind);
  if (reduced > 0 || kind == MCL_R_SUM || kind == MCL_R_SUM_SQUARES || kind == MCL_R_COUNT_NONZERO) return MCL_OK;
  return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "%s of no elements, over a shape of %s; leave empty tensors out",
                  kind == MCL_R_MEAN  ? "mean"
                  : kind == MCL_R_MIN ? "min"
                                      : "max",
                  mcl_shape_text(e->shape, text));
}

mcl_status mcl_expression_reduce_all(mcl_expression *e, mcl_reduction kind, double *out) {
  mcl_program program;
  double *sums = NULL;
  *out = 0;
  MCL_TRY(mcl_program_compile(e, &program));
  mcl_status status = check_not_empty(e, kind, program.count);
  if (!status && program.count > 0) status = run(&program, kind, 1, program.count, 1, &sums);
  if (!status && sums) *out = sums[0];
  mcl_free(e->ctx, sums);
  mcl_program_free(&program);
  return status;
}

static mcl_status store(mcl_tensor *out, const double *values) {
  for (int64_t i = 0; i < out->count; i += MCL_CHUNK) {
    MCL_TRY(mcl_check_cancel(out->ctx));
    mcl_convert(MCL_F64, values + i, MCL_F32, mcl_tensor_f32(out) + i, (size_t)mcl_min_i64(MCL_CHUNK, out->count - i));
  }
  return MCL_OK;
}

mcl_status mcl_expression_reduce(mcl_expression *e, mcl_reduction kind, int axis, mcl_tensor **out) {
  mcl_program program;
  double *sums = NULL;
  mcl_shape shape = {.rank = 0};
  char text[MCL_SHAPE_TEXT];
  int64_t outer = 1, inner = 1;
  *out = NULL;
  if (axis != MCL_AXIS_ALL && (axis < 0 || axis >= e->shape.rank))
    return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "axis %d (counted from 0) of a shape of %s", axis,
                    mcl_shape_text(e->shape, text));
  MCL_TRY(mcl_program_compile(e, &program));
  for (int i = 0; i < e->shape.rank && axis != MCL_AXIS_ALL; i++) {
    if (i == axis) continue;
    shape.dim[shape.rank++] = e->shape.dim[i];
    if (i < axis)
      outer *= e->shape.dim[i];
    else
      inner *= e->shape.dim[i];
  }
  int64_t reduced = axis == MCL_AXIS_ALL ? program.count : e->shape.dim[axis];
  mcl_status status = check_not_empty(e, kind, reduced);
  if (!status) status = mcl_tensor_new(e->ctx, MCL_F32, shape, out);
  if (!status && program.count > 0) status = run(&program, kind, outer, reduced, inner, &sums);
  if (!status && sums) status = store(*out, sums);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  mcl_free(e->ctx, sums);
  mcl_program_free(&program);
  return status;
}

/* ---- Undoing a broadcast ---- */

/* A dimension of e, or several next to each other that fare alike. */
typedef struct span {
  int64_t count;
  bool is_summed;
} span;

/* The spans of e's dimensions; 0 where the shape does not broadcast to e's. */
static bool make_spans(mcl_shape from, mcl_shape to, span *spans, int *count) {
  *count = 0;
  if (to.rank > from.rank) return false;
  for (int i = 0; i < from.rank; i++) {
    int at = i - (from.rank - to.rank);
    int64_t kept = at < 0 ? 1 : to.dim[at];
    if (kept != from.dim[i] && kept != 1) return false;
    if (from.dim[i] == 1) continue;
    bool is_summed = kept == 1;
    if (*count > 0 && spans[*count - 1].is_summed == is_summed)
      spans[*count - 1].count *= from.dim[i];
    else
      spans[(*count)++] = (span){from.dim[i], is_summed};
  }
  return true;
}

/* Sums spans[at] of an array of doubles in place; the spans after and before it stay. */
static mcl_status sum_span(mcl_context *ctx, double *values, const span *spans, int count, int at) {
  int64_t outer = 1, inner = 1, reduced = spans[at].count, work = 0;
  for (int i = 0; i < at; i++) outer *= spans[i].count;
  for (int i = at + 1; i < count; i++) inner *= spans[i].count;
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      double sum = 0;
      for (int64_t j = 0; j < reduced; j++) sum += values[(o * reduced + j) * inner + i];
      values[o * inner + i] = sum; /* never ahead of what is still to be read, as it is row by row */
      MCL_TRY(mcl_worked(ctx, &work, reduced + 1));
    }
  return MCL_OK;
}

static void drop_span(span *spans, int *count, int at) {
  for (int i = at + 1; i < *count; i++) spans[i - 1] = spans[i];
  --*count;
}

static int longest_summed(const span *spans, int count) {
  int at = -1;
  for (int i = 0; i < count; i++)
    if (spans[i].is_summed && (at < 0 || spans[i].count > spans[at].count)) at = i;
  return at;
}

/* The longest summed span is gathered while the expression is evaluated; what is left is small. */
mcl_status mcl_expression_sum_to(mcl_expression *e, mcl_shape shape, mcl_tensor **out) {
  span spans[MCL_MAX_RANK];
  int count;
  mcl_program program;
  double *sums = NULL;
  *out = NULL;
  if (!make_spans(e->shape, shape, spans, &count)) {
    char from[MCL_SHAPE_TEXT], to[MCL_SHAPE_TEXT];
    return mcl_fail(e->ctx, MCL_ERROR_ARGUMENT, "a sum from shape %s to %s: the second does not broadcast to the first",
                    mcl_shape_text(e->shape, from), mcl_shape_text(shape, to));
  }
  int at = longest_summed(spans, count);
  if (at < 0) {
    MCL_TRY(mcl_expression_evaluate(e, out));
    (*out)->shape = shape; /* as many elements, ones aside */
    return MCL_OK;
  }
  MCL_TRY(mcl_tensor_new(e->ctx, MCL_F32, shape, out));
  mcl_status status = mcl_program_compile(e, &program);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < at; i++) outer *= spans[i].count;
  for (int i = at + 1; i < count; i++) inner *= spans[i].count;
  if (!status && program.count > 0) {
    status = run(&program, MCL_R_SUM, outer, spans[at].count, inner, &sums);
    for (drop_span(spans, &count, at); !status && (at = longest_summed(spans, count)) >= 0;) {
      status = sum_span(e->ctx, sums, spans, count, at);
      drop_span(spans, &count, at);
    }
    if (!status) status = store(*out, sums);
  }
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  mcl_free(e->ctx, sums);
  mcl_program_free(&program);
  return status;
}
