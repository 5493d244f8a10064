/* Representations: every nesting decodes to what its parts say, survives a writer and a reader bit for bit, and its
 * exact size is known beforehand; products from the compressed form; files that lie. */
#include <stdio.h>

#include "unit/weights.h"

/* ---- Round trips ---- */

static void assert_same_values(const mcl_repr *a, const mcl_repr *b) {
  mcl_tensor *x = values_of(a), *y = values_of(b);
  assert_int_equal(x->count, y->count);
  assert_memory_equal(x->data, y->data, (size_t)x->count * sizeof(float));
  mcl_tensor_release(x);
  mcl_tensor_release(y);
}

static size_t written_size(const mcl_repr *repr, const mcl_coder *coder) {
  mcl_repr_writer writer;
  mcl_repr *again;
  size_t bytes;
  assert_ok(mcl_repr_write_begin(ctx, coder, false, &writer));
  assert_ok(mcl_repr_write(repr, &writer));
  assert_ok(mcl_repr_bytes(repr, coder, &bytes));
  assert_int_equal(bytes, writer.header.size + writer.streams.size);
  assert_int_equal(writer.total, writer.streams.size);
  assert_ok(read_back(&writer, repr->shape, &again));
  assert_same_values(repr, again);
  char before[128], after[128];
  mcl_repr_text(repr, before, sizeof before);
  mcl_repr_text(again, after, sizeof after);
  assert_string_equal(before, after);
  assert_int_equal(mcl_repr_nonzeros(repr), mcl_repr_nonzeros(again));
  mcl_repr_release(again);
  mcl_repr_write_end(&writer);
  return bytes;
}

/* With the smallest coder and with each by name; takes the reference. */
static size_t round_trip(mcl_repr *repr) {
  size_t smallest = written_size(repr, NULL);
  size_t raw = written_size(repr, mcl_coder_by_name("raw"));
  size_t huffman = written_size(repr, mcl_coder_by_name("huffman"));
  assert_true(smallest <= raw + 4 && smallest <= huffman + 4);
  mcl_repr *copy = mcl_repr_retain(repr); /* two owners: unshare copies */
  assert_ok(mcl_repr_unshare(&copy));
  assert_ptr_not_equal(copy, repr);
  assert_same_values(repr, copy);
  mcl_repr_release(copy);
  mcl_repr_release(repr);
  return smallest;
}

static void dense_survives_in_every_float_dtype(void **state) {
  (void)state;
  const mcl_dtype dtypes[] = {MCL_F32, MCL_F16, MCL_BF16, MCL_F64};
  for (int i = 0; i < 4; i++) {
    mcl_tensor *values = random_tensor(mcl_shape_2(7, 11), 1);
    mcl_repr *repr;
    assert_ok(mcl_dense_fit(values, dtypes[i], &repr));
    assert_int_equal(((mcl_dense *)repr)->values->dtype, dtypes[i]);
    mcl_tensor_release(values);
    round_trip(repr);
  }
}

static void raw_aligned_values_are_used_in_the_mapped_file(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(5, 6), 1);
  for (int pad = 0; pad < 4; pad++) { /* with 3 the values lie at offset 4, after the coder's byte */
    uint8_t file[128] = {0}, header[2] = {1, MCL_F32};
    memcpy(file + pad + 1, values->data, 120); /* coder 0: raw */
    mcl_file_map *map;
    assert_ok(mcl_file_save(ctx, "test_repr.tmp", file, (size_t)pad + 121));
    assert_ok(mcl_file_map_open(ctx, "test_repr.tmp", &map));
    mcl_coded_stream stream = {map->data + pad, 121};
    mcl_repr_reader reader = {
        .ctx = ctx, .header = {ctx, header, 2, 0, "weight"}, .streams = &stream, .stream_count = 1, .map = map};
    mcl_repr *repr;
    assert_ok(mcl_repr_read(&reader, mcl_shape_2(5, 6), &repr));
    const mcl_tensor *read = ((mcl_dense *)repr)->values;
    assert_int_equal(read->data == (const void *)(map->data + 4), pad == 3);
    assert_memory_equal(read->data, values->data, 120);
    assert_ok(mcl_repr_unshare(&repr)); /* to be trained, it is copied out of the file */
    assert_ptr_not_equal(((mcl_dense *)repr)->values->data, map->data + 4);
    mcl_file_map_release(map);
    mcl_repr_release(repr);
  }
  remove("test_repr.tmp");
  mcl_tensor_release(values);
}

