#!/bin/sh
# Every fuzz target for some minutes under sanitizers, then the whole Lua API for a number of calls; nothing may be reported.
# sh tests/fuzz/nightly.sh [SECONDS a target: 180] [CALLS of the Lua API: 2000000] [SEED: 1]
# What is found is kept as build/fuzz/found/TARGET-…; run it again with build/fuzz/tests/fuzz_TARGET FILE. New inputs that
# reach new code are kept in build/fuzz/corpus; `sh tests/fuzz/merge.sh TARGET` takes what is worth it into the tree.
set -u
cd "$(dirname "$0")/../.."
seconds=${1:-180} calls=${2:-2000000} seed=${3:-1}
. tests/fuzz/common.sh
build_targets || exit 1
mkdir -p build/fuzz/found build/fuzz/log
failed=0

# report TARGET STATUS LOG: one line, and what went wrong
report() {
  if [ "$2" -eq 0 ]; then
    printf '%-16s nothing found\n' "$1"
    return
  fi
  failed=$((failed + 1))
  printf '%-16s FAILED (%s)\n' "$1" "$3"
  grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$3" | head -n 6
}

for target in $(targets); do
  [ "$target" != lua_api ] || continue
  log=build/fuzz/log/$target.log
  fuzz "$target" -seed="$seed" -max_total_time="$seconds" >"$log" 2>&1
  report "$target" $? "$log"
done

# Scripts by the thousand, each run from a seed of its own, until there were enough calls.
made=0 round=0 status=0
while [ "$made" -lt "$calls" ] && [ "$status" -eq 0 ]; do
  log=build/fuzz/log/lua_api-$round.log
  fuzz lua_api -seed=$((seed + round)) -runs=1000 -len_control=0 -max_len=200 >"$log" 2>&1
  status=$?
  count=$(sed -n 's/^\([0-9]*\) calls of the Lua API.*/\1/p' "$log")
  made=$((made + ${count:-0}))
  round=$((round + 1))
  echo "lua_api: $made calls"
done
report lua_api "$status" "$log"
[ "$failed" -eq 0 ]
