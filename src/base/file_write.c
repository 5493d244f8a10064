/* Files written whole or not at all: to a temporary beside the file, synced, renamed over it. A name that is a link stands
 * for the file behind it; a device or a pipe, which nothing may be renamed over, takes the bytes as they come. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)1 << 20)
#define MOST_LINKS 40 /* that lead to one another, as the kernel has it */
#define MARK ".mcl-part-"
#define DIGITS 8      /* hexadecimal, after the mark */
#define MOST_NAME 220 /* bytes of the file's own name that its temporary's begins with: file systems end at 255 */
#define MOST_TRIES 100

struct mcl_file_writer {
  mcl_context *ctx;
  mcl_file_place place;
  int fd;
  size_t written, held; /* held: bytes in buffer that are not in the file yet */
  size_t unasked;       /* bytes since it was asked whether to stop */
  uint8_t *buffer;
};

/* ---- Where a file goes ---- */

/* Follows one link: *path becomes what it says, taken from the link's own folder. *is_link: was it one? */
static mcl_status follow(mcl_context *ctx, char **path, bool *is_link) {
  char target[4096];
  ssize_t length = readlink(*path, target, sizeof target);
  *is_link = length >= 0;
  if (!*is_link) return MCL_OK;
  if ((size_t)length == sizeof target) return mcl_fail(ctx, MCL_ERROR_IO, "%s: the link's text is too long", *path);
  const char *slash = target[0] == '/' ? NULL : strrchr(*path, '/');
  size_t folder = slash ? (size_t)(slash - *path) + 1 : 0;
  char *next;
  MCL_TRY(mcl_alloc(ctx, folder + (size_t)length + 1, &next));
  memcpy(next, *path, folder);
  memcpy(next + folder, target, (size_t)length);
  next[folder + (size_t)length] = 0;
  mcl_free(ctx, *path);
  *path = next;
  return MCL_OK;
}

/* Bytes of path up to its last slash, with it. */
static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash + 1 - path) : 0;
}

/* The folder of path; false where it is longer than any that can be opened. */
static bool folder_of(const char *path, char folder[4096]) {
  size_t length = folder_length(path);
  if (length >= 4096) return false;
  memcpy(folder, length ? path : ".", length ? length : 1);
  folder[length ? length : 1] = 0;
  return true;
}

/* ---- What a killed process left ---- */

/* Removes a file that nobody has locked: its writer is gone. */
static void remove_if_abandoned(int folder, const char *name) {
  struct stat info;
  int fd = openat(folder, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  if (!fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_uid == geteuid() && !flock(fd, LOCK_EX | LOCK_NB))
    unlinkat(folder, name, 0);
  close(fd);
}

static bool is_temporary(const char *name, const char *stem) {
  size_t length = strlen(stem);
  return !strncmp(name, stem, length) && strspn(name + length, "0123456789abcdef") == DIGITS && !name[length + DIGITS];
}

/* stem: the path of a temporary up to its digits. */
static void clear_abandoned(const char *stem) {
  char path[4096];
  DIR *folder = folder_of(stem, path) ? opendir(path) : NULL;
  if (!folder) return;
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
    if (is_temporary(entry->d_name, stem + folder_length(stem))) remove_if_abandoned(dirfd(folder), entry->d_name);
  closedir(folder);
}

/* ---- A temporary ---- */

/* False: who clears what is abandoned came between, and has it or has removed it. Where there are no locks, nothing is
 * cleared either. */
static bool lock_new(int fd) {
  struct stat info;
  if (flock(fd, LOCK_EX | LOCK_NB)) return errno != EWOULDBLOCK;
  return fstat(fd, &info) || info.st_nlink > 0;
}

/* Puts digits behind the stem until there is a new file of that name; -1: there can be none. */
static int create_locked(char *name, size_t stem) {
  uint64_t number = mcl_now_us() ^ (uint64_t)getpid() << 20;
  for (int attempt = 0; attempt < MOST_TRIES; attempt++) {
    number = number * 6364136223846793005u + 1442695040888963407u;
    sprintf(name + stem, "%0*x", DIGITS, (unsigned)(number >> 32));
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 && lock_new(fd)) return fd;
    if (fd >= 0) close(fd);
    if (fd < 0 && errno != EEXIST && errno != EINTR) return -1;
  }
  return -1;
}

/* The mode of a file that is there is kept; that of a new one is what the umask leaves of 0666. */
static mcl_status make_temporary(mcl_context *ctx, mcl_file_place *place, mode_t old_mode, int *fd) {
  size_t stem = strlen(place->real), most = folder_length(place->real) + MOST_NAME;
  if (stem > most) stem = most;
  MCL_TRY(mcl_alloc(ctx, stem + strlen(MARK) + DIGITS + 1, &place->temporary));
  memcpy(place->temporary, place->real, stem);
  strcpy(place->temporary + stem, MARK);
  clear_abandoned(place->temporary);
  *fd = create_locked(place->temporary, stem + strlen(MARK));
  if (*fd < 0) {
    mcl_status status = mcl_file_place_error(ctx, place, "cannot be written");
    mcl_free(ctx, place->temporary);
    place->temporary = NULL;
    return status;
  }
  if (place->is_there) (void)fchmod(*fd, old_mode); /* not vital */
  return MCL_OK;
}

