/* Numbers that are held by a narrower type: what leaves its range is refused by name, what is rounded away is told, and
 * representations keep f32 where halves would not do. */
#include "unit/arrays.h"

#include <math.h>

#include "compress/compress.h"

/* ---- A context that keeps the last warning ---- */

static char told[1024];

static void keep_warning(void *user, mcl_log_level level, const char *line) {
  (void)user;
  if (level == MCL_LOG_WARNING) snprintf(told, sizeof told, "%s", line);
}

static int setup_listening(void **state) {
  *told = 0;
  return mcl_context_new(&(mcl_options){.threads = 2, .log = keep_warning}, (mcl_context **)state);
}
#define listening_test(fn) cmocka_unit_test_setup_teardown(fn, setup_listening, teardown_empty_context)

static mcl_tensor *tensor_of(mcl_context *ctx, mcl_dtype dtype, int64_t count, const void *values) {
  mcl_tensor *t;
  assert_ok(ctx, mcl_tensor_new(ctx, dtype, mcl_shape_1(count), &t));
  memcpy(t->data, values, (size_t)count * mcl_dtype_size(dtype));
  return t;
}

/* ---- Tensors ---- */

static void what_leaves_the_range_is_refused_by_name(void **state) {
  const double wide[] = {1, 1e300}, fits[] = {3e38, -1e-300};
  const float large[] = {1, 2, 65520}, edge[] = {65519, -65504};
  const float huge[] = {3.4e38f};
  const int64_t far[] = {1, 70000};
  mcl_tensor *out, *t = tensor_of(*state, MCL_F64, 2, wide);
  assert_fails(*state, MCL_ERROR_NUMERIC, "x: infinity at element 1: 1e+300 is beyond",
               mcl_tensor_narrow(t, MCL_F32, "x", &out));
  mcl_tensor_release(t);
  t = tensor_of(*state, MCL_F32, 3, large);
  assert_fails(*state, MCL_ERROR_NUMERIC, "element 2: 65520 is beyond the 65504 that f16 holds; use bf16 or f32",
               mcl_tensor_narrow(t, MCL_F16, "x", &out));
  assert_ok(*state, mcl_tensor_narrow(t, MCL_BF16, "x", &out));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
  t = tensor_of(*state, MCL_F32, 1, huge);
  assert_fails(*state, MCL_ERROR_NUMERIC, "bf16", mcl_tensor_narrow(t, MCL_BF16, "x", &out));
  mcl_tensor_release(t);
  t = tensor_of(*state, MCL_I64, 2, far);
  assert_fails(*state, MCL_ERROR_NUMERIC, "70000 is beyond", mcl_tensor_narrow(t, MCL_F16, "x", &out));
  mcl_tensor_release(t);
  t = tensor_of(*state, MCL_F32, 2, edge);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F16, "x", &out)); /* rounds to the greatest half */
  mcl_tensor_release(out);
  mcl_tensor_release(t);
  t = tensor_of(*state, MCL_F64, 2, fits);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F32, "x", &out));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
  assert_string_equal(told, "");
}

static void an_infinity_of_the_tensors_own_stays(void **state) {
  const double values[] = {INFINITY, NAN};
  mcl_tensor *out, *t = tensor_of(*state, MCL_F64, 2, values);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F32, "x", &out));
  assert_true(isinf(mcl_tensor_f32(out)[0]) && isnan(mcl_tensor_f32(out)[1]));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
}

static void whole_numbers_that_are_rounded_are_told(void **state) {
  const int64_t exact[] = {1 << 24, -5, INT64_C(1) << 40}, rounded[] = {3, 16777217};
  mcl_tensor *out, *t = tensor_of(*state, MCL_I64, 3, exact);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F32, "w", &out));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
  assert_string_equal(told, "");
  t = tensor_of(*state, MCL_I64, 2, rounded);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F32, "w", &out));
  assert_non_null(strstr(told, "w: 16777217 at element 1 is rounded"));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
}

static void values_that_all_but_vanish_are_told(void **state) {
  const float values[] = {1e-6f, -2e-6f, 0};
  mcl_tensor *out, *t = tensor_of(*state, MCL_F32, 3, values);
  assert_ok(*state, mcl_tensor_narrow(t, MCL_F16, "w", &out));
  assert_non_null(strstr(told, "w: no value is above 2e-06"));
  mcl_tensor_release(out);
  mcl_tensor_release(t);
}

/* ---- Files of weights ---- */

static mcl_status open_saved(mcl_context *ctx, const char *path, const mcl_named_tensor *list, int count,
                             mcl_model **out) {
  bool is_npz = strstr(path, ".npz") != NULL;
  assert_ok(ctx, is_npz ? mcl_npz_save(ctx, path, list, count, false) : mcl_safetensors_save(ctx, path, list, count));
  mcl_status status = is_npz ? mcl_npz_load_model(ctx, path, out) : mcl_safetensors_load_model(ctx, path, out);
  unlink(path);
  return status;
}

