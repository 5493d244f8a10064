"""Writes tests/unit/ops_values.h: what ONNX Runtime computes for every op, over a range of attributes.

    python tests/peer/ops_values.py > tests/unit/ops_values.h && clang-format -i tests/unit/ops_values.h

needs numpy, onnx and onnxruntime. Inputs are a formula that test_ops.c has too, so only outputs are stored.
"""
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper


def values(shape, k, kind):
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    v = ((i * 37 + k * 11) % 101 - 50).astype(np.float32) / np.float32(25)
    if kind in ("variance", "divisor"):
        v = np.abs(v) + np.float32(0.5)
    return v.reshape(shape).astype(np.float32)


# name, op, inputs [(shape, kind)], attributes; ONNX's op and attributes, where they differ
def window(kernel, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), ceil=0, **more):
    ours = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation, "ceil": ceil}
    theirs = {"kernel_shape": kernel, "strides": stride, "pads": pad, "dilations": dilation, "ceil_mode": ceil}
    return {**ours, **more}, {**theirs, **more}


def conv(stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    return ({"stride": stride, "pad": pad, "dilation": dilation, "groups": groups},
            {"strides": stride, "pads": pad, "dilations": dilation, "group": groups})


X, W, S, V, D = "input", "weight", "state", "variance", "divisor"
image, small = (2, 3, 7, 6), (2, 3, 4)
cases = []


def case(name, op, inputs, onnx, attributes=({}, {})):
    cases.append((name, op, inputs, onnx, attributes))


k33 = ((4, 3, 3, 3), W)
case("conv", "conv", [(image, X), k33, ((4,), W)], "Conv", conv())
case("conv without bias", "conv", [(image, X), k33], "Conv", conv())
case("conv strided, padded on one side", "conv", [(image, X), k33, ((4,), W)], "Conv", conv((2, 1), (1, 0, 2, 1)))
case("conv dilated", "conv", [(image, X), ((2, 3, 3, 2), W)], "Conv", conv((1, 2), (2, 1, 2, 1), (2, 3)))
case("conv wide padding", "conv", [((1, 1, 2, 3), X), ((2, 1, 3, 3), W)], "Conv", conv((1, 1), (3, 3, 3, 3)))
case("conv 1x1", "conv", [(image, X), ((5, 3, 1, 1), W), ((5,), W)], "Conv", conv())
case("conv 1x1 strided", "conv", [(image, X), ((5, 3, 1, 1), W)], "Conv", conv((2, 2)))
case("conv in two groups", "conv", [((2, 4, 5, 5), X), ((6, 2, 3, 3), W), ((6,), W)], "Conv", conv((1, 1), (1, 1, 1, 1), groups=2))
case("conv depthwise", "conv", [(image, X), ((3, 1, 3, 3), W), ((3,), W)], "Conv", conv((1, 1), (1, 1, 1, 1), groups=3))
case("conv depthwise, two outputs a channel", "conv", [(image, X), ((6, 1, 3, 2), W)], "Conv", conv((2, 2), (1, 0, 1, 1), (1, 2), 3))
case("linear", "linear", [((3, 5), X), ((4, 5), W), ((4,), W)], "Gemm", ({}, {"transB": 1}))
case("linear without bias", "linear", [((3, 5), X), ((4, 5), W)], "Gemm", ({}, {"transB": 1}))
case("max_pool", "max_pool", [(image, X)], "MaxPool", window((2, 2), (2, 2)))
case("max_pool overlapping, padded", "max_pool", [(image, X)], "MaxPool", window((3, 2), (2, 1), (1, 0, 1, 1)))
case("max_pool ceil", "max_pool", [(image, X)], "MaxPool", window((3, 3), (2, 2), (0, 0, 0, 0), ceil=1))
case("max_pool dilated", "max_pool", [(image, X)], "MaxPool", window((2, 2), (1, 2), (1, 1, 0, 1), (3, 2)))
case("average_pool", "average_pool", [(image, X)], "AveragePool", window((2, 3), (2, 2)))
case("average_pool padded", "average_pool", [(image, X)], "AveragePool", window((3, 3), (2, 2), (1, 1, 1, 1)))
case("average_pool counting its padding", "average_pool", [(image, X)], "AveragePool", window((3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=1))
case("average_pool ceil", "average_pool", [(image, X)], "AveragePool", window((3, 3), (2, 2), (1, 0, 1, 0), ceil=1))
case("average_pool ceil counting its padding", "average_pool", [(image, X)], "AveragePool", window((2, 2), (2, 2), (1, 1, 1, 1), ceil=1, count_include_pad=1))
case("global_average_pool", "global_average_pool", [(image, X)], "GlobalAveragePool")
case("relu", "relu", [(small, X)], "Relu")
case("leaky_relu", "leaky_relu", [(small, X)], "LeakyRelu", ({"alpha": 0.2}, {"alpha": 0.2}))
case("elu", "elu", [(small, X)], "Elu", ({"alpha": 1.5}, {"alpha": 1.5}))
case("clip", "clip", [(small, X)], "Clip", ({"min": 0.0, "max": 1.0}, {}))
case("sigmoid", "sigmoid", [(small, X)], "Sigmoid")
case("tanh", "tanh", [(small, X)], "Tanh")
case("gelu", "gelu", [(small, X)], "Gelu")
case("gelu by tanh", "gelu", [(small, X)], "Gelu", ({"tanh": 1}, {"approximate": "tanh"}))
case("silu", "silu", [(small, X)], "silu")
case("softmax", "softmax", [(small, X)], "Softmax", ({"axis": -1}, {"axis": -1}))
case("softmax of a middle axis", "softmax", [(small, X)], "Softmax", ({"axis": 1}, {"axis": 1}))
case("log_softmax", "log_softmax", [(small, X)], "LogSoftmax", ({"axis": 2}, {"axis": 2}))
bn = [((3,), W), ((3,), W), ((3,), S), ((3,), V)]
case("batch_norm", "batch_norm", [((2, 3, 2, 3), X)] + bn, "BatchNormalization", ({"epsilon": 1e-3}, {"epsilon": 1e-3}))
case("batch_norm of rows", "batch_norm", [((4, 3), X)] + bn, "BatchNormalization")
case("layer_norm", "layer_norm", [(small, X), ((4,), W), ((4,), W)], "LayerNormalization")
case("layer_norm of two axes", "layer_norm", [(small, X), ((3, 4), W)], "LayerNormalization", ({"axis": 1, "epsilon": 1e-2}, {"axis": 1, "epsilon": 1e-2}))
case("dropout when inferring", "dropout", [(small, X)], "Dropout")
case("add", "add", [(small, X), (small, X)], "Add")
case("add of a row", "add", [(small, X), ((4,), W)], "Add")
case("sub of a column", "sub", [(small, X), ((3, 1), W)], "Sub")
case("sub from a scalar", "sub", [((1,), W), (small, X)], "Sub")
case("mul both ways", "mul", [((2, 3, 1), X), ((1, 1, 4), W)], "Mul")
case("mul by channel", "mul", [((2, 3, 2, 2), X), ((3, 1, 1), W)], "Mul")
case("div", "div", [(small, X), (small, D)], "Div")
case("div by a row", "div", [(small, X), ((1, 1, 4), D)], "Div")
case("concat of channels", "concat", [((2, 1, 3), X), ((2, 2, 3), X), ((2, 1, 3), X)], "Concat", ({"axis": 1}, {"axis": 1}))
case("concat of the last axis", "concat", [((2, 2, 1), X), ((2, 2, 3), X)], "Concat", ({"axis": -1}, {"axis": -1}))
case("reshape", "reshape", [(small, X)], "Reshape", ({"shape": (0, -1, 2)}, {}))
case("flatten", "flatten", [(small, X)], "Flatten", ({"axis": 1}, {"axis": 1}))
case("transpose", "transpose", [((2, 3, 2, 2), X)], "Transpose", ({"perm": (0, 2, 3, 1)}, {"perm": (0, 2, 3, 1)}))
case("identity", "identity", [(small, X)], "Identity")
case("matmul by a matrix", "matmul", [(small, X), ((4, 2), W)], "MatMul")
case("matmul of stacks", "matmul", [((2, 2, 2, 3), X), ((2, 2, 3, 2), X)], "MatMul")


def run(op, onnx, arrays, attributes):
    if onnx == "silu":
        x = arrays[0].astype(np.float64)
        return (x / (1 + np.exp(-x))).astype(np.float32)
    names = [f"i{k}" for k in range(len(arrays))]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in zip(names, arrays)]
    initializers = []
    if onnx == "Clip":
        for bound, v in (("lo", 0.0), ("hi", 1.0)):
            initializers.append(helper.make_tensor(bound, TensorProto.FLOAT, [], [v]))
        names += ["lo", "hi"]
    if onnx == "Reshape":
        initializers.append(helper.make_tensor("shape", TensorProto.INT64, [3], [0, -1, 2]))
        names += ["shape"]
    node = helper.make_node(onnx, names, ["y"], **attributes)
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {f"i{k}": a for k, a in enumerate(arrays)})[0]


