/* The budget solver: never over budget, and against all combinations of small random instances, the optimum or within
 * the gap that it proves. */
#include "unit/weights.h"

#include "compress/compress.h"

enum { ITEMS = 7, CHOICES = 5 };

typedef struct instance {
  mcl_choice choice[ITEMS][CHOICES];
  const mcl_choice *list[ITEMS];
  int counts[ITEMS];
  int items;
  double least, most; /* cost */
} instance;

static void make_instance(uint64_t seed, instance *out) {
  mcl_random random = mcl_random_at(seed, 3);
  instance in = {.items = 1 + (int)mcl_random_below(&random, ITEMS)};
  for (int i = 0; i < in.items; i++) {
    in.counts[i] = 1 + (int)mcl_random_below(&random, CHOICES);
    double least = INFINITY, most = 0;
    for (int c = 0; c < in.counts[i]; c++) {
      double cost = (double)(1 + mcl_random_below(&random, 200)); /* some equal, some beaten in both */
      double distortion =
          seed % 2 ? 100 / cost * (0.5 + (double)mcl_random_uniform(&random)) : (double)mcl_random_below(&random, 50);
      in.choice[i][c] = (mcl_choice){cost, distortion};
      least = fmin(least, cost);
      most = fmax(most, cost);
    }
    in.least += least;
    in.most += most;
  }
  *out = in;
  for (int i = 0; i < in.items; i++) out->list[i] = out->choice[i];
}

static void search_all(const instance *in, int item, double cost, double distortion, double budget, double *best) {
  if (cost > budget) return;
  if (item == in->items) {
    *best = fmin(*best, distortion);
    return;
  }
  for (int c = 0; c < in->counts[item]; c++)
    search_all(in, item + 1, cost + in->choice[item][c].cost, distortion + in->choice[item][c].distortion, budget,
               best);
}

static void total(const instance *in, const int *chosen, double *cost, double *distortion) {
  *cost = *distortion = 0;
  for (int i = 0; i < in->items; i++) {
    assert_in_range(chosen[i], 0, in->counts[i] - 1);
    *cost += in->choice[i][chosen[i]].cost;
    *distortion += in->choice[i][chosen[i]].distortion;
  }
}

static void plans_keep_the_budget_and_their_proven_gap(void **state) {
  (void)state;
  int optimal = 0, all = 0;
  double excess = 0;
  for (uint64_t seed = 0; seed < 1000; seed++) {
    instance in;
    make_instance(seed, &in);
    for (int step = 0; step <= 4; step++) {
      double budget = in.least + (in.most - in.least) * step / 4, best = INFINITY, gap, cost, distortion;
      int chosen[ITEMS];
      search_all(&in, 0, 0, 0, budget, &best);
      assert_ok(mcl_plan_solve(ctx, in.items, in.list, in.counts, budget, chosen, &gap));
      total(&in, chosen, &cost, &distortion);
      assert_true(cost <= budget);
      assert_true(distortion >= best - 1e-9);
      assert_true(gap >= 0 && gap <= 1);
      assert_true(distortion * (1 - gap) <= best + 1e-9); /* the bound holds for the optimum */
      all++;
      optimal += distortion <= best + 1e-9;
      excess += best > 0 ? distortion / best - 1 : 0;
    }
  }
  assert_true(optimal > all * 95 / 100);
  assert_true(excess / all < 0.01);
}

static void a_budget_for_everything_buys_the_best_of_each(void **state) {
  (void)state;
  instance in;
  make_instance(11, &in);
  int chosen[ITEMS];
  double gap, cost, distortion, best = INFINITY;
  assert_ok(mcl_plan_solve(ctx, in.items, in.list, in.counts, 1e9, chosen, &gap));
  total(&in, chosen, &cost, &distortion);
  search_all(&in, 0, 0, 0, 1e9, &best);
  assert_true(distortion == best);
  assert_true(gap < 1e-12);
}

static void an_impossible_budget_names_the_smallest_possible(void **state) {
  (void)state;
  mcl_choice a[] = {{100, 1}, {40, 9}}, b[] = {{30.5, 2}};
  const mcl_choice *list[] = {a, b};
  int counts[] = {2, 1}, chosen[2];
  assert_fails(mcl_plan_solve(ctx, 2, list, counts, 70, chosen, NULL), MCL_ERROR_BUDGET, "70.5");
  assert_ok(mcl_plan_solve(ctx, 2, list, counts, 70.5, chosen, NULL));
  assert_int_equal(chosen[0], 1);
}

static void choices_off_the_hull_fill_what_is_left(void **state) {
  (void)state;
  /* The hull of `a` is 0 and 100; 40 lies above it, but is all that a budget of 60 leaves room for. */
  mcl_choice a[] = {{0, 100}, {40, 90}, {100, 0}};
  const mcl_choice *list[] = {a};
  int counts[] = {3}, chosen[1];
  double gap;
  assert_ok(mcl_plan_solve(ctx, 1, list, counts, 60, chosen, &gap));
  assert_int_equal(chosen[0], 1);
  assert_true(fabs(gap - (90 - 40) / 90.0) < 1e-12); /* the bound: 60 % of the way along the hull */
}

static void large_instances_come_near_their_bound(void **state) {
  (void)state;
  enum { MANY = 400 };
  static mcl_choice choice[MANY][8];
  static const mcl_choice *list[MANY];
  static int counts[MANY], chosen[MANY], again[MANY];
  mcl_random random = mcl_random_at(5, 5);
  double cost = 0, budget = 0, gap;
  for (int i = 0; i < MANY; i++) {
    double size = 100 + (double)mcl_random_below(&random, 100000), scale = (double)mcl_random_uniform(&random);
    for (int bits = 1; bits <= 8; bits++)
      choice[i][bits - 1] = (mcl_choice){size * bits / 8, scale * size * pow(4, -bits)};
    list[i] = choice[i];
    counts[i] = 8;
    budget += size * 3.3 / 8;
  }
  assert_ok(mcl_plan_solve(ctx, MANY, list, counts, budget, chosen, &gap));
  for (int i = 0; i < MANY; i++) cost += choice[i][chosen[i]].cost;
  assert_true(cost <= budget && gap < 1e-3);
  assert_ok(mcl_plan_solve(ctx, MANY, list, counts, budget, again, NULL));
  assert_memory_equal(chosen, again, sizeof chosen);
}

static void numbers_that_are_none_are_refused(void **state) {
  (void)state;
  mcl_choice a[] = {{1, NAN}};
  const mcl_choice *list[] = {a};
  int counts[] = {1}, chosen[1];
  assert_fails(mcl_plan_solve(ctx, 1, list, counts, 1, chosen, NULL), MCL_ERROR_NUMERIC, "choice 1 of item 1");
  counts[0] = 0;
  assert_fails(mcl_plan_solve(ctx, 1, list, counts, 1, chosen, NULL), MCL_ERROR_ARGUMENT, "item 1 has no choices");
  assert_fails(mcl_plan_solve(ctx, 1, list, counts, NAN, chosen, NULL), MCL_ERROR_ARGUMENT, "budget");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_keep_the_budget_and_their_proven_gap),
      cmocka_unit_test(a_budget_for_everything_buys_the_best_of_each),
      cmocka_unit_test(an_impossible_budget_names_the_smallest_possible),
      cmocka_unit_test(choices_off_the_hull_fill_what_is_left),
      cmocka_unit_test(large_instances_come_near_their_bound),
      cmocka_unit_test(numbers_that_are_none_are_refused),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
