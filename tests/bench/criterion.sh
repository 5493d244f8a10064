#!/bin/sh
# Pruning 100 M weights by w:abs() * s from Lua: score, threshold, mask, against NumPy; scores against memory bandwidth
set -eu
cd "$(dirname "$0")"
fragment=$1
case $fragment in /*) ;; *) fragment=../../$fragment ;; esac
work=$MCL_BUILD/bench_criterion
mkdir -p "$work"
python=$MCL_VENV/bin/python
began=$(date +%s)
two="" # on a machine with more processors, two of them
command -v taskset >/dev/null && [ "$(nproc)" -gt 2 ] && two="taskset -c 0,1"

cc -O2 -o "$work/bandwidth" bandwidth.c -lpthread
if ! "$python" -c "import numpy" 2>/dev/null; then
  echo "criterion: peer missing: NumPy; nothing to compare with, and no data"
  exit 1
fi
[ -f "$work/s.npy" ] || "$python" criterion.py make "$work"

rounds=3 turns=3 # the same for both sides
: >"$work/ours"; : >"$work/single"; : >"$work/peer"; : >"$work/bandwidth.out"
for _ in $(seq $turns); do # in turn, so that a busy machine troubles both
  # shellcheck disable=SC2086 # a command and its arguments, or nothing
  $two "$work/bandwidth" 2 5 >>"$work/bandwidth.out"
  # shellcheck disable=SC2086
  LUA_CPATH="$MCL_BUILD/lua/?.so" $two lua5.4 criterion.lua "$work" $rounds 2 >>"$work/ours"
  LUA_CPATH="$MCL_BUILD/lua/?.so" lua5.4 criterion.lua "$work" $rounds 1 >>"$work/single"
  "$python" criterion.py run "$work" $rounds >>"$work/peer"
done

# The sum of the kept scores must be NumPy's, which keeps some more where the threshold is tied.
for side in ours single; do
  awk 'NR == FNR { kept = $3; sum = $4; next }
    kept < $3 || kept > $3 + 1000 || ($4 - sum) ^ 2 > (1e-5 * sum) ^ 2 {
      print "criterion: NumPy keeps " kept ", sum " sum "; here " $3 ", " $4
      exit 1
    }' "$work/peer" "$work/$side"
done

# NumPy computes all this with one thread, whatever the machine has.
awk -v seconds=$(($(date +%s) - began)) -v fragment="$fragment" -v rounds=$((turns * rounds)) '
  function note(name, threads, ours, peer, peer_name, peer_threads, unit, ratio, least, aim, spread) {
    printf "%s: ours (%d threads) %.4g %s, %s (%d) %.4g %s, ratio %.2f (at least %s, aim %s), spread %.0f %%\n", name, threads, ours,
      unit, peer_name, peer_threads, peer, unit, ratio, least, aim, 100 * spread
    printf "{\"bench\": \"criterion\", \"case\": \"%s\", \"ours\": %.6g, \"peer\": %.6g, \"peer_name\": \"%s\", \"unit\": \"%s\", " \
      "\"ratio\": %.4g, \"at_least\": %s, \"aim\": %s, \"threads\": %d, \"peer_threads\": %d, \"rounds\": %d, \"seconds\": %d}\n", name,
      ours, peer, peer_name, unit, ratio, least, aim, threads, peer_threads, rounds, seconds >> fragment
  }
  function keep(side, what, value) {
    if (!((side, what) in best) || value < best[side, what]) best[side, what] = value
    if (value > worst[side, what]) worst[side, what] = value
  }
  function spread(side, what) { return worst[side, what] / best[side, what] - 1 }
  FILENAME ~ /bandwidth.out$/ { if ($1 > speed) speed = $1; next }
  {
    side = FILENAME
    sub(/.*\//, "", side)
    keep(side, "score", $1)
    keep(side, "whole", side == "peer" ? $1 + $2 : $2) # ours never stores the scores: its second time is the whole
  }
  END {
    whole = best["peer", "whole"]
    note("score, threshold, mask", 2, best["ours", "whole"], whole, "numpy", 1, "s", whole / best["ours", "whole"], 6, 8, spread("ours", "whole"))
    note("score, threshold, mask, one thread", 1, best["single", "whole"], whole, "numpy", 1, "s", whole / best["single", "whole"], "null",
      "null", spread("single", "whole"))
    bytes = 8e8 / best["ours", "score"]
    note("scores alone", 2, bytes / 1e9, speed / 1e9, "memory copy", 2, "GB/s", bytes / speed, 0.6, 0.7, spread("ours", "score"))
    note("scores alone, time", 2, best["ours", "score"], best["peer", "score"], "numpy", 1, "s",
      best["peer", "score"] / best["ours", "score"], "null", "null", spread("ours", "score"))
  }' "$work/bandwidth.out" "$work/ours" "$work/single" "$work/peer"