static void a_bias_costs_four_bytes_beyond_its_values(void **state) {
  (void)state;
  mcl_repr *repr = dense_of(random_tensor(mcl_shape_1(10), 2));
  size_t bytes;
  assert_ok(mcl_repr_bytes(repr, NULL, &bytes));
  assert_in_range(bytes, 40, 44);
  mcl_repr_release(repr);
}

static void tensors_without_elements_survive(void **state) {
  (void)state;
  round_trip(dense_of(random_tensor(mcl_shape_2(0, 5), 1)));
  round_trip(palette_of(mcl_shape_1(0), 3, false, 1));
  round_trip(affine_of(mcl_shape_1(0), (mcl_affine_options){.bits = 4}, 1));
  round_trip(random_sparse(mcl_shape_2(4, 0), 0.5, 0, 1));
}

static void sparse_survives_at_every_density(void **state) {
  (void)state;
  const double densities[] = {0, 0.0002, 0.002, 0.01, 0.08, 0.3, 0.6, 0.97, 1};
  for (int i = 0; i < 9; i++) {
    round_trip(random_sparse(mcl_shape_2(100, 300), densities[i], 0, 3));
    round_trip(random_sparse(mcl_shape_2(300, 100), densities[i], 4, 4));
    round_trip(random_sparse(mcl_shape_of(4, (int64_t[]){8, 3, 5, 5}), densities[i], 0, 5));
    round_trip(random_sparse(mcl_shape_1(1000), densities[i], 0, 6));
  }
  round_trip(random_sparse(mcl_shape_2(1, 1), 1, 0, 7));
}

static void dead_columns_cost_less_than_scattered_zeros(void **state) {
  (void)state;
  mcl_repr *dead = random_sparse(mcl_shape_2(300, 784), 0.16, 2, 8), *spread;
  spread = random_sparse(mcl_shape_2(300, 784), 0.08, 0, 8);
  size_t dead_bytes, spread_bytes;
  dead = with_values(dead, palette_of(mcl_shape_1(nonzeros_of(dead)), 5, false, 1));
  spread = with_values(spread, palette_of(mcl_shape_1(nonzeros_of(spread)), 5, false, 1));
  assert_ok(mcl_repr_bytes(dead, NULL, &dead_bytes));
  assert_ok(mcl_repr_bytes(spread, NULL, &spread_bytes));
  assert_true(dead_bytes + 1000 < spread_bytes);
  mcl_repr_release(dead);
  mcl_repr_release(spread);
}

static void positions_cost_little_more_than_their_entropy(void **state) {
  (void)state;
  const double densities[] = {0.001, 0.02, 0.08, 0.5};
  for (int i = 0; i < 4; i++) {
    mcl_repr *sparse = random_sparse(mcl_shape_2(500, 800), densities[i], 0, 9);
    double p = (double)nonzeros_of(sparse) / 400000;
    double bits = 400000 * -(p * log2(p) + (1 - p) * log2(1 - p));
    mcl_repr *one = palette_of(mcl_shape_1(nonzeros_of(sparse)), 1, false, 1); /* values that cost a bit each */
    sparse = with_values(sparse, one);
    size_t bytes;
    assert_ok(mcl_repr_bytes(sparse, NULL, &bytes));
    assert_true((double)bytes < (bits * 1.03 + (double)nonzeros_of(sparse)) / 8 + 150);
    mcl_repr_release(sparse);
  }
}

