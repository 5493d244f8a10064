#!/bin/sh
# Runs that are interrupted: by Ctrl-C, by kill -9; resumed, they end in the same bytes. A resume that cannot be is refused.
# What lies in OUT.resume is removed only where mcl has made it, and by one run at a time.
. "$(dirname "$0")/../cli_lib.sh"

# Data that a linear map decides, twice, with other labels the second time; a small net.
python3 - <<'PY'
import random, struct, zipfile
def npy(descr, shape, data):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data
for name, turn in (("d.npz", 1), ("other.npz", -1)):
    r = random.Random(1)
    x = [[r.gauss(0, 1) for _ in range(8)] for _ in range(400)]
    y = [max(range(3), key=lambda c: turn * row[c]) for row in x]
    with zipfile.ZipFile(name, "w") as z:
        for part in ("train", "test"):
            z.writestr("x_%s.npy" % part, npy("<f4", (400, 8), struct.pack("<3200f", *sum(x, []))))
            z.writestr("y_%s.npy" % part, npy("<i8", (400,), struct.pack("<400q", *y)))
PY
cat >net.lua <<'LUA'
local nn = require("mcl").nn
return nn.sequential { input = { 8 }, nn.linear { out = 16 }, nn.relu(), nn.linear { out = 3 } }
LUA
# Three fits. In the third epoch of the second, while a file "hold" is there, it says so and waits: what is sent to it then
# meets it within a fit, with a finished one behind it and an epoch kept.
cat >fits.lua <<'LUA'
local mcl = require "mcl"
local part = require "part"
local function hold(report)
  if report.epoch ~= 3 then return end
  local file = io.open("hold", "rb")
  if not file then return end
  file:close()
  io.open("held", "w"):close()
  while true do mcl.zeros { 1 }:eval() end
end
return mcl.recipe {
  about = "three fits",
  options = { density = { 0.5, "kept" } },
  run = function(model, opt, job)
    model:fit { job.data.train, epochs = 3 }
    model:compress(mcl.prune { density = part.density * opt.density })
    model:fit { job.data.train, epochs = 5, epoch_end = hold }
    model:fit { job.data.train, epochs = 2 }
  end,
}
LUA
echo 'return { density = 1 }' >part.lua
mcl train net.lua --data npz:d.npz --set epochs=3 -o net.bin --quiet >out
mcl convert net.bin net.onnx >out
run="./fits.lua net.bin --data npz:d.npz"

# begins OUT [ARG…]: starts a run of three fits; returns when it is within the second
begins() {
  out=$1
  shift
  rm -f held
  touch hold
  "$MCL" $run -o "$out" "$@" >"$out.stdout" 2>err &
  process=$!
  while [ ! -e held ]; do
    kill -0 $process || fail "the run of $out ended before it was within its second fit"
    sleep 0.02
  done
  rm hold
}

# ends SIGNAL STATUS: sends the signal to the run under way, which ends with this exit code
ends() {
  kill "-$1" $process
  status=0
  wait $process || status=$?
  [ $status = "$2" ] || fail "ended by $1: exit $status, not $2"
}

