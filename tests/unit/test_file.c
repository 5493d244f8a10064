/* Files: committed whole or abandoned without a trace, read whole or mapped, whatever happens to them meanwhile. */
#include "unit/check.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static void folder_of(char *path) {
  strcpy(path, "/tmp/mcl-test-XXXXXX");
  assert_non_null(mkdtemp(path));
}

static void a_committed_file_reads_back(void **state) {
  char folder[64], path[96];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  mcl_file_writer *w;
  assert_ok(*state, mcl_file_writer_open(*state, path, &w));
  static uint8_t block[300000];
  for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)(i * 7);
  for (int i = 0; i < 9; i++) assert_ok(*state, mcl_file_write(w, block, sizeof block));
  assert_int_equal(mcl_file_written(w), 9 * sizeof block);
  assert_ok(*state, mcl_file_commit(w));
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_int_equal(map->size, 9 * sizeof block);
  for (int i = 0; i < 9; i++) assert_memory_equal(map->data + (size_t)i * sizeof block, block, sizeof block);
  mcl_file_map_release(map);
  unlink(path);
  rmdir(folder);
}

static void an_abandoned_file_leaves_the_old_one_and_no_other(void **state) {
  char folder[64], path[96];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  assert_ok(*state, mcl_file_save(*state, path, "old", 3));
  mcl_file_writer *w;
  assert_ok(*state, mcl_file_writer_open(*state, path, &w));
  assert_ok(*state, mcl_file_write(w, "newer", 5));
  mcl_file_abandon(w);
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_int_equal(map->size, 3);
  assert_memory_equal(map->data, "old", 3);
  mcl_file_map_release(map);
  unlink(path);
  assert_int_equal(rmdir(folder), 0); /* empty: the temporary file is gone */
}

static void a_full_disk_leaves_the_old_file(void **state) {
  char folder[64], path[96];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  assert_ok(*state, mcl_file_save(*state, path, "old", 3));
  static const uint8_t block[5000];
  struct rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 1000; /* the system refuses to write more, as on a full disk */
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  mcl_status status = mcl_file_save(*state, path, block, sizeof block);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_int_equal(status, MCL_ERROR_IO);
  assert_non_null(strstr(mcl_context_message(*state), path));
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_int_equal(map->size, 3);
  mcl_file_map_release(map);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

static void a_file_that_cannot_be_opened_is_an_error_with_its_name(void **state) {
  mcl_file_writer *w;
  assert_fails(*state, MCL_ERROR_IO, "/nowhere/at/all", mcl_file_writer_open(*state, "/nowhere/at/all", &w));
  mcl_file_map *map;
  assert_fails(*state, MCL_ERROR_IO, "/nowhere", mcl_file_map_open(*state, "/nowhere", &map));
  assert_fails(*state, MCL_ERROR_IO, "not a regular file", mcl_file_map_open(*state, "/tmp", &map));
}

/* The names in a folder that have `part` in them. */
static int count_names(const char *folder, const char *part) {
  int count = 0;
  DIR *open_folder = opendir(folder);
  assert_non_null(open_folder);
  for (struct dirent *entry = readdir(open_folder); entry; entry = readdir(open_folder))
    count += strstr(entry->d_name, part) != NULL;
  closedir(open_folder);
  return count;
}

static void what_a_killed_writer_left_is_cleared_by_the_next_and_nothing_else(void **state) {
  char folder[64], path[96], other[128], command[160];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  snprintf(other, sizeof other, "%s/file.mcl-part-notes", folder); /* not of the form that mcl gives */
  assert_ok(*state, mcl_file_save(*state, other, "mine", 4));
  pid_t child = fork();
  if (child == 0) {
    mcl_file_writer *w;
    if (!mcl_file_writer_open(*state, path, &w)) kill(getpid(), SIGKILL);
    _exit(1);
  }
  int ended;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_true(WIFSIGNALED(ended));
  assert_int_equal(count_names(folder, "file.mcl-part-"), 2);
  mcl_file_writer *alive;
  assert_ok(*state, mcl_file_writer_open(*state, path, &alive)); /* clears, and is cleared by no other */
  assert_int_equal(count_names(folder, "file.mcl-part-"), 2);
  assert_ok(*state, mcl_file_save(*state, path, "one", 3));
  assert_ok(*state, mcl_file_write(alive, "two", 3));
  assert_ok(*state, mcl_file_commit(alive));
  assert_int_equal(count_names(folder, ""), 2 + 2); /* "." and ".." are names too */
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

static void a_pipe_is_not_waited_for_by_who_reads(void **state) {
  char folder[64], path[96];
  mcl_file_map *map;
  folder_of(folder);
  snprintf(path, sizeof path, "%s/pipe", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_fails(*state, MCL_ERROR_IO, "not a regular file", mcl_file_map_open(*state, path, &map));
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

static void a_file_that_is_shortened_while_it_is_used_harms_nobody(void **state) {
  char folder[64], path[96];
  static uint8_t block[100000];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  memset(block, 7, sizeof block);
  assert_ok(*state, mcl_file_save(*state, path, block, sizeof block));
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_int_equal(truncate(path, 0), 0);
  assert_memory_equal(map->data, block, sizeof block);
  mcl_file_map_release(map);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

static void a_file_of_more_than_16_mib_is_mapped_and_takes_no_memory(void **state) {
  char folder[64], path[96];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  assert_ok(*state, mcl_file_save(*state, path, "begin", 5));
  assert_int_equal(truncate(path, ((off_t)16 << 20) + 1), 0);
  size_t before = mcl_context_memory(*state);
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_true(mcl_context_memory(*state) < before + 1000);
  assert_memory_equal(map->data, "begin", 5);
  mcl_file_map_release(map);
  unlink(path);
  rmdir(folder);
}

static void an_empty_file_maps_to_no_bytes(void **state) {
  char folder[64], path[96];
  folder_of(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  assert_ok(*state, mcl_file_save(*state, path, NULL, 0));
  mcl_file_map *map;
  assert_ok(*state, mcl_file_map_open(*state, path, &map));
  assert_int_equal(map->size, 0);
  assert_non_null(map->data);
  mcl_file_map_release(map);
  unlink(path);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(a_committed_file_reads_back),
      context_test(an_abandoned_file_leaves_the_old_one_and_no_other),
      context_test(a_full_disk_leaves_the_old_file),
      context_test(a_file_that_cannot_be_opened_is_an_error_with_its_name),
      context_test(what_a_killed_writer_left_is_cleared_by_the_next_and_nothing_else),
      context_test(a_pipe_is_not_waited_for_by_who_reads),
      context_test(a_file_that_is_shortened_while_it_is_used_harms_nobody),
      context_test(a_file_of_more_than_16_mib_is_mapped_and_takes_no_memory),
      context_test(an_empty_file_maps_to_no_bytes),
  };
  return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
