#!/bin/sh
# Products straight from sparse and low-rank weights against products with their dense values, as an inference session runs them
set -eu
cd "$(dirname "$0")/../.."
fragment=$1
work=build/bench/compressed
mkdir -p "$work"
cc -std=gnu11 -D_GNU_SOURCE -O2 -Iinclude -Isrc tests/bench/bench_compressed.c "$MCL_BUILD/libmcl.a" \
  -lopenblas -llapacke -lzstd -lpthread -lm -o "$work/bench_compressed"
"$work/bench_compressed" >"$work/lines"
python3 - "$work/lines" "$fragment" <<'PY'
import json, sys
with open(sys.argv[1]) as lines, open(sys.argv[2], "a") as out:
    for line in lines:
        kind, share, size, batch, ours, dense, ratio, spread = line.split()
        case = f"{kind} {float(share):.0%} of {size}x{size}, batch {batch}"
        print(f"{case:40s} ours {float(ours):9.1f} us, dense {float(dense):9.1f} us, {float(ratio):5.2f}x, spread {float(spread):.0%}")
        # The session takes the compressed form below 8 % (sparse) and 50 % (low rank): there it must not lose.
        chosen = float(share) < (0.08 if kind == "sparse" else 0.5)
        out.write(json.dumps({"bench": "compressed", "case": case, "ours": float(ours), "peer": float(dense),
                              "peer_name": "dense values", "unit": "us", "ratio": float(ratio),
                              "at_least": 1.0 if chosen else None, "aim": None, "seconds": float(ours) * 1e-6}) + "\n")
PY
