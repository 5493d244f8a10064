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

: >"$work/ours"; : >"$work/peer"; : >"$work/bandwidth.out"
for _ in 1 2 3; do # in turn, so that a busy machine troubles both
  # shellcheck disable=SC2086 # a command and its arguments, or nothing
  $two "$work/bandwidth" 2 5 >>"$work/bandwidth.out"
  # shellcheck disable=SC2086
  LUA_CPATH="$MCL_BUILD/lua/?.so" $two lua5.4 criterion.lua "$work" 4 >>"$work/ours"
  "$python" criterion.py run "$work" 2 >>"$work/peer"
done

# The sum of the kept scores must be NumPy's, which keeps some more where the threshold is tied.
awk 'NR == FNR { kept = $3; sum = $4; next }
  kept < $3 || kept > $3 + 1000 || ($4 - sum) ^ 2 > (1e-5 * sum) ^ 2 {
    print "criterion: NumPy keeps " kept ", sum " sum "; here " $3 ", " $4
    exit 1
  }' "$work/peer" "$work/ours"

awk -v seconds=$(($(date +%s) - began)) -v fragment="$fragment" '
  function note(name, ours, peer, peer_name, unit, ratio, least, aim, spread) {
    printf "%s: ours %.4g %s, %s %.4g %s, ratio %.2f (at least %s, aim %s), spread %.0f %%\n", name, ours, unit, peer_name, peer, unit,
      ratio, least, aim, 100 * spread
    printf "{\"bench\": \"criterion\", \"case\": \"%s\", \"ours\": %.6g, \"peer\": %.6g, \"peer_name\": \"%s\", \"unit\": \"%s\", " \
      "\"ratio\": %.4g, \"at_least\": %s, \"aim\": %s, \"seconds\": %d}\n", name, ours, peer, peer_name, unit, ratio, least, aim,
      seconds >> fragment
  }
  FILENAME ~ /bandwidth.out$/ { if ($1 > speed) speed = $1; next }
  FILENAME ~ /ours$/ {
    if (!score || $1 < score) score = $1
    if (!whole || $2 < whole) whole = $2
    if ($1 > score_most) score_most = $1
    if ($2 > whole_most) whole_most = $2
    next
  }
  { if (!peer || $1 + $2 < peer) peer = $1 + $2; if (!peer_score || $1 < peer_score) peer_score = $1 }
  END {
    note("score, threshold, mask", whole, peer, "numpy", "s", peer / whole, 6, 8, whole_most / whole - 1)
    note("scores alone", 8e8 / score / 1e9, speed / 1e9, "memory copy", "GB/s", 8e8 / score / speed, 0.6, 0.7,
      score_most / score - 1)
    note("scores alone, time", score, peer_score, "numpy", "s", peer_score / score, "null", "null", score_most / score - 1)
  }' "$work/bandwidth.out" "$work/ours" "$work/peer"