static void palettes_survive_with_any_number_of_bits(void **state) {
  (void)state;
  for (int bits = 1; bits <= 8; bits++) {
    round_trip(palette_of(mcl_shape_2(40, 70), bits, false, 10));
    round_trip(palette_of(mcl_shape_2(40, 70), bits, true, 10));
  }
  mcl_tensor *same = random_tensor(mcl_shape_2(3, 3), 1);
  for (int i = 0; i < 9; i++) mcl_tensor_f32(same)[i] = 0.25f;
  mcl_repr *repr;
  assert_ok(mcl_palette_fit(same, NULL, &(mcl_palette_options){.bits = 5}, &repr));
  assert_int_equal(((mcl_palette *)repr)->entries, 1);
  mcl_tensor_release(same);
  assert_in_range(round_trip(repr), 6, 9);
}

static void affine_survives_with_every_grouping(void **state) {
  (void)state;
  const int64_t groups[] = {0, -1, 1, 16, 33};
  for (int bits = 1; bits <= 8; bits++)
    for (int g = 0; g < 5; g++)
      for (int flags = 0; flags < 8; flags++)
        round_trip(affine_of(
            mcl_shape_2(6, 33),
            (mcl_affine_options){
                .bits = bits, .group = groups[g], .asymmetric = flags & 1, .minimise = flags & 2, .half = flags & 4},
            11));
}

static void every_kind_survives_inside_every_other(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_of(4, (int64_t[]){12, 5, 3, 3});
  mcl_affine_options four = {.bits = 4, .group = 16, .half = true};
  for (int kind = 0; kind < 6; kind++) {
    mcl_repr *part[3];
    mcl_shape shapes[3];
    mcl_repr *sparse = random_sparse(shape, 0.3, 0, 12);
    shapes[0] = mcl_shape_1(nonzeros_of(sparse));
    shapes[1] = mcl_shape_2(12, 4);
    shapes[2] = mcl_shape_2(4, 45);
    for (int i = 0; i < 3; i++) {
      mcl_shape s = shapes[i];
      uint64_t seed = (uint64_t)(20 + i);
      int64_t rows = mcl_shape_rows(s), cols = mcl_shape_cols(s);
      part[i] = kind == 0   ? dense_of(random_tensor(s, seed))
                : kind == 1 ? random_sparse(s, 0.5, 0, seed)
                : kind == 2 ? palette_of(s, 4, false, seed)
                : kind == 3 ? affine_of(s, four, seed)
                : kind == 4 ? product_of(affine_of(mcl_shape_2(rows, 1), four, seed),
                                         palette_of(mcl_shape_2(1, cols), 3, true, seed), s)
                            : sum_of(palette_of(s, 2, false, seed), random_sparse(s, 0.2, 0, seed));
    }
    round_trip(with_values(sparse, part[0]));
    round_trip(product_of(part[1], part[2], shape));
  }
  round_trip(sum_of(random_sparse(shape, 0.1, 0, 30), affine_of(shape, four, 31)));
}

static void nesting_is_bounded(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(4, 4);
  mcl_repr *repr = dense_of(random_tensor(shape, 1)), *again;
  for (int depth = 1; depth < MCL_REPR_MAX_DEPTH; depth++) repr = sum_of(repr, dense_of(random_tensor(shape, 2)));
  mcl_repr *leaf = dense_of(random_tensor(shape, 3)), *thin = dense_of(random_tensor(mcl_shape_2(4, 4), 4));
  assert_fails(mcl_sum_new((mcl_repr *[]){leaf, repr}, 2, &again), MCL_ERROR_ARGUMENT, "nested deeper than 8");
  assert_fails(mcl_lowrank_new(repr, thin, shape, &again), MCL_ERROR_ARGUMENT, "nested deeper than 8");
  assert_fails(mcl_lowrank_new(thin, repr, shape, &again), MCL_ERROR_ARGUMENT, "nested deeper than 8");
  mcl_repr_release(leaf);
  mcl_repr_release(thin);
  round_trip(repr); /* what could be made can be read */
}

/* ---- Decoding ---- */

