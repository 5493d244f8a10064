/* The second decoder (tests/decoder, written from docs/format.md) agrees with the library bit for bit, on every
 * representation, coder and form of the container; and refuses what is damaged. It needs python3 and zstd. */
#include "unit/models.h"

#include <sys/wait.h>
#include <unistd.h>

/* Its exit status; what it prints goes to decoder.txt, the values to decoder.f32. */
static int run_decoder(const char *path) {
  char command[1024];
  snprintf(command, sizeof command, "python3 -B %s/tests/decoder/mcl_decode.py %s decoder.f32 >decoder.txt 2>&1",
           MCL_SOURCE_DIR, path);
  int status = system(command);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("%s was not written", path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = calloc(1, *size + 1);
  assert_int_equal(fread(data, 1, *size, file), *size);
  fclose(file);
  return data;
}

static void agree(mcl_model *model, const mcl_artifact_options *options) {
  size_t size, at = 0;
  assert_ok(mcl_artifact_write(model, options, "decoder.mcl"));
  int status = run_decoder("decoder.mcl");
  char *text = read_file("decoder.txt", &size);
  if (status) fail_msg("the second decoder: %s", text);
  char *values = read_file("decoder.f32", &size);
  for (int w = 0; w < model->weight_count; w++) {
    char line[1200];
    mcl_tensor *ours;
    assert_ok(mcl_weight_values(model, w, &ours));
    assert_true(at + (size_t)ours->count * 4 <= size);
    if (memcmp(values + at, ours->data, (size_t)ours->count * 4)) fail_msg("%s differs", model->weights[w].name);
    at += (size_t)ours->count * 4;
    snprintf(line, sizeof line, "%s %s [", model->weights[w].is_state ? "state" : "weight", model->weights[w].name);
    if (!strstr(text, line)) fail_msg("the second decoder did not see %s", line);
  }
  assert_int_equal(at, size);
  for (int n = 0; n < model->node_count; n++) {
    char line[1200];
    snprintf(line, sizeof line, "%s %s ", model->nodes[n].op->name, model->nodes[n].name);
    if (!strstr(text, line)) fail_msg("the second decoder did not see %s", line);
  }
  free(text);
  free(values);
}

static void every_representation(void **state) {
  (void)state;
  mcl_model *model = zoo(23);
  agree(model, NULL);
  agree(model, &(mcl_artifact_options){.dense = true});
  agree(model, &(mcl_artifact_options){.dense = true, .keep = true});
  mcl_model_free(model);
}

static void every_coder(void **state) {
  (void)state;
  mcl_model *model = small_net();
  for (int i = 0; i < mcl_coder_count; i++) agree(model, &(mcl_artifact_options){.coder = mcl_coders[i]->name});
  mcl_model_free(model);
}

static void zstd_wraps(void **state) {
  (void)state;
  mcl_model *model = small_net();
  agree(model, &(mcl_artifact_options){.zstd_level = 3});
  agree(model, &(mcl_artifact_options){.dense = true, .zstd_level = 19});
  mcl_model_free(model);
}

static void directories_that_zstd_packs(void **state) {
  (void)state;
  mcl_model *model;
  int x;
  char name[64];
  assert_ok(mcl_model_new(ctx, "deep", &model));
  assert_ok(mcl_model_add_input(model, "x", mcl_shape_2(-1, 3), &x));
  for (int i = 0; i < 60; i++) {
    snprintf(name, sizeof name, "stage%d.block%d.a_rather_long_name", i / 10, i % 10);
    x = add_linear(model, name, x, zoo_kind(0, mcl_shape_2(3, 3)), NULL);
  }
  assert_ok(mcl_model_add_output(model, x));
  mcl_buffer file = encoded(model, NULL);
  assert_int_equal(file.data[6], 1); /* the feature bit */
  mcl_buffer_free(&file);
  agree(model, NULL);
  mcl_model_free(model);
}

static void lanes_and_blocks(void **state) {
  (void)state;
  mcl_model *model = one_layer(palette_of(mcl_shape_2(640, 480), 5, true, 3)); /* two blocks, of lanes */
  agree(model, NULL);
  agree(model, &(mcl_artifact_options){.coder = "bitpack"});
  mcl_model_free(model);
  mcl_tensor *values = random_tensor(mcl_shape_2(300, 100), 4);
  model = one_layer(dense_of(values)); /* planes, of lanes */
  agree(model, &(mcl_artifact_options){.coder = "planes"});
  mcl_model_free(model);
}

static void real_sizes(void **state) {
  (void)state;
  mcl_model *model = lenet_four();
  agree(model, NULL);
  mcl_model_free(model);
}

static void damage_is_refused(void **state) {
  (void)state;
  mcl_model *model = one_layer(zoo_kind(8, mcl_shape_2(7, 9)));
  mcl_buffer file = encoded(model, NULL);
  for (size_t at = 0; at < file.size; at += 1 + file.size / 24) {
    size_t size;
    if (at == 5 || at == 7) continue; /* a newer minor version, optional features */
    file.data[at] ^= 0x10;
    FILE *damaged = fopen("damaged_decoder.mcl", "wb");
    fwrite(file.data, 1, file.size, damaged);
    fclose(damaged);
    assert_int_equal(run_decoder("damaged_decoder.mcl"), 1);
    char *text = read_file("decoder.txt", &size);
    if (!strstr(text, "refused")) fail_msg("byte %zu: %s", at, text);
    free(text);
    file.data[at] ^= 0x10;
  }
  mcl_buffer_free(&file);
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_representation),        cmocka_unit_test(every_coder),      cmocka_unit_test(zstd_wraps),
      cmocka_unit_test(directories_that_zstd_packs), cmocka_unit_test(lanes_and_blocks), cmocka_unit_test(real_sizes),
      cmocka_unit_test(damage_is_refused),
  };
  return cmocka_run_group_tests(tests, make_context, free_context);
}
