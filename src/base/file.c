/* Files read: whole, or by mapping. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The size is what fstat said; who shortens the file meanwhile is told so. */
static mcl_status read_whole(mcl_file_map *map, int fd, size_t size) {
  mcl_context *ctx = map->ctx;
  uint8_t *memory;
  MCL_TRY(mcl_alloc(ctx, size, &memory));
  map->data = memory;
  map->size = size;
  for (size_t at = 0; at < size;) {
    ssize_t n = pread(fd, memory + at, size - at, (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be read: %s", map->path, strerror(errno));
    if (n == 0)
      return mcl_fail(ctx, MCL_ERROR_IO, "%s: was shortened while it was read: it had %zu bytes, and now %zu",
                      map->path, size, at);
    at += (size_t)n;
  }
  return MCL_OK;
}

static mcl_status load(mcl_file_map *map, int fd) {
  struct stat info;
  if (fstat(fd, &info)) return mcl_fail(map->ctx, MCL_ERROR_IO, "%s: %s", map->path, strerror(errno));
  if (!S_ISREG(info.st_mode)) return mcl_fail(map->ctx, MCL_ERROR_IO, "%s: is not a regular file", map->path);
  size_t size = (size_t)info.st_size;
  if (size == 0) return MCL_OK;
  if (size <= MCL_READ_WHOLE) return read_whole(map, fd, size);
  void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return mcl_fail(map->ctx, MCL_ERROR_IO, "%s: cannot be mapped: %s", map->path, strerror(errno));
  map->data = data;
  map->size = size;
  map->is_mapped = true;
  return MCL_OK;
}

/* Without waiting, so that a pipe is told from a file before anyone writes into it. */
static int open_to_read(const char *path) {
  int fd;
  do fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  return fd;
}

mcl_status mcl_file_map_open(mcl_context *ctx, const char *path, mcl_file_map **out) {
  static const uint8_t empty;
  mcl_file_map *map;
  *out = NULL;
  int fd = open_to_read(path);
  if (fd < 0) return mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be opened: %s", path, strerror(errno));
  mcl_status status = mcl_alloc_zero(ctx, sizeof *map, &map);
  if (status) {
    close(fd);
    return status;
  }
  *map = (mcl_file_map){.data = &empty, .references = 1, .ctx = ctx};
  status = mcl_strdup(ctx, path, &map->path);
  if (!status) status = load(map, fd);
  if (!status) status = mcl_file_reads_note(ctx, path);
  close(fd);
  if (status)
    mcl_file_map_release(map);
  else
    *out = map;
  return status;
}

mcl_file_map *mcl_file_map_retain(mcl_file_map *map) {
  map->references++;
  return map;
}

void mcl_file_map_release(mcl_file_map *map) {
  if (!map || --map->references > 0) return;
  if (map->is_mapped)
    munmap((void *)(uintptr_t)map->data, map->size);
  else if (map->size)
    mcl_free(map->ctx, (void *)(uintptr_t)map->data);
  mcl_free(map->ctx, map->path);
  mcl_free(map->ctx, map);
}
