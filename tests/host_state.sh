#!/bin/sh
# The process is the host's: sh host_state.sh LIBRARY… . No function that changes its state, prints or ends it is wanted.
set -eu
hosts=$(printf '%s\n' umask setlocale uselocale signal sigaction pthread_sigmask alarm setitimer exit _exit quick_exit abort \
  atexit chdir fchdir setenv putenv unsetenv srand srandom setrlimit printf vprintf puts putchar perror fork system \
  fesetround feenableexcept)
for library in "$@"; do
  symbols=$(nm -u "$library" | awk '$1 == "U" { print $2 }' | sort -u)
  [ -n "$symbols" ] || { echo "nm finds nothing in $library"; exit 1; }
  if echo "$symbols" | grep -xF "$hosts"; then
    echo "$library wants the above, which are the host's to call"
    exit 1
  fi
done
