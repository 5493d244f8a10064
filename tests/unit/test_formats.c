/* The table of formats: by extension, for reading and for writing. */
#include "unit/check.h"

#include "formats/formats.h"

static void extensions_name_formats_in_letters_of_either_case(void **state) {
  static const char *const paths[][2] = {{"a.dir/net.onnx", "ONNX"},
                                         {"NET.ONNX", "ONNX"},
                                         {"w.Npz", "a NumPy archive of weights"},
                                         {"net.MCL", "mcl artifact"}};
  const mcl_format *format;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    assert_ok(*state, mcl_format_of_path(*state, paths[i][0], MCL_FORMAT_READ, &format));
    assert_string_equal(format->name, paths[i][1]);
  }
}

static void an_unknown_extension_is_told_what_there_is_for_its_use(void **state) {
  const mcl_format *format;
  assert_fails(*state, MCL_ERROR_UNSUPPORTED,
               "net.xyz: the extension .xyz names no format of models; "
               ".mcl .bin .onnx .npz .safetensors .gguf are read",
               mcl_format_of_path(*state, "net.xyz", MCL_FORMAT_READ, &format));
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, ".safetensors .gguf .h are written",
               mcl_format_of_path(*state, "net.xyz", MCL_FORMAT_WRITTEN, &format));
  assert_fails(*state, MCL_ERROR_UNSUPPORTED, "a.onnx/net: a path without an extension",
               mcl_format_of_path(*state, "a.onnx/net", MCL_FORMAT_READ, &format));
}

static void what_is_only_written_is_not_offered_for_reading(void **state) {
  mcl_model *model;
  assert_fails(*state, MCL_ERROR_UNSUPPORTED,
               "net.h: a C header is not read; .mcl .bin .onnx .npz .safetensors .gguf are",
               mcl_load_model(*state, "net.h", &model));
}

static void options_that_a_format_does_not_know_are_refused(void **state) {
  mcl_model *model;
  assert_ok(*state, mcl_model_new(*state, "empty", &model));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "x.npz: a NumPy archive of weights has no zstd wrap",
               mcl_save_model(model, "x.npz", &(mcl_artifact_options){.zstd_level = 3}));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "x.gguf: GGUF has no coder to choose",
               mcl_save_model(model, "x.gguf", &(mcl_artifact_options){.coder = "huffman"}));
  assert_fails(*state, MCL_ERROR_ARGUMENT, "x.safetensors: safetensors has no representations to keep",
               mcl_save_model(model, "x.safetensors", &(mcl_artifact_options){.keep = true}));
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(extensions_name_formats_in_letters_of_either_case),
      context_test(an_unknown_extension_is_told_what_there_is_for_its_use),
      context_test(what_is_only_written_is_not_offered_for_reading),
      context_test(options_that_a_format_does_not_know_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
