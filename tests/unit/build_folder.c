/* Part of every C test: what it writes by a bare name goes into the build's folder, wherever it is started from. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void enter_build_folder(void) {
  if (!chdir(MCL_TEST_FOLDER)) return;
  perror(MCL_TEST_FOLDER);
  abort();
}
