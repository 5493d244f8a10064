"""Runs ONNX's own backend tests (they come in the wheel of onnx 1.17) for the ops that mcl reads: models, inputs, outputs.

    python tests/peer/onnx_backend.py build/release/mcl [-v]

Each is run as it is, and, where it has several inputs, with all but the first as initializers, as real models have
them. Then each is exported again, checked by onnx, run by ONNX Runtime. A test that mcl refuses by name is counted apart.
"""
import collections
import glob
import os
import re
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx_tools import error, infer, mcl, wheel

TOLERANCE = 1e-5
NARROW = "FLOAT16|BFLOAT16"  # casts to narrower floats are computed in f32 here: more digits than the test expects


def supported_ops():
    source = open(os.path.join(os.path.dirname(__file__), "../../src/formats/onnx_ops.c")).read()
    return set(re.findall(r'^    \{"([A-Za-z]+)", \d', source, re.M)) | {"Erf"}


def load(folder, kind):
    paths = glob.glob(f"{folder}/test_data_set_0/{kind}_*.pb")
    paths.sort(key=lambda path: int(path.split("_")[-1][:-3]))
    return [numpy_helper.to_array(onnx.load_tensor(path)) for path in paths]


def variants(model, inputs):
    given = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in given]
    del model.graph.output[1:]
    yield "as it is", model, names, inputs
    if len(inputs) > 1:
        constant = onnx.ModelProto()
        constant.CopyFrom(model)
        del constant.graph.input[:]
        constant.graph.input.append(next(value for value in model.graph.input if value.name == names[0]))
        constant.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in zip(names[1:], inputs[1:]))
        yield "constants", constant, names[:1], inputs[:1]


def check_export(program, path, names, inputs, expected):
    exported = path.replace(".onnx", ".mcl.onnx")
    done, message = mcl(program, "convert", path, exported)
    if not done:
        return "refused: " + message
    try:
        onnx.checker.check_model(onnx.load(exported), full_check=True)
    except Exception as complaint:
        return str(complaint)
    session = onnxruntime.InferenceSession(exported)
    feeds = {value.name: array.astype(np.float32) for value, array in zip(session.get_inputs(), inputs)}
    gap = error(session.run(None, feeds)[0], expected)
    return None if gap <= TOLERANCE else f"differs by {gap:.3g} as ONNX Runtime runs the export"


def run(program, root, work, verbose):
    counts, refusals = collections.Counter(), collections.Counter()
    ops = supported_ops()
    for folder in sorted(glob.glob(root + "/node/*") + glob.glob(root + "/pytorch-*/*") + glob.glob(root + "/simple/*")):
        name = os.path.basename(folder)
        model = onnx.load(folder + "/model.onnx")
        if not {node.op_type for node in model.graph.node} <= ops or re.search(NARROW, name):
            continue
        try:
            inputs, outputs = load(folder, "input"), load(folder, "output")
        except Exception:  # sequences and optionals are no tensors
            continue
        if any(array.dtype == np.float64 and np.abs(array).max(initial=0) > 1e30 for array in inputs):
            continue  # beyond f32
        for kind, variant, names, arrays in variants(model, inputs):
            path = f"{work}/{name}.{kind.replace(' ', '_')}.onnx"
            onnx.save(variant, path)
            ours = infer(program, path, names + [variant.graph.output[0].name], arrays, path)
            if isinstance(ours, str):
                counts["refused"] += 1
                refusals[re.sub(r'.*?: (node [^:]*: )?', "", ours, count=1)[:60]] += 1
                if verbose:
                    print(f"refused  {name} ({kind}): {ours[:200]}")
                continue
            counts["run"] += 1
            gap = error(ours[0], outputs[0])
            if gap > TOLERANCE:
                counts["wrong"] += 1
                print(f"WRONG    {name} ({kind}): differs by {gap:.3g}")
            complaint = check_export(program, path, names, arrays, outputs[0])
            counts["exported"] += not (complaint or "").startswith("refused")
            if complaint and not complaint.startswith("refused"):
                counts["wrong exports"] += 1
                print(f"EXPORT   {name} ({kind}): {complaint}")
            counts["exports"] += not complaint
    return counts


def main():
    program, verbose = sys.argv[1], "-v" in sys.argv
    root = wheel("onnx==1.17.0", "build/peer") + "/onnx/backend/test/data"
    work = "build/peer/backend"
    os.makedirs(work, exist_ok=True)
    onnxruntime.set_default_logger_severity(3)
    counts = run(program, root, work, verbose)
    print(f"ONNX backend tests: {counts['run']} run, {counts['run'] - counts['wrong']} agree; {counts['exports']} exports agree of {counts['exported']}; "
          f"{counts['refused']} refused by name; {counts['wrong'] + counts['wrong exports']} wrong")
    return 1 if counts["wrong"] + counts["wrong exports"] else 0


if __name__ == "__main__":
    sys.exit(main())
