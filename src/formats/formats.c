/* The table of formats. A new one is a file and a row. */
#include <stdio.h>

#include "formats/arrays.h"
#include "formats/onnx.h"

static mcl_status save_container(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  return mcl_artifact_write(model, options, path);
}

static mcl_status save_dense_container(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  mcl_artifact_options dense = *options;
  dense.dense = true;
  return mcl_artifact_write(model, &dense, path);
}

const mcl_format mcl_formats[] = {
    {"mcl artifact", "mcl", mcl_model_open, save_container, true, true},
    {"mcl container of dense weights", "bin", mcl_model_open, save_dense_container, true, true},
    {"ONNX", "onnx", mcl_onnx_load_model, mcl_onnx_save_model, false, false},
    {"a NumPy archive of weights", "npz", mcl_npz_load_model, mcl_npz_save_model, false, false},
    {"safetensors", "safetensors", mcl_safetensors_load_model, mcl_safetensors_save_model, false, false},
    {"GGUF", "gguf", mcl_gguf_load_model, mcl_gguf_save_model, false, false},
    {"a C header", "h", NULL, mcl_header_save_model, false, true},
};
const int mcl_format_count = sizeof mcl_formats / sizeof *mcl_formats;

static bool has_use(const mcl_format *format, mcl_format_use use) {
  return use == MCL_FORMAT_READ ? format->load_model != NULL : format->save_model != NULL;
}

const char *mcl_format_extensions(mcl_format_use use, char text[128]) {
  int n = 0;
  text[0] = 0;
  for (int i = 0; i < mcl_format_count; i++) {
    const char *word = mcl_formats[i].extensions;
    for (; has_use(&mcl_formats[i], use) && *word && n < 128; word += strspn(word, " ")) {
      int size = (int)strcspn(word, " ");
      n += snprintf(text + n, 128 - (size_t)n, "%s.%.*s", n ? " " : "", size, word);
      word += size;
    }
  }
  return text;
}

static int lower(char letter) { return letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter; }

/* Whether `extension` is one of the words of `list`, which are in small letters; the locale has no say. */
static bool is_listed(const char *list, const char *extension) {
  size_t length = strlen(extension);
  for (const char *word = list; *word; word += strspn(word, " ")) {
    size_t size = strcspn(word, " "), same = 0;
    while (same < size && same < length && lower(extension[same]) == word[same]) same++;
    if (same == size && same == length) return true;
    word += size;
  }
  return false;
}

mcl_status mcl_format_of_path(mcl_context *ctx, const char *path, mcl_format_use use, const mcl_format **out) {
  const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
  const char *extension = dot ? dot + 1 : "", *verb = use == MCL_FORMAT_READ ? "read" : "written";
  char known[128];
  *out = NULL;
  mcl_format_extensions(use, known);
  for (int i = 0; i < mcl_format_count; i++) {
    if (!is_listed(mcl_formats[i].extensions, extension)) continue;
    if (has_use(&mcl_formats[i], use)) return *out = &mcl_formats[i], MCL_OK;
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: %s is not %s; %s are", path, mcl_formats[i].name, verb, known);
  }
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: %s%s names no format of models; %s are %s", path,
                  *extension ? "the extension ." : "a path without an extension", extension, known, verb);
}

mcl_status mcl_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  const mcl_format *format;
  *out = NULL;
  MCL_TRY(mcl_format_of_path(ctx, path, MCL_FORMAT_READ, &format));
  return format->load_model(ctx, path, out);
}

mcl_status mcl_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  const mcl_artifact_options none = {0};
  const mcl_format *format;
  MCL_TRY(mcl_format_of_path(model->ctx, path, MCL_FORMAT_WRITTEN, &format));
  if (!options) options = &none;
  const char *unknown = options->zstd_level ? "zstd wrap"
                        : options->coder    ? "coder to choose"
                        : options->portable ? "zstd to leave out"
                        : options->keep     ? "representations to keep"
                                            : NULL;
  if (!format->is_coded && unknown)
    return mcl_fail(model->ctx, MCL_ERROR_ARGUMENT, "%s: %s has no %s; leave it out, or save a .mcl", path,
                    format->name, unknown);
  return format->save_model(model, path, options);
}