mcl_status mcl_file_place_open(mcl_context *ctx, const char *path, mcl_file_place *place, int *fd) {
  struct stat info = {0};
  bool is_link = true;
  *fd = -1;
  *place = (mcl_file_place){.is_there = !stat(path, &info)};
  bool is_ordinary = !place->is_there || S_ISREG(info.st_mode);
  mcl_status status = mcl_strdup(ctx, path, &place->path);
  if (!status) status = mcl_strdup(ctx, path, &place->real);
  if (!status && !is_ordinary) {
    place->is_there = false; /* as a file that could be kept */
    do *fd = open(path, O_WRONLY | O_CLOEXEC);
    while (*fd < 0 && errno == EINTR && !mcl_check_cancel(ctx)); /* a pipe that nobody reads waits for long */
    if (*fd < 0) status = mcl_file_place_error(ctx, place, "cannot be written");
  } else if (!status) {
    for (int i = 0; !status && is_link; i++) {
      status = follow(ctx, &place->real, &is_link);
      if (!status && is_link && i == MOST_LINKS)
        status = mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be written: links that lead to each other", path);
    }
    if (!status) status = make_temporary(ctx, place, info.st_mode & 0777, fd);
  }
  if (status) mcl_file_place_free(ctx, place);
  return status;
}

static int sync_file(int fd) {
  int failed;
  do failed = fsync(fd);
  while (failed && errno == EINTR);
  return failed;
}

/* The name itself must be on disk too, or a power cut may bring the old file back. */
static void sync_folder(const char *path) {
  char folder[4096];
  int fd = folder_of(path, folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  sync_file(fd);
  close(fd);
}

mcl_status mcl_file_place_commit(mcl_context *ctx, mcl_file_place *place, int fd) {
  if (!place->temporary) return MCL_OK;
  if (sync_file(fd)) return mcl_file_place_error(ctx, place, "cannot be synced");
  if (rename(place->temporary, place->real)) return mcl_file_place_error(ctx, place, "cannot be renamed into place");
  mcl_free(ctx, place->temporary);
  place->temporary = NULL;
  sync_folder(place->real);
  return MCL_OK;
}

void mcl_file_place_free(mcl_context *ctx, mcl_file_place *place) {
  if (place->temporary) unlink(place->temporary);
  mcl_free(ctx, place->temporary);
  mcl_free(ctx, place->real);
  mcl_free(ctx, place->path);
  *place = (mcl_file_place){0};
}

mcl_status mcl_file_place_error(mcl_context *ctx, const mcl_file_place *place, const char *what) {
  return mcl_fail(ctx, MCL_ERROR_IO, "%s: %s: %s%s", place->path, what, strerror(errno),
                  place->is_there ? "; the file that was there is untouched" : "");
}

/* ---- Writing ---- */

mcl_status mcl_file_writer_open(mcl_context *ctx, const char *path, mcl_file_writer **out) {
  mcl_file_writer *w;
  *out = NULL;
  MCL_TRY(mcl_alloc_zero(ctx, sizeof *w, &w));
  w->ctx = ctx;
  w->fd = -1;
  mcl_status status = mcl_alloc(ctx, BUFFER_SIZE, &w->buffer);
  if (!status) status = mcl_file_place_open(ctx, path, &w->place, &w->fd);
  if (status) {
    mcl_file_abandon(w);
    return status;
  }
  *out = w;
  return MCL_OK;
}

#define UNASKED_BYTES ((size_t)4 << 20)

/* Asks every few megabytes whether to stop, but not before: what is small is written under a cancel too, as a fit's last
 * epoch is. */
static mcl_status flush_bytes(mcl_file_writer *w, const uint8_t *data, size_t size) {
  while (size) {
    if (w->unasked >= UNASKED_BYTES) {
      MCL_TRY(mcl_check_cancel(w->ctx));
      w->unasked = 0;
    }
    size_t room = UNASKED_BYTES - w->unasked;
    ssize_t n = write(w->fd, data, size < room ? size : room);
    if (n < 0 && errno == EINTR) { /* a pipe that nobody reads waits for long */
      MCL_TRY(mcl_check_cancel(w->ctx));
      continue;
    }
    if (n <= 0) return mcl_file_place_error(w->ctx, &w->place, "cannot be written");
    data += n;
    size -= (size_t)n;
    w->unasked += (size_t)n;
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

mcl_status mcl_file_commit(mcl_file_writer *w) {
  mcl_status status = flush_bytes(w, w->buffer, w->held);
  bool is_whole = w->place.temporary; /* synced before it is renamed: closing it cannot fail in what matters */
  if (!status) status = mcl_file_place_commit(w->ctx, &w->place, w->fd);
  int fd = w->fd;
  w->fd = -1;
  if (close(fd) && !status && !is_whole) status = mcl_file_place_error(w->ctx, &w->place, "cannot be closed");
  mcl_file_abandon(w);
  return status;
}

void mcl_file_abandon(mcl_file_writer *w) {
  if (!w) return;
  mcl_file_place_free(w->ctx, &w->place);
  if (w->fd >= 0) close(w->fd);
  mcl_free(w->ctx, w->buffer);
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
