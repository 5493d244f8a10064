/* A model as a C header: the artifact's bytes in an array that a program includes and gives to mcl_model_open_memory, so
 * that it needs no file at run time. The array is named after the file. */
#include <ctype.h>
#include <stdio.h>

#include "artifact/artifact.h"
#include "formats/arrays.h"

#define BYTES_A_LINE 24

/* "nets/lenet-5.h" → "lenet_5" */
static void name_of_path(const char *path, char name[64]) {
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : path;
  size_t n = 0;
  if (isdigit((unsigned char)*base)) name[n++] = '_';
  for (; *base && *base != '.' && n < 63; base++) name[n++] = isalnum((unsigned char)*base) ? *base : '_';
  name[n] = 0;
}

static mcl_status write_bytes(mcl_file_writer *writer, const uint8_t *data, size_t size) {
  char line[BYTES_A_LINE * 4 + 8];
  for (size_t at = 0; at < size; at += BYTES_A_LINE) {
    size_t end = at + BYTES_A_LINE < size ? at + BYTES_A_LINE : size;
    int n = snprintf(line, sizeof line, "  ");
    for (size_t i = at; i < end; i++) n += snprintf(line + n, sizeof line - (size_t)n, "%u,", data[i]);
    line[n++] = '\n';
    MCL_TRY(mcl_file_write(writer, line, (size_t)n));
  }
  return MCL_OK;
}

mcl_status mcl_header_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  mcl_buffer bytes = {.ctx = model->ctx};
  mcl_file_writer *writer = NULL;
  char name[64], text[512];
  name_of_path(path, name);
  mcl_status status = mcl_artifact_encode(model, options, &bytes);
  if (!status) status = mcl_file_writer_open(model->ctx, path, &writer);
  int n =
      snprintf(text, sizeof text,
               "/* An mcl artifact of %zu bytes: mcl_model_open_memory(ctx, %s, sizeof %s, &model). */\n"
               "#if defined(__GNUC__)\n__attribute__((aligned(64)))\n#endif\nstatic const unsigned char %s[%zu] = {\n",
               bytes.size, name, name, name, bytes.size);
  if (!status) status = mcl_file_write(writer, text, (size_t)n);
  if (!status) status = write_bytes(writer, bytes.data, bytes.size);
  if (!status) status = mcl_file_write(writer, "};\n", 3);
  mcl_buffer_free(&bytes);
  if (!status) return mcl_file_commit(writer);
  mcl_file_abandon(writer);
  return status;
}
