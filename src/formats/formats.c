/* The table of formats. A new one is a file and a row. */
#include <stdio.h>

#include "artifact/artifact.h"
#include "formats/arrays.h"
#include "formats/onnx.h"

static mcl_status save_container(mcl_model *model, const char *path, int zstd_level) {
  const mcl_artifact_options options = {.zstd_level = zstd_level};
  return mcl_artifact_write(model, &options, path);
}

static mcl_status save_dense_container(mcl_model *model, const char *path, int zstd_level) {
  const mcl_artifact_options options = {.dense = true, .zstd_level = zstd_level};
  return mcl_artifact_write(model, &options, path);
}

const mcl_format mcl_formats[] = {
    {"mcl artifact", "mcl", mcl_model_open, save_container, true},
    {"mcl container of dense weights", "bin", mcl_model_open, save_dense_container, true},
    {"ONNX", "onnx", mcl_onnx_load_model, mcl_onnx_save_model, false},
    {"a NumPy archive of weights", "npz", mcl_npz_load_model, mcl_npz_save_model, false},
    {"safetensors", "safetensors", mcl_safetensors_load_model, mcl_safetensors_save_model, false},
    {"GGUF", "gguf", mcl_gguf_load_model, mcl_gguf_save_model, false},
    {"a C header", "h", NULL, mcl_header_save_model, false},
};
const int mcl_format_count = sizeof mcl_formats / sizeof *mcl_formats;

/* Whether `extension` is one of the words of `list`. */
static bool is_listed(const char *list, const char *extension) {
  size_t length = strlen(extension);
  for (const char *word = list; *word; word += strspn(word, " ")) {
    size_t size = strcspn(word, " ");
    if (size == length && !strncmp(word, extension, size)) return true;
    word += size;
  }
  return false;
}

static mcl_status unknown_extension(mcl_context *ctx, const char *path, const char *extension) {
  char known[256];
  int n = 0;
  for (int i = 0; i < mcl_format_count && n < (int)sizeof known; i++)
    n += snprintf(known + n, sizeof known - (size_t)n, "%s.%s", i ? ", " : "", mcl_formats[i].extensions);
  return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: %s%s names no format of models; known are %s", path,
                  *extension ? "the extension ." : "a path without an extension", extension, known);
}

mcl_status mcl_format_of_path(mcl_context *ctx, const char *path, const mcl_format **out) {
  const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
  const char *extension = dot ? dot + 1 : "";
  *out = NULL;
  for (int i = 0; i < mcl_format_count; i++)
    if (is_listed(mcl_formats[i].extensions, extension)) return *out = &mcl_formats[i], MCL_OK;
  return unknown_extension(ctx, path, extension);
}

mcl_status mcl_load_model(mcl_context *ctx, const char *path, mcl_model **out) {
  const mcl_format *format;
  *out = NULL;
  MCL_TRY(mcl_format_of_path(ctx, path, &format));
  if (!format->load_model)
    return mcl_fail(ctx, MCL_ERROR_UNSUPPORTED,
                    "%s: %s is only written; give a .mcl, .bin or .onnx, or an architecture in .lua", path,
                    format->name);
  return format->load_model(ctx, path, out);
}

mcl_status mcl_save_model(mcl_model *model, const char *path, int zstd_level) {
  const mcl_format *format;
  MCL_TRY(mcl_format_of_path(model->ctx, path, &format));
  if (!format->save_model)
    return mcl_fail(model->ctx, MCL_ERROR_UNSUPPORTED, "%s: %s is only read", path, format->name);
  return format->save_model(model, path, zstd_level);
}
