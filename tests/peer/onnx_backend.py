"""Runs ONNX's own backend tests (they come in the wheel of onnx 1.17), all of them: models, inputs, outputs.

    python tests/peer/onnx_backend.py build/release/mcl [-v]

Each test passes, fails, or is refused, by mcl with a reason or because its values are no tensors; the three add up to all tests. All
outputs are compared. Where a test has several inputs it is run once more with all but the first as initializers, as real
models have them; and what mcl exports is checked by onnx and run by ONNX Runtime. These two are counted apart.
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
from onnx_tools import Crash, error, infer, mcl, wheel

TOLERANCE = 1e-5
SUITES = "node", "pytorch-converted", "pytorch-operator", "simple"


class NoTensors(Exception):
    """A test over sequences, optionals or texts."""


def load(folder, kind, values):
    """The arrays of a test; bfloat16, which the tests store as bare 16 bits, as the floats that they are."""
    paths = glob.glob(f"{folder}/test_data_set_0/{kind}_*.pb")
    paths.sort(key=lambda path: int(path.split("_")[-1][:-3]))
    arrays = []
    for path in paths:
        try:
            arrays.append(numpy_helper.to_array(onnx.load_tensor(path)))
        except Exception as complaint:
            raise NoTensors from complaint
        if arrays[-1].dtype == object:
            raise NoTensors
    for i, value in enumerate(values[:len(arrays)]):
        if value.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16 and arrays[i].dtype == np.uint16:
            arrays[i] = (arrays[i].astype(np.uint32) << 16).view(np.float32)
    return arrays


def as_it_is(model, inputs):
    given = {tensor.name for tensor in model.graph.initializer}
    return model, [value.name for value in model.graph.input if value.name not in given], inputs


def with_constants(model, inputs):
    _, names, _ = as_it_is(model, inputs)
    constant = onnx.ModelProto()
    constant.CopyFrom(model)
    del constant.graph.input[:]
    constant.graph.input.append(next(value for value in model.graph.input if value.name == names[0]))
    constant.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in zip(names[1:], inputs[1:]))
    return constant, names[:1], inputs[:1]


def reason_of(message):
    """What was refused, without the names and numbers of this test."""
    op = re.search(r"\bop ([\w.]+) is not supported; ", message)
    if op:
        return f"op {op[1]} is not supported"
    message = re.sub(r"^.*?\.onnx: ", "", message.split("\n")[0])
    message = re.sub(r'node "[^"]*"(, which computes "[^"]*")?: ', "", message)
    return re.sub(r'"[^"]*"|\b[0-9][0-9.x]*', "…", message)[:100]


def outcome(program, path, model, names, inputs, expected):
    """("passed" or "failed" or "refused", why)"""
    if not names:
        return "refused", "the model has no inputs, and mcl infer wants one"
    onnx.save(model, path)
    outputs = [value.name for value in model.graph.output]
    try:
        ours = infer(program, path, names + outputs, inputs, path, len(outputs))
    except Crash as crash:
        return "failed", str(crash)
    if isinstance(ours, str):
        return "refused", ours
    if len(expected) != len(outputs):
        return "failed", f"{len(outputs)} outputs, {len(expected)} expected"
    gaps = [error(a, b) for a, b in zip(ours, expected)]
    return ("passed", "") if max(gaps, default=0) <= TOLERANCE else ("failed", f"differs by {max(gaps):.3g}")


def export_outcome(program, path, inputs, expected):
    exported = path.replace(".onnx", ".mcl.onnx")
    done, message = mcl(program, "convert", path, exported)
    if not done:
        return "refused", message
    try:
        onnx.checker.check_model(onnx.load(exported), full_check=True)
        session = onnxruntime.InferenceSession(exported)
        feeds = {value.name: array.astype(np.float32) for value, array in zip(session.get_inputs(), inputs)}
        gaps = [error(a, b) for a, b in zip(session.run(None, feeds), expected)]
    except Exception as complaint:
        return "failed", str(complaint)[:200]
    return ("passed", "") if max(gaps) <= TOLERANCE else ("failed", f"differs by {max(gaps):.3g} as ONNX Runtime runs the export")


def count(counts, kind, name, result, verbose):
    counts[kind, result[0]] += 1
    if result[0] == "failed" or verbose and result[0] == "refused":
        print(f"{result[0].upper():8} {name} ({kind}): {result[1][:200]}")


def run(program, root, work, verbose):
    counts, reasons = collections.Counter(), collections.Counter()
    for folder in sorted(folder for suite in SUITES for folder in glob.glob(f"{root}/{suite}/*")):
        name = os.path.basename(folder)
        model = onnx.load(folder + "/model.onnx")
        try:
            inputs, expected = load(folder, "input", model.graph.input), load(folder, "output", model.graph.output)
        except NoTensors:
            count(counts, "tests", name, ("refused", "values that are no tensors of numbers"), verbose)
            reasons["values that are no tensors of numbers"] += 1
            continue
        path = f"{work}/{name}.onnx"
        result = outcome(program, path, *as_it_is(model, inputs), expected)
        count(counts, "tests", name, result, verbose)
        if result[0] == "refused":
            reasons[reason_of(result[1])] += 1
        if result[0] == "passed":
            count(counts, "exports", name, export_outcome(program, path, inputs, expected), verbose)
        if len(inputs) > 1:
            path = f"{work}/{name}.constants.onnx"
            try:
                variant = with_constants(model, inputs)
            except ValueError:  # onnx 1.17 writes no constant of one 4-bit integer
                continue
            count(counts, "constants", name, outcome(program, path, *variant, expected), verbose)
    return counts, reasons


def summary(counts, kind):
    passed, failed, refused = (counts[kind, word] for word in ("passed", "failed", "refused"))
    return f"{passed} passed, {failed} failed, {refused} refused of {passed + failed + refused}"


def main():
    program, verbose = sys.argv[1], "-v" in sys.argv
    root = wheel("onnx==1.17.0", "build/peer") + "/onnx/backend/test/data"
    work = "build/peer/backend"
    os.makedirs(work, exist_ok=True)
    onnxruntime.set_default_logger_severity(3)
    counts, reasons = run(program, root, work, verbose)
    print("refused, by reason:")
    for reason, times in reasons.most_common():
        print(f"  {times:4}  {reason}")
    print(f"ONNX backend tests: {summary(counts, 'tests')}")
    print(f"with constants for all inputs but the first: {summary(counts, 'constants')}")
    print(f"exports of those that passed: {summary(counts, 'exports')}")
    return 1 if any(word == "failed" and times for (_, word), times in counts.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
