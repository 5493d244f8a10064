#!/bin/sh
# The examples run: sh examples.sh, with MCL (the program) and MCL_BUILD (the build folder) in the environment.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
MCL=$(realpath "$MCL")
MCL_BUILD=$(realpath "$MCL_BUILD")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$MCL" train "$source/examples/models/lenet300.lua" --data fashion-mnist --set epochs=1 -o net.bin --quiet
"$MCL" magnitude net.bin -o net.mcl --set density=0.5 --quiet

# The first test image as PGM, an ankle boot, which a net after one epoch knows well; then the compressed net, which must say
# what `mcl infer` says.
{ printf 'P5 28 28 255\n'; zcat /usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz | tail -c +17 | head -c 784; } >boot.pgm
"$MCL_BUILD/examples/classify" net.bin boot.pgm | tee classify.out
grep -q '^class 9, .*; 0 allocations while running' classify.out
python3 - <<'PY'
import struct
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }"
header += " " * (63 - (10 + len(header)) % 64) + "\n"
pixels = [b / 255 for b in open("boot.pgm", "rb").read()[-784:]]
open("x.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<784f", *pixels))
PY
"$MCL" infer net.mcl --input x.npy --output y.npy
expected=$(python3 -c "
import struct
scores = struct.unpack('<10f', open('y.npy', 'rb').read()[-40:])
print('class %d, score %.3f;' % (scores.index(max(scores)), max(scores)))")
"$MCL_BUILD/examples/classify" net.mcl boot.pgm | tee classify.out
grep -q "^$expected 0 allocations while running" classify.out
if "$MCL_BUILD/examples/classify" boot.pgm boot.pgm 2>refused.out; then echo "an image was taken for a model"; exit 1; fi
grep -q 'boot.pgm' refused.out

# Weights by name: of a net, and of a file that has nothing else. What one holds is what `mcl convert` to .npz says.
"$MCL_BUILD/examples/weights" net.mcl | tee weights.out
grep -q '^fc1.weight 300x784$' weights.out
"$MCL" convert net.mcl only.npz >/dev/null
"$MCL" convert only.npz only.mcl >/dev/null
for file in net.mcl only.mcl; do
  "$MCL_BUILD/examples/weights" $file fc1.weight | tee -a weights.out
done
[ "$(grep -c '^fc1.weight: 235200 values, mean .* 117600 of them zero$' weights.out)" = 2 ]
if "$MCL_BUILD/examples/weights" net.mcl fc9.weight 2>refused.out; then echo "a weight was found that there is not"; exit 1; fi
grep -q '"fc9.weight"' refused.out
