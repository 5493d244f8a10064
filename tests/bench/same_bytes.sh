#!/bin/sh
# The artifact's sha256 with 1, 2 and 4 threads, with each set of kernels, and after kill and --resume
set -eu
cd "$(dirname "$0")/../.."
fragment=$1
mcl=$MCL_BUILD/mcl
work=build/bench/same_bytes
rm -rf "$work"
mkdir -p "$work"
data=fashion-mnist
options="--set stages=1 --set epochs=1 --set share_epochs=1"

sum() { sha256sum "$1" | cut -d ' ' -f 1; }
report() { # case, sum, seconds
  equal=1
  [ "$2" = "$first" ] || equal=0
  printf '%s: sha256, ours %.16s…, peer %.16s…, ratio %d (1 is equal), spread 0\n' "$1" "$2" "$first" "$equal"
  printf '{"bench": "same_bytes", "case": "%s", "ours": "%s", "peer": "%s", "peer_name": "one thread", "unit": "sha256", "ratio": %d, "at_least": 1, "aim": 1, "seconds": %s}\n' \
    "$1" "$2" "$first" "$equal" "$3" >>"$fragment"
}

for net in lenet300 lenet5; do
  for threads in 1 2 4; do
    began=$(date +%s)
    "$mcl" train examples/models/$net.lua --data $data -o "$work/$net-$threads.bin" --set epochs=1 --threads $threads --quiet >/dev/null
    # shellcheck disable=SC2086 # one word an option
    "$mcl" deep_compression "$work/$net-$threads.bin" --data $data -o "$work/$net-$threads.mcl" $options --threads $threads --quiet >/dev/null
    [ $threads != 1 ] || first=$(sum "$work/$net-1.mcl")
    report "$net, $threads threads" "$(sum "$work/$net-$threads.mcl")" $(($(date +%s) - began))
  done
  # Each set of kernels that the processor has, on two threads. The portable one has no fused multiply-add to use: its net is small.
  for kernels in portable avx2 avx512; do
    [ "$net $kernels" != "lenet5 portable" ] || continue
    began=$(date +%s)
    MCL_KERNELS=$kernels "$mcl" train examples/models/$net.lua --data $data -o "$work/$net-$kernels.bin" --set epochs=1 --threads 2 --quiet >/dev/null
    # shellcheck disable=SC2086
    MCL_KERNELS=$kernels "$mcl" deep_compression "$work/$net-$kernels.bin" --data $data -o "$work/$net-$kernels.mcl" $options --threads 2 --quiet >/dev/null
    report "$net, $kernels" "$(sum "$work/$net-$kernels.mcl")" $(($(date +%s) - began))
  done
  # Killed again and again, without a chance to tidy up, until the run gets through.
  began=$(date +%s)
  kills=0
  killed="$work/$net-killed.mcl"
  while [ ! -e "$killed" ]; do
    # shellcheck disable=SC2086
    "$mcl" deep_compression "$work/$net-1.bin" --data $data -o "$killed" $options --resume --quiet >/dev/null &
    process=$!
    # until three more snapshots or checkpoints are there, or it is done
    state=$(ls -l --time-style=full-iso "$killed.resume" 2>/dev/null | sha256sum)
    changes=0
    while kill -0 $process 2>/dev/null && [ $changes -lt 2 ]; do
      sleep 0.3
      now=$(ls -l --time-style=full-iso "$killed.resume" 2>/dev/null | sha256sum)
      [ "$now" = "$state" ] || changes=$((changes + 1))
      state=$now
    done
    if kill -9 $process 2>/dev/null; then kills=$((kills + 1)); fi
    wait $process 2>/dev/null || true
    [ $kills -lt 40 ] || { echo "same_bytes: $net does not get through under --resume" >&2; exit 1; }
  done
  report "$net, killed $kills times and resumed" "$(sum "$killed")" $(($(date +%s) - began))
done
