/* A cancel, at whatever question it comes. A row of the table is an operation, of which is promised: it asks whether to stop at
 * least once in so many steps; cancelled at any of its questions it ends with MCL_ERROR_CANCELLED, holds no memory, gives out
 * nothing, and leaves its inputs and the file that was there as they were. Questions are counted, no time is measured. */
#include <math.h>
#include <mcl/mcl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/context_private.h"
#include "compress/compress.h"
#include "formats/formats.h"
#include "repr/trained.h"
#include "tensor/expression.h"
#include "tensor/factor_blas.h"
#include "tensor/linalg.h"
#include "tensor/matmul.h"
#include "tensor/select.h"
#include "unit/fit_fixture.h"

#define COUNT ((int64_t)1 << 21) /* elements of `many` */
#define SIDE 512                 /* of `square` */
#define MOST_STEPS ((int64_t)1 << 20)
#define POINTS 6 /* questions of an operation at which it is cancelled, besides the first few */

/* What operations read and write. */
typedef struct world {
  mcl_context *ctx;
  mcl_tensor *many, *square;
  mcl_expression *expression; /* of many */
  mcl_repr *sparse;           /* of square */
  mcl_model *model;
  mcl_dataset *data;
  char path[64], artifact[64];
  /* results */
  mcl_tensor *out[3];
  mcl_repr *repr;
} world;

typedef mcl_status (*operation)(world *w);

/* ---- Operations ---- */

static mcl_status zeros(world *w) { return mcl_tensor_new(w->ctx, MCL_F32, mcl_shape_1(4 * COUNT), &w->out[0]); }
static mcl_status copy(world *w) { return mcl_tensor_copy(w->many, &w->out[0]); }
static mcl_status convert(world *w) { return mcl_tensor_convert(w->many, MCL_F16, &w->out[0]); }
static mcl_status check_finite(world *w) { return mcl_tensor_check_finite(w->many, "many"); }
static mcl_status evaluate(world *w) { return mcl_expression_evaluate(w->expression, &w->out[0]); }
static mcl_status reduce(world *w) { return mcl_expression_reduce(w->expression, MCL_R_SUM, 0, &w->out[0]); }
static mcl_status top(world *w) { return mcl_expression_top(w->expression, COUNT / 3, &w->out[0]); }
static mcl_status hash(world *w) {
  uint64_t value;
  return mcl_hash_long(w->ctx, w->many->data, (size_t)COUNT * 4, &value);
}
static mcl_status quantile(world *w) {
  double value;
  return mcl_expression_quantile(w->expression, 0.3, &value);
}
static mcl_status permute(world *w) {
  mcl_tensor *planes;
  MCL_TRY(mcl_tensor_reshape(w->many, mcl_shape_of(3, (int64_t[]){2, 1024, COUNT / 2048}), &planes));
  mcl_status status = mcl_tensor_permute(planes, (const int[]){0, 2, 1}, &w->out[0]);
  mcl_tensor_release(planes);
  return status;
}
static int by_bits(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}
static mcl_status sort(world *w) {
  mcl_tensor *sorted;
  MCL_TRY(mcl_tensor_copy(w->square, &sorted));
  mcl_status status = mcl_sort(w->ctx, sorted->data, (size_t)sorted->count, 4, by_bits);
  mcl_tensor_release(sorted);
  return status;
}
static mcl_status product(world *w) {
  MCL_TRY(mcl_tensor_new(w->ctx, MCL_F32, mcl_shape_2(SIDE, SIDE), &w->out[0]));
  float *c = mcl_tensor_f32(w->out[0]), *a = mcl_tensor_f32(w->square);
  mcl_matmul p = {false, true, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, c, SIDE, NULL};
  return mcl_matmul_run(w->ctx, &p);
}

enum { N = 100 };

