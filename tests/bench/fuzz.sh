#!/bin/sh
# inputs a second of every fuzz target, on one core, under sanitizers
set -eu
cd "$(dirname "$0")/../.."
. tests/fuzz/common.sh
build_targets
echo "fuzz: target                                         inputs/s of processor time     least ratio"
for target in $(targets); do
  log=build/bench/fuzz-$target.log
  start=$(date +%s)
  times >"$log.before"
  fuzz "$target" -seed=1 -len_control=0 -max_total_time=10 -print_final_stats=1 >"$log" 2>&1 || {
    echo "  $target: something was found: $log"
    exit 1
  }
  times >"$log.after"
  case $target in
    artifact | graph | onnx) least=200 ;; # whole models
    lua_api) least=15 ;;                  # whole scripts of some hundred calls
    *) least=1000 ;;
  esac
  sed -n 's/^stat::number_of_executed_units: *//p' "$log" | awk -v name="$target" -v least=$least \
    -v before="$(sed -n 2p "$log.before")" -v after="$(sed -n 2p "$log.after")" -v wall=$(($(date +%s) - start)) -v json="$1" '
    function seconds(text,   part, all) { # "0m1.2s 0m0.3s": user and system time of children
      split(text, all, " ")
      split(all[1], part, "[ms]"); total = part[1] * 60 + part[2]
      split(all[2], part, "[ms]"); return total + part[1] * 60 + part[2]
    }
    {
      speed = $1 / (seconds(after) - seconds(before))
      printf "  %-50s %8.0f %25d %5.2f\n", name, speed, least, speed / least
      printf "{\"bench\": \"fuzz\", \"case\": \"%s\", \"ours\": %.0f, \"peer\": %d, \"peer_name\": \"least\", \"unit\": \"inputs/s\", \"ratio\": %.3f, \"at_least\": 1, \"aim\": null, \"seconds\": %d}\n", \
        name, speed, least, speed / least, wall >>json
    }'
done
