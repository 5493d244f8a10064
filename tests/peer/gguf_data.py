"""Makes tests/data/ggml.gguf, which test_gguf.c reads, with the package gguf (0.19): every type that mcl reads.

    python tests/peer/gguf_data.py tests/data/ggml.gguf

The values in blocks are such that their quantisation is exact, so the test knows them by the same formulas.
"""
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T


def q8(rows, columns):
    """Each block of 32 begins with -127, so its scale is 2^-(2 row + block)."""
    r, c = np.indices((rows, columns))
    q = np.where(c % 32 == 0, -127, c * 37 % 255 - 127)
    return (q * 2.0 ** -(2 * r + c // 32)).astype(np.float32)


def q4(scales):
    """All of -8 … 7 in each row; ggml's scale is the largest magnitude, with its sign, over -8."""
    c = np.arange(32)
    return np.stack([scale * ((c * 5 + r) % 16 - 8) for r, scale in enumerate(scales)]).astype(np.float32)


def add(writer, name, values, kind):
    data = gguf.quants.quantize(values, kind)
    if kind != T.BF16:
        assert (gguf.quants.dequantize(data, kind) == values).all(), name
    writer.add_tensor(name, data, raw_dtype=kind)


def main():
    writer = gguf.GGUFWriter(sys.argv[1], "test")
    writer.add_name("größe")
    writer.add_custom_alignment(64)
    writer.add_bool("test.yes", True)
    writer.add_uint8("test.u8", 200)
    writer.add_int64("test.i64", -5)
    writer.add_float64("test.f64", 0.5)
    writer.add_array("test.words", ["one", "", "three"])
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_array("test.nested", [[1, 2], [3]])
    writer.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3) / 4)
    writer.add_tensor("images", np.arange(24, dtype=np.float32).reshape(2, 1, 3, 4))
    writer.add_tensor("f16", np.array([1, -2, 65504, 2.0**-24], np.float16))
    add(writer, "bf16", np.array([[1, -2, 3.0e38, 0.15625]], np.float32), T.BF16)
    writer.add_tensor("f64", np.array([0.1, -1e300]))
    writer.add_tensor("i8", np.array([-128, 127, 5], np.int8))
    writer.add_tensor("i16", np.array([-32768, 32767], np.int16))
    writer.add_tensor("i32", np.array([-(2**31), 2**31 - 1], np.int32))
    writer.add_tensor("i64", np.array([-(2**63), 2**63 - 1], np.int64))
    add(writer, "q8_0", q8(2, 64), T.Q8_0)
    add(writer, "q4_0", q4([0.25, -0.5, 2.0**-20]), T.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
