#!/bin/sh
# What a shell sees of mcl is what it sees of other programs: pipes that end early, exit codes, options as they may be spelled,
# tables that fit a terminal.
. "$(dirname "$0")/../cli_lib.sh"

cat >net.lua <<'LUA'
local nn = require("mcl").nn
local layers = { input = { 8 } }
for i = 1, 12 do layers[i] = nn.linear { out = 64, name = "a_layer_with_a_long_name_" .. i } end
return nn.sequential(layers)
LUA
mcl convert net.lua net.bin >out

# ---- A reader that leaves early is no error ----
# left STATUS COMMAND…: mcl COMMAND, its output into a pipe that nobody reads, says nothing and ends as SIGPIPE ends others
left() {
  mkfifo pipe
  (: <pipe) &
  reader=$!
  exec 3>pipe
  wait $reader
  status=0
  "$MCL" "$@" >&3 2>err || status=$?
  exec 3>&-
  rm pipe
  [ $status = 141 ] || fail "mcl $*: exit $status into a pipe that nobody reads"
  [ ! -s err ] || fail "mcl $*: complains of a pipe that nobody reads"
  checks=$((checks + 1))
}
left inspect net.bin
left --help
left recipes
left eval --help

# ---- --zstd alone, with a level, with = ----
for words in "convert net.bin OUT" "magnitude net.bin -o OUT --quiet --set density=0.5"; do
  words() { echo "$words" | sed "s/OUT/$1/"; }
  # shellcheck disable=SC2046 # one word an argument
  {
    works "" $(words plain.mcl)
    works "" $(words a.mcl) --zstd
    works "" $(words b.mcl) --zstd 19
    works "" $(words c.mcl) --zstd=19
    refuses 2 "22" $(words d.mcl) --zstd 99
  }
  cmp -s a.mcl b.mcl && cmp -s a.mcl c.mcl || fail "${words%% *}: --zstd, --zstd 19 and --zstd=19 are not the same"
  [ "$(stat -c %s a.mcl)" -le "$(stat -c %s plain.mcl)" ] || fail "a wrap made the file larger"
done
works "" magnitude --zstd net.bin -o e.mcl --quiet # takes no argument that is no level
# ---- --dry-run fits a terminal, whatever the names and however many the candidates ----
cat >many.lua <<'LUA'
local mcl = require "mcl"
local function candidates()
  local list = {}
  for bits = 1, 8 do
    list[bits] = mcl.prune { density = 0.25 } .. mcl.share { bits = bits }
    list[8 + bits] = mcl.quantize { bits = bits, group = 8 }
  end
  return list
end
return mcl.recipe { about = "many candidates", candidates = candidates, run = function() end }
LUA
works " 16  quantize" ./many.lua net.bin --dry-run
[ "$(awk 'length > 100' out | wc -l)" = 0 ] || fail "--dry-run is wider than 100 columns"
[ "$(grep -c '^all' out)" -ge 2 ] || fail "--dry-run of sixteen candidates has not been divided"
works '"candidates"' ./many.lua net.bin --dry-run --json
python3 - <<'PY' || fail "--dry-run --json: not what it promises"
import json
d = json.load(open("out"))
assert set(d) == {"bytes", "dense_bytes", "ratio", "candidates"} and len(d["candidates"]) == 16, d
for c in d["candidates"]:
    assert c["bytes"] == sum(l["bytes"] for l in c["layers"]) and len(c["layers"]) == 12, c
PY
# ---- The bar says which fit, of how many, with what loss, and the bytes of the file ----
cat >fits.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe { about = "two fits", fits = function() return 2 end, run = function(model, _, job)
  for _ = 1, 2 do model:fit { job.data.train, epochs = 40, batch = 1, rate = 1e-5 } end
end }
LUA
cat >data.lua <<'LUA'
local mcl = require "mcl"
local x, y = mcl.random({ 200, 8 }, { seed = 1 }), mcl.zeros { 200 }
return { x_train = x, y_train = y, x_test = x, y_test = y }
LUA
python3 - "$MCL" <<'PY' >out 2>err
import os, pty, sys
def read(fd):
    data = os.read(fd, 65536)
    return data
status = pty.spawn([sys.argv[1], "./fits.lua", "net.bin", "--data", "data.lua", "-o", "f.mcl"], read)
sys.exit(status)
PY
for words in 'fit 1 of 2, [0-9.]* KB, epoch [0-9]* of 40' 'fit 2 of 2, [0-9.]* KB, epoch [0-9]* of 40, loss [0-9]'; do
  grep -qE "$words" out || fail "the bar does not say \"$words\""
done

# ---- The manual has what --help prints; completions know commands, recipes and their options ----
works ".TH MCL 1" manual
cp out mcl.1
sed 's/\\-/-/g' mcl.1 >plain.1
for command in train eval inspect convert verify infer diff recipes completion manual; do
  works "Usage: mcl $command" "$command" --help
  grep -o -- '--[a-z][a-z-]*' out | while read -r option; do
    grep -qF -- "$option" plain.1 || fail "the manual does not have $option of $command"
  done
  grep -q "^.SS $command$" mcl.1 || fail "the manual has no section on $command"
done
grep -q 'density=0.1 ' plain.1 || fail "the manual does not have the options of recipes"
if command -v groff >man.out; then
  groff -Kutf8 -man -Tutf8 -ww mcl.1 >man.out 2>err && [ ! -s err ] || fail "groff complains of the manual"
fi
works "complete -F _mcl" completion bash
cp out mcl.bash
completed() { # COMPLETED WORD…: what bash offers for the last word
  bash -c '. ./mcl.bash; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _mcl mcl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[@]}"' bash "$@"
}
if command -v bash >bash.out; then
  [ "$(completed x mcl ev)" = eval ] || fail "bash: ev is not completed to eval"
  [ "$(completed x mcl magn)" = magnitude ] || fail "bash: recipes are not completed"
  [ "$(completed x mcl eval --da)" = --data ] || fail "bash: options are not completed"
fi
works "#compdef mcl" completion zsh
works "__fish_mcl" completion fish
refuses 2 "bash" completion tcsh
echo "$checks checks"
