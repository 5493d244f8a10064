/* A model as a C header: the artifact's bytes in an array that a program includes and gives to mcl_model_open_memory, so
 * that it needs no file at run time. The array is named after the file: lenet5_bytes of lenet5.h. */
#include <stdio.h>

#include "artifact/artifact.h"
#include "formats/arrays.h"

#define BYTES_A_LINE 24
#define NAME_ROOM 64

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "nets/lenet-5.h" → "lenet_5_bytes": what of the file's name C takes, behind a letter, with single underscores. Its end is
 * ours, so that no keyword, macro or function of C or C++ can be met: int.h has int_bytes. */
static void name_of_path(const char *path, char name[NAME_ROOM]) {
  const char *base = strrchr(path, '/'), *end;
  base = base ? base + 1 : path;
  end = strrchr(base, '.');
  if (!end) end = base + strlen(base);
  size_t n = 0;
  for (; base < end && n < NAME_ROOM - sizeof "model__bytes"; base++) {
    bool is_word = is_letter(*base) || is_digit(*base);
    if (!n && is_digit(*base)) n += (size_t)sprintf(name, "model_");
    if (is_word)
      name[n++] = *base;
    else if (n && name[n - 1] != '_')
      name[n++] = '_';
  }
  if (n && name[n - 1] == '_') n--;
  sprintf(name + n, n ? "_bytes" : "model_bytes");
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
  char name[NAME_ROOM], text[512];
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
