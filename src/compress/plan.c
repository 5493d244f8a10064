/* The budget solver. Of each item only choices that no other beats in both cost and distortion matter; of those, the lower
 * convex hull. Taking hull segments in the order of their slopes, steepest first, walks through all Lagrangian optima
 * (Shoham & Gersho 1988), and cutting the first segment that does not fit gives a lower bound to any plan. Segments
 * that do not fit are passed over; then choices are exchanged, one better against one or no cheaper, hull or not, for as
 * long as that fits the budget and lowers the distortion. */
#include <math.h>

#include "compress/compress.h"

#define ROUNDING 1e-12       /* an exchange gains more than sums may be off, so that none goes back and forth */
#define MOST_EXCHANGES 20000 /* each gains something; what is found by then is good enough */

typedef struct point { /* a choice that no other beats */
  double cost, distortion;
  int index; /* in the caller's list */
} point;

typedef struct item {
  point *points; /* ascending cost, descending distortion */
  int count;
  int at; /* the one that is chosen now */
} item;

typedef struct segment { /* of an item's hull: from one point to the next */
  double slope;          /* distortion saved a unit of cost */
  int item, from, to;
} segment;

typedef struct move {      /* of one item to another of its points */
  double cost, distortion; /* what it adds */
  int item, to;
} move;

typedef struct plan {
  mcl_context *ctx;
  int items;
  item *item;
  point *points; /* of all items */
  segment *segments;
  int segment_count, total; /* total: choices of all items */
  double budget, cost;
} plan;

/* ---- Preparing ---- */

static int by_cost(const void *a, const void *b) {
  const point *x = a, *y = b;
  if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
  if (x->distortion != y->distortion) return x->distortion < y->distortion ? -1 : 1;
  return x->index - y->index;
}

static mcl_status read_item(plan *p, int i, const mcl_choice *choices, int count, point *points) {
  if (count < 1) return mcl_fail(p->ctx, MCL_ERROR_ARGUMENT, "plan: item %d has no choices", i + 1);
  for (int c = 0; c < count; c++) {
    if (!isfinite(choices[c].cost) || !isfinite(choices[c].distortion))
      return mcl_fail(p->ctx, MCL_ERROR_NUMERIC, "plan: choice %d of item %d has no finite cost and distortion", c + 1,
                      i + 1);
    points[c] = (point){choices[c].cost, choices[c].distortion, c};
  }
  MCL_TRY(mcl_sort(p->ctx, points, (size_t)count, sizeof *points, by_cost));
  int kept = 0;
  for (int c = 0; c < count; c++)
    if (kept == 0 || points[c].distortion < points[kept - 1].distortion) points[kept++] = points[c];
  p->item[i] = (item){.points = points, .count = kept};
  p->cost += points[0].cost;
  return MCL_OK;
}

static double slope_of(const point *a, const point *b) { return (a->distortion - b->distortion) / (b->cost - a->cost); }

/* The lower hull of an item's points: slopes descend along it. `hull` has room for all its points. */
static void add_hull(plan *p, int i, int *hull) {
  const point *points = p->item[i].points;
  int size = 0;
  for (int c = 0; c < p->item[i].count; c++) {
    while (size > 1 &&
           slope_of(&points[hull[size - 1]], &points[c]) >= slope_of(&points[hull[size - 2]], &points[hull[size - 1]]))
      size--;
    hull[size++] = c;
  }
  for (int h = 0; h + 1 < size; h++)
    p->segments[p->segment_count++] =
        (segment){slope_of(&points[hull[h]], &points[hull[h + 1]]), i, hull[h], hull[h + 1]};
}

static int by_slope(const void *a, const void *b) {
  const segment *x = a, *y = b;
  if (x->slope != y->slope) return x->slope > y->slope ? -1 : 1;
  return x->item != y->item ? x->item - y->item : x->from - y->from;
}

/* ---- Walking the hulls ---- */

