/* Containers: what is written is what is read, of the size foretold, the same bytes whatever the threads; damage is
 * refused and located; disks that run out leave nothing behind. */
#include "unit/models.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const mcl_artifact_options all_options[] = {
    {0},
    {.dense = true},
    {.dense = true, .keep = true},
    {.zstd_level = 3},
    {.coder = "huffman"},
    {.coder = "raw"},
    {.coder = "bitpack"},
    {.dense = true, .zstd_level = 19},
};
enum { OPTIONS = sizeof all_options / sizeof *all_options };

static void save(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

/* ---- Round trips ---- */

static void assert_same_graph(const mcl_model *a, const mcl_model *b) {
  assert_int_equal(a->value_count, b->value_count);
  assert_int_equal(a->node_count, b->node_count);
  assert_int_equal(a->weight_count, b->weight_count);
  assert_int_equal(a->input_count, b->input_count);
  assert_int_equal(a->output_count, b->output_count);
  assert_memory_equal(a->outputs, b->outputs, (size_t)a->output_count * sizeof *a->outputs);
  for (int v = 0; v < a->value_count; v++) {
    assert_string_equal(a->values[v].name, b->values[v].name);
    assert_true(mcl_shape_equal(a->values[v].shape, b->values[v].shape));
    assert_int_equal(a->values[v].weight, b->values[v].weight);
    assert_int_equal(a->values[v].producer, b->values[v].producer);
  }
  for (int w = 0; w < a->weight_count; w++) assert_int_equal(a->weights[w].is_state, b->weights[w].is_state);
  for (int n = 0; n < a->node_count; n++) {
    const mcl_node *x = &a->nodes[n], *y = &b->nodes[n];
    assert_ptr_equal(x->op, y->op);
    assert_int_equal(x->inputs, y->inputs);
    assert_memory_equal(x->input, y->input, (size_t)x->inputs * sizeof *x->input);
    for (int i = 0; i < mcl_op_attributes(x->op); i++) {
      assert_int_equal(x->attribute[i].count, y->attribute[i].count);
      assert_memory_equal(x->attribute[i].ints, y->attribute[i].ints, (size_t)x->attribute[i].count * 8);
      assert_true(x->attribute[i].number == y->attribute[i].number);
    }
  }
}

static void round_trip(mcl_model *model) { /* takes the model */
  for (int i = 0; i < OPTIONS; i++) {
    mcl_buffer file = encoded(model, &all_options[i]);
    size_t size;
    mcl_model *again;
    assert_ok(mcl_artifact_size(model, &all_options[i], &size));
    assert_int_equal(size, file.size);
    assert_true(mcl_artifact_is(file.data, file.size));
    assert_ok(mcl_model_open_memory(ctx, file.data, file.size, &again));
    assert_same_graph(model, again);
    for (int w = 0; w < again->weight_count; w++) assert_null(again->weights[w].repr); /* not before it is needed */
    assert_same_weights(model, again);
    for (int w = 0; w < model->weight_count && (!all_options[i].dense || all_options[i].keep); w++) {
      char before[128], after[128];
      mcl_repr_text(model->weights[w].repr, before, sizeof before);
      mcl_repr_text(again->weights[w].repr, after, sizeof after);
      assert_string_equal(before, after);
    }
    mcl_buffer twice = encoded(again, &all_options[i]); /* and so the second generation is the first */
    assert_int_equal(twice.size, file.size);
    assert_memory_equal(twice.data, file.data, file.size);
    mcl_buffer_free(&twice);
    mcl_model_free(again);
    save("artifact.mcl", file.data, file.size);
    assert_ok(mcl_artifact_verify(ctx, "artifact.mcl"));
    mcl_buffer_free(&file);
  }
  mcl_model_free(model);
}

static void every_representation_comes_back(void **state) {
  (void)state;
  round_trip(zoo(8));
  round_trip(zoo(41));
}

static void a_wrap_is_left_out_where_it_does_not_help(void **state) {
  (void)state;
  static const mcl_artifact_options wrap = {.zstd_level = 19}, dense = {.dense = true},
                                    both = {.dense = true, .zstd_level = 19};
  mcl_model *model = one_layer(palette_of(mcl_shape_2(70, 80), 4, false, 1)); /* its codes are random */
  mcl_buffer plain = encoded(model, NULL), wrapped = encoded(model, &wrap);
  assert_int_equal(wrapped.size, plain.size);
  assert_memory_equal(wrapped.data, plain.data, plain.size);
  mcl_buffer_free(&plain);
  mcl_buffer_free(&wrapped);
  plain = encoded(model, &dense); /* sixteen values, 4 bytes each */
  wrapped = encoded(model, &both);
  assert_in_range(wrapped.size, 1, plain.size / 3);
  mcl_buffer_free(&plain);
  mcl_buffer_free(&wrapped);
  mcl_model_free(model);
}

static void every_attribute_comes_back(void **state) {
  (void)state;
  round_trip(small_net());
}

static void weights_longer_than_a_block_come_back(void **state) {
  (void)state;
  round_trip(one_layer(palette_of(mcl_shape_2(700, 800), 4, false, 1)));
}

static void files_are_the_same_whatever_the_threads(void **state) {
  (void)state;
  mcl_buffer first = {.ctx = ctx};
  mcl_model *model = lenet_four();
  for (int threads = 1; threads <= 4; threads++) {
    mcl_context *other, *before = ctx;
    mcl_model *copy;
    assert_int_equal(mcl_context_new(&(mcl_options){.threads = threads}, &other), MCL_OK);
    mcl_buffer file = encoded(model, NULL), again = {.ctx = other};
    ctx = other;
    assert_ok(mcl_model_open_memory(other, file.data, file.size, &copy));
    assert_ok(mcl_artifact_encode(copy, NULL, &again));
    mcl_model_free(copy);
    ctx = before;
    if (threads == 1) assert_ok(mcl_buffer_append(&first, again.data, again.size));
    assert_int_equal(again.size, first.size);
    assert_memory_equal(again.data, first.data, first.size);
    mcl_buffer_free(&again);
    mcl_buffer_free(&file);
    mcl_context_free(other);
  }
  mcl_buffer_free(&first);
  mcl_model_free(model);
}

static void a_second_coding_does_not_need_the_first_model(void **state) {
  (void)state;
  mcl_model *model = zoo(9), *opened, *copy;
  assert_ok(mcl_artifact_write(model, &(mcl_artifact_options){.dense = true}, "copied.bin"));
  assert_ok(mcl_model_open(ctx, "copied.bin", &opened));
  assert_ok(mcl_model_copy(opened, &copy));
  mcl_model_free(opened); /* copies share representations, which keep the mapped file */
  assert_same_weights(model, copy);
  mcl_model_free(copy);
  mcl_model_free(model);
}

/* ---- Size and place ---- */

static void all_but_the_streams_of_four_layers_is_under_400_bytes(void **state) {
  (void)state;
  mcl_model *model = lenet_four();
  mcl_artifact_info *info;
  assert_ok(mcl_artifact_write(model, NULL, "four.mcl"));
  assert_ok(mcl_artifact_inspect(ctx, "four.mcl", &info));
  print_message("overhead of four layers: %zu of %zu bytes\n", info->overhead_bytes, info->bytes);
  assert_true(info->overhead_bytes < 400);
  mcl_artifact_info_free(ctx, info);
  mcl_model_free(model);
}

static void dense_weights_of_a_bin_are_used_where_they_are_mapped(void **state) {
  (void)state;
  mcl_model *model = zoo(33), *again;
  assert_ok(mcl_artifact_write(model, &(mcl_artifact_options){.dense = true}, "mapped.bin"));
  assert_ok(mcl_model_open(ctx, "mapped.bin", &again));
  for (int w = 0; w < again->weight_count; w++) {
    assert_ok(mcl_weight_load(again, w));
    const mcl_dense *dense = (const mcl_dense *)again->weights[w].repr;
    assert_ptr_equal(dense->base.kind, &mcl_dense_kind);
    assert_non_null(dense->values->map);
    assert_int_equal((uintptr_t)dense->values->data % 64, 0);
  }
  assert_same_weights(model, again);
  mcl_model_free(again);
  mcl_model_free(model);
}

static void an_inspection_says_what_the_representations_say(void **state) {
  (void)state;
  mcl_model *model = zoo(24);
  mcl_artifact_info *info;
  struct stat file;
  size_t coded = 0;
  assert_ok(mcl_artifact_write(model, NULL, "inspected.mcl"));
  assert_ok(mcl_artifact_inspect(ctx, "inspected.mcl", &info));
  assert_int_equal(stat("inspected.mcl", &file), 0);
  assert_int_equal(info->bytes, file.st_size);
  assert_int_equal(info->weights, model->weight_count);
  assert_int_equal(info->parameters, mcl_model_parameters(model));
  assert_int_equal(info->dense_bytes, 4 * info->parameters);
  assert_int_equal(info->alignment, 1);
  assert_false(info->zstd_wrapped);
  for (int w = 0; w < info->weights; w++) {
    const mcl_artifact_weight *weight = &info->weight[w];
    char text[128];
    mcl_repr_text(model->weights[w].repr, text, sizeof text);
    assert_string_equal(weight->representation, text);
    assert_string_equal(weight->name, model->weights[w].name);
    assert_string_equal(weight->op, "linear");
    assert_int_equal(weight->nonzeros, mcl_repr_nonzeros(model->weights[w].repr));
    assert_true(weight->coded_bytes <= weight->packed_bytes + 16);
    assert_true(weight->file_bytes > weight->coded_bytes);
    coded += weight->coded_bytes;
  }
  assert_int_equal(info->overhead_bytes, info->bytes - coded);
  mcl_artifact_info_free(ctx, info);
  mcl_model_free(model);
}

/* ---- Damage ---- */

/* Opens and decodes all; -1: refused; else whether all is as in `model`. */
static int try_open(mcl_model *model, const uint8_t *data, size_t size) {
  mcl_model *again;
  int weight = 0; /* another graph */
  if (mcl_model_open_memory(ctx, data, size, &again)) return -1;
  mcl_status status = MCL_OK;
  bool finished = false,
       same_graph = again->weight_count == model->weight_count && again->value_count == model->value_count;
  while (!status && !finished && size % 2) status = mcl_model_decode(again, 1, &finished);
  if (!status && same_graph) status = first_difference(model, again, &weight);
  int result = status ? -1 : weight < 0;
  mcl_model_free(again);
  return result;
}

static void a_file_cut_off_anywhere_is_refused(void **state) {
  (void)state;
  for (int i = 0; i < OPTIONS; i++) {
    mcl_model *model = one_layer(zoo_kind(8, mcl_shape_2(6, 10)));
    mcl_buffer file = encoded(model, &all_options[i]);
    for (size_t size = 0; size < file.size; size++) {
      uint8_t *exact = malloc(size + 1); /* so that a read past the end is seen */
      memcpy(exact, file.data, size);
      assert_int_equal(try_open(model, exact, size), -1);
      free(exact);
    }
    uint8_t *longer = calloc(1, file.size + 1);
    memcpy(longer, file.data, file.size);
    assert_int_equal(try_open(model, longer, file.size + 1), -1);
    free(longer);
    mcl_buffer_free(&file);
    mcl_model_free(model);
  }
}

/* Never other values; and verify, which also reads what opening need not, refuses every change but that of feature bits
 * which a reader is free to ignore, and of a newer minor version. */
static void no_single_changed_byte_is_accepted(void **state) {
  (void)state;
  for (int kind = 0; kind < ZOO_KINDS; kind++) {
    mcl_model *model = one_layer(zoo_kind(kind, mcl_shape_2(5, 8)));
    mcl_buffer file = encoded(model, &all_options[kind % OPTIONS]);
    for (size_t at = 0; at < file.size; at++) {
      for (int bit = 0; bit < 8; bit++) {
        file.data[at] ^= (uint8_t)(1 << bit);
        assert_int_not_equal(try_open(model, file.data, file.size), 0);
        if (bit == (int)(at % 8)) {
          save("flipped.mcl", file.data, file.size);
          mcl_status status = mcl_artifact_verify(ctx, "flipped.mcl");
          bool refused = status == MCL_ERROR_FORMAT || status == MCL_ERROR_UNSUPPORTED;
          if (!refused && at != 5 && at != 7)
            fail_msg("kind %d: byte %zu of %zu: %s", kind, at, file.size, mcl_status_name(status));
        }
        file.data[at] ^= (uint8_t)(1 << bit);
      }
    }
    mcl_buffer_free(&file);
    mcl_model_free(model);
  }
}

static void damage_is_located_to_its_weight(void **state) {
  (void)state;
  mcl_model *model = zoo(20);
  mcl_artifact_info *info;
  assert_ok(mcl_artifact_write(model, NULL, "damaged.mcl"));
  assert_ok(mcl_artifact_inspect(ctx, "damaged.mcl", &info));
  mcl_buffer file = encoded(model, NULL);
  size_t at = file.size - (size_t)info->weights * 8 - 16;
  for (int w = info->weights - 1; w >= 0; w--) {
    if (!info->weight[w].coded_bytes) continue;
    char wanted[64];
    at -= info->weight[w].coded_bytes;
    file.data[at] ^= 0x40;
    save("damaged.mcl", file.data, file.size);
    snprintf(wanted, sizeof wanted, "weight \"%s\" is damaged", info->weight[w].name);
    assert_fails(mcl_artifact_verify(ctx, "damaged.mcl"), MCL_ERROR_FORMAT, wanted);
    file.data[at] ^= 0x40;
  }
  mcl_artifact_info_free(ctx, info);
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

/* ---- Bad requests ---- */

static void requests_that_cannot_be_met_say_so(void **state) {
  (void)state;
  mcl_model *model = one_layer(zoo_kind(0, mcl_shape_2(3, 3))), *opened;
  size_t size;
  assert_fails(mcl_artifact_size(model, &(mcl_artifact_options){.coder = "hufman"}, &size), MCL_ERROR_ARGUMENT,
               "there are raw, bitpack, huffman");
  assert_fails(mcl_artifact_size(model, &(mcl_artifact_options){.zstd_level = 99}, &size), MCL_ERROR_ARGUMENT,
               "level 99");
  assert_fails(mcl_artifact_write(model, NULL, "no such folder/a.mcl"), MCL_ERROR_IO, "no such folder/a.mcl");
  assert_fails(mcl_model_open(ctx, "no such file.mcl", &opened), MCL_ERROR_IO, "no such file.mcl");
  assert_null(opened);
  mcl_model_free(model);
}

/* A square weight of zeros alone: as a file it is some 100 bytes, whatever its side. */
static mcl_status encode_zeros(mcl_context *own, int64_t side, mcl_buffer *out) {
  mcl_model *model;
  mcl_repr *repr;
  mcl_tensor *none;
  int value;
  *out = (mcl_buffer){.ctx = own};
  assert_ok(mcl_model_new(own, "zeros", &model));
  assert_ok(mcl_repr_new(own, &mcl_sparse_kind, mcl_shape_2(side, side), &repr));
  assert_ok(mcl_alloc_zero(own, ((size_t)side + 1) * sizeof(uint32_t), &((mcl_sparse *)repr)->row_start));
  assert_ok(mcl_tensor_new(own, MCL_F32, mcl_shape_1(0), &none));
  assert_ok(mcl_dense_new(none, &((mcl_sparse *)repr)->values));
  mcl_tensor_release(none);
  assert_ok(mcl_model_add_weight(model, "w", repr, false, &value));
  mcl_repr_release(repr);
  mcl_status status = mcl_artifact_encode(model, NULL, out);
  mcl_model_free(model);
  return status;
}

static void a_few_bytes_do_not_stand_for_gigabytes_unless_that_is_meant(void **state) {
  (void)state;
  mcl_context *plain, *bold;
  mcl_model *model;
  mcl_buffer file;
  assert_int_equal(mcl_context_new(&(mcl_options){.threads = 1}, &plain), MCL_OK);
  assert_int_equal(mcl_context_new(&(mcl_options){.threads = 1, .dense_limit = SIZE_MAX}, &bold), MCL_OK);
  assert_int_equal(encode_zeros(plain, 10000, &file), MCL_OK); /* 10^8 weights, 400 MB of zeros */
  assert_true(file.size < 200);
  assert_int_equal(mcl_model_open_memory(plain, file.data, file.size, &model), MCL_OK);
  mcl_model_free(model);
  mcl_buffer_free(&file);

  assert_int_equal(encode_zeros(plain, 20000, &file), MCL_ERROR_ARGUMENT); /* what is not read is not written either */
  assert_non_null(strstr(mcl_context_message(plain), "above the limit of 1073741824"));
  mcl_buffer_free(&file);
  assert_int_equal(encode_zeros(bold, 20000, &file), MCL_OK);
  assert_int_equal(mcl_model_open_memory(bold, file.data, file.size, &model), MCL_OK);
  mcl_model_free(model);
  assert_int_equal(mcl_model_open_memory(plain, file.data, file.size, &model), MCL_ERROR_FORMAT);
  assert_non_null(strstr(mcl_context_message(plain), "--dense-limit"));
  mcl_buffer_free(&file);
  mcl_context_free(bold);
  mcl_context_free(plain);
}

static void a_limit_on_memory_is_kept(void **state) {
  (void)state;
  mcl_context *limited;
  mcl_tensor *values;
  assert_ok(mcl_tensor_new(ctx, MCL_F32, mcl_shape_2(2000, 2000), &values)); /* zeros: some hundred bytes coded */
  mcl_model *model = one_layer(dense_of(values)), *opened;
  mcl_buffer file = encoded(model, NULL);
  assert_true(file.size < 40000);
  mcl_options options = {.memory_limit = (size_t)1 << 20, .threads = 1};
  assert_int_equal(mcl_context_new(&options, &limited), MCL_OK);
  assert_int_equal(mcl_model_open_memory(limited, file.data, file.size, &opened), MCL_OK);
  assert_int_equal(mcl_weight_load(opened, 0), MCL_ERROR_MEMORY);
  assert_true(mcl_context_memory_peak(limited) <= options.memory_limit);
  mcl_model_free(opened);
  mcl_context_free(limited);
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

/* ---- Work that does not end ---- */

static void a_full_disk_leaves_the_old_file(void **state) {
  (void)state;
  mcl_model *model = one_layer(palette_of(mcl_shape_2(700, 800), 8, false, 1));
  struct rlimit before, small = {100000, RLIM_INFINITY};
  save("full.mcl", "old", 3);
  getrlimit(RLIMIT_FSIZE, &before);
  small.rlim_max = before.rlim_max;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  mcl_status status = mcl_artifact_write(model, NULL, "full.mcl");
  setrlimit(RLIMIT_FSIZE, &before);
  assert_fails(status, MCL_ERROR_IO, "full.mcl");
  FILE *file = fopen("full.mcl", "rb");
  char text[8] = {0};
  assert_int_equal(fread(text, 1, sizeof text, file), 3);
  assert_string_equal(text, "old");
  fclose(file);
  mcl_model_free(model);
}

static void a_cancel_leaves_the_old_file(void **state) {
  (void)state;
  mcl_model *model = zoo(12), *opened;
  size_t size;
  save("cancelled.mcl", "old", 3);
  mcl_context_cancel(ctx);
  for (int i = 0; i < OPTIONS; i++) {
    assert_int_equal(mcl_artifact_write(model, &all_options[i], "cancelled.mcl"), MCL_ERROR_CANCELLED);
    assert_int_equal(mcl_artifact_size(model, &all_options[i], &size), MCL_ERROR_CANCELLED);
  }
  mcl_context_resume(ctx);
  assert_fails(mcl_model_open(ctx, "cancelled.mcl", &opened), MCL_ERROR_FORMAT, "is not an mcl container"); /* "old" */
  assert_ok(mcl_artifact_write(model, NULL, "cancelled.mcl"));
  mcl_context_cancel(ctx);
  assert_int_equal(mcl_artifact_verify(ctx, "cancelled.mcl"), MCL_ERROR_CANCELLED);
  mcl_context_resume(ctx);
  assert_ok(mcl_artifact_verify(ctx, "cancelled.mcl"));
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_representation_comes_back),
      cmocka_unit_test(a_wrap_is_left_out_where_it_does_not_help),
      cmocka_unit_test(every_attribute_comes_back),
      cmocka_unit_test(weights_longer_than_a_block_come_back),
      cmocka_unit_test(files_are_the_same_whatever_the_threads),
      cmocka_unit_test(a_second_coding_does_not_need_the_first_model),
      cmocka_unit_test(all_but_the_streams_of_four_layers_is_under_400_bytes),
      cmocka_unit_test(dense_weights_of_a_bin_are_used_where_they_are_mapped),
      cmocka_unit_test(an_inspection_says_what_the_representations_say),
      cmocka_unit_test(a_file_cut_off_anywhere_is_refused),
      cmocka_unit_test(no_single_changed_byte_is_accepted),
      cmocka_unit_test(damage_is_located_to_its_weight),
      cmocka_unit_test(requests_that_cannot_be_met_say_so),
      cmocka_unit_test(a_few_bytes_do_not_stand_for_gigabytes_unless_that_is_meant),
      cmocka_unit_test(a_limit_on_memory_is_kept),
      cmocka_unit_test(a_full_disk_leaves_the_old_file),
      cmocka_unit_test(a_cancel_leaves_the_old_file),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
