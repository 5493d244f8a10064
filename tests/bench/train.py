"""Training speed against PyTorch: train.py BENCH_TRAIN FRAGMENT. The two sides take turns; in each of its rounds a side
trains two epochs, of which the second is timed, and the best round of each counts. Both gather shuffled batches of 64 of the
same f32 images from memory, and step SGD with momentum; both have two threads."""

import json
import subprocess
import sys
import time

import torch

THREADS, BATCH, ROUNDS = 2, 64, 5
NETS = {
    "lenet300": ("LeNet-300-100", 30016, 1.5),
    "lenet5": ("LeNet-5", 6400, 2.5),
}


def network(name):
    nn = torch.nn
    if name == "lenet300":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(),
                             nn.Linear(100, 10))
    return nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


class Peer:
    def __init__(self, name, rows):
        torch.manual_seed(1)
        self.rows = rows
        self.model = network(name)
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.x = torch.rand(rows, 1, 28, 28)
        self.y = torch.randint(0, 10, (rows,))

    def round(self):
        self.epoch()
        return self.epoch()

    def epoch(self):
        start = time.perf_counter()
        order = torch.randperm(self.rows)
        for at in range(0, self.rows, BATCH):
            index = order[at:at + BATCH]
            self.optimiser.zero_grad()
            torch.nn.functional.cross_entropy(self.model(self.x[index]), self.y[index]).backward()
            self.optimiser.step()
        return self.rows / (time.perf_counter() - start)


def main(program, fragment):
    torch.set_num_threads(THREADS)
    print("train: images/s, batch 64, 2 threads each              ours  PyTorch ratio spread")
    for name, (title, rows, aim) in NETS.items():
        start = time.time()
        peer = Peer(name, rows)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            run = subprocess.run([program, name, str(rows), str(THREADS)], check=True, capture_output=True, text=True)
            ours.append(float(run.stdout.split()[0]))
            theirs.append(peer.round())
        best, other = max(ours), max(theirs)
        spread = (best - min(ours)) / best
        print(f"  {title:<48} {best:8.0f} {other:8.0f} {best / other:5.2f} {spread:6.2f}", flush=True)
        row = {"bench": "train", "case": title, "ours": best, "peer": other, "peer_name": "PyTorch " + torch.__version__,
               "unit": "images/s", "ratio": best / other, "at_least": 1.0, "aim": aim,
               "threads": THREADS, "peer_threads": torch.get_num_threads(), "rounds": ROUNDS, "seconds": time.time() - start}
        with open(fragment, "a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


main(*sys.argv[1:])
