# What the scripts of this folder share; they run in the root of the source tree.

targets() { ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||'; }

build_targets() {
  sh cmake/packages.sh build test || return 1
  mkdir -p build/fuzz
  for target in $(targets); do set -- "$@" "fuzz_$target"; done
  { cmake --preset fuzz && cmake --build --preset fuzz --target "$@"; } >build/fuzz/build.log 2>&1 || {
    tail -n 40 build/fuzz/build.log
    return 1
  }
}

# fuzz TARGET OPTION…: from the kept corpus and what was found to be new before. Leaks are looked for at the end: targets
# whose context lives on look like leaks to the count after each input.
fuzz() {
  name=$1
  shift
  mkdir -p "build/fuzz/corpus/$name" build/fuzz/found
  ASAN_OPTIONS=malloc_context_size=8:quarantine_size_mb=32 "build/fuzz/tests/fuzz_$name" -detect_leaks=0 -entropic=0 -timeout=60 \
    -rss_limit_mb=4096 -artifact_prefix="build/fuzz/found/$name-" "$@" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name"
}
