/* How long `mcl inspect FILE` takes, process start to end: makes an artifact of some 80 MB whose weights are pruned,
 * shared and quantised, and runs the program on it. The limit is the peer: there is no other program that reads the
 * format. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/random.h"
#include "repr/fit.h"

enum { LAYERS = 46, SIZE = 2048, ROUNDS = 40 };
static const double limit_ms = 15, aim_ms = 10;

extern char **environ;

static mcl_context *ctx;

static void check(mcl_status status) {
  if (!status) return;
  fprintf(stderr, "bench_inspect: %s\n", mcl_context_message(ctx));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static mcl_repr *make_weight(int layer) {
  mcl_tensor *values;
  mcl_repr *repr;
  check(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(SIZE, SIZE), &values));
  mcl_random random = mcl_random_at((uint64_t)layer, 1);
  for (int64_t i = 0; i < values->count; i++) mcl_tensor_f32(values)[i] = mcl_random_normal(&random);
  if (layer % 2) {
    check(mcl_palette_fit(values, NULL, &(mcl_palette_options){.bits = 4, .init = MCL_CODEBOOK_LINEAR, .iterations = 1},
                          &repr));
  } else {
    check(mcl_affine_fit(values, NULL, &(mcl_affine_options){.bits = 4, .group = 64}, &repr));
  }
  mcl_tensor_release(values);
  return repr;
}

static void make_file(const char *path) {
  mcl_model *model;
  int x, weight;
  char name[32];
  check(mcl_model_new(ctx, "inspect", &model));
  check(mcl_model_add_input(model, "x", mcl_shape_2(-1, SIZE), &x));
  for (int layer = 0; layer < LAYERS; layer++) {
    mcl_repr *repr = make_weight(layer);
    snprintf(name, sizeof name, "layer%d.weight", layer);
    check(mcl_model_add_weight(model, name, repr, false, &weight));
    mcl_repr_release(repr);
    snprintf(name, sizeof name, "layer%d", layer);
    check(mcl_model_add_node(model, mcl_op_by_name("linear"), name, NULL, 2, (int[]){x, weight}, &x));
  }
  check(mcl_model_add_output(model, x));
  check(mcl_artifact_write(model, NULL, path));
  mcl_model_free(model);
}

static double run_once(const char *program, const char *file) {
  posix_spawn_file_actions_t actions;
  char *argv[] = {(char *)(uintptr_t)program, "inspect", (char *)(uintptr_t)file, NULL};
  pid_t child;
  int status;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  double start = now();
  if (posix_spawn(&child, program, &actions, NULL, argv, environ) || waitpid(child, &status, 0) != child || status) {
    fprintf(stderr, "bench_inspect: %s inspect %s failed\n", program, file);
    exit(1);
  }
  double end = now();
  posix_spawn_file_actions_destroy(&actions);
  return end - start;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int time_program(const char *program, const char *file, const char *fragment) {
  double seconds[ROUNDS], began = now();
  struct stat info;
  FILE *json = fopen(fragment, "a");
  if (!json || stat(file, &info)) return 1;
  for (int i = 0; i < ROUNDS; i++) seconds[i] = run_once(program, file);
  qsort(seconds, ROUNDS, sizeof *seconds, by_value);
  double ms = 1000 * seconds[0], median = 1000 * seconds[ROUNDS / 2];
  printf(
      "inspect of %.0f MB, process start to end: ours %.2f ms, limit %.0f ms, ratio %.2f (aim %.1f), spread %.0f %%\n",
      (double)info.st_size / 1e6, ms, limit_ms, limit_ms / ms, limit_ms / aim_ms, 100 * (median / ms - 1));
  fprintf(json, "{\"bench\": \"inspect\", \"case\": \"80 MB artifact\", \"ours\": %.4f, \"peer\": %.1f, ", ms,
          limit_ms);
  fprintf(json, "\"peer_name\": \"a limit, no peer\", \"unit\": \"ms\", \"ratio\": %.4f, ", limit_ms / ms);
  fprintf(json, "\"at_least\": 1.0, \"aim\": %.2f, \"seconds\": %.2f}\n", limit_ms / aim_ms, now() - began);
  return fclose(json) ? 1 : 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "time")) return time_program(argv[2], argv[3], argv[4]);
  if (argc != 3 || strcmp(argv[1], "make") || mcl_context_new(NULL, &ctx)) return 2;
  make_file(argv[2]);
  mcl_context_free(ctx);
  return 0;
}