static void any_range_of_rows_decodes_as_in_the_whole(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(9, 14);
  mcl_affine_options six = {.bits = 6, .group = 5};
  mcl_repr *all[] = {
      dense_of(random_tensor(shape, 1)),
      random_sparse(shape, 0.3, 0, 2),
      palette_of(shape, 3, false, 3),
      affine_of(shape, six, 4),
      affine_of(mcl_shape_1(126), six, 5), /* rows of one element: groups are of the tensor */
      product_of(dense_of(random_tensor(mcl_shape_2(9, 2), 6)), affine_of(mcl_shape_2(2, 14), six, 7), shape),
      sum_of(palette_of(shape, 1, false, 8), random_sparse(shape, 0.1, 0, 9))};
  for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
    mcl_tensor *whole = values_of(all[k]);
    int64_t rows = mcl_shape_rows(all[k]->shape), cols = mcl_shape_cols(all[k]->shape);
    float part[126];
    for (int64_t first = 0; first < rows; first++)
      for (int64_t count = 1; count <= rows - first; count += 2) {
        assert_ok(mcl_repr_decode(all[k], first, count, part));
        assert_memory_equal(part, mcl_tensor_f32(whole) + first * cols, (size_t)(count * cols) * sizeof(float));
      }
    assert_fails(mcl_repr_decode(all[k], 1, rows, part), MCL_ERROR_ARGUMENT, "rows 1 to");
    mcl_tensor_release(whole);
    mcl_repr_release(all[k]);
  }
}

static void sparse_keeps_the_masked_entries_where_they_were(void **state) {
  (void)state;
  mcl_tensor *values = random_tensor(mcl_shape_2(5, 30), 1);
  uint64_t mask[3] = {0x8000000000000001u, 0x00f0, 0x200000}; /* entries 0, 63, 68 to 71, 149 */
  mcl_repr *repr;
  assert_ok(mcl_sparse_fit(values, mask, &repr));
  assert_int_equal(mcl_repr_nonzeros(repr), 7);
  mcl_tensor *decoded = values_of(repr);
  for (int64_t i = 0; i < 150; i++) {
    bool kept = i == 0 || i == 63 || (i >= 68 && i <= 71) || i == 149;
    assert_true(mcl_tensor_f32(decoded)[i] == (kept ? mcl_tensor_f32(values)[i] : 0));
  }
  mask[2] = 0x400000;
  mcl_repr *bad;
  assert_fails(mcl_sparse_fit(values, mask, &bad), MCL_ERROR_ARGUMENT, "beyond its 150 values");
  mcl_tensor_release(decoded);
  mcl_tensor_release(values);
  mcl_repr_release(repr);
}

static void text_says_what_a_weight_is(void **state) {
  (void)state;
  mcl_repr *sparse = random_sparse(mcl_shape_2(100, 100), 0.25, 0, 1);
  char text[128];
  sparse = with_values(sparse, palette_of(mcl_shape_1(nonzeros_of(sparse)), 5, false, 1));
  mcl_repr_text(sparse, text, sizeof text);
  assert_non_null(strstr(text, "% of (palette 32)"));
  mcl_repr_text(sparse, text, 8); /* cut, and ended */
  assert_int_equal(strlen(text), 7);
  mcl_repr_release(sparse);
}

/* One of each kind, and then all kinds of the table are among them: a new kind must answer too. */
static void every_kind_says_its_bits_and_its_entries(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(12, 20);
  mcl_affine_options four = {.bits = 4};
  mcl_repr *sparse = random_sparse(shape, 0.25, 0, 1);
  int64_t entries = nonzeros_of(sparse);
  const struct {
    mcl_repr *repr;
    int bits;
    int64_t entries;
  } cases[] = {
      {dense_of(random_tensor(shape, 1)), 32, 240},
      {with_values(sparse, palette_of(mcl_shape_1(entries), 5, false, 1)), 5, entries},
      {palette_of(shape, 3, false, 2), 3, 240},
      {affine_of(shape, four, 3), 4, 240},
      {product_of(affine_of(mcl_shape_2(12, 2), four, 4), dense_of(random_tensor(mcl_shape_2(2, 20), 5)), shape), 4,
       64},
      {sum_of(palette_of(shape, 2, false, 6), palette_of(shape, 7, false, 7)), 2, 480},
  };
  enum { count = sizeof cases / sizeof *cases };
  assert_int_equal(count, mcl_repr_kind_count);
  for (int i = 0; i < count; i++) {
    assert_ptr_equal(cases[i].repr->kind, mcl_repr_kinds[i]);
    assert_int_equal(mcl_repr_bits(cases[i].repr), cases[i].bits);
    assert_int_equal(mcl_repr_nonzeros(cases[i].repr), cases[i].entries);
    mcl_repr_release(cases[i].repr);
  }
}

