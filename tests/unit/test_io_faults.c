/* The system fails: every call that a save or a load makes of it, in turn, with every error. Whatever fails, there is the
 * whole new file and success, or the untouched old one and an error that names the file and the cause; never half a file,
 * never a temporary left behind. Interruptions and short counts are no failures.
 *
 * The linker puts the functions __wrap_… between this program's library and the system (tests/CMakeLists.txt). */
#include "unit/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "unit/fit_fixture.h"

/* ---- The system, with faults ---- */

typedef enum fault { FAULT_ERROR, FAULT_SHORT } fault;

static struct {
  bool is_on;
  int calls, at; /* calls so far; the one that fails */
  fault kind;
  int error;
  const char *failed; /* the name of the call that did */
} faults;

/* Is this the call that fails? Then errno says how. */
static bool fails(const char *name) {
  if (!faults.is_on || faults.calls++ != faults.at) return false;
  faults.failed = name;
  errno = faults.error;
  return true;
}

static size_t shortened(size_t size) { return faults.kind == FAULT_SHORT && size > 1 ? size / 2 : size; }

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __real_pread(int fd, void *data, size_t size, off_t at);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_fstat(int fd, struct stat *info);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t at);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_fstat(int fd, struct stat *info);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at);

int __wrap_open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
  va_end(rest);
  return faults.kind == FAULT_ERROR && fails("open") ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_write(int fd, const void *data, size_t size) {
  if (!fails("write")) return __real_write(fd, data, size);
  return faults.kind == FAULT_SHORT ? __real_write(fd, data, shortened(size)) : -1;
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t at) {
  if (!fails("pread")) return __real_pread(fd, data, size, at);
  return faults.kind == FAULT_SHORT ? __real_pread(fd, data, shortened(size), at) : -1;
}

int __wrap_fsync(int fd) { return faults.kind == FAULT_ERROR && fails("fsync") ? -1 : __real_fsync(fd); }

int __wrap_rename(const char *from, const char *to) {
  bool can_fail = faults.kind == FAULT_ERROR && faults.error != EINTR; /* rename is never interrupted */
  return can_fail && fails("rename") ? -1 : __real_rename(from, to);
}

int __wrap_fstat(int fd, struct stat *info) {
  bool can_fail = faults.kind == FAULT_ERROR && faults.error != EINTR;
  return can_fail && fails("fstat") ? -1 : __real_fstat(fd, info);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at) {
  bool can_fail = fd >= 0 && faults.kind == FAULT_ERROR && faults.error != EINTR; /* memory is not what is tried here */
  return can_fail && fails("mmap") ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, at);
}

/* ---- What is tried ---- */

typedef struct trial {
  mcl_context *ctx;
  char folder[64], path[96];
  mcl_model *model;
} trial;

static mcl_status save_bytes(trial *t) {
  static uint8_t bytes[3 << 20]; /* more than a writer's buffer */
  memset(bytes, 'n', sizeof bytes);
  return mcl_file_save(t->ctx, t->path, bytes, sizeof bytes);
}

static mcl_status save_model(trial *t) { return mcl_artifact_write(t->model, NULL, t->path); }

static mcl_status load_bytes(trial *t) {
  mcl_file_map *map;
  MCL_TRY(mcl_file_map_open(t->ctx, t->path, &map));
  assert_int_equal(map->size, 3);
  assert_memory_equal(map->data, "old", 3);
  mcl_file_map_release(map);
  return MCL_OK;
}

/* Sparse, since it is larger than what is read whole. */
static mcl_status load_mapped(trial *t) {
  mcl_file_map *map;
  MCL_TRY(mcl_file_map_open(t->ctx, t->path, &map));
  assert_true(map->is_mapped);
  mcl_file_map_release(map);
  return MCL_OK;
}