/* Takes what fits; *out is the Lagrangian bound. */
static mcl_status walk_hulls(plan *p, double *out) {
  double bound = 0, relaxed = p->cost;
  bool cut = false;
  for (int i = 0; i < p->items; i++) bound += p->item[i].points[0].distortion;
  MCL_TRY(mcl_sort(p->ctx, p->segments, (size_t)p->segment_count, sizeof *p->segments, by_slope));
  for (int s = 0; s < p->segment_count; s++) {
    const segment *g = &p->segments[s];
    item *it = &p->item[g->item];
    double cost = it->points[g->to].cost - it->points[g->from].cost;
    double saved = it->points[g->from].distortion - it->points[g->to].distortion;
    if (!cut && relaxed + cost <= p->budget) {
      relaxed += cost;
      bound -= saved;
    } else if (!cut) {
      bound -= saved * (p->budget - relaxed) / cost;
      cut = true;
    }
    if (it->at != g->from || p->cost + cost > p->budget) continue; /* passed over, and so the rest of its hull */
    it->at = g->to;
    p->cost += cost;
  }
  *out = bound;
  return MCL_OK;
}

/* ---- Exchanging ---- */

static int by_added_cost(const void *a, const void *b) {
  const move *x = a, *y = b;
  if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
  if (x->distortion != y->distortion) return x->distortion < y->distortion ? -1 : 1;
  return x->item != y->item ? x->item - y->item : x->to - y->to;
}

/* For each number of the cheapest downgrades, the one that harms least, and the least of another item. */
typedef struct prefix {
  int best, other;
} prefix;

static mcl_status list_moves(const plan *p, bool upgrades, move *moves, int *out) {
  int count = 0;
  for (int i = 0; i < p->items; i++) {
    const item *it = &p->item[i];
    const point *now = &it->points[it->at];
    int first = upgrades ? it->at + 1 : 0, end = upgrades ? it->count : it->at;
    for (int c = first; c < end; c++)
      moves[count++] = (move){it->points[c].cost - now->cost, it->points[c].distortion - now->distortion, i, c};
  }
  if (!upgrades) moves[count++] = (move){.item = -1}; /* none */
  *out = count;
  return mcl_sort(p->ctx, moves, (size_t)count, sizeof *moves, by_added_cost);
}

static void find_prefixes(const move *downs, int count, prefix *out) {
  int best = -1, other = -1;
  for (int d = 0; d < count; d++) {
    if (best < 0 || downs[d].distortion < downs[best].distortion) {
      if (best >= 0 && downs[best].item != downs[d].item) other = best;
      best = d;
    } else if (downs[d].item != downs[best].item && (other < 0 || downs[d].distortion < downs[other].distortion)) {
      other = d;
    }
    out[d] = (prefix){best, other};
  }
}

/* One exchange, the best; *found is false where none helps. */
static mcl_status exchange(plan *p, move *ups, move *downs, prefix *prefixes, bool *found) {
  int up_count, down_count;
  *found = false;
  MCL_TRY(list_moves(p, true, ups, &up_count));
  MCL_TRY(list_moves(p, false, downs, &down_count));
  find_prefixes(downs, down_count, prefixes);
  double slack = p->budget - p->cost, gain = 0;
  int up = -1, down = -1, reach = down_count;
  for (int u = 0; u < up_count; u++) { /* the dearer the upgrade, the more must be saved */
    while (reach > 0 && ups[u].cost + downs[reach - 1].cost > slack) reach--;
    if (reach == 0) break;
    const prefix *pre = &prefixes[reach - 1];
    int d = downs[pre->best].item != ups[u].item ? pre->best : pre->other;
    if (d < 0) continue;
    double change = ups[u].distortion + downs[d].distortion;
    if (change < gain - ROUNDING * fabs(ups[u].distortion)) gain = change, up = u, down = d;
  }
  if (up < 0) return MCL_OK;
  p->item[ups[up].item].at = ups[up].to;
  if (downs[down].item >= 0) p->item[downs[down].item].at = downs[down].to;
  p->cost = 0;
  for (int i = 0; i < p->items; i++) p->cost += p->item[i].points[p->item[i].at].cost;
  *found = true;
  return MCL_OK;
}

