"""Has ggml's own package, gguf, read what mcl writes, and write again the file that the unit test reads.

    python tests/peer/gguf_check.py build/release/mcl

Each net is converted to .gguf and to .npz: names, shapes, values, metadata and alignment must be the same in both.
"""
import glob
import os
import subprocess
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from onnx_tools import mcl

METADATA = {"general.architecture": "mcl", "general.alignment": 32, "general.file_type": 0}


def complaint(path, archive):
    """What is wrong with the file, or None."""
    reader, expected = GGUFReader(path), np.load(archive)
    for key, value in METADATA.items():
        field = reader.get_field(key)
        if field is None or field.contents() != value:
            return f"{key} is not {value}"
    if not reader.get_field("general.name").contents():
        return "general.name is empty"
    if [tensor.name for tensor in reader.tensors] != expected.files:
        return "names differ"
    for tensor in reader.tensors:
        values = expected[tensor.name]
        if tensor.tensor_type != GGMLQuantizationType.F32 or tensor.data_offset % 32:
            return f"{tensor.name} is not f32, or not aligned"
        if tuple(reversed(tensor.shape.tolist())) != values.shape or tensor.data.tobytes() != values.tobytes():
            return f"{tensor.name} differs"
    end = reader.tensors[-1].data_offset + reader.tensors[-1].n_bytes
    return None if (end + 31) // 32 * 32 == os.path.getsize(path) else "does not end after its last tensor"


def main():
    program, work = sys.argv[1], "build/peer/gguf"
    os.makedirs(work, exist_ok=True)
    nets = sorted(glob.glob("examples/models/*.lua") + glob.glob("tests/data/onnx/*.onnx"))
    agree = 0
    for net in nets:
        # both come from one file: an architecture's weights are drawn anew each time it is opened without a seed
        stem = os.path.join(work, os.path.basename(net))
        steps = [(net, stem + ".bin"), (stem + ".bin", stem + ".gguf"), (stem + ".bin", stem + ".npz")]
        failures = [message for done, message in (mcl(program, "convert", *step) for step in steps) if not done]
        wrong = failures[0] if failures else complaint(stem + ".gguf", stem + ".npz")
        agree += not wrong
        print(f"{net}: {wrong or 'agrees'}")
    again = os.path.join(work, "ggml.gguf")
    subprocess.run([sys.executable, "tests/peer/gguf_data.py", again], check=True)
    same = open(again, "rb").read() == open("tests/data/ggml.gguf", "rb").read()
    print(f"tests/data/ggml.gguf, made again by gguf: {'the same bytes' if same else 'DIFFERS'}")
    print(f"GGUF: {agree} of {len(nets)} nets agree; {int(same)} of 1 files is the same")
    return 0 if agree == len(nets) and same else 1


if __name__ == "__main__":
    sys.exit(main())