def c_attribute(name, value):
    if isinstance(value, float):
        return f'{{"{name}", {{0, {{0}}, {value!r}}}}}'
    ints = value if isinstance(value, tuple) else (value,)
    return f'{{"{name}", {{{len(ints)}, {{{", ".join(map(str, ints))}}}, 0}}}}'


print("/* Made by tests/peer/ops_values.py with ONNX Runtime", ort.__version__, "*/")
tables = []
for number, (name, op, inputs, onnx, (ours, theirs)) in enumerate(cases):
    arrays = [values(shape, k, kind) for k, (shape, kind) in enumerate(inputs)]
    y = np.asarray(run(op, onnx, arrays, theirs))
    print(f"static const float expected_{number}[] = {{", ", ".join(f"{v:.9g}f" if "." in f"{v:.9g}" or "e" in f"{v:.9g}" else f"{v:.9g}" for v in y.flatten()), "};")
    ins = ", ".join(f"{{{kind.upper()}, {{{len(shape)}, {{{', '.join(map(str, shape))}}}}}}}" for shape, kind in inputs)
    attributes = ", ".join(c_attribute(k, v) for k, v in ours.items()) or "{NULL, {0, {0}, 0}}"
    tables.append(f'{{"{name}", "{op}", {len(inputs)}, {{{ins}}}, {{{attributes}}}, {{{y.ndim}, {{{", ".join(map(str, y.shape)) or 0}}}}}, expected_{number}}}')
print("static const op_case op_cases[] = {", ",\n".join(tables), "};")
