/* Files read by mapping. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