/* A factorisation overwrites its input: a copy. */
static mcl_status factor(world *w, mcl_status (*run)(world *w, float *a, float *b, float *c, double *values)) {
  float *a, *b = NULL, *c = NULL;
  double *values = NULL;
  MCL_TRY(mcl_alloc_array(w->ctx, N * N, sizeof *a, &a));
  mcl_status status = mcl_alloc_array(w->ctx, N * N, sizeof *b, &b);
  if (!status) status = mcl_alloc_array(w->ctx, N * N, sizeof *c, &c);
  if (!status) status = mcl_alloc_array(w->ctx, N, sizeof *values, &values);
  for (int i = 0; !status && i < N; i++) memcpy(a + i * N, mcl_tensor_f32(w->square) + i * SIDE, N * sizeof *a);
  if (!status) status = run(w, a, b, c, values);
  mcl_free(w->ctx, a);
  mcl_free(w->ctx, b);
  mcl_free(w->ctx, c);
  mcl_free(w->ctx, values);
  return status;
}
static mcl_status run_svd(world *w, float *a, float *b, float *c, double *values) {
  return mcl_svd_f32(w->ctx, N, N, a, b, values, c);
}
static mcl_status run_eigen(world *w, float *a, float *b, float *c, double *values) {
  (void)c;
  return mcl_eigen_f32(w->ctx, N, a, N, values, b);
}
static mcl_status run_qr(world *w, float *a, float *b, float *c, double *values) {
  (void)c, (void)values;
  return mcl_qr_f32(w->ctx, N, N, a, b);
}
static mcl_status svd(world *w) { return factor(w, run_svd); }
static mcl_status eigen(world *w) { return factor(w, run_eigen); }
static mcl_status qr(world *w) { return factor(w, run_qr); }
static mcl_status svd_top(world *w) { return mcl_linalg_svd_top(w->square, 3, 1, &w->out[0], &w->out[1], &w->out[2]); }
static mcl_status cholesky(world *w) {
  MCL_TRY(product(w));
  mcl_tensor *gram = w->out[0];
  w->out[0] = NULL;
  for (int i = 0; i < SIDE; i++) mcl_tensor_f32(gram)[i * SIDE + i] += 100;
  mcl_status status = mcl_linalg_cholesky(gram, &w->out[0]);
  if (!status) status = mcl_linalg_solve(w->out[0], w->square, &w->out[1]);
  mcl_tensor_release(gram);
  return status;
}

static mcl_status share(world *w) {
  return mcl_palette_fit(w->square, NULL, &(mcl_palette_options){.bits = 4}, &w->repr);
}
static mcl_status share_density(world *w) {
  mcl_palette_options options = {.bits = 4, .init = MCL_CODEBOOK_DENSITY};
  return mcl_palette_fit(w->square, NULL, &options, &w->repr);
}
static mcl_status quantize(world *w) {
  return mcl_affine_fit(w->square, NULL, &(mcl_affine_options){.bits = 4, .group = 64, .minimise = true}, &w->repr);
}
static mcl_status lowrank(world *w) { return mcl_lowrank_fit(w->square, &(mcl_lowrank_options){.rank = 4}, &w->repr); }
static mcl_status prune(world *w) {
  mcl_scheme *scheme;
  mcl_repr *dense = NULL;
  MCL_TRY(mcl_scheme_prune(w->ctx, &(mcl_prune_options){.density = 0.2}, &scheme));
  mcl_status status = mcl_dense_new(w->square, &dense);
  if (!status) status = mcl_scheme_apply(scheme, dense, NULL, &w->repr);
  mcl_repr_release(dense);
  mcl_scheme_release(scheme);
  return status;
}
static mcl_status bytes(world *w) {
  size_t size;
  return mcl_repr_bytes(w->sparse, NULL, &size);
}
static mcl_status values(world *w) { return mcl_repr_values(w->sparse, &w->out[0]); }
static mcl_status repr_copy(world *w) { return mcl_repr_copy(w->sparse, &w->repr); }

static mcl_status zstd(world *w) {
  mcl_buffer packed = {.ctx = w->ctx};
  size_t size = (size_t)w->square->count * 4;
  uint8_t *back = NULL;
  mcl_status status = mcl_zstd_compress(w->ctx, w->square->data, size, 3, &packed);
  if (!status) status = mcl_alloc(w->ctx, size, &back);
  if (!status) status = mcl_zstd_decompress(w->ctx, packed.data, packed.size, back, size);
  if (!status) assert_memory_equal(back, w->square->data, size);
  mcl_free(w->ctx, back);
  mcl_buffer_free(&packed);
  return status;
}
static mcl_status plan(world *w) {
  enum { ITEMS = 40, CHOICES = 5 };
  mcl_choice choice[ITEMS][CHOICES];
  const mcl_choice *choices[ITEMS];
  int counts[ITEMS], chosen[ITEMS];
  double gap;
  for (int i = 0; i < ITEMS; i++) {
    choices[i] = choice[i];
    counts[i] = CHOICES;
    for (int c = 0; c < CHOICES; c++) choice[i][c] = (mcl_choice){1 + c + i % 3, 1.0 / (1 + c + i % 4)};
  }
  return mcl_plan_solve(w->ctx, ITEMS, choices, counts, 150, chosen, &gap);
}

static mcl_status write_npz(world *w) {
  mcl_named_tensor named = {.name = (char *)(uintptr_t) "square", .tensor = w->square};
  return mcl_npz_save(w->ctx, w->path, &named, 1, true);
}
static mcl_status write_npy(world *w) { return mcl_npy_save(w->many, w->path); }
static mcl_status write_artifact(world *w) {
  return mcl_artifact_write(w->model, &(mcl_artifact_options){.zstd_level = 3}, w->path);
}
static mcl_status verify(world *w) { return mcl_artifact_verify(w->ctx, w->artifact); }
static mcl_status fit(world *w) {
  mcl_fit_options options = {.train = w->data, .epochs = 1, .batch = 150, .optimiser = {.rate = 0.1}};
  return mcl_fit(w->model, &options, NULL);
}
static mcl_status evaluate_model(world *w) {
  mcl_evaluation result;
  return mcl_evaluate(w->model, w->data, NULL, &result);
}