# shellcheck disable=SC2086 # one word an option
{
  works "" $run -o whole.mcl --quiet
  [ ! -e whole.mcl.resume ] || fail "snapshots are left after success"

  # Ctrl-C: the output untouched, snapshots kept, the way on told
  begins stopped.mcl
  ends TERM 143
  [ ! -e stopped.mcl ] || fail "a stopped run wrote its output"
  grep -qF -- "mcl $run -o stopped.mcl --resume" err || fail "a stopped run does not say how to go on"

  # What it was begun with is what it is gone on with: the recipe and what it requires, options, seed, model, data
  refuses 1 "options differs" $run -o stopped.mcl --set density=0.4 --resume
  refuses 1 "seed differs" $run -o stopped.mcl --seed 5 --resume
  refuses 1 "data differs" ./fits.lua net.bin --data npz:other.npz -o stopped.mcl --resume
  refuses 1 "net.onnx differs" ./fits.lua net.onnx --data npz:d.npz -o stopped.mcl --resume
  # changed FILE WHAT: with another FILE in its place the resume is refused, which names WHAT
  changed() {
    cp "$1" kept
    cp "$3" "$1"
    refuses 1 "$2 differs" $run -o stopped.mcl --resume
    cp kept "$1"
  }
  sed 's/epochs = 2/epochs = 3/' fits.lua >other.lua
  changed fits.lua recipe other.lua
  echo 'return { density = 0.9 }' >other.lua
  changed part.lua part.lua other.lua
  changed d.npz d.npz other.npz
  works "" $run -o stopped.mcl --resume
  grep -q 'fit 1 was finished before' err || fail "a finished fit was done again"
  grep -q 'going on after epoch 2 of 5' err || fail "the fit under way was begun anew"
  cmp -s whole.mcl stopped.mcl || fail "stopped and resumed: other bytes"

  # kill -9 in the middle of a fit
  begins killed.mcl
  ends KILL 137
  works "" $run -o killed.mcl --resume
  grep -q 'fit 1 was finished before' err && grep -q 'going on after epoch 2 of 5' err || fail "killed: not gone on with"
  cmp -s whole.mcl killed.mcl || fail "killed and resumed: other bytes"

  # A damaged snapshot is named as what it is, not as the recipe's fault
  begins damaged.mcl
  ends KILL 137
  echo '{ "epoch": ' >damaged.mcl.resume/fit-1.json
  refuses 1 "damaged.mcl.resume/fit-1.json: is damaged" $run -o damaged.mcl --resume
  if grep -q 'fits.lua' err && ! grep -q 'To go on' err; then fail "a damaged snapshot is blamed on the recipe"; fi

  # While a run lives, its folder is its own; when it is gone, the next may have it
  begins busy.mcl
  refuses 1 "in use by another run, process $process" $run -o busy.mcl
  refuses 1 "in use by another run" $run -o busy.mcl --resume
  ends KILL 137
  works "" $run -o busy.mcl --quiet
  cmp -s whole.mcl busy.mcl || fail "after another run: other bytes"

  # training too: it is killed once its first epoch is kept, long before its last
  train="train net.lua --data npz:d.npz --set epochs=500"
  works "" $train -o a.bin
  "$MCL" $train -o b.bin --quiet >out 2>err &
  process=$!
  while [ ! -e b.bin.resume/fit-1.checkpoint.fit ]; do
    kill -0 $process || fail "training ended before its first epoch was kept"
    sleep 0.01
  done
  ends KILL 137
  works "accuracy" $train -o b.bin --resume
  grep -q 'going on after epoch' err || fail "training was begun anew"
  cmp -s a.bin b.bin || fail "training killed and resumed: other bytes"
  "$MCL" $train -o c.bin >out 2>err &
  process=$!
  while [ ! -e c.bin.resume/fit-1.checkpoint.fit ]; do sleep 0.01; done
  ends TERM 143
  grep -qF -- "mcl $train -o c.bin --resume" err || fail "stopped training does not say how to go on"
  works "" $train -o c.bin --resume --quiet
  cmp -s a.bin c.bin || fail "training stopped and resumed: other bytes"

  # Without --resume an interrupted run is discarded, and that is said
  begins old.mcl
  ends KILL 137
  works "" magnitude net.bin -o old.mcl --set density=0.1
  grep -q 'discarded' err || fail "an interrupted run was discarded in silence"
  [ ! -e old.mcl.resume ] || fail "the discarded run's folder is left"
}

# A folder that mcl has not made stays as it is; so does what somebody has put into one that mcl has made
mkdir mine.mcl.resume
echo mine >mine.mcl.resume/notes.txt
refuses 1 "holds what mcl has not made" magnitude net.bin -o mine.mcl
[ "$(cat mine.mcl.resume/notes.txt)" = mine ] || fail "a folder of the user's was emptied"
echo '{}' >mine.mcl.resume/key.json
refuses 1 "holds what mcl has not made" magnitude net.bin -o mine.mcl --resume
begins noted.mcl
ends KILL 137
echo mine >noted.mcl.resume/notes.txt
works "" $run -o noted.mcl --resume --quiet
[ "$(ls noted.mcl.resume)" = notes.txt ] || fail "what a user put beside the snapshots was not left, alone"
refuses 1 "holds what mcl has not made" magnitude net.bin -o noted.mcl # it is the user's folder now
[ "$(cat noted.mcl.resume/notes.txt)" = mine ] || fail "a user's file went with the snapshots"
echo "$checks checks"
