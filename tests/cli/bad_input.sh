#!/bin/sh
# Bad input is refused with a message that names the place, the right exit code, and no harm to the file that was there.
. "$(dirname "$0")/../cli_lib.sh"

mcl train "$source/examples/models/lenet300.lua" --data fashion-mnist --set epochs=1 -o net.bin --quiet
mcl magnitude net.bin -o net.mcl --set density=0.1 --quiet
cp net.mcl good.mcl

# ---- Usage: exit 2 ----
refuses 2 "usage" eval
refuses 2 "--dta" eval net.mcl --dta fashion-mnist
refuses 2 "magnitud" magnitud net.bin -o x.mcl
refuses 2 "densty" magnitude net.bin -o x.mcl --set densty=0.1
refuses 2 "density" magnitude net.bin -o x.mcl --set density=2
refuses 2 "density" magnitude net.bin -o x.mcl --set density=lots
refuses 2 "--threads -1" magnitude net.bin -o x.mcl --threads -1
refuses 2 "--threads 1000" magnitude net.bin -o x.mcl --threads 1000
refuses 2 "--dense-limit many" inspect net.bin --dense-limit many
refuses 1 "above the limit of 1000" verify net.bin --dense-limit 1000
refuses 2 "2^63" magnitude net.bin -o x.mcl --seed 99999999999999999999
refuses 2 "22" magnitude net.bin -o x.mcl --zstd=99
refuses 2 "key=value" magnitude net.bin -o x.mcl --set density
refuses 2 "name another file" magnitude net.bin -o ./net.bin
refuses 2 "name another file" convert net.bin ./net.bin
refuses 2 "mcl convert" magnitude net.bin -o x.onnx
refuses 2 "empty" magnitude net.bin -o ""
refuses 2 "architecture" train net.bin --data fashion-mnist -o x.mcl

# ---- Files: exit 1 ----
refuses 1 "missing.mcl" inspect missing.mcl
refuses 1 "missing.bin" magnitude missing.bin -o x.mcl
refuses 1 "missing.lua" ./missing.lua net.bin -o x.mcl
head -c 300 net.mcl >cut.mcl
refuses 1 "cut.mcl" inspect cut.mcl
refuses 1 "cut.mcl" verify cut.mcl
size=$(stat -c %s net.mcl)
cp net.mcl flipped.mcl
printf '\377' | dd of=flipped.mcl bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
if ! cmp -s net.mcl flipped.mcl; then refuses 1 "flipped.mcl" verify flipped.mcl; fi
: >empty.mcl
refuses 1 "empty.mcl" inspect empty.mcl
head -c 5000 /dev/urandom >noise.onnx
refuses 1 "noise.onnx" inspect noise.onnx
refuses 1 "the folder nowhere" magnitude net.bin -o nowhere/x.mcl
refuses 1 "the folder nowhere" magnitude net.bin -o x.mcl --report nowhere/x.html
refuses 1 "the folder nowhere" train "$source/examples/models/lenet300.lua" --data fashion-mnist -o nowhere/x.bin
refuses 2 ".txt" train "$source/examples/models/lenet300.lua" --data fashion-mnist -o x.txt
mkdir folder.mcl
refuses 1 "is a folder" magnitude net.bin -o folder.mcl
refuses 1 "is a folder" convert net.bin folder.mcl
refuses 2 "unknown" convert net.bin net.unknown

# ---- Data ----
refuses 1 "nowhere" eval net.mcl --data mnist:nowhere
mkdir cutdata
for file in train-images-idx3 train-labels-idx1 t10k-labels-idx1; do
  zcat "$fashion/$file-ubyte.gz" >"cutdata/$file-ubyte"
done
zcat "$fashion/t10k-images-idx3-ubyte.gz" | head -c 100000 >cutdata/t10k-images-idx3-ubyte
refuses 1 "t10k-images-idx3-ubyte" eval net.mcl --data idx:cutdata
refuses 2 "cifar" eval net.mcl --data cifar
refuses 2 "no place" eval net.mcl --data fashion-mnist:here
refuses 2 "npz:…" eval net.mcl --data npz:
refuses 1 "images:folder.mcl" eval net.mcl --data images:folder.mcl
refuses 1 "give --data" mixed_precision net.bin -o x.mcl
refuses 1 "give --data" rank_search net.bin -o x.mcl --dry-run
refuses 1 "a whole number is wanted, got 2.5" mixed_precision net.bin --dry-run --set bits=2.5