static void files_of_weights_are_narrowed_with_a_look(void **state) {
  const char *const paths[] = {"narrow.safetensors", "narrow.npz"};
  const double wide[] = {1e300};
  const int64_t whole[] = {16777217};
  for (int i = 0; i < 2; i++) {
    mcl_model *model;
    mcl_named_tensor list[2] = {{.name = (char *)(uintptr_t) "w", .tensor = tensor_of(*state, MCL_F64, 1, wide)}};
    assert_fails(*state, MCL_ERROR_NUMERIC, "weight \"w\": infinity at element 0",
                 open_saved(*state, paths[i], list, 1, &model));
    mcl_tensor_release(list[0].tensor);
    list[0].tensor = tensor_of(*state, MCL_I64, 1, whole);
    *told = 0;
    assert_ok(*state, open_saved(*state, paths[i], list, 1, &model));
    assert_non_null(strstr(told, "weight \"w\": 16777217 at element 0 is rounded"));
    mcl_model_free(model);
    mcl_tensor_release(list[0].tensor);
  }
}

static void a_tensor_of_no_elements_is_left_out_with_a_line(void **state) {
  const float one[] = {1};
  mcl_model *model;
  mcl_named_tensor list[2] = {{.name = (char *)(uintptr_t) "none", .tensor = NULL},
                              {.name = (char *)(uintptr_t) "w", .tensor = tensor_of(*state, MCL_F32, 1, one)}};
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(0, 4), &list[0].tensor));
  assert_ok(*state, open_saved(*state, "hole.safetensors", list, 2, &model));
  assert_int_equal(model->weight_count, 1);
  assert_string_equal(model->weights[0].name, "w");
  assert_non_null(strstr(told, "weight \"none\" of shape 0x4 has no elements"));
  mcl_model_free(model);
  for (int i = 0; i < 2; i++) mcl_tensor_release(list[i].tensor);
}

/* ---- Representations ---- */

static float first_of(mcl_repr *repr) {
  mcl_tensor *values;
  assert_ok(repr->ctx, mcl_repr_values(repr, &values));
  float first = mcl_tensor_f32(values)[0];
  mcl_tensor_release(values);
  return first;
}

/* {70000, 1, 2, …}, {1e-6 · …}: a codebook of halves would hold infinity, or nothing. */
static void a_codebook_keeps_f32_where_halves_do_not_hold_it(void **state) {
  const float cases[][4] = {{70000, 1, 2, -3}, {1e-6f, 2e-6f, -3e-6f, 0}, {0.5f, 0.25f, -2, 1e-6f}};
  const bool are_halves[] = {false, false, true};
  for (int i = 0; i < 3; i++) {
    mcl_repr *repr;
    mcl_tensor *t = tensor_of(*state, MCL_F32, 4, cases[i]);
    assert_ok(*state, mcl_palette_fit(t, NULL, &(mcl_palette_options){.bits = 3, .half = true}, &repr));
    assert_int_equal(((mcl_palette *)repr)->half, are_halves[i]);
    assert_close(first_of(repr), cases[i][0], 1e-9);
    mcl_repr_release(repr);
    assert_ok(*state, mcl_affine_fit(t, NULL, &(mcl_affine_options){.bits = 8, .half = true}, &repr));
    assert_close(first_of(repr), cases[i][0], 0.02 * fabs((double)cases[i][0]));
    mcl_repr_release(repr);
    mcl_tensor_release(t);
  }
}

static void keeping_a_narrower_type_is_refused_where_it_does_not_hold_the_weight(void **state) {
  const float values[] = {1, 70000};
  mcl_tensor *t = tensor_of(*state, MCL_F32, 2, values);
  mcl_repr *dense, *out;
  mcl_scheme *scheme;
  assert_ok(*state, mcl_dense_new(t, &dense));
  assert_ok(*state, mcl_scheme_keep(*state, MCL_F16, &scheme));
  assert_fails(*state, MCL_ERROR_NUMERIC, "element 1: 70000 is beyond", mcl_scheme_apply(scheme, dense, NULL, &out));
  mcl_scheme_release(scheme);
  assert_ok(*state, mcl_scheme_keep(*state, MCL_BF16, &scheme));
  assert_ok(*state, mcl_scheme_apply(scheme, dense, NULL, &out));
  mcl_repr_release(out);
  mcl_scheme_release(scheme);
  mcl_repr_release(dense);
  mcl_tensor_release(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      listening_test(what_leaves_the_range_is_refused_by_name),
      listening_test(an_infinity_of_the_tensors_own_stays),
      listening_test(whole_numbers_that_are_rounded_are_told),
      listening_test(values_that_all_but_vanish_are_told),
      listening_test(files_of_weights_are_narrowed_with_a_look),
      listening_test(a_tensor_of_no_elements_is_left_out_with_a_line),
      listening_test(a_codebook_keeps_f32_where_halves_do_not_hold_it),
      listening_test(keeping_a_narrower_type_is_refused_where_it_does_not_hold_the_weight),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
