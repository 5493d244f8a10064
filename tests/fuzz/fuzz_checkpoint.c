/* Checkpoints of a fit. Input: u8 habit; then edits of a good one: u16 place, u8 what is there instead. The checksum is
 * mended (unless the habit's bit 0 is set), the file cut short (bit 1) or made longer (bit 2). Loaded, it is refused as
 * damaged, passed over as another fit's, or found: then its place is one that a fit can be at, and saving gives the same
 * bytes. Files are in memory: a memfd to read from, a pipe to write to. */
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "fuzz.h"

#include "train/fit_state.h"

#define FINGERPRINT 42
#define MOST_SIZE 4096

static struct checkpoint {
  mcl_context *ctx;
  mcl_model *model;
  mcl_fit_state state;
  uint8_t good[MOST_SIZE];
  size_t size;
  int file, pipe[2];
  char file_path[64], pipe_path[64];
} fuzz;

static int add_weight(mcl_model *model, const char *name, mcl_shape shape, bool is_state) {
  mcl_tensor *values;
  mcl_repr *repr;
  int value;
  if (mcl_tensor_new(model->ctx, MCL_F32, shape, &values)) exit(1);
  for (int64_t i = 0; i < values->count; i++) mcl_tensor_f32(values)[i] = (float)(i % 5) / 4;
  if (mcl_dense_new(values, &repr) || mcl_model_add_weight(model, name, repr, is_state, &value)) exit(1);
  mcl_repr_release(repr);
  mcl_tensor_release(values);
  return value;
}

/* linear, and batch norm with its running statistics */
static mcl_model *small_model(mcl_context *ctx) {
  mcl_model *model;
  int x;
  if (mcl_model_new(ctx, "net", &model) || mcl_model_add_input(model, "x", mcl_shape_2(-1, 4), &x)) exit(1);
  int linear[] = {x, add_weight(model, "a.weight", mcl_shape_2(3, 4), false)};
  if (mcl_model_add_node(model, mcl_op_by_name("linear"), "a", NULL, 2, linear, &x)) exit(1);
  int norm[] = {x, add_weight(model, "scale", mcl_shape_1(3), false), add_weight(model, "shift", mcl_shape_1(3), false),
                add_weight(model, "mean", mcl_shape_1(3), true), add_weight(model, "variance", mcl_shape_1(3), true)};
  if (mcl_model_add_node(model, mcl_op_by_name("batch_norm"), "n", NULL, 5, norm, &x)) exit(1);
  if (mcl_model_add_output(model, x)) exit(1);
  return model;
}

/* The bytes that saving the state gives. */
static size_t save(const mcl_fit_place *place, uint8_t *out) {
  if (mcl_fit_checkpoint_save(&fuzz.state, fuzz.pipe_path, FINGERPRINT, place)) {
    fprintf(stderr, "%s\n", mcl_context_message(fuzz.ctx));
    abort();
  }
  ssize_t size = read(fuzz.pipe[0], out, MOST_SIZE);
  return size > 0 ? (size_t)size : 0;
}

static void prepare(void) {
  if (fuzz.ctx) return;
  fuzz.ctx = fuzz_context((size_t)8 << 20);
  fuzz.model = small_model(fuzz.ctx);
  fuzz.file = memfd_create("checkpoint", 0);
  if (fuzz.file < 0 || pipe(fuzz.pipe)) exit(1);
  snprintf(fuzz.file_path, sizeof fuzz.file_path, "/proc/self/fd/%d", fuzz.file);
  snprintf(fuzz.pipe_path, sizeof fuzz.pipe_path, "/proc/self/fd/%d", fuzz.pipe[1]);
  const mcl_optimiser *optimiser;
  mcl_optimiser_options filled;
  if (mcl_optimiser_choose(fuzz.ctx, &(mcl_optimiser_options){.name = "adam"}, &filled, &optimiser) ||
      mcl_fit_state_new(fuzz.model, 2, optimiser, true, &fuzz.state))
    exit(1);
  mcl_fit_copy_out(&fuzz.state, fuzz.state.saved);
  mcl_fit_copy_out(&fuzz.state, fuzz.state.best);
  fuzz.size = save(&(mcl_fit_place){.epochs_done = 2, .step = 8, .best_epoch = 1}, fuzz.good);
}

/* The checksum goes over the header and each array in turn. */
static void mend(uint8_t *file) {
  const mcl_fit_state *s = &fuzz.state;
  size_t all = (size_t)s->saved_total * sizeof(float), slot = (size_t)s->total * sizeof(float);
  size_t slots = (size_t)s->optimiser->slots, at = fuzz.size - sizeof(uint64_t) - 2 * all - slots * slot;
  uint64_t hash = XXH3_64bits(file, at);
  for (size_t i = 0; i < slots + 2; i++) {
    size_t size = i == 0 || i == slots + 1 ? all : slot;
    hash = XXH3_64bits_withSeed(file + at, size, hash);
    at += size;
  }
  memcpy(file + at, &hash, sizeof hash);
}

static void check_found(const mcl_fit_place *place, const uint8_t *file) {
  uint8_t again[MOST_SIZE];
  if (place->epochs_done < 0 || place->step < 0 || place->best_epoch < 0 || place->best_epoch > place->epochs_done)
    abort();
  if (save(place, again) != fuzz.size || memcmp(file, again, fuzz.size)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  fuzz_bytes bytes = {data, size, 0};
  uint8_t file[MOST_SIZE] = {0}, habit = fuzz_byte(&bytes);
  mcl_fit_place place = {0};
  bool found;
  memcpy(file, fuzz.good, fuzz.size);
  while (!fuzz_is_empty(&bytes)) {
    size_t at = fuzz_byte(&bytes);
    at = (at | (size_t)fuzz_byte(&bytes) << 8) % fuzz.size;
    file[at] = fuzz_byte(&bytes);
  }
  if (!(habit & 1)) mend(file);
  size_t length = habit & 2 ? fuzz.size * (habit >> 3) / 32 : habit & 4 ? fuzz.size + (habit >> 3) : fuzz.size;
  if (ftruncate(fuzz.file, 0) || pwrite(fuzz.file, file, length, 0) != (ssize_t)length) exit(1);
  mcl_status status = mcl_fit_checkpoint_load(&fuzz.state, fuzz.file_path, FINGERPRINT, &place, &found);
  if (status && (found || !*mcl_context_message(fuzz.ctx))) abort();
  if (!status && found) {
    if (length != fuzz.size) abort();
    check_found(&place, file);
  }
  return 0;
}
