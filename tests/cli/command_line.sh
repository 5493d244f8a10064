#!/bin/sh
# The command line's promises: what scripts rely on. Keys of --json, exit codes, what goes where.
. "$(dirname "$0")/../cli_lib.sh"

keys() { python3 -c "import json, sys; print(','.join(sorted(json.load(open('out')))))"; }
value() { python3 -c 'import json, sys; print(json.load(open("out"))[sys.argv[1]])' "$1"; }

mcl train "$source/examples/models/lenet300.lua" --data fashion-mnist --set epochs=1 -o net.bin --quiet
works "" magnitude net.bin --data fashion-mnist -o net.mcl --set density=0.1 --report report.html --quiet
[ ! -s err ] || fail "--quiet is not quiet"

works "mcl 0." --version
works "mcl train" --help
works "density" magnitude --help
for recipe in magnitude deep_compression mixed_precision rank_search custom_criterion; do
  works "$recipe" recipes
  works "options" "$recipe" --help
done

works "accuracy" eval net.mcl --data fashion-mnist --json
[ "$(keys)" = accuracy,count,error,loss,seconds ] || fail "eval's keys: $(keys)"
[ "$(value count)" = 10000 ] || fail "eval's count"
python3 -c "import json; d = json.load(open('out')); assert 0.7 < d['accuracy'] < 0.95 and abs(d['accuracy'] + d['error'] - 1) < 1e-9"

works "ratio" inspect net.mcl --json
[ "$(keys)" = bytes,dense_bytes,layers,ratio ] || fail "inspect's keys: $(keys)"
[ "$(value bytes)" = "$(stat -c %s net.mcl)" ] || fail "inspect's bytes are not the file's"
[ "$(value dense_bytes)" = 1066440 ] || fail "dense_bytes is not 4 × 266,610"
python3 - <<'PY'
import json
d = json.load(open("out"))
assert abs(d["ratio"] - d["dense_bytes"] / d["bytes"]) < 1e-9 * d["ratio"]
layer = d["layers"][0]
assert set(layer) >= {"name", "op", "shape", "representation", "density", "bits", "coder", "bytes"}, layer
assert set(layer["bytes"]) == {"dense", "packed", "coded", "file"}, layer["bytes"]
assert any(abs(l["density"] - 0.1) < 0.001 for l in d["layers"]), d["layers"]
PY

works "" verify net.mcl
works "" convert net.mcl back.bin
works "" convert net.mcl net.onnx
works "" convert net.onnx again.mcl
works "" convert net.mcl net.gguf
[ "$(head -c 4 net.gguf)" = GGUF ] || fail "net.gguf does not begin as GGUF"
[ "$(stat -c %s net.gguf)" -gt 1066440 ] || fail "net.gguf is smaller than its weights"
# Files of weights alone: compressed, compared, written; what would have to run says why it cannot
works "" convert net.mcl net.safetensors
works "" convert net.mcl net.npz
for weights in net.gguf net.safetensors net.npz; do
  works "dense 1,066,440" inspect "$weights"
  works "" magnitude "$weights" --set density=0.1 -o weights.mcl --quiet
  works "" verify weights.mcl
  works "" diff "$weights" net.mcl
  refuses 1 "no graph" eval "$weights" --data fashion-mnist
  refuses 1 "no graph" infer "$weights" --input x.npy --output y.npy
  refuses 1 "no graph" convert "$weights" weights.onnx
  refuses 1 "no graph" deep_compression "$weights" --data fashion-mnist -o x.mcl
done
works "" diff net.mcl back.bin
works "" diff net.mcl again.mcl

# infer: the same numbers from the artifact, the container and ONNX
python3 - <<'PY'
import struct
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 28, 28), }"
header += " " * (63 - (10 + len(header)) % 64) + "\n"
values = [((i * 37) % 255) / 255 for i in range(2 * 784)]
open("x.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<1568f", *values))
PY
works "" infer net.mcl --input x=x.npy --output fc3=y1.npy
works "" infer back.bin --input x.npy --output y2.npy
cmp -s y1.npy y2.npy || fail "the artifact and its container infer differently"

# --dry-run writes nothing
works "bytes" deep_compression net.bin --data fashion-mnist -o dry.mcl --dry-run
[ ! -e dry.mcl ] || fail "--dry-run wrote a file"

# --zstd wraps, and still opens
works "" magnitude net.bin -o wrapped.mcl --set density=0.1 --zstd=19 --quiet
works "" verify wrapped.mcl
works "" diff net.mcl wrapped.mcl

# The report opens without a network
grep -qE '(src|href)="(https?:)?//' report.html && fail "the report wants the network"
grep -q '<svg' report.html || fail "the report has no picture"

# Same input, same bytes
for threads in 1 2 4; do
  mcl magnitude net.bin --data fashion-mnist -o "threads$threads.mcl" --set density=0.1 --threads $threads --quiet
  cmp -s net.mcl "threads$threads.mcl" || fail "$threads threads: other bytes"
done
echo "$checks checks"
