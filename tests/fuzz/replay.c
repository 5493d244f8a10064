/* Runs a fuzz target over the files of a folder: how CI replays the kept corpora without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  size_t room = 1 << 20, size;
  uint8_t *data = malloc(room);
  while (data && (size = fread(data, 1, room, file)) == room) { /* larger than the room: read anew with twice as much */
    rewind(file);
    free(data);
    data = malloc(room *= 2);
  }
  fclose(file);
  if (!data) return 0;
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  return 1;
}

int main(int argc, char **argv) {
  int ran = 0;
  for (int i = 1; i < argc; i++) {
    DIR *folder = opendir(argv[i]);
    if (!folder) {
      ran += replay(argv[i]);
      continue;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
      char path[4096];
      if (entry->d_name[0] == '.') continue;
      if (snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name) < (int)sizeof path) ran += replay(path);
    }
    closedir(folder);
  }
  printf("%d inputs replayed\n", ran);
  return ran > 0 ? 0 : 1; /* an empty corpus checks nothing */
}
