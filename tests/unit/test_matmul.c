/* Matrix products: every kernel against sums in double precision, and the same bits however the work is cut. */
#include "unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/random.h"
#include "tensor/kernels/matmul_kernels.h"
#include "tensor/matmul.h"

static const mcl_matmul_kernel *const kernels[] = {
    &mcl_matmul_portable,
#if defined(__x86_64__)
    &mcl_matmul_avx2,
    &mcl_matmul_avx512,
#endif
};

/* Operands of random numbers, with rows longer than they need be; NaN where nothing may be read. */
typedef struct problem {
  mcl_matmul p;
  float *a, *b, *c, *before;
  size_t size_c;
} problem;

static float *numbers(mcl_random *random, int64_t rows, int64_t columns, int64_t ld) {
  float *x = malloc(sizeof *x * (size_t)(rows * ld + 1));
  assert_non_null(x);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < ld; j++) x[i * ld + j] = j < columns ? mcl_random_normal(random) : NAN;
  return x;
}

static problem make(int64_t m, int64_t n, int64_t k, bool ta, bool tb, float alpha, float beta, int64_t pad) {
  mcl_random random = mcl_random_at((uint64_t)(m * 1000003 + n * 1009 + k), 5);
  problem q = {
      .p = {ta, tb, m, n, k, alpha, NULL, (ta ? m : k) + pad, NULL, (tb ? k : n) + pad, beta, NULL, n + pad, NULL}};
  q.p.a = q.a = ta ? numbers(&random, k, m, q.p.lda) : numbers(&random, m, k, q.p.lda);
  q.p.b = q.b = tb ? numbers(&random, n, k, q.p.ldb) : numbers(&random, k, n, q.p.ldb);
  q.p.c = q.c = numbers(&random, m, beta == 0 ? 0 : n, q.p.ldc); /* beta 0: C is NaN, and must not be read */
  q.size_c = sizeof(float) * (size_t)(m * q.p.ldc);
  q.before = malloc(q.size_c + 1);
  assert_non_null(q.before);
  memcpy(q.before, q.c, q.size_c);
  return q;
}

static void drop(problem *q) {
  free(q->a);
  free(q->b);
  free(q->c);
  free(q->before);
}

static void check_against_doubles(const problem *q, const char *name) {
  const mcl_matmul *p = &q->p;
  for (int64_t i = 0; i < p->m; i++) {
    for (int64_t j = 0; j < p->n; j++) {
      double sum = 0, size = 1e-6;
      for (int64_t l = 0; l < p->k; l++) {
        double x = p->transpose_a ? p->a[l * p->lda + i] : p->a[i * p->lda + l];
        double y = p->transpose_b ? p->b[j * p->ldb + l] : p->b[l * p->ldb + j];
        sum += x * y;
        size += fabs(x * y);
      }
      double old = p->beta == 0 ? 0 : (double)p->beta * q->before[i * p->ldc + j];
      double expected = (double)p->alpha * sum + old, bound = 4e-6 * (fabs((double)p->alpha) * size + fabs(old));
      if (!(fabs(p->c[i * p->ldc + j] - expected) <= bound))
        fail_msg("%s: %lldx%lldx%lld %d%d: c[%lld,%lld] is %g, not %g", name, (long long)p->m, (long long)p->n,
                 (long long)p->k, p->transpose_a, p->transpose_b, (long long)i, (long long)j,
                 (double)p->c[i * p->ldc + j], expected);
    }
    for (int64_t j = p->n; j < p->ldc; j++) assert_true(isnan(p->c[i * p->ldc + j])); /* nothing beside C was written */
  }
}

static const int64_t shapes[][3] = {{1, 1, 1},      {2, 3, 4},      {14, 32, 8},    {15, 33, 9},   {13, 31, 7},
                                    {1, 40, 100},   {3, 17, 65},    {4, 17, 65},    {40, 1, 77},   {6, 16, 256},
                                    {7, 17, 257},   {29, 65, 300},  {64, 10, 100},  {20, 576, 25}, {100, 30, 515},
                                    {169, 70, 260}, {30, 530, 270}, {200, 600, 40}, {5, 3, 600}};

