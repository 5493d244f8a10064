"""Makes tests/data/onnx: small models by PyTorch's exporters, and what ONNX Runtime computes with them.

    python tests/peer/onnx_data.py tests/data/onnx      (torch 2.15, onnx 1.23, onnxruntime 1.32)
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn


class LeNet(nn.Module):
    """x.view(len, -1), which the exporter spells by shapes; max pools; log softmax."""

    shape = (1, 12, 12)

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.fc1 = nn.Linear(54, 20)
        self.fc2 = nn.Linear(20, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2, ceil_mode=True)
        x = torch.relu(self.conv2(x))
        x = x.view(x.size(0), -1)
        return torch.log_softmax(self.fc2(torch.relu(self.fc1(x))), 1)


class Residual(nn.Module):
    """Batch norm, groups, dilation, a residual, ReLU6, average pools, SiLU."""

    shape = (3, 9, 9)

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6)
        self.head = nn.Linear(6, 4)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = nn.functional.relu6(self.conv1(self.norm(x)))
        x = x + nn.functional.leaky_relu(self.depthwise(x), 0.1)
        x = nn.functional.avg_pool2d(nn.functional.silu(x), 3, 2, 1)
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Attention(nn.Module):
    """Linear layers of sequences, layer norm, softmax, products of computed matrices, GELU by its error function."""

    shape = (5, 8)

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8))

    def forward(self, x):
        y = self.norm(x)
        scores = self.q(y) @ self.k(y).transpose(1, 2) / 8**0.5
        x = x + torch.softmax(scores, -1) @ self.v(y)
        return x + self.mlp(torch.tanh(x))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for model, opset, dynamo in ((LeNet(), 13, False), (Residual(), 18, True), (Attention(), 17, False)):
        torch.manual_seed(1)
        model.eval()
        name = os.path.join(folder, type(model).__name__.lower())
        example = torch.randn(2, *model.shape)
        options = {"dynamic_shapes": ({0: "n"},)} if dynamo else {"dynamic_axes": {"image": {0: "n"}}}
        torch.onnx.export(model, (example,), name + ".onnx", input_names=["image"], output_names=["score"],
                          opset_version=opset, dynamo=dynamo, external_data=False, **options)
        exported = onnx.load(name + ".onnx")
        for node in exported.graph.node:  # comments and stack traces are half of the file
            node.ClearField("doc_string")
            node.ClearField("metadata_props")
        exported.ClearField("metadata_props")
        exported.graph.ClearField("metadata_props")
        exported.graph.ClearField("value_info")
        onnx.save(exported, name + ".onnx")
        x = torch.randn(3, *model.shape).numpy()
        y = onnxruntime.InferenceSession(name + ".onnx").run(None, {"image": x})[0]
        np.savez(name + ".npz", x=x, y=y)


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1])
