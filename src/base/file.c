/* Files: read by mapping, written whole or not at all. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)1 << 20)

mcl_status mcl_file_map_open(mcl_context *ctx, const char *path, mcl_file_map **out) {
  mcl_file_map *map = NULL;
  mcl_status status = MCL_OK;
  struct stat info;
  void *data = NULL;
  *out = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be opened: %s", path, strerror(errno));
  if (fstat(fd, &info)) {
    status = mcl_fail(ctx, MCL_ERROR_IO, "%s: %s", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = mcl_fail(ctx, MCL_ERROR_IO, "%s: is not a regular file", path);
  } else if (info.st_size > 0) {
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
  }
  close(fd);
  if (status) return status;
  status = mcl_alloc_zero(ctx, sizeof *map, &map);
  if (!status) status = mcl_strdup(ctx, path, &map->path);
  if (status) {
    if (data) munmap(data, (size_t)info.st_size);
    mcl_free(ctx, map);
    return status;
  }
  static const uint8_t empty;
  map->data = data ? data : &empty;
  map->size = (size_t)info.st_size;
  map->references = 1;
  map->ctx = ctx;
  *out = map;
  return MCL_OK;
}

mcl_file_map *mcl_file_map_retain(mcl_file_map *map) {
  map->references++;
  return map;
}

void mcl_file_map_release(mcl_file_map *map) {
  if (!map || --map->references > 0) return;
  if (map->size) munmap((void *)(uintptr_t)map->data, map->size);
  mcl_free(map->ctx, map->path);
  mcl_free(map->ctx, map);
}

struct mcl_file_writer {
  mcl_context *ctx;
  char *path, *temporary;
  int fd;
  size_t written, held; /* held: bytes in buffer that are not in the file yet */
  uint8_t *buffer;
};

static mcl_status writer_error(mcl_file_writer *w, const char *what) {
  return mcl_fail(w->ctx, MCL_ERROR_IO, "%s: %s: %s; the file that was there is untouched", w->path, what,
                  strerror(errno));
}

/* Gives the new file the permissions of the old one, or those that the umask leaves. */
static void set_mode(mcl_file_writer *w) {
  struct stat old;
  mode_t mask = umask(0);
  umask(mask);
  mode_t mode = stat(w->path, &old) == 0 ? (old.st_mode & 0777) : (0666 & ~mask);
  if (fchmod(w->fd, mode)) return; /* not vital */
}

mcl_status mcl_file_writer_open(mcl_context *ctx, const char *path, mcl_file_writer **out) {
  mcl_file_writer *w;
  *out = NULL;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *w, &w));
  w->ctx = ctx;
  w->fd = -1;
  mcl_status status = mcl_strdup(ctx, path, &w->path);
  if (!status) status = mcl_alloc(ctx, strlen(path) + 16, &w->temporary);
  if (!status) status = mcl_alloc(ctx, BUFFER_SIZE, &w->buffer);
  if (!status) {
    sprintf(w->temporary, "%s.XXXXXX", path);
    w->fd = mkostemp(w->temporary, O_CLOEXEC);
    if (w->fd < 0) status = writer_error(w, "cannot be written");
  }
  if (status) {
    mcl_file_abandon(w);
    return status;
  }
  set_mode(w);
  *out = w;
  return MCL_OK;
}

static mcl_status flush_bytes(mcl_file_writer *w, const uint8_t *data, size_t size) {
  while (size) {
    ssize_t n = write(w->fd, data, size < (1u << 30) ? size : (1u << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return writer_error(w, "cannot be written");
    data += n;
    size -= (size_t)n;
  }
  return MCL_OK;
}

mcl_status mcl_file_write(mcl_file_writer *w, const void *data, size_t size) {
  w->written += size;
  if (size > BUFFER_SIZE - w->held) {
    MCL_TRY(flush_bytes(w, w->buffer, w->held));
    w->held = 0;
    if (size >= BUFFER_SIZE) return flush_bytes(w, data, size);
  }
  if (size) memcpy(w->buffer + w->held, data, size);
  w->held += size;
  return MCL_OK;
}

size_t mcl_file_written(const mcl_file_writer *w) { return w->written; }

/* The name itself must be on disk too, or a power cut may bring the old file back. */
static void sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char folder[4096] = ".";
  if (slash && (size_t)(slash - path) < sizeof folder - 1) {
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memcpy(folder, path, length);
    folder[length] = 0;
  }
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

mcl_status mcl_file_commit(mcl_file_writer *w) {
  mcl_status status = flush_bytes(w, w->buffer, w->held);
  if (!status && fsync(w->fd)) status = writer_error(w, "cannot be synced");
  int fd = w->fd;
  w->fd = -1;
  if (close(fd) && !status) status = writer_error(w, "cannot be closed");
  if (!status && rename(w->temporary, w->path)) status = writer_error(w, "cannot be renamed into place");
  if (status) {
    unlink(w->temporary);
  } else {
    sync_folder(w->path);
  }
  w->temporary[0] = 0;
  mcl_file_abandon(w);
  return status;
}

void mcl_file_abandon(mcl_file_writer *w) {
  if (!w) return;
  if (w->fd >= 0) {
    close(w->fd);
    unlink(w->temporary);
  }
  mcl_free(w->ctx, w->buffer);
  mcl_free(w->ctx, w->temporary);
  mcl_free(w->ctx, w->path);
  mcl_free(w->ctx, w);
}

mcl_status mcl_file_save(mcl_context *ctx, const char *path, const void *data, size_t size) {
  mcl_file_writer *writer;
  MCL_TRY(mcl_file_writer_open(ctx, path, &writer));
  mcl_status status = mcl_file_write(writer, data, size);
  if (status) {
    mcl_file_abandon(writer);
    return status;
  }
  return mcl_file_commit(writer);
}
