/* Files: read whole or mapped, written whole or not at all. */
#ifndef MCL_BASE_FILE_H
#define MCL_BASE_FILE_H

#include "base/context.h"

/* Files up to this size are read into the context's memory. Larger ones are mapped: where another process shortens such a
 * file, the system kills whoever reads what is gone, so hosts are told what they owe (mcl_model_open). */
#define MCL_READ_WHOLE ((size_t)16 << 20)

/* A file's bytes, read-only, reference-counted. */
typedef struct mcl_file_map {
  const uint8_t *data; /* not NULL, even of an empty file */
  size_t size;
  bool is_mapped;
  int references;
  mcl_context *ctx;
  char *path;
} mcl_file_map;

mcl_status mcl_file_map_open(mcl_context *ctx, const char *path, mcl_file_map **out);
mcl_file_map *mcl_file_map_retain(mcl_file_map *map);
void mcl_file_map_release(mcl_file_map *map); /* NULL is fine */

/* ---- What was read ---- */

/* From here on the context keeps the names of the files that are opened for reading. A host that asks can tell what its
 * work depends on, the data beside a model too; others pay nothing. */
mcl_status mcl_file_reads_watch(mcl_context *ctx);
mcl_status mcl_file_reads_note(mcl_context *ctx, const char *path); /* what mcl_file_map_open does */
/* Each name once, in the order of the first reading; NULL past the last, or where nobody watches. */
const char *mcl_file_reads_name(mcl_context *ctx, size_t index);

/* ---- Writing ---- */

/* Writing goes to a temporary file in the same folder; commit syncs it and renames it over `path`. Until then, and
 * after any failure, the file that was there is untouched. A link is followed: the file behind it is what is written, its
 * temporary beside it. The temporary is PATH.mcl-part-XXXXXXXX (eight hexadecimal digits), locked (flock) as long as its
 * writer lives: one that is not locked was left by a process that was killed, and goes when PATH is next written. What is
 * no ordinary file (/dev/stdout, a pipe) takes the bytes as they come. */
typedef struct mcl_file_writer mcl_file_writer;

mcl_status mcl_file_writer_open(mcl_context *ctx, const char *path, mcl_file_writer **out);
mcl_status mcl_file_write(mcl_file_writer *writer, const void *data, size_t size); /* buffered */
size_t mcl_file_written(const mcl_file_writer *writer);                            /* bytes so far */
mcl_status mcl_file_commit(mcl_file_writer *writer); /* frees the writer, whatever happens */
void mcl_file_abandon(mcl_file_writer *writer);      /* frees it and removes the temporary file; NULL is fine */

/* All at once: writes `size` bytes to path, atomically. */
mcl_status mcl_file_save(mcl_context *ctx, const char *path, const void *data, size_t size);

/* ---- For those who write by other means than a writer ---- */

/* Where the bytes of a path go before they are whole. */
typedef struct mcl_file_place {
  char *path; /* as the caller names it */
  char *real; /* the file that it leads to */
  /* Beside that, open, empty and locked; NULL where the bytes go straight into what is no ordinary file. */
  char *temporary;
  bool is_there; /* is there a file of that name now? */
} mcl_file_place;

/* fd is the caller's to close, after commit or free: the lock goes with it. */
mcl_status mcl_file_place_open(mcl_context *ctx, const char *path, mcl_file_place *place, int *fd);
mcl_status mcl_file_place_commit(mcl_context *ctx, mcl_file_place *place, int fd); /* syncs, renames */
void mcl_file_place_free(mcl_context *ctx, mcl_file_place *place); /* and removes what was not committed */
/* "PATH: what: strerror(errno)", and that the file that was there is untouched, where one was. */
mcl_status mcl_file_place_error(mcl_context *ctx, const mcl_file_place *place, const char *what);

#endif