static const struct {
  const char *name;
  operation run;
  int64_t steps; /* elements that it goes over, or multiply-adds, or of what else it does much; some nanoseconds each */
} operations[] = {
    {"zeros", zeros, COUNT},
    {"copy", copy, COUNT},
    {"convert", convert, COUNT},
    {"check_finite", check_finite, COUNT},
    {"permute", permute, COUNT},
    {"evaluate", evaluate, 2 * COUNT},
    {"reduce", reduce, 2 * COUNT},
    {"quantile", quantile, 2 * COUNT},
    {"top", top, 2 * COUNT},
    {"hash", hash, COUNT},
    {"sort", sort, 18L * SIDE *SIDE},
    {"product", product, (int64_t)SIDE *SIDE *SIDE / 16},
    {"svd", svd, 8L * N *N *N},
    {"eigen", eigen, 8L * N *N *N},
    {"qr", qr, 3L * N *N *N},
    {"svd_top", svd_top, 8L * 13 * SIDE *SIDE},
    {"cholesky and solve", cholesky, (int64_t)SIDE *SIDE *SIDE / 16},
    {"share", share, 40L * SIDE *SIDE},
    {"share from density", share_density, 10L * SIDE *SIDE},
    {"quantize", quantize, 40L * SIDE *SIDE},
    {"lowrank", lowrank, 8L * 14 * SIDE *SIDE},
    {"prune", prune, 4L * SIDE *SIDE},
    {"bytes", bytes, 10L * SIDE *SIDE},
    {"values", values, SIDE *SIDE},
    {"copy of a representation", repr_copy, SIDE *SIDE},
    {"zstd", zstd, 20L * SIDE *SIDE},
    {"plan", plan, 200 * 8},
    {"write .npz", write_npz, 40L * SIDE *SIDE},
    {"write .npy", write_npy, COUNT},
    {"write an artifact", write_artifact, 1000},
    {"verify", verify, 1000},
    {"fit", fit, 3L * 300 * HARD_WEIGHTS},
    {"evaluate a model", evaluate_model, 300 * HARD_WEIGHTS},
};
#define OPERATIONS (sizeof operations / sizeof *operations)

/* ---- The world ---- */

static mcl_tensor *noise(mcl_context *ctx, mcl_shape shape) {
  mcl_tensor *t;
  mcl_random random = mcl_random_at(3, 1);
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_F32, shape, &t));
  for (int64_t i = 0; i < t->count; i++) mcl_tensor_f32(t)[i] = mcl_random_normal(&random);
  return t;
}

