/* Which files a context has read, for those who ask: names, each once. */
#include "base/file.h"

#include <string.h>

typedef struct file_names {
  char **name;
  size_t count;
} file_names;

static mcl_status new_names(mcl_context *ctx, void *out) { return mcl_alloc_zero(ctx, sizeof(file_names), out); }

static void free_names(mcl_context *ctx, void *kept) {
  file_names *names = kept;
  for (size_t i = 0; i < names->count; i++) mcl_free(ctx, names->name[i]);
  mcl_free(ctx, names->name);
  mcl_free(ctx, names);
}

mcl_status mcl_file_reads_watch(mcl_context *ctx) {
  static const mcl_keeper keeper = {new_names, free_names};
  return mcl_context_keep(ctx, MCL_SLOT_FILES, &keeper) ? MCL_OK : MCL_ERROR_MEMORY;
}

mcl_status mcl_file_reads_note(mcl_context *ctx, const char *path) {
  file_names *names = mcl_context_kept(ctx, MCL_SLOT_FILES);
  if (!names) return MCL_OK;
  for (size_t i = 0; i < names->count; i++)
    if (!strcmp(names->name[i], path)) return MCL_OK;
  MCL_TRY(mcl_realloc(ctx, (names->count + 1) * sizeof *names->name, &names->name));
  MCL_TRY(mcl_strdup(ctx, path, &names->name[names->count]));
  names->count++;
  return MCL_OK;
}

const char *mcl_file_reads_name(mcl_context *ctx, size_t index) {
  const file_names *names = mcl_context_kept(ctx, MCL_SLOT_FILES);
  return names && index < names->count ? names->name[index] : NULL;
}
