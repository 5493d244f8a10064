/* Where written files go: through links to the file behind, into devices and pipes without a rename, with the mode of the
 * file that was there; and what a failure says of that file. */
#include "unit/check.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/formats.h"

/* ---- A folder for each test ---- */

typedef struct fixture {
  mcl_context *ctx;
  char folder[32], old[PATH_MAX];
} fixture;

static int enter_folder(void **state) {
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->folder, "/tmp/mcl-test-XXXXXX");
  *state = f;
  return !mkdtemp(f->folder) || !getcwd(f->old, sizeof f->old) || chdir(f->folder) || mcl_context_new(NULL, &f->ctx);
}

static int leave_folder(void **state) {
  fixture *f = *state;
  char command[64];
  mcl_context_free(f->ctx);
  snprintf(command, sizeof command, "rm -rf %s", f->folder);
  int failed = chdir(f->old) || system(command);
  free(f);
  return failed;
}

static mcl_status save(void **state, const char *path, const char *text) {
  return mcl_file_save(((fixture *)*state)->ctx, path, text, strlen(text));
}

static void assert_holds(const char *path, const char *text) {
  char read_back[64] = "";
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t size = fread(read_back, 1, sizeof read_back - 1, file);
  fclose(file);
  assert_int_equal(size, strlen(text));
  assert_string_equal(read_back, text);
}

static void assert_link(const char *path, bool expected) {
  struct stat info;
  assert_int_equal(lstat(path, &info), 0);
  assert_int_equal(S_ISLNK(info.st_mode), expected);
}

/* ---- Links ---- */

static void the_file_behind_a_link_is_written(void **state) {
  fixture *f = *state;
  assert_ok(f->ctx, save(state, "real", "old"));
  assert_int_equal(symlink("real", "link"), 0);
  assert_ok(f->ctx, save(state, "link", "new"));
  assert_link("link", true);
  assert_link("real", false);
  assert_holds("real", "new");
}

static void links_are_taken_from_their_own_folders(void **state) {
  fixture *f = *state;
  char absolute[64];
  snprintf(absolute, sizeof absolute, "%s/a/second", f->folder);
  assert_int_equal(mkdir("a", 0777) | mkdir("b", 0777), 0);
  assert_int_equal(symlink(absolute, "first") | symlink("../b/real", "a/second"), 0);
  assert_ok(f->ctx, save(state, "first", "through two links, to a file that was not there"));
  assert_link("first", true);
  assert_link("a/second", true);
  assert_holds("b/real", "through two links, to a file that was not there");
}

static void links_in_a_circle_are_refused(void **state) {
  fixture *f = *state;
  assert_int_equal(symlink("b", "a") | symlink("a", "b"), 0);
  assert_fails(f->ctx, MCL_ERROR_IO, "a: cannot be written: links", save(state, "a", "text"));
  assert_link("a", true);
}

static void archives_go_through_links_too(void **state) {
  fixture *f = *state;
  mcl_tensor *t;
  assert_int_equal(symlink("real.npz", "link.npz"), 0);
  assert_ok(f->ctx, mcl_tensor_new(f->ctx, MCL_F32, (mcl_shape){1, {3}}, &t));
  mcl_named_tensor named = {.name = "w", .tensor = t};
  assert_ok(f->ctx, mcl_npz_save(f->ctx, "link.npz", &named, 1, false));
  assert_link("link.npz", true);
  assert_link("real.npz", false);
  assert_int_equal(mkfifo("pipe.npz", 0666), 0);
  int reader = open("pipe.npz", O_RDONLY | O_NONBLOCK);
  assert_fails(f->ctx, MCL_ERROR_IO, "pipe.npz: is no ordinary file",
               mcl_npz_save(f->ctx, "pipe.npz", &named, 1, false));
  close(reader);
  mcl_tensor_release(t);
}

/* ---- What is no ordinary file ---- */

static void a_pipe_takes_the_bytes_and_stays_a_pipe(void **state) {
  fixture *f = *state;
  char got[16] = "";
  struct stat info;
  assert_int_equal(mkfifo("pipe", 0666), 0);
  int reader = open("pipe", O_RDONLY | O_NONBLOCK);
  assert_ok(f->ctx, save(state, "pipe", "bytes"));
  assert_int_equal(read(reader, got, sizeof got), 5);
  assert_string_equal(got, "bytes");
  close(reader);
  assert_int_equal(lstat("pipe", &info), 0);
  assert_true(S_ISFIFO(info.st_mode));
}

static void a_device_behind_a_link_stays_a_device(void **state) {
  fixture *f = *state;
  struct stat info;
  assert_int_equal(symlink("/dev/null", "link"), 0);
  assert_ok(f->ctx, save(state, "link", "gone"));
  assert_link("link", true);
  assert_int_equal(stat("/dev/null", &info), 0);
  assert_true(S_ISCHR(info.st_mode));
  assert_fails(f->ctx, MCL_ERROR_IO, "/dev/full: cannot be written: No space", save(state, "/dev/full", "text"));
  assert_fails(f->ctx, MCL_ERROR_IO, "/tmp: cannot be written: Is a directory", save(state, "/tmp", "text"));
}

/* ---- Modes ---- */

static mode_t mode_of(const char *path) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_mode & 0777;
}

static void a_new_file_has_the_mode_that_the_umask_leaves_an_old_one_keeps_its_own(void **state) {
  fixture *f = *state;
  mode_t before = umask(027);
  assert_ok(f->ctx, save(state, "new", "text"));
  assert_int_equal(mode_of("new"), 0640);
  assert_int_equal(chmod("new", 0606), 0);
  assert_ok(f->ctx, save(state, "new", "other"));
  assert_int_equal(mode_of("new"), 0606);
  umask(before);
}

/* ---- Failures ---- */

/* In a child, whose files may have no bytes: does the save fail, and its message say, or not say, that a file is untouched? */
static void assert_full(fixture *f, const char *path, bool says_untouched) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {0, 0};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &none)) _exit(2);
    bool failed = mcl_file_save(f->ctx, path, "text", 4) == MCL_ERROR_IO;
    bool says = strstr(mcl_context_message(f->ctx), "untouched") != NULL;
    _exit(failed && says == says_untouched ? 0 : 1);
  }
  int ended = -1;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

static void a_failure_tells_of_the_old_file_only_where_there_is_one(void **state) {
  fixture *f = *state;
  assert_full(f, "none", false);
  assert_int_equal(access("none", F_OK), -1);
  assert_ok(f->ctx, save(state, "old", "old"));
  assert_full(f, "old", true);
  assert_holds("old", "old");
  assert_int_equal(unlink("old"), 0); /* and the folder is empty but for it: no temporary is left */
  assert_int_equal(chdir(f->old), 0);
  assert_int_equal(rmdir(f->folder), 0);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_A_FOLDER(the_file_behind_a_link_is_written),
      IN_A_FOLDER(links_are_taken_from_their_own_folders),
      IN_A_FOLDER(links_in_a_circle_are_refused),
      IN_A_FOLDER(archives_go_through_links_too),
      IN_A_FOLDER(a_pipe_takes_the_bytes_and_stays_a_pipe),
      IN_A_FOLDER(a_device_behind_a_link_stays_a_device),
      IN_A_FOLDER(a_new_file_has_the_mode_that_the_umask_leaves_an_old_one_keeps_its_own),
      IN_A_FOLDER(a_failure_tells_of_the_old_file_only_where_there_is_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
