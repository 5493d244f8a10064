/* classify.c: what a game or a tool needs to run a compressed network, with mcl_runtime.h alone: opens an artifact,
 * classifies a grey image, and shows that nothing is allocated once it is loaded.
 *
 *   cc classify.c $(pkg-config --cflags --libs mcl_runtime) -o classify
 *   ./classify lenet5.mcl shirt.pgm
 */
#include <mcl/mcl_runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host's own allocator, so that it sees every byte the runtime takes. */
typedef struct host {
  size_t held;
  int allocations;
} host;

static void *host_allocate(void *user, size_t size, size_t alignment) {
  host *h = user;
  h->held += size;
  h->allocations++;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void host_release(void *user, void *memory, size_t size) {
  ((host *)user)->held -= size;
  free(memory);
}

static int complain(const mcl_context *ctx) {
  fprintf(stderr, "classify: %s\n", mcl_context_message(ctx));
  return 1;
}

/* A binary grey image (PGM, "P5") of just this size, to 0 … 1. */
static int read_image(const char *path, int64_t height, int64_t width, float *out) {
  FILE *file = fopen(path, "rb");
  long w = 0, h = 0, most = 0;
  int good = file && fscanf(file, "P5 %ld %ld %ld", &w, &h, &most) == 3 && fgetc(file) != EOF && w == width &&
             h == height && most == 255;
  for (int64_t i = 0; good && i < height * width; i++) {
    int byte = fgetc(file);
    good = byte != EOF;
    out[i] = (float)byte / 255.0f;
  }
  if (file) fclose(file);
  if (!good) fprintf(stderr, "classify: %s: is not a PGM image (P5) of %ldx%ld\n", path, (long)width, (long)height);
  return good;
}

static int classify(mcl_model *model, mcl_context *ctx, host *h, const char *image) {
  mcl_session *session;
  if (mcl_session_new(model, 1, &session)) return complain(ctx);
  mcl_shape in = mcl_model_input_shape(model, 0), out = mcl_model_output_shape(model, 0);
  int failed =
      in.rank < 2 || !read_image(image, in.dim[in.rank - 2], in.dim[in.rank - 1], mcl_session_input(session, 0));
  int before = h->allocations;
  if (!failed && mcl_session_run(session)) failed = complain(ctx);
  if (!failed) {
    const float *scores = mcl_session_output(session, 0);
    int64_t best = 0;
    for (int64_t i = 1; i < out.dim[out.rank - 1]; i++)
      if (scores[i] > scores[best]) best = i;
    printf("class %ld, score %.3f; %d allocations while running, %zu bytes held\n", (long)best, (double)scores[best],
           h->allocations - before, h->held);
    failed = h->allocations != before;
  }
  mcl_session_free(session);
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: classify MODEL.mcl IMAGE.pgm\n");
    return 2;
  }
  host h = {0};
  mcl_options options = {.user = &h, .allocate = host_allocate, .release = host_release, .threads = 1};
  mcl_context *ctx;
  if (mcl_context_new(&options, &ctx)) return 1;
  mcl_model *model;
  int failed = mcl_model_open(ctx, argv[1], &model) ? complain(ctx) : 0;
  if (!failed) {
    failed = classify(model, ctx, &h, argv[2]);
    mcl_model_free(model);
  }
  mcl_context_free(ctx);
  if (h.held) fprintf(stderr, "classify: %zu bytes were not given back\n", h.held);
  return failed || h.held != 0;
}