/* ---- Products ---- */

static void products_from_the_compressed_form_agree_with_the_dense_one(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(70, 90);
  mcl_affine_options eight = {.bits = 8, .group = -1};
  mcl_repr *sparse = random_sparse(shape, 0.1, 0, 1);
  mcl_repr *all[] = {
      mcl_repr_retain(sparse), with_values(sparse, palette_of(mcl_shape_1(nonzeros_of(sparse)), 4, false, 2)),
      affine_of(shape, eight, 3),
      product_of(affine_of(mcl_shape_2(70, 6), eight, 4), random_sparse(mcl_shape_2(6, 90), 0.5, 0, 5), shape),
      sum_of(random_sparse(shape, 0.05, 0, 6), product_of(dense_of(random_tensor(mcl_shape_2(70, 3), 7)),
                                                          dense_of(random_tensor(mcl_shape_2(3, 90), 8)), shape))};
  for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
    for (int64_t batch = 1; batch <= 33; batch += 16) {
      mcl_tensor *w = values_of(all[k]), *x = random_tensor(mcl_shape_2(batch, 90), 40), *y;
      assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(batch, 70), &y));
      void *scratch;
      assert_ok(mcl_alloc(ctx, mcl_repr_matmul_scratch(all[k], batch), &scratch));
      assert_ok(mcl_repr_matmul(all[k], mcl_tensor_f32(x), batch, mcl_tensor_f32(y), scratch));
      for (int64_t b = 0; b < batch; b++)
        for (int64_t r = 0; r < 70; r++) {
          double sum = 0;
          for (int64_t c = 0; c < 90; c++)
            sum += (double)mcl_tensor_f32(x)[b * 90 + c] * (double)mcl_tensor_f32(w)[r * 90 + c];
          assert_true(fabs(sum - (double)mcl_tensor_f32(y)[b * 70 + r]) < 1e-6);
        }
      mcl_free(ctx, scratch);
      mcl_tensor_release(w);
      mcl_tensor_release(x);
      mcl_tensor_release(y);
    }
  for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) mcl_repr_release(all[k]);
}

/* ---- Files that lie ---- */

/* Reads `repr` back after its header was changed at one byte. */
static void assert_header_refused(mcl_repr *repr, size_t at, uint8_t value, const char *fragment) {
  mcl_repr_writer writer;
  mcl_repr *again = NULL;
  assert_ok(mcl_repr_write_begin(ctx, NULL, false, &writer));
  assert_ok(mcl_repr_write(repr, &writer));
  writer.header.data[at] = value;
  assert_fails(read_back(&writer, repr->shape, &again), MCL_ERROR_FORMAT, fragment);
  assert_null(again);
  mcl_repr_write_end(&writer);
  mcl_repr_release(repr);
}

static void headers_that_lie_are_refused(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(10, 20);
  mcl_affine_options four = {.bits = 4};
  assert_header_refused(dense_of(random_tensor(shape, 1)), 0, 99, "unknown kind");
  assert_header_refused(dense_of(random_tensor(shape, 1)), 1, 7, "unknown type 7");
  assert_header_refused(palette_of(shape, 4, false, 1), 2, 2, "unknown flags");
  assert_header_refused(affine_of(shape, four, 1), 1, 32, "unknown flags");
  assert_header_refused(affine_of(shape, four, 1), 2, 21, "group");
  assert_header_refused(random_sparse(shape, 0.3, 0, 1), 1, 201 & 0x7f, "sparse positions");
  assert_header_refused(random_sparse(shape, 0.3, 0, 1), 2, 64, "unknown layout");
  mcl_repr *part = dense_of(random_tensor(mcl_shape_2(10, 3), 1)),
           *other = dense_of(random_tensor(mcl_shape_2(3, 20), 1));
  mcl_repr *product = product_of(part, other, shape);
  assert_header_refused(mcl_repr_retain(product), 1, 0, "rank of 0");
  assert_header_refused(product, 1, 11, "rank");
  assert_header_refused(sum_of(random_sparse(shape, 0.3, 0, 1), random_sparse(shape, 0.3, 0, 2)), 1, 5, "5 parts");
}