static void write_old(const trial *t, bool is_large) {
  int fd = __real_open(t->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(__real_write(fd, "old", 3), 3);
  if (is_large) assert_int_equal(ftruncate(fd, (off_t)MCL_READ_WHOLE + 1), 0);
  close(fd);
}

static bool is_old(const trial *t) {
  char text[4] = {0};
  int fd = __real_open(t->path, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t size = __real_pread(fd, text, sizeof text, 0);
  close(fd);
  return size == 3 && !memcmp(text, "old", 3);
}

static int files_in(const char *folder) {
  int count = 0;
  DIR *open_folder = opendir(folder);
  assert_non_null(open_folder);
  for (struct dirent *entry; (entry = readdir(open_folder));) count += entry->d_name[0] != '.';
  closedir(open_folder);
  return count;
}

/* One call fails, the at-th. Returns false when there were not as many. */
static bool try_once(trial *t, mcl_status (*act)(trial *), fault kind, int error, int at, mcl_status *status) {
  faults.calls = 0, faults.at = at, faults.kind = kind, faults.error = error, faults.failed = NULL;
  faults.is_on = true;
  *status = act(t);
  faults.is_on = false;
  assert_int_equal(files_in(t->folder), 1);
  if (*status) {
    if (*status != MCL_ERROR_IO) fail_msg("%s failed: status %s", faults.failed, mcl_status_name(*status));
    const char *message = mcl_context_message(t->ctx);
    if (!strstr(message, t->path) || !strstr(message, strerror(error)))
      fail_msg("%s failed with %s, and the message is: %s", faults.failed, strerror(error), message);
  }
  return faults.failed != NULL;
}

static void begin(trial *t, void **state) {
  *t = (trial){.ctx = *state, .model = network(*state, 8, 4, 3, false)};
  strcpy(t->folder, "/tmp/mcl-faults-XXXXXX");
  assert_non_null(mkdtemp(t->folder));
  snprintf(t->path, sizeof t->path, "%s/file", t->folder);
}

static void end(trial *t) {
  unlink(t->path);
  assert_int_equal(rmdir(t->folder), 0);
  mcl_model_free(t->model);
}

/* ---- Tests ---- */

static void a_save_that_fails_anywhere_leaves_the_old_file(void **state) {
  static const int errors[] = {EIO, ENOSPC, EACCES, EROFS};
  mcl_status (*saves[])(trial *) = {save_bytes, save_model}, status;
  trial t;
  begin(&t, state);
  for (int s = 0; s < 2; s++)
    for (int e = 0; e < 4; e++) {
      int failed = 0;
      bool more = true;
      for (int at = 0; more; at++) {
        write_old(&t, false);
        more = try_once(&t, saves[s], FAULT_ERROR, errors[e], at, &status);
        assert_int_equal(status != MCL_OK, is_old(&t));
        failed += status != MCL_OK;
      }
      assert_int_equal(status, MCL_OK); /* the one without a fault */
      assert_true(failed >= 4);         /* open, write, fsync, rename at least */
    }
  end(&t);
}

static void a_load_that_fails_anywhere_says_why(void **state) {
  mcl_status (*loads[])(trial *) = {load_bytes, load_mapped}, status;
  trial t;
  begin(&t, state);
  for (int l = 0; l < 2; l++) {
    int failed = 0;
    bool more = true;
    write_old(&t, l == 1);
    for (int at = 0; more; at++, failed += status != MCL_OK)
      more = try_once(&t, loads[l], FAULT_ERROR, EIO, at, &status);
    assert_int_equal(status, MCL_OK);
    assert_int_equal(failed, 3); /* open, fstat, and pread or mmap */
  }
  end(&t);
}

static void interruptions_and_short_counts_are_gone_over(void **state) {
  mcl_status (*acts[])(trial *) = {save_bytes, save_model, load_bytes}, status;
  trial t;
  begin(&t, state);
  for (int a = 0; a < 3; a++)
    for (int kind = 0; kind < 2; kind++) {
      bool more = true;
      int tried = 0;
      for (int at = 0; more; at++, tried++) {
        write_old(&t, false);
        more = try_once(&t, acts[a], kind ? FAULT_SHORT : FAULT_ERROR, EINTR, at, &status);
        assert_ok(t.ctx, status);
        if (a < 2) assert_false(is_old(&t));
      }
      assert_true(tried >= 2); /* a write or a read at least */
    }
  end(&t);
}

/* What is saved in spite of short counts is what is saved without. */
static void short_writes_write_all_bytes(void **state) {
  mcl_status status;
  trial t;
  mcl_buffer bytes = {.ctx = *state};
  begin(&t, state);
  assert_ok(t.ctx, mcl_artifact_encode(t.model, NULL, &bytes));
  write_old(&t, false);
  assert_true(try_once(&t, save_model, FAULT_SHORT, 0, 0, &status));
  assert_ok(t.ctx, status);
  mcl_file_map *map;
  assert_ok(t.ctx, mcl_file_map_open(t.ctx, t.path, &map));
  assert_int_equal(map->size, bytes.size);
  assert_memory_equal(map->data, bytes.data, bytes.size);
  mcl_file_map_release(map);
  mcl_buffer_free(&bytes);
  end(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_save_that_fails_anywhere_leaves_the_old_file, setup_context, teardown_context),
      cmocka_unit_test_setup_teardown(a_load_that_fails_anywhere_says_why, setup_context, teardown_context),
      cmocka_unit_test_setup_teardown(interruptions_and_short_counts_are_gone_over, setup_context, teardown_context),
      cmocka_unit_test_setup_teardown(short_writes_write_all_bytes, setup_context, teardown_context),
  };
  return cmocka_run_group_tests_name("faults of the system's files", tests, NULL, NULL);
}
