"""Sums up what deep_compression.sh measured of one net on one data set:
deep_compression.py CASE NET DATA EPOCHS MORE_EPOCHS FRAGMENT SEED…"""
import json
import math
import os
import re
import statistics
import sys

case, net, data, epochs, more, fragment, *seeds = sys.argv[1:]


def load(what):
    return [json.load(open(f"{case}-{seed}.{what}.json", encoding="utf-8")) for seed in seeds]


# Han et al. 2016, on MNIST: error before and after, bytes, and what each layer kept and its bits.
paper = {
    "lenet300": {"error": (0.0164, 0.0158), "bytes": 27e3, "layers": {"fc1": (8, 6), "fc2": (9, 6), "fc3": (26, 6)}},
    "lenet5": {"error": (0.0080, 0.0074), "bytes": 44e3,
               "layers": {"conv1": (66, 8), "conv2": (12, 8), "fc1": (8, 5), "fc2": (19, 5)}},
}[net]
aims = {("lenet300", "mnist"): 60, ("lenet5", "mnist"): 80}  # times smaller; at least: as small as the paper's

dense, control, compressed, info, seconds = (load(what) for what in ("dense", "control", "compressed", "inspect", "seconds"))
for seed, inspected in zip(seeds, info):
    assert inspected["bytes"] == os.path.getsize(f"{case}-{seed}.mcl")


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}} … {max(values):{form}})"


def percent(runs):
    return spread([100 * run["error"] for run in runs], ".2f")


def error(runs):
    return statistics.median(run["error"] for run in runs)


ratios = [one["ratio"] for one in info]
ratio, theirs = statistics.median(ratios), info[0]["dense_bytes"] / paper["bytes"]
total = [one["training"] + one["compression"] for one in seconds]
promised = data == "mnist"  # Fashion-MNIST is reported, without a target
title = f"{net} {data}"
print(f"{title}: {len(seeds)} seeds, median (least … most)")
print(f"  bytes {spread([one['bytes'] for one in info], '.0f')}, size ratio {spread(ratios, '.1f')}, paper {theirs:.1f} on MNIST, "
      f"ours / paper {ratio / theirs:.2f}")
print(f"  test error %: dense, {epochs} epochs {percent(dense)}; compressed, {epochs} + {more} epochs {percent(compressed)}; "
      f"control, dense, {int(epochs) + int(more)} epochs {percent(control)}" + (f"; paper {100 * paper['error'][0]:.2f} → {100 * paper['error'][1]:.2f}" if promised else ""))
gaps = [100 * (a["error"] - b["error"]) for a, b in zip(compressed, control)]
held = "held" if error(compressed) <= error(control) else "NOT held"
print(f"  compressed less control, points: {spread(gaps, '+.2f')}: the control's error is {held}")
print(f"  seconds: training {spread([one['training'] for one in seconds], '.0f')}, compression {spread([one['compression'] for one in seconds], '.0f')}")
if promised:
    print(f"  {'layer':8} {'kept, paper':>12} {'kept, ours':>12} {'bits, paper':>12} {'bits, ours':>12}   (seed {seeds[0]})")
    for layer in info[0]["layers"]:
        node = layer["name"].split(".")[0]
        if layer["name"].endswith(".weight") and node in paper["layers"]:
            kept, bits = paper["layers"][node]
            palette = re.search(r"palette (\d+)", layer["representation"])
            ours = math.ceil(math.log2(int(palette.group(1)))) if palette else 32
            print(f"  {node:8} {kept:10} % {100 * layer['density']:10.1f} % {bits:12} {ours:12}")


def row(what, ours, peer, peer_name, unit, oriented, at_least, aim, values):
    return json.dumps({"bench": "deep_compression", "case": f"{title} {what}", "ours": ours, "peer": peer, "peer_name": peer_name,
                       "unit": unit, "ratio": oriented, "at_least": at_least, "aim": aim, "seconds": statistics.median(total),
                       "seeds": len(seeds), "least": min(values), "most": max(values)})


least = 1.0 if promised else None
with open(fragment, "a", encoding="utf-8") as out:
    print(row("size", ratio, theirs, "Han et al. 2016", "dense bytes / file bytes", ratio / theirs, least,
              aims[net, data] / theirs if promised else None, ratios), file=out)
    if promised:
        print(row("dense error", error(dense), paper["error"][0], "Han et al. 2016", "fraction", paper["error"][0] / max(error(dense), 1e-9),
                  1.0, 1.0, [one["error"] for one in dense]), file=out)
    print(row("error against a control trained as long", error(compressed), error(control), "the same net, dense", "fraction",
              error(control) / max(error(compressed), 1e-9), least, least, [one["error"] for one in compressed]), file=out)
    print(row("time limit", statistics.median(total), 600, "a limit, no peer", "seconds", 600 / statistics.median(total), least, least, total),
          file=out)
