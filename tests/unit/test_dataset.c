/* Data sets: rows, parts and scaling; augmentation that depends on seed, step and row alone. */
#include "unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "train/train.h"

/* Images 5 × 4 of bytes: pixel p of row r is r · 20 + p + 1, so that none is zero; labels r mod 3. */
static mcl_dataset *images(mcl_context *ctx, int64_t rows) {
  mcl_tensor *x, *y;
  mcl_dataset *d;
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_U8, mcl_shape_of(3, (int64_t[]){rows, 5, 4}), &x));
  assert_ok(ctx, mcl_tensor_new(ctx, MCL_I64, mcl_shape_1(rows), &y));
  for (int64_t i = 0; i < rows * 20; i++) ((uint8_t *)x->data)[i] = (uint8_t)(i % 255 + 1);
  for (int64_t i = 0; i < rows; i++) ((int64_t *)y->data)[i] = i % 3;
  assert_ok(ctx, mcl_dataset_new(x, y, 0.5, -1, &d));
  mcl_tensor_release(x);
  mcl_tensor_release(y);
  return d;
}

static void rows_are_gathered_in_the_asked_order_and_scaled(void **state) {
  mcl_dataset *d = images(*state, 10);
  uint32_t index[] = {7, 0, 7};
  float x[60];
  int32_t labels[3];
  assert_ok(*state, mcl_dataset_gather(d, index, 3, NULL, 1, 0, x, labels, NULL));
  assert_true(x[0] == 141 * 0.5f - 1 && x[20] == -0.5f && x[39] == 9 && x[40] == x[0]);
  assert_true(labels[0] == 1 && labels[1] == 0 && labels[2] == 1);
  mcl_dataset_release(d);
}

static void parts_of_a_permutation_are_disjoint_and_cover_all(void **state) {
  mcl_dataset *d = images(*state, 12), *a, *b, *again, *as_is;
  assert_ok(*state, mcl_dataset_part(d, 9, 0, 5, &a));
  assert_ok(*state, mcl_dataset_part(d, 9, 5, 7, &b));
  assert_ok(*state, mcl_dataset_part(d, 9, 0, 5, &again));
  int seen[12] = {0}, moved = 0;
  for (int i = 0; i < 5; i++) seen[a->order[i]]++;
  for (int i = 0; i < 7; i++) seen[b->order[i]]++;
  for (int i = 0; i < 12; i++) assert_int_equal(seen[i], 1);
  for (int i = 0; i < 5; i++) moved += a->order[i] != (uint32_t)i;
  assert_true(moved > 0);
  assert_memory_equal(a->order, again->order, 5 * sizeof *a->order);
  assert_ok(*state, mcl_dataset_part(b, 0, 2, 3, &as_is)); /* a part of a part, as it stands */
  assert_memory_equal(as_is->order, b->order + 2, 3 * sizeof *b->order);
  mcl_dataset_release(again);
  assert_fails(*state, MCL_ERROR_ARGUMENT, "not within", mcl_dataset_part(d, 0, 8, 5, &again));
  mcl_dataset_release(d);
  mcl_dataset_release(a);
  mcl_dataset_release(b);
  mcl_dataset_release(as_is);
}

static void data_that_do_not_fit_are_refused(void **state) {
  mcl_tensor *x, *y;
  mcl_dataset *d;
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(4, 2), &x));
  assert_ok(*state, mcl_tensor_new(*state, MCL_I64, mcl_shape_1(5), &y));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "as many rows", mcl_dataset_new(x, y, 1, 0, &d));
  mcl_tensor_f32(x)[3] = NAN;
  assert_fails(*state, MCL_ERROR_NUMERIC, "data: x", mcl_dataset_new(x, NULL, 1, 0, &d));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "u8 or f32", mcl_dataset_new(y, NULL, 1, 0, &d));
  mcl_tensor_release(x);
  mcl_tensor_release(y);
}

/* ---- Augmentation ---- */

static void gather_augmented(mcl_context *ctx, mcl_dataset *d, const mcl_augment *augment, uint64_t step, float *x) {
  uint32_t index[40];
  int32_t labels[40];
  for (uint32_t i = 0; i < 40; i++) index[i] = i;
  assert_ok(ctx, mcl_dataset_gather(d, index, 40, augment, 5, step, x, labels, NULL));
}

