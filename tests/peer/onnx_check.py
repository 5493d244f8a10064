"""Compares mcl with ONNX Runtime on whole nets: ours by PyTorch's exporters, and one that a package ships.

    python tests/peer/onnx_check.py build/release/mcl

For each: the net as mcl runs it, and mcl's export as ONNX Runtime runs it, within 1e-5 of ONNX Runtime on the original.
"""
import glob
import importlib.util
import logging
import os
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx_tools import error, infer, mcl, wheel
from torch import nn

TOLERANCE = 1e-5


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
                                  nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def has(module):
    return importlib.util.find_spec(module) is not None


def nets():
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    lenet = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
    resnet = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
    encoder = nn.Sequential(nn.Linear(12, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 5))
    for name, net, shape in (("mlp", mlp, (1, 28, 28)), ("lenet5", lenet, (1, 28, 28)), ("resnet", resnet, (3, 32, 32)),
                             ("encoder", encoder, (7, 12))):
        exporters = [(13 if name != "encoder" else 17, False)] + [(20, True)] * has("onnxscript")  # of torch.onnx: old, new
        for opset, dynamo in exporters:
            yield f"{name}, opset {opset}{', torch.export' if dynamo else ''}", net.eval(), shape, opset, dynamo


def check(program, title, path, x):
    theirs = onnxruntime.InferenceSession(path)
    expected = theirs.run(None, {theirs.get_inputs()[0].name: x})[0]
    names = [theirs.get_inputs()[0].name, theirs.get_outputs()[0].name]
    ours = infer(program, path, names, [x], path)
    if isinstance(ours, str):
        return f"{title}: refused: {ours}"
    exported = path.replace(".onnx", ".mcl.onnx")
    done, message = mcl(program, "convert", path, exported)
    if not done:
        return f"{title}: not exported: {message}"
    onnx.checker.check_model(onnx.load(exported), full_check=True)
    again = onnxruntime.InferenceSession(exported)
    if [again.get_inputs()[0].name, again.get_outputs()[0].name] != names:
        return f"{title}: the export has other names than {names}"
    gaps = error(ours[0], expected), error(again.run(None, {names[0]: x})[0], expected)
    print(f"{title:36} mcl {gaps[0]:.1e}   export {gaps[1]:.1e}")
    return None if max(gaps) <= TOLERANCE else f"{title}: differs by {max(gaps):.3g}"


def main():
    program, work = sys.argv[1], "build/peer/nets"
    os.makedirs(work, exist_ok=True)
    onnxruntime.set_default_logger_severity(3)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    complaints = []
    for title, net, shape, opset, dynamo in nets():
        path = os.path.join(work, title.replace(", ", "_").replace(" ", "") + ".onnx")
        options = {"dynamic_shapes": ({0: "n"},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(net, (torch.randn(2, *shape),), path, input_names=["x"], output_names=["y"], opset_version=opset,
                          dynamo=dynamo, external_data=dynamo, verbose=False, **options)
        complaints.append(check(program, title, path, np.random.default_rng(1).standard_normal((3, *shape), np.float32)))
    # MobileNet-like, by PaddlePaddle's exporter: 53 convolutions, batch norm, hard swish, shapes computed in the graph
    source = glob.glob(wheel("rapidocr-onnxruntime==1.4.4", "build/peer") + "/**/*cls_infer.onnx", recursive=True)[0]
    model = onnx.load(source)
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, ("n", 3, 48, 192)):
        dim.Clear()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size
    path = work + "/text_direction.onnx"
    onnx.save(model, path)
    x = np.random.default_rng(2).standard_normal((2, 3, 48, 192), np.float32)
    complaints.append(check(program, "text direction (PP-OCR)", path, x))
    wrong = [complaint for complaint in complaints if complaint]
    print("\n".join(wrong + [f"whole nets: {len(complaints) - len(wrong)} of {len(complaints)} agree with ONNX Runtime within 1e-5"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