static void every_kernel_multiplies_every_shape_and_transposition(void **state) {
  for (size_t which = 0; which < sizeof kernels / sizeof *kernels && which <= (size_t)mcl_cpu_isa(); which++)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
      for (int kind = 0; kind < 4; kind++)
        for (int scaled = 0; scaled < 2; scaled++) {
          problem q = make(shapes[s][0], shapes[s][1], shapes[s][2], kind & 1, kind & 2, scaled ? -0.75f : 1,
                           scaled ? 0.5f : 0, scaled ? 3 : 0);
          mcl_matmul_with(*state, kernels[which], &q.p);
          check_against_doubles(&q, kernels[which]->name);
          drop(&q);
        }
}

/* Runs every kernel that the processor has over one problem; all must give what the portable one gives. */
static void check_same_bits(mcl_context *ctx, problem *q) {
  float *expected = malloc(q->size_c + 1);
  assert_non_null(expected);
  for (size_t which = 0; which < sizeof kernels / sizeof *kernels && which <= (size_t)mcl_cpu_isa(); which++) {
    memcpy(q->c, q->before, q->size_c);
    mcl_matmul_with(ctx, kernels[which], &q->p);
    if (which == 0) memcpy(expected, q->c, q->size_c);
    if (memcmp(expected, q->c, q->size_c))
      fail_msg("%s: %lldx%lldx%lld %d%d: other bits than portable's", kernels[which]->name, (long long)q->p.m,
               (long long)q->p.n, (long long)q->p.k, q->p.transpose_a, q->p.transpose_b);
  }
  free(expected);
}

static void every_kernel_gives_the_same_bits(void **state) {
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int kind = 0; kind < 8; kind++) {
      bool scaled = kind & 4;
      problem q =
          make(shapes[s][0], shapes[s][1], shapes[s][2], kind & 1, kind & 2, scaled ? -0.75f : 1, scaled ? 0.5f : 0, 1);
      check_same_bits(*state, &q);
      drop(&q);
    }
}

/* Numbers whose products and sums lie between two floats, are subnormal, or cancel. */
static void the_same_bits_where_rounding_is_hardest(void **state) {
  static const float hard[] = {0,
                               -0.0f,
                               1,
                               -1,
                               0x1.000002p0f,
                               -0x1.000002p0f,
                               0x1p-12f,
                               0x1p-24f,
                               -0x1p-24f,
                               0x1.fffffep0f,
                               0x1p-75f,
                               -0x1p-75f,
                               0x1.8p-76f,
                               0x1p-126f,
                               0x1p-149f,
                               -0x1p-149f,
                               0x1p60f,
                               -0x1p60f,
                               0x1.000002p60f,
                               3,
                               0x1.555556p-2f};
  enum { COUNT = sizeof hard / sizeof *hard };
  mcl_random random = mcl_random_at(3, 0);
  for (int round = 0; round < 200; round++) {
    problem q =
        make(1 + round % 9, 1 + round % 37, 1 + round % 150, round & 1, round & 2, 1, round & 4 ? 1.0f : 0.0f, 0);
    for (int64_t i = 0; i < q.p.m * q.p.k; i++) q.a[i] = hard[mcl_random_below(&random, COUNT)];
    for (int64_t i = 0; i < q.p.k * q.p.n; i++) q.b[i] = hard[mcl_random_below(&random, COUNT)];
    check_same_bits(*state, &q);
    drop(&q);
  }
}

static void an_empty_sum_scales_c(void **state) {
  float c[] = {1, 2, 3, 4};
  mcl_matmul p = {.m = 2, .n = 2, .k = 0, .alpha = 1, .beta = 0.5f, .c = c, .ldc = 2, .lda = 1, .ldb = 2};
  mcl_matmul_serial(*state, &p);
  assert_true(c[0] == 0.5f && c[3] == 2);
  p.beta = 0;
  assert_ok(*state, mcl_matmul_run(*state, &p));
  assert_true(c[0] == 0 && c[3] == 0);
}