static void shifts_move_whole_images_and_fill_with_zero(void **state) {
  mcl_dataset *d = images(*state, 40);
  float plain[800], moved[800];
  int kinds = 0, kind[9] = {0};
  gather_augmented(*state, d, NULL, 0, plain);
  gather_augmented(*state, d, &(mcl_augment){.shift = 1}, 3, moved);
  for (int row = 0; row < 40; row++) {
    int fits = 0;
    for (int dy = -1; dy <= 1; dy++)
      for (int dx = -1; dx <= 1; dx++) {
        bool same = true;
        for (int y = 0; y < 5; y++)
          for (int x = 0; x < 4; x++) {
            bool inside = y - dy >= 0 && y - dy < 5 && x - dx >= 0 && x - dx < 4;
            float expected = inside ? plain[row * 20 + (y - dy) * 4 + x - dx] : -1; /* raw zero, scaled */
            same = same && moved[row * 20 + y * 4 + x] == expected;
          }
        fits += same;
        if (same) kind[(dy + 1) * 3 + dx + 1]++;
      }
    assert_int_equal(fits, 1);
  }
  for (int i = 0; i < 9; i++) kinds += kind[i] > 0;
  assert_true(kinds >= 6); /* of nine, over 40 rows */
  mcl_dataset_release(d);
}

static void a_certain_flip_mirrors_every_row(void **state) {
  mcl_dataset *d = images(*state, 40);
  float plain[800], moved[800];
  gather_augmented(*state, d, NULL, 0, plain);
  gather_augmented(*state, d, &(mcl_augment){.flip = 1}, 3, moved);
  for (int i = 0; i < 800; i++) assert_true(moved[i] == plain[i / 4 * 4 + 3 - i % 4]);
  mcl_dataset_release(d);
}

static void interpolation_keeps_a_constant_image_and_its_middle(void **state) {
  mcl_tensor *x, *y;
  mcl_dataset *d;
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_of(4, (int64_t[]){40, 2, 15, 15}), &x));
  assert_ok(*state, mcl_tensor_new(*state, MCL_U8, mcl_shape_1(40), &y));
  for (int64_t i = 0; i < x->count; i++) mcl_tensor_f32(x)[i] = i / 225 % 2 ? 3 : 7;
  assert_ok(*state, mcl_dataset_new(x, y, 1, 0, &d));
  float *moved = malloc(sizeof *moved * (size_t)x->count);
  assert_non_null(moved);
  gather_augmented(*state, d, &(mcl_augment){.rotate = 20, .scale = 0.2}, 1, moved);
  for (int row = 0; row < 40; row++)
    for (int line = 5; line < 10; line++)
      for (int column = 5; column < 10; column++) {
        assert_close(moved[row * 450 + line * 15 + column], 7, 1e-5);
        assert_close(moved[row * 450 + 225 + line * 15 + column], 3, 1e-5);
      }
  free(moved);
  mcl_dataset_release(d);
  mcl_tensor_release(x);
  mcl_tensor_release(y);
}

static void the_same_seed_step_and_row_give_the_same_pixels(void **state) {
  mcl_dataset *d = images(*state, 40);
  mcl_augment all = {.shift = 1, .flip = 0.5, .rotate = 10, .scale = 0.1};
  float first[800], second[800], other[800], alone[20];
  gather_augmented(*state, d, &all, 7, first);
  gather_augmented(*state, d, &all, 7, second);
  gather_augmented(*state, d, &all, 8, other);
  assert_memory_equal(first, second, sizeof first);
  assert_memory_not_equal(first, other, sizeof first);
  uint32_t index = 33; /* a row's pixels do not depend on where in a batch it stands */
  int32_t label;
  assert_ok(*state, mcl_dataset_gather(d, &index, 1, &all, 5, 7, alone, &label, NULL));
  assert_memory_equal(first + 33 * 20, alone, sizeof alone);
  mcl_dataset_release(d);
}

static void augmentation_needs_images_and_sane_ranges(void **state) {
  mcl_tensor *x;
  mcl_dataset *d;
  uint32_t index = 0;
  float out[20];
  assert_ok(*state, mcl_tensor_new(*state, MCL_F32, mcl_shape_2(4, 20), &x));
  assert_ok(*state, mcl_dataset_new(x, NULL, 1, 0, &d));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "not images",
               mcl_dataset_gather(d, &index, 1, &(mcl_augment){.shift = 1}, 0, 0, out, NULL, NULL));
  mcl_dataset_release(d);
  mcl_tensor_release(x);
  d = images(*state, 1);
  assert_fails(*state, MCL_ERROR_ARGUMENT, "flip",
               mcl_dataset_gather(d, &index, 1, &(mcl_augment){.flip = 2}, 0, 0, out, NULL, NULL));
  mcl_dataset_release(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(rows_are_gathered_in_the_asked_order_and_scaled),
      context_test(parts_of_a_permutation_are_disjoint_and_cover_all),
      context_test(data_that_do_not_fit_are_refused),
      context_test(shifts_move_whole_images_and_fill_with_zero),
      context_test(a_certain_flip_mirrors_every_row),
      context_test(interpolation_keeps_a_constant_image_and_its_middle),
      context_test(the_same_seed_step_and_row_give_the_same_pixels),
      context_test(augmentation_needs_images_and_sane_ranges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