static void put_old_file(const char *path) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_true(fputs("old", file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void file_is_old(const char *path) {
  char text[8] = "";
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  assert_int_equal(size, 3);
  assert_string_equal(text, "old");
}

/* Fresh: an operation that is not cancelled may change it. */
static void new_model(world *w) {
  mcl_model_free(w->model);
  w->model = network(w->ctx, 64, 16, 3, false);
  represent(w->model, UNDER_PALETTE);
}

static void make_world(mcl_context *ctx, world *w) {
  *w = (world){.ctx = ctx};
  mcl_expression *leaf, *sine;
  w->many = noise(ctx, mcl_shape_2(2048, COUNT / 2048));
  w->square = noise(ctx, mcl_shape_2(SIDE, SIDE));
  assert_ok(ctx, mcl_expression_tensor(w->many, &leaf));
  assert_ok(ctx, mcl_expression_apply(ctx, MCL_E_SIN, &leaf, &sine));
  assert_ok(ctx, mcl_expression_apply(ctx, MCL_E_ADD, (mcl_expression *const[]){leaf, sine}, &w->expression));
  mcl_expression_release(leaf);
  mcl_expression_release(sine);
  assert_ok(ctx, prune(w));
  w->sparse = w->repr;
  w->repr = NULL;
  new_model(w);
  w->data = blobs(ctx, 300, 5);
  snprintf(w->path, sizeof w->path, "cancel-%d.out", (int)getpid());
  snprintf(w->artifact, sizeof w->artifact, "cancel-%d.mcl", (int)getpid());
  assert_ok(ctx, mcl_artifact_write(w->model, NULL, w->artifact));
}

static void drop_results(world *w) {
  for (int i = 0; i < 3; i++) {
    mcl_tensor_release(w->out[i]);
    w->out[i] = NULL;
  }
  mcl_repr_release(w->repr);
  w->repr = NULL;
}

static void free_world(world *w) {
  mcl_tensor_release(w->many);
  mcl_tensor_release(w->square);
  mcl_expression_release(w->expression);
  mcl_repr_release(w->sparse);
  mcl_model_free(w->model);
  mcl_dataset_release(w->data);
  remove(w->path);
  remove(w->artifact);
}

static uint64_t hash_of_inputs(world *w) {
  float weights[HARD_WEIGHTS];
  copy_weights(w->model, weights);
  uint64_t all[] = {mcl_hash(w->many->data, (size_t)COUNT * 4), mcl_hash(w->square->data, SIDE * SIDE * 4),
                    mcl_hash(weights, sizeof weights)};
  return mcl_hash(all, sizeof all);
}

/* ---- Counting questions ---- */

static atomic_llong questions, cancel_at; /* cancel_at below 0: never */

static void asked(mcl_context *ctx) {
  if (atomic_fetch_add(&questions, 1) == atomic_load(&cancel_at)) mcl_context_cancel(ctx);
}

static mcl_status run_counted(world *w, operation run, long long at) {
  atomic_store(&questions, 0);
  atomic_store(&cancel_at, at);
  w->ctx->asked = asked;
  mcl_status status = run(w);
  w->ctx->asked = NULL;
  mcl_context_resume(w->ctx);
  return status;
}

static void cancel_once(world *w, size_t index, long long at, uint64_t before) {
  size_t held = mcl_context_memory(w->ctx);
  mcl_status status = run_counted(w, operations[index].run, at);
  bool was_asked = atomic_load(&questions) > at; /* threads may share out work in fewer questions than before */
  if (was_asked ? status != MCL_ERROR_CANCELLED : status != MCL_OK)
    fail_msg("%s, cancelled at question %lld: %s: %s", operations[index].name, at, mcl_status_name(status),
             mcl_context_message(w->ctx));
  drop_results(w);
  if (mcl_context_threads(w->ctx) == 1 && mcl_context_memory(w->ctx) > held)
    fail_msg("%s, cancelled at question %lld: holds %zu bytes, more than %zu", operations[index].name, at,
             mcl_context_memory(w->ctx), held);
  if (!was_asked) {
    new_model(w);
    put_old_file(w->path);
    return;
  }
  if (hash_of_inputs(w) != before)
    fail_msg("%s, cancelled at question %lld: its inputs changed", operations[index].name, at);
  file_is_old(w->path);
}

static void check_operation(world *w, size_t index) {
  mcl_context *ctx = w->ctx;
  assert_ok(ctx, operations[index].run(w)); /* what a context keeps for the next time is taken now */
  drop_results(w);
  new_model(w);
  assert_ok(ctx, run_counted(w, operations[index].run, -1));
  drop_results(w);
  new_model(w);
  long long all = atomic_load(&questions), least = operations[index].steps / MOST_STEPS;
  if (all < least || all < 1)
    fail_msg("%s asked %lld times in %lld steps", operations[index].name, all, (long long)operations[index].steps);
  put_old_file(w->path);
  uint64_t before = hash_of_inputs(w);
  for (long long at = 0, step = all / POINTS + 1; at < all; at += at < 2 ? 1 : step) cancel_once(w, index, at, before);
  cancel_once(w, index, all - 1, before);
}

static void check_all(int threads) {
  mcl_context *ctx;
  world w;
  assert_int_equal(mcl_engine_new(&(mcl_options){.threads = threads}, &ctx), MCL_OK);
  make_world(ctx, &w);
  for (size_t i = 0; i < OPERATIONS; i++) check_operation(&w, i);
  free_world(&w);
  mcl_context_free(ctx);
}

static void one_thread_is_cancelled_at_any_question_and_leaves_nothing(void **state) {
  (void)state;
  check_all(1);
}

static void so_are_three(void **state) {
  (void)state;
  check_all(3);
}

static bool says_yes(void *user) {
  ++*(int *)user;
  return true;
}

static void the_hosts_own_callback_ends_it_too(void **state) {
  (void)state;
  int calls = 0;
  mcl_context *ctx;
  mcl_tensor *t;
  mcl_options options = {.threads = 1, .cancelled = says_yes, .user = &calls};
  assert_int_equal(mcl_engine_new(&options, &ctx), MCL_OK);
  assert_fails(ctx, MCL_ERROR_CANCELLED, "cancelled", mcl_tensor_new(ctx, MCL_F32, mcl_shape_1(4 * COUNT), &t));
  assert_int_equal(calls, 1);
  mcl_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(one_thread_is_cancelled_at_any_question_and_leaves_nothing),
                                     cmocka_unit_test(so_are_three),
                                     cmocka_unit_test(the_hosts_own_callback_ends_it_too)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