static void threads_do_not_change_a_bit(void **state) {
  static const int64_t sizes[][3] = {{64, 300, 784}, {513, 700, 290}, {9, 2000, 900}, {2000, 5, 300}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int kind = 0; kind < 4; kind++) {
      problem q = make(sizes[s][0], sizes[s][1], sizes[s][2], kind & 1, kind & 2, 1, 0, 0);
      float *first = malloc(q.size_c);
      assert_non_null(first);
      for (int threads = 1; threads <= 5; threads += threads == 1 ? 1 : 3) { /* 1, 2, 5 */
        mcl_context *ctx;
        mcl_options options = {.threads = threads};
        assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
        memcpy(q.c, q.before, q.size_c);
        assert_ok(ctx, mcl_matmul_run(ctx, &q.p));
        if (threads == 1) {
          check_against_doubles(&q, "run");
          memcpy(first, q.c, q.size_c);
        }
        assert_memory_equal(first, q.c, q.size_c);
        mcl_context_free(ctx);
      }
      free(first);
      drop(&q);
    }
  (void)state;
}

static void a_packed_once_gives_the_same_bits(void **state) {
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int kind = 0; kind < 4; kind++) {
      problem q = make(shapes[s][0], shapes[s][1], shapes[s][2], kind & 1, kind & 2, 1, 0, 1);
      mcl_matmul_serial(*state, &q.p);
      float *expected = malloc(q.size_c + 1), *packed = malloc(sizeof(float) * (size_t)(q.p.m * q.p.k));
      assert_true(expected && packed);
      memcpy(expected, q.c, q.size_c);
      memcpy(q.c, q.before, q.size_c);
      mcl_matmul_pack_a(&q.p, packed);
      q.p.packed_a = packed;
      mcl_matmul_serial(*state, &q.p);
      assert_memory_equal(expected, q.c, q.size_c);
      assert_ok(*state, mcl_matmul_run(*state, &q.p));
      check_against_doubles(&q, "packed");
      free(expected);
      free(packed);
      drop(&q);
    }
}

static void memory_that_is_short_changes_neither_bits_nor_success(void **state) {
  problem q = make(150, 333, 515, false, true, 1, 0, 0);
  mcl_matmul_serial(*state, &q.p);
  float *expected = malloc(q.size_c);
  assert_non_null(expected);
  memcpy(expected, q.c, q.size_c);
  mcl_context *ctx;
  mcl_options options = {.threads = 1, .memory_limit = 100};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  memcpy(q.c, q.before, q.size_c);
  mcl_matmul_serial(ctx, &q.p);
  assert_memory_equal(expected, q.c, q.size_c);
  assert_fails(ctx, MCL_ERROR_MEMORY, "limit", mcl_matmul_reserve(ctx));
  mcl_context_free(ctx);
  free(expected);
  drop(&q);
}

static void nothing_is_allocated_after_a_reservation(void **state) {
  mcl_context *ctx;
  mcl_options options = {.threads = 3};
  assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
  problem q = make(700, 700, 300, false, true, 1, 0, 0);
  assert_ok(ctx, mcl_matmul_run(ctx, &q.p)); /* begins the threads */
  assert_ok(ctx, mcl_matmul_reserve(ctx));
  size_t held = mcl_context_memory(ctx), peak = mcl_context_memory_peak(ctx);
  for (int i = 0; i < 5; i++) assert_ok(ctx, mcl_matmul_run(ctx, &q.p));
  assert_int_equal(mcl_context_memory(ctx), held);
  assert_int_equal(mcl_context_memory_peak(ctx), peak);
  drop(&q);
  mcl_context_free(ctx);
  (void)state;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(every_kernel_multiplies_every_shape_and_transposition),
      context_test(every_kernel_gives_the_same_bits),
      context_test(the_same_bits_where_rounding_is_hardest),
      context_test(an_empty_sum_scales_c),
      context_test(threads_do_not_change_a_bit),
      context_test(a_packed_once_gives_the_same_bits),
      context_test(memory_that_is_short_changes_neither_bits_nor_success),
      context_test(nothing_is_allocated_after_a_reservation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