/* Summed anew in order, rounding may differ by a little: an exchange that then passes the budget is taken back. */
static mcl_status repair(plan *p) {
  size_t room = (size_t)p->total + 1;
  move *ups = NULL, *downs = NULL;
  prefix *prefixes = NULL;
  int *before = NULL;
  mcl_status status = mcl_alloc_array(p->ctx, room, sizeof *ups, &ups);
  if (!status) status = mcl_alloc_array(p->ctx, room, sizeof *downs, &downs);
  if (!status) status = mcl_alloc_array(p->ctx, room, sizeof *prefixes, &prefixes);
  if (!status) status = mcl_alloc_array(p->ctx, (size_t)p->items, sizeof *before, &before);
  for (int round = 0; round < MOST_EXCHANGES && !status; round++) {
    if ((status = mcl_check_cancel(p->ctx))) break;
    for (int i = 0; i < p->items; i++) before[i] = p->item[i].at;
    bool found;
    status = exchange(p, ups, downs, prefixes, &found);
    if (status || !found) break;
    if (p->cost <= p->budget) continue;
    for (int i = 0; i < p->items; i++) p->item[i].at = before[i];
    break;
  }
  mcl_free(p->ctx, ups);
  mcl_free(p->ctx, downs);
  mcl_free(p->ctx, prefixes);
  mcl_free(p->ctx, before);
  return status;
}

/* ---- */

static mcl_status prepare(plan *p, const mcl_choice *const *choices, const int *counts, int **hull) {
  for (int i = 0; i < p->items; i++) p->total += counts[i] > 0 ? counts[i] : 0;
  size_t total = (size_t)p->total;
  MCL_TRY(mcl_alloc_array(p->ctx, (size_t)p->items, sizeof *p->item, &p->item));
  MCL_TRY(mcl_alloc_array(p->ctx, total, sizeof *p->points, &p->points));
  MCL_TRY(mcl_alloc_array(p->ctx, total, sizeof *p->segments, &p->segments));
  MCL_TRY(mcl_alloc_array(p->ctx, total, sizeof **hull, hull));
  point *points = p->points;
  for (int i = 0; i < p->items; points += counts[i++]) MCL_TRY(read_item(p, i, choices[i], counts[i], points));
  int64_t work = 0;
  for (int i = 0; i < p->items; i++) {
    add_hull(p, i, *hull);
    MCL_TRY(mcl_worked(p->ctx, &work, 8 * (int64_t)p->item[i].count));
  }
  if (p->cost > p->budget)
    return mcl_fail(p->ctx, MCL_ERROR_BUDGET,
                    "the budget of %.15g cannot be met: the smallest that can be reached is %.15g", p->budget, p->cost);
  return MCL_OK;
}

mcl_status mcl_plan_solve(mcl_context *ctx, int n, const mcl_choice *const *choices, const int *counts, double budget,
                          int *chosen, double *gap) {
  if (isnan(budget)) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "plan: the budget is not a number");
  plan p = {.ctx = ctx, .items = n, .budget = budget};
  int *hull = NULL;
  double bound = 0;
  mcl_status status = prepare(&p, choices, counts, &hull);
  if (!status) {
    status = walk_hulls(&p, &bound);
    if (!status) status = repair(&p);
  }
  double distortion = 0;
  for (int i = 0; i < n && !status; i++) {
    const point *now = &p.item[i].points[p.item[i].at];
    chosen[i] = now->index;
    distortion += now->distortion;
  }
  if (gap && !status) *gap = distortion > bound && distortion > 0 ? (distortion - bound) / distortion : 0;
  mcl_free(ctx, hull);
  mcl_free(ctx, p.segments);
  mcl_free(ctx, p.points);
  mcl_free(ctx, p.item);
  return status;
}
