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
refuses 2 "threads" magnitude net.bin -o x.mcl --threads -1

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
refuses 1 "nowhere" magnitude net.bin -o nowhere/x.mcl
refuses 1 "unknown" convert net.bin net.unknown

# ---- Data ----
refuses 1 "nowhere" eval net.mcl --data mnist:nowhere
mkdir cutdata
for file in train-images-idx3 train-labels-idx1 t10k-labels-idx1; do
  zcat "$fashion/$file-ubyte.gz" >"cutdata/$file-ubyte"
done
zcat "$fashion/t10k-images-idx3-ubyte.gz" | head -c 100000 >cutdata/t10k-images-idx3-ubyte
refuses 1 "t10k-images-idx3-ubyte" eval net.mcl --data idx:cutdata
refuses 1 "cifar" eval net.mcl --data cifar

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

# ---- The file that was there is untouched ----
refuses 1 "selector.lua:5" ./selector.lua net.bin -o net.mcl
cmp -s net.mcl good.mcl || fail "a failed run changed the output"
(ulimit -f 4 && trap '' XFSZ && "$MCL" magnitude net.bin -o net.mcl --set density=0.5 --quiet >out 2>err) && fail "a full disk went unnoticed"
grep -q 'net.mcl' err || fail "a full disk: the file is not named"
cmp -s net.mcl good.mcl || fail "a full disk changed the output"
[ -z "$(ls | grep -E 'net\.mcl\.[A-Za-z0-9]{6}$')" ] || fail "temporary files are left"
[ ! -e x.mcl ] || fail "a refused run wrote its output"
echo "$checks checks"
