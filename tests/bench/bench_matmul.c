/* The runtime's matrix product against OpenBLAS, one thread: for each size the two run in turn, and the best of
 * each counts. Prints one line a size: m n k kind, ours and OpenBLAS in Gflop/s, ratio, spread of ours. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tensor/matmul.h"

typedef struct sizes {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
} sizes;

static const sizes cases[] = {
    {512, 512, 512, false, false}, {512, 512, 512, false, true},  {512, 512, 512, true, false},
    {64, 300, 784, false, true},   {300, 784, 64, true, false},   {64, 784, 300, false, false},
    {64, 100, 300, false, true},   {64, 10, 100, false, true},    {20, 576, 25, false, false},
    {50, 64, 500, false, false},   {50, 500, 64, false, true},    {500, 64, 50, true, false},
    {64, 500, 800, false, true},   {500, 800, 64, true, false},   {1, 300, 784, false, true},
    {1, 512, 512, false, false},   {128, 128, 128, false, false}, {1024, 1024, 1024, false, false},
};
#define ROUNDS 25

/* Of this thread's own time, so that others at work on the machine are not counted. */
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

typedef void (*product)(mcl_context *ctx, const mcl_matmul *p);

static void openblas(mcl_context *ctx, const mcl_matmul *p) {
  (void)ctx;
  cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
              (blasint)p->m, (blasint)p->n, (blasint)p->k, p->alpha, p->a, (blasint)p->lda, p->b, (blasint)p->ldb,
              p->beta, p->c, (blasint)p->ldc);
}

static double seconds_of(mcl_context *ctx, product fn, const mcl_matmul *p, int repeats) {
  double start = now();
  for (int i = 0; i < repeats; i++) fn(ctx, p);
  return (now() - start) / repeats;
}

static int run_case(mcl_context *ctx, sizes s) {
  float *a = calloc((size_t)(s.m * s.k), sizeof *a), *b = calloc((size_t)(s.k * s.n), sizeof *b);
  float *c = calloc((size_t)(s.m * s.n), sizeof *c);
  if (!a || !b || !c) return 1;
  for (int64_t i = 0; i < s.m * s.k; i++) a[i] = (float)(i % 7) - 3;
  for (int64_t i = 0; i < s.k * s.n; i++) b[i] = (float)(i % 5) - 2;
  mcl_matmul p = {.transpose_a = s.transpose_a,
                  .transpose_b = s.transpose_b,
                  .m = s.m,
                  .n = s.n,
                  .k = s.k,
                  .alpha = 1,
                  .a = a,
                  .lda = s.transpose_a ? s.m : s.k,
                  .b = b,
                  .ldb = s.transpose_b ? s.k : s.n,
                  .c = c,
                  .ldc = s.n};
  double flop = 2.0 * (double)(s.m * s.n * s.k), best[2] = {1e9, 1e9}, worst = 0;
  int repeats = 1 + (int)(4e8 / (flop + 1e5));
  for (int round = 0; round < ROUNDS; round++) {
    double ours = seconds_of(ctx, mcl_matmul_serial, &p, repeats);
    double peer = seconds_of(ctx, openblas, &p, repeats);
    if (ours < best[0]) best[0] = ours;
    if (ours > worst) worst = ours;
    if (peer < best[1]) best[1] = peer;
  }
  printf("%lld %lld %lld %c%c %.1f %.1f %.3f %.3f\n", (long long)s.m, (long long)s.n, (long long)s.k,
         s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', flop / best[0] * 1e-9, flop / best[1] * 1e-9,
         best[1] / best[0], (worst - best[0]) / best[0]);
  fflush(stdout);
  free(a);
  free(b);
  free(c);
  return 0;
}

/* Arguments: how many of the cases, first ones first; none: all. */
int main(int argc, char **argv) {
  mcl_context *ctx;
  mcl_options options = {.threads = 1};
  if (mcl_context_new(&options, &ctx)) return 1;
  size_t count = sizeof cases / sizeof *cases;
  if (argc > 1 && strtoul(argv[1], NULL, 10) < count) count = strtoul(argv[1], NULL, 10);
  int failed = 0;
  for (size_t i = 0; i < count && !failed; i++) failed = run_case(ctx, cases[i]);
  mcl_context_free(ctx);
  return failed;
}
