/* weights.c: the weights of a model by name, with mcl_runtime.h alone: for hosts that compute by other means, or hold
 * something else than a network in an artifact.
 *
 *   cc weights.c $(pkg-config --cflags --libs mcl_runtime) -o weights
 *   ./weights lenet5.mcl                  names and shapes
 *   ./weights lenet5.mcl conv1.weight     what one holds; the others are left as they lie
 */
#include <mcl/mcl_runtime.h>

#include <stdio.h>
#include <stdlib.h>

static void list(const mcl_model *model) {
  for (int i = 0; i < mcl_model_weights(model); i++) {
    mcl_shape shape = mcl_model_weight_shape(model, i);
    printf("%s", mcl_model_weight_name(model, i));
    for (int d = 0; d < shape.rank; d++) printf("%c%lld", d ? 'x' : ' ', (long long)shape.dim[d]);
    printf("\n");
  }
}

static int show(mcl_model *model, const char *name) {
  int index = mcl_model_weight_index(model, name);
  if (index < 0) {
    fprintf(stderr, "weights: there is no weight \"%s\"\n", name);
    return 1;
  }
  mcl_shape shape = mcl_model_weight_shape(model, index);
  size_t count = 1, zeros = 0;
  for (int d = 0; d < shape.rank; d++) count *= (size_t)shape.dim[d];
  float *values = malloc(count * sizeof *values + 1);
  if (!values || mcl_model_weight_read(model, index, values, count)) {
    free(values);
    return 1;
  }
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i], zeros += values[i] == 0;
  printf("%s: %zu values, mean %.6f, %zu of them zero\n", name, count, count ? sum / (double)count : 0, zeros);
  free(values);
  return 0;
}

int main(int argc, char **argv) {
  mcl_context *ctx;
  mcl_model *model;
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: weights MODEL [NAME]\n");
    return 2;
  }
  if (mcl_context_new(NULL, &ctx)) return 1;
  int failed = mcl_model_open(ctx, argv[1], &model) != MCL_OK;
  if (!failed && argc == 2) list(model);
  if (!failed && argc == 3) failed = show(model, argv[2]);
  if (failed) fprintf(stderr, "%s\n", mcl_context_message(ctx));
  mcl_model_free(model);
  mcl_context_free(ctx);
  return failed;
}
