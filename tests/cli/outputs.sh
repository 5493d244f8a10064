#!/bin/sh
# What is written is never what was read, under whatever name; and what is said of its size is said of all of it.
. "$(dirname "$0")/../cli_lib.sh"

python3 "$source/tests/cli/external.py" 1
python3 - <<'PY'
import struct, zipfile
def npy(descr, shape, data):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data
x = npy("<f4", (20, 4), struct.pack("<80f", *((i * 37 % 11) / 11 for i in range(80))))
open("x.npy", "wb").write(x)
with zipfile.ZipFile("d.npz", "w") as z:
    for part in ("train", "test"):
        z.writestr("x_%s.npy" % part, x)
        z.writestr("y_%s.npy" % part, npy("<i8", (20,), struct.pack("<20q", *(i % 3 for i in range(20)))))
PY
mcl convert ext.onnx net.bin >out
mkdir there
ln -s ../net.bin there/link.bin
cp ext.bin kept.bin

# keeps FILE TEXT ARG…: mcl ARG… is wrong usage, says TEXT, and FILE is what it was
keeps() {
  file=$1
  shift
  cp "$file" before
  refuses 2 "$@"
  cmp -s "$file" before || fail "$file was written over"
}

# ---- Nothing that was read is written over ----
keeps net.bin "name another file" infer net.bin --input x.npy --output net.bin
keeps x.npy "name another file" infer net.bin --input x.npy --output there/../x.npy
keeps net.bin "name another file" convert net.bin there/link.bin
keeps ext.bin "name another file" convert ext.onnx ext.bin
keeps ext.bin "name another file" magnitude ext.onnx -o ext.bin
keeps net.bin "name another file" magnitude net.bin -o there/link.bin
cat >arch.lua <<'LUA'
local nn = require("mcl").nn
return nn.sequential { input = { 4 }, nn.linear { out = 3 } }
LUA
ln d.npz data.bin # another name of the same file
keeps d.npz "name another file" train arch.lua --data npz:d.npz -o data.bin
cat >made.lua <<'LUA'
local mcl = require "mcl"
dofile "helper.lua"
return mcl.recipe { about = "reads files of its own", options = { read = { "x.npy", "what it reads" } },
  run = function(model, opt, job)
    if opt.read:match "npy$" then mcl.load_arrays(opt.read) else mcl.load(opt.read) end
    model:fit { job.data.train, epochs = 1 }
  end }
LUA
: >helper.lua
keeps made.lua "ends in .html or .json" ./made.lua net.bin -o o.mcl --report made.lua
ln -s helper.lua helper.html
keeps helper.lua "name another file" ./made.lua net.bin -o o.mcl --report helper.html
cp net.bin teacher.mcl # read within the run alone; before the first fit it is known
keeps teacher.mcl "name another file" ./made.lua net.bin --data npz:d.npz -o teacher.mcl --set read=teacher.mcl

# ---- Outputs have files of their own ----
: >o.mcl
ln -s o.mcl o.html
refuses 2 "written twice" magnitude net.bin -o o.mcl --report o.html
refuses 2 "written twice" infer net.bin --input x.npy --output a.npy --output ./a.npy
refuses 2 "given twice" infer net.bin --input x.npy --input x.npy --output a.npy
refuses 2 ".npy or .npz" infer net.bin --input x.npy --output y.txt
works "y: 20×3 to b.npy" infer net.bin --input x.npy --output y=a.npy --output y=b.npy
cmp -s a.npy b.npy || fail "an output that is asked for twice is not the same twice"
works "" infer net.bin --input x.npy --output y.npz
python3 - <<'PY' || fail "y.npz is no archive of y"
import zipfile
assert zipfile.ZipFile("y.npz").namelist() == ["y.npy"]
assert zipfile.ZipFile("y.npz").read("y.npy") == open("a.npy", "rb").read()
PY
"$MCL" infer net.bin --input x.npy --output /dev/stdout 2>err | cat >piped.npy
cmp -s a.npy piped.npy || fail "an output to a pipe is not the output alone"
mcl infer net.bin --input x.npy --output /dev/null
[ -c /dev/null ] || fail "/dev/null is a device no more"

# ---- Sizes are of all files that a model has; of an architecture, which is text, of its weights ----
both=$(($(stat -c %s ext.onnx) + $(stat -c %s ext.bin)))
works ", from $both" convert ext.onnx e.mcl
works "$both bytes; dense 48" inspect ext.onnx
works "" magnitude ext.onnx -o e.mcl --json
python3 -c "import json; assert json.load(open('out'))['before']['bytes'] == $both" || fail "before: not the whole model"
works "" magnitude arch.lua -o e.mcl --json
python3 - <<'PY' || fail "--json: not what it promises"
import json, os
d = json.load(open("out"))
assert set(d) == {"output", "bytes", "dense_bytes", "ratio", "seconds", "before", "after"}, d
assert d["output"] == "e.mcl" and d["bytes"] == os.path.getsize("e.mcl") and d["dense_bytes"] == 60
assert d["before"] == {"bytes": 60, "ratio": 1}, d
PY
works "" magnitude net.bin --data npz:d.npz -o e.mcl --json --set stages=1 --set shift=0
python3 - <<'PY' || fail "--json with data: not what it promises"
import json
d = json.load(open("out"))
for side in d["before"], d["after"]:
    assert set(side) == {"bytes", "ratio", "accuracy", "error", "loss", "count"} and side["count"] == 20, d
PY
works "" train arch.lua --data npz:d.npz --set epochs=1 -o t.bin --json
python3 - <<'PY' || fail "train --json: not what it promises"
import json
assert set(json.load(open("out"))) == {"output", "loss", "accuracy", "error", "count", "seconds"}
PY

# ---- What comes of a run is the model that it was given, or the one that it returns ----
# result LINES: what a recipe with these lines in its run does to net.bin
result() {
  printf 'local mcl = require "mcl"\nreturn mcl.recipe { about = "x", run = function(model)\n%s\nend }\n' "$1" >r.lua
}
share='model:compress(mcl.share { bits = 1 })'
result "$share"
works "" ./r.lua net.bin -o given.mcl
result "model = model:copy() $share return model"
works "" ./r.lua net.bin -o returned.mcl
cmp -s given.mcl returned.mcl || fail "the model that run returns is not the result"
works "gives $(stat -c %s given.mcl) bytes" ./r.lua net.bin --dry-run
result "model = model:copy() $share"
works "" ./r.lua net.bin -o original.mcl
works "dense" inspect original.mcl # a copy that is not returned is nobody's result
result 'return 7'
refuses 1 "r.lua:2: run returned number; it returns the model" ./r.lua net.bin -o r.mcl
[ ! -e r.mcl ] || fail "a refused result was written"
echo "$checks checks"