static void no_changed_byte_of_a_header_does_harm(void **state) {
  (void)state;
  mcl_shape shape = mcl_shape_2(10, 20);
  mcl_repr *sparse = random_sparse(shape, 0.3, 0, 1);
  sparse = with_values(sparse, affine_of(mcl_shape_1(nonzeros_of(sparse)), (mcl_affine_options){.bits = 3}, 2));
  mcl_repr *repr = sum_of(sparse, product_of(palette_of(mcl_shape_2(10, 3), 3, true, 3),
                                             random_sparse(mcl_shape_2(3, 20), 0.5, 0, 4), shape));
  mcl_repr_writer writer;
  assert_ok(mcl_repr_write_begin(ctx, NULL, false, &writer));
  assert_ok(mcl_repr_write(repr, &writer));
  for (size_t at = 0; at < writer.header.size; at++) {
    uint8_t before = writer.header.data[at];
    for (int value = 0; value < 256; value++) {
      mcl_repr *again = NULL;
      writer.header.data[at] = (uint8_t)value;
      mcl_coded_stream streams[16];
      size_t place = 0;
      for (int i = 0; i < writer.stream_count; place += writer.stream_size[i++])
        streams[i] = (mcl_coded_stream){writer.streams.data + place, writer.stream_size[i]};
      mcl_repr_reader reader = {.ctx = ctx,
                                .header = {ctx, writer.header.data, writer.header.size, 0, "weight"},
                                .streams = streams,
                                .stream_count = writer.stream_count};
      if (!mcl_repr_read(&reader, shape, &again)) mcl_tensor_release(values_of(again)); /* what is read, decodes */
      mcl_repr_release(again);
    }
    writer.header.data[at] = before;
  }
  mcl_repr_write_end(&writer);
  mcl_repr_release(repr);
}

static void streams_that_are_missing_are_refused(void **state) {
  (void)state;
  mcl_repr *repr = palette_of(mcl_shape_2(10, 20), 4, false, 1), *again;
  mcl_repr_writer writer;
  assert_ok(mcl_repr_write_begin(ctx, NULL, false, &writer));
  assert_ok(mcl_repr_write(repr, &writer));
  writer.stream_count--;
  assert_fails(read_back(&writer, repr->shape, &again), MCL_ERROR_FORMAT, "more than the 1 streams");
  mcl_repr_write_end(&writer);
  mcl_repr_release(repr);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dense_survives_in_every_float_dtype),
      cmocka_unit_test(raw_aligned_values_are_used_in_the_mapped_file),
      cmocka_unit_test(a_bias_costs_four_bytes_beyond_its_values),
      cmocka_unit_test(tensors_without_elements_survive),
      cmocka_unit_test(sparse_survives_at_every_density),
      cmocka_unit_test(dead_columns_cost_less_than_scattered_zeros),
      cmocka_unit_test(positions_cost_little_more_than_their_entropy),
      cmocka_unit_test(palettes_survive_with_any_number_of_bits),
      cmocka_unit_test(affine_survives_with_every_grouping),
      cmocka_unit_test(every_kind_survives_inside_every_other),
      cmocka_unit_test(every_kind_says_its_bits_and_its_entries),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(any_range_of_rows_decodes_as_in_the_whole),
      cmocka_unit_test(sparse_keeps_the_masked_entries_where_they_were),
      cmocka_unit_test(text_says_what_a_weight_is),
      cmocka_unit_test(products_from_the_compressed_form_agree_with_the_dense_one),
      cmocka_unit_test(headers_that_lie_are_refused),
      cmocka_unit_test(no_changed_byte_of_a_header_does_harm),
      cmocka_unit_test(streams_that_are_missing_are_refused),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
