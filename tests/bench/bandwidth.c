/* Memory bandwidth, as the benchmarks take it: the best of ROUNDS copies of 100 million floats by THREADS threads with
 * stores that go around the caches, after STREAM's copy. Prints bytes read and written a second. */
#include <emmintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ELEMENTS ((size_t)100000000)
#define MOST_THREADS 64

typedef struct part {
  const float *from;
  float *to;
  size_t count; /* a multiple of 16 */
} part;

static void *copy(void *arg) {
  const part *p = arg;
  for (size_t i = 0; i < p->count; i += 16)
    for (size_t j = 0; j < 16; j += 4) _mm_stream_ps(p->to + i + j, _mm_load_ps(p->from + i + j));
  return NULL;
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2, rounds = argc > 2 ? atoi(argv[2]) : 5;
  if (threads < 1 || threads > MOST_THREADS) return 2;
  size_t each = ELEMENTS / (size_t)threads / 16 * 16;
  float *from = aligned_alloc(64, ELEMENTS * sizeof *from), *to = aligned_alloc(64, ELEMENTS * sizeof *to);
  if (!from || !to) return 1;
  memset(from, 1, ELEMENTS * sizeof *from);
  memset(to, 1, ELEMENTS * sizeof *to);
  double best = 0;
  for (int round = 0; round < rounds; round++) {
    pthread_t thread[MOST_THREADS];
    part parts[MOST_THREADS];
    double began = seconds();
    for (int i = 0; i < threads; i++) {
      parts[i] = (part){from + (size_t)i * each, to + (size_t)i * each, each};
      if (pthread_create(&thread[i], NULL, copy, &parts[i])) return 1;
    }
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    double speed = 2.0 * sizeof(float) * (double)each * threads / (seconds() - began);
    best = speed > best ? speed : best;
  }
  printf("%.4g\n", best);
  free(from);
  free(to);
  return 0;
}
