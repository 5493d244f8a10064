"""NumPy's side of the criterion benchmark.

criterion.py make DIR         writes w.npy (10000 x 10000 normal floats) and s.npy (10000)
criterion.py run DIR ROUNDS   prints a line a round: seconds of the scores, of threshold and mask, kept, sum of the kept
"""
import sys
import time

import numpy as np

task, directory = sys.argv[1:3]
if task == "make":
    random = np.random.default_rng(1)
    np.save(directory + "/w.npy", random.standard_normal((10000, 10000), dtype=np.float32))
    np.save(directory + "/s.npy", random.random(10000, dtype=np.float32) + np.float32(0.1))
else:
    w, s = np.load(directory + "/w.npy"), np.load(directory + "/s.npy")
    keep = w.size * 3 // 10
    for _ in range(int(sys.argv[3])):
        began = time.perf_counter()
        scores = np.abs(w) * s
        scored = time.perf_counter()
        threshold = np.partition(scores.ravel(), w.size - keep)[w.size - keep]
        mask = scores >= threshold
        ended = time.perf_counter()
        print(f"{scored - began:.6f} {ended - scored:.6f} {np.count_nonzero(mask)} {(scores * mask).sum(dtype=np.float64):.9g}")
