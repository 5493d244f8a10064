#!/bin/sh
# Runs that are interrupted: by Ctrl-C, by kill -9; resumed, they end in the same bytes. A resume that cannot be is refused.
. "$(dirname "$0")/../cli_lib.sh"

net=$source/examples/models/lenet300.lua
options="--data fashion-mnist --set stages=2 --set epochs=2 --set share_epochs=1"
mcl train "$net" --data fashion-mnist --set epochs=1 -o net.bin --quiet

# waits FILE: until the run under way has written FILE, or has ended
waits() {
  while [ ! -e "$1" ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
}

# shellcheck disable=SC2086 # one word an option
{
  mcl deep_compression net.bin -o whole.mcl $options --quiet >out
  [ ! -e whole.mcl.resume ] || fail "snapshots are left after success"

  # SIGTERM, as Ctrl-C: exit 128 + its number within a second, the output untouched, snapshots kept, the way on told; then the same bytes
  "$MCL" deep_compression net.bin -o stopped.mcl $options >out 2>err &
  process=$!
  waits stopped.mcl.resume/fit-1.json
  kill -TERM $process
  status=0
  wait $process || status=$?
  [ $status = 143 ] || fail "stopped by a signal: exit $status, not 143"
  [ ! -e stopped.mcl ] || fail "a stopped run wrote its output"
  grep -q -- '--resume' err || fail "a stopped run does not say how to go on"
  refuses 1 "options differs" deep_compression net.bin -o stopped.mcl $options --set bits=3 --resume
  refuses 1 "seed differs" deep_compression net.bin -o stopped.mcl $options --seed 5 --resume
  works "" deep_compression net.bin -o stopped.mcl $options --resume
  grep -q 'finished before' err || fail "a finished fit was done again"
  cmp -s whole.mcl stopped.mcl || fail "stopped and resumed: other bytes"

  # kill -9 in the middle of a fit
  "$MCL" deep_compression net.bin -o killed.mcl $options --quiet >out &
  process=$!
  waits killed.mcl.resume/fit-2.json
  sleep 0.3
  kill -9 $process 2>/dev/null || true
  wait $process 2>/dev/null || true
  works "" deep_compression net.bin -o killed.mcl $options --resume --quiet
  cmp -s whole.mcl killed.mcl || fail "killed and resumed: other bytes"

  # training too
  mcl train "$net" --data fashion-mnist --set epochs=3 -o a.bin --quiet >out
  "$MCL" train "$net" --data fashion-mnist --set epochs=3 -o b.bin --quiet >out &
  process=$!
  waits b.bin.resume/fit-1.checkpoint
  kill -9 $process 2>/dev/null || true
  wait $process 2>/dev/null || true
  works "accuracy" train "$net" --data fashion-mnist --set epochs=3 -o b.bin --resume --quiet
  cmp -s a.bin b.bin || fail "training killed and resumed: other bytes"
}

# Without --resume an interrupted run is discarded, and that is said
mkdir old.mcl.resume
echo '{}' >old.mcl.resume/key.json
mcl magnitude net.bin -o old.mcl --set density=0.1 >out 2>err
grep -q 'discarded' err || fail "an interrupted run was discarded in silence"
[ ! -e old.mcl.resume ] || fail "the discarded run's folder is left"
echo "$checks checks"