# data FILE X Y: a Lua file of two examples of 784 values, X, and two labels, Y
data() {
  echo "local mcl = require 'mcl'; local x, y = $2, $3" >"$1"
  echo "return { x_train = x, y_train = y, x_test = x, y_test = y }" >>"$1"
}
data labels.lua "mcl.zeros { 2, 784 }" "{ 3, 10 }"
refuses 1 "from 0 to 9" eval net.mcl --data labels.lua
data fractions.lua "mcl.zeros { 2, 784 }" "{ 3, 4.5 }"
refuses 1 "whole numbers" eval net.mcl --data fractions.lua
data nan.lua "mcl.full({ 2, 784 }, 0 / 0)" "{ 3, 4 }"
refuses 1 "example 1, value 1" eval net.mcl --data nan.lua
data none.lua "mcl.zeros { 0, 784 }" "mcl.zeros { 0 }"
refuses 1 "no examples" eval net.mcl --data none.lua
data lone.lua "mcl.zeros { 2, 784 }" "mcl.zeros {}"
refuses 1 "x has shape {2,784} and y {}" eval net.mcl --data lone.lua
data text.lua "'abc'" "{ 1 }"
refuses 1 "x_test is a tensor" eval net.mcl --data text.lua
data other.lua "mcl.zeros { 2, 700 }" "{ 3, 4 }"
refuses 1 "takes 1×28×28" eval net.mcl --data other.lua
echo "return function() return function() return 3, 4 end end" >batches.lua
refuses 1 "x of batch 1" eval net.mcl --data batches.lua

# ---- Standard output that takes nothing; streams that came closed do not end in the artifact ----
for words in "inspect net.mcl" "eval net.mcl --data fashion-mnist --json" "--version" "recipes --show magnitude"; do
  # shellcheck disable=SC2086 # one word an argument
  if mcl $words >/dev/full 2>err; then fail "mcl $words: a full standard output went unnoticed"; fi
  grep -q "standard output" err || fail "mcl $words: standard output is not named"
  checks=$((checks + 1))
done
mcl magnitude net.bin -o closed.mcl --set density=0.1 <&- >&- 2>&- || true
cmp net.mcl closed.mcl || fail "closed streams changed the artifact"

# ---- Recipes: the message points at the recipe's line ----
cat >selector.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe {
  about = "a selector that matches nothing",
  run = function(model)
    model:compress { ["convolution*"] = mcl.share { bits = 5 } }
  end,
}
LUA
refuses 1 "selector.lua:5" ./selector.lua net.bin -o x.mcl
grep -q 'convolution\*' err || fail "the selector is not named"
cat >misspelt.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe {
  about = "a misspelt option",
  run = function(model)
    model:compress(mcl.prune { densty = 0.1 })
  end,
}
LUA
refuses 1 "misspelt.lua:5" ./misspelt.lua net.bin -o x.mcl
grep -q 'density' err || fail "the nearest right name is not named"
cat >budget.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe {
  about = "a budget that cannot be met",
  run = function(model)
    local plan = mcl.plan { model, candidates = function() return { mcl.quantize { bits = 4 }, mcl.quantize { bits = 8 } } end,
                            budget = { bytes = 100 } }
    model:compress(plan)
  end,
}
LUA
refuses 1 "smallest" ./budget.lua net.bin -o x.mcl
printf 'return {' >syntax.lua
refuses 1 "syntax.lua:1" ./syntax.lua net.bin -o x.mcl
printf 'return 7\n' >number.lua
refuses 1 "mcl.recipe" ./number.lua net.bin -o x.mcl
cat >nan.lua <<'LUA'
local mcl = require "mcl"
return mcl.recipe {
  about = "NaN in a weight",
  run = function(model)
    local layer = model:layers()[1]
    layer.weight = layer.weight * (0 / 0)
    model:compress(mcl.prune { density = 0.1 })
  end,
}
LUA
refuses 1 "nan" ./nan.lua net.bin -o x.mcl

# line LINE TEXT: a recipe with this line in its run, its fourth, is refused there with TEXT
line() {
  printf 'local mcl = require "mcl"\nreturn mcl.recipe { about = "wrong", run = function(model, opt, job)\n' >wrong.lua
  printf '  local layer = model:layers()[1]\n  %s\nend }\n' "$1" >>wrong.lua
  refuses 1 "wrong.lua:4: " ./wrong.lua net.bin -o x.mcl
  grep -qF -- "$2" err || fail "$1: does not say \"$2\""
}
line 'model:comress(mcl.share { bits = 4 })' 'did you mean "compress"'
line 'job:stp "pruned"' 'did you mean "step"'
line 'layer.name = "other"' 'name cannot be set'
line 'layer.weight = 3' 'layer fc1: weight'
line 'layer.weight = layer.weight / 0' 'layer fc1: weight'
line 'job:log("%d", 1.5)' 'job:log'
line 'job:calibrate "gram"' 'give --data'

# ---- The file that was there is untouched ----
refuses 1 "selector.lua:5" ./selector.lua net.bin -o net.mcl
cmp -s net.mcl good.mcl || fail "a failed run changed the output"
(ulimit -f 4 && trap '' XFSZ && "$MCL" magnitude net.bin -o net.mcl --set density=0.5 --quiet >out 2>err) && fail "a full disk went unnoticed"
grep -q 'net.mcl' err || fail "a full disk: the file is not named"
cmp -s net.mcl good.mcl || fail "a full disk changed the output"
[ -z "$(ls | grep -E 'net\.mcl\.[A-Za-z0-9]{6}$')" ] || fail "temporary files are left"
[ ! -e x.mcl ] || fail "a refused run wrote its output"
echo "$checks checks"
