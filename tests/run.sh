#!/bin/sh
# Runs every test, on a fresh Debian 12 machine too: installs what is missing, builds with and without sanitizers, runs the
# C tests in both, the Lua specs, the replayed fuzz corpora, the examples, the second decoder, the command-line tests and the
# linters. The last line is "N passed, N failed".   sh tests/run.sh [--quick]   (--quick: no sanitizer build)
set -u
cd "$(dirname "$0")/.."
quick=${1:-}
before=$(git status --porcelain --ignored)
sh cmake/packages.sh build test || exit 1
logs=build/test-logs
mkdir -p $logs
passed=0
failed=0

# count NAME PASSED FAILED LOG
count() {
  passed=$((passed + $2))
  failed=$((failed + $3))
  if [ "$3" -gt 0 ]; then
    echo "---- $1: $3 failed ($4):"
    tail -n 60 "$4"
  fi
  printf '%-28s %5d passed %5d failed\n' "$1" "$2" "$3"
}

# step NAME COMMAND…: a check that passes or fails as a whole
step() {
  name=$1
  shift
  if "$@" >"$logs/$name.log" 2>&1; then count "$name" 1 0 "$logs/$name.log"; else count "$name" 0 1 "$logs/$name.log"; fi
}

build() {
  cmake --preset "$1" && cmake --build --preset "$1"
}

# ctest: the tests within the cmocka programs are counted one by one, all other programs as one each
c_tests() {
  log=$logs/ctest-$1.log
  (cd "build/$1" && ctest -j2 -V --timeout 600) >"$log" 2>&1
  status=$?
  good=$(sed -n 's/^[0-9]*: \[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  bad=$(sed -n 's/^[0-9]*: \[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  programs=$(grep -c 'Test  *#[0-9]*:.*Passed' "$log")
  groups=$(grep -c '^[0-9]*: \[==========\] [0-9]* test(s) run' "$log") # cmocka programs
  [ "$programs" -le "$groups" ] || good=$((good + programs - groups))
  [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$programs" -gt 0 ] || bad=$((bad + 1))
  [ "$bad" -eq 0 ] || grep -E '\[  (FAILED|ERROR)|\*\*\*|runtime error|ERROR: ' "$log" | head -n 40
  count "C tests ($1)" "$good" "$bad" "$log"
}

lua_specs() {
  log=$logs/busted.log
  MCL=build/release/mcl LUA_CPATH="$PWD/build/release/lua/?.so;;" lua5.4 /usr/bin/busted -o TAP spec >"$log" 2>&1
  status=$?
  good=$(grep -c '^ok ' "$log")
  bad=$(grep -c '^not ok ' "$log")
  [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$good" -gt 0 ] || bad=$((bad + 1))
  count "Lua specs" "$good" "$bad" "$log"
}

format_check() {
  git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

# Tests write into folders of their own: the source is as it was.
source_untouched() {
  git status --porcelain --ignored | grep -vE '^!! (build/|compile_commands\.json)$' >$logs/after.txt
  printf '%s' "$before" | grep -vE '^!! (build/|compile_commands\.json)$' | diff - $logs/after.txt
}

step build-release build release
c_tests release
lua_specs
step format format_check
step luacheck luacheck -q .
for script in tests/cli/*.sh; do
  [ -e "$script" ] || continue
  step "$(basename "$script" .sh)" env MCL=build/release/mcl MCL_BUILD=build/release sh "$script"
done
if [ "$quick" != --quick ]; then
  step build-sanitize build sanitize
  c_tests sanitize
  step build-fuzz build fuzz
fi
step source-untouched source_untouched

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
