"""Writes ext.onnx, y = x · w with w of 4×3, and its weights into ext.bin beside it: python3 external.py SEED"""
import random
import struct
import sys


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def part(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def value(name, *shape):
    dims = b"".join(part(1, part(2, d) if isinstance(d, str) else number(1, d)) for d in shape)
    return part(1, name) + part(2, part(1, number(1, 1) + part(2, dims)))


r = random.Random(int(sys.argv[1]))
with open("ext.bin", "wb") as f:
    f.write(struct.pack("<12f", *(r.gauss(0, 1) for _ in range(12))))
where = part(13, part(1, "location") + part(2, "ext.bin")) + number(14, 1)
weight = number(1, 4) + number(1, 3) + number(2, 1) + part(8, "w") + where
node = part(1, "x") + part(1, "w") + part(2, "y") + part(3, "product") + part(4, "MatMul")
graph = part(1, node) + part(2, "g") + part(5, weight) + part(11, value("x", "N", 4)) + part(12, value("y", "N", 3))
with open("ext.onnx", "wb") as f:
    f.write(number(1, 8) + part(7, graph) + part(8, part(1, "") + number(2, 17)))
