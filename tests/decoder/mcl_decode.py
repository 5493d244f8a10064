#!/usr/bin/env python3
"""A second decoder of mcl containers, written from docs/format.md in plain Python; zstd frames go through the zstd program.

    mcl_decode.py FILE [VALUES]      prints the graph; writes the values of all weights, f32, one weight after another
"""

import struct
import subprocess
import sys
from array import array

from coders import Refused, Reader, decode_stream
from representations import read_representation
from xxh3 import xxh3_64

SUFFIXES = ("", ".weight", ".bias")
INT, INTS, F64 = "int", "ints", "f64"
WINDOW = [("kernel", 2), ("stride", 2), ("pad", 4), ("dilation", 2), ("ceil", INT)]
OPS = {  # op: (name, outputs, attributes: how many ints, or what)
    1: ("conv", 1, [("stride", 2), ("pad", 4), ("dilation", 2), ("groups", INT)]),
    2: ("linear", 1, []),
    3: ("max_pool", 1, WINDOW),
    4: ("average_pool", 1, WINDOW + [("count_include_pad", INT)]),
    5: ("global_average_pool", 1, []),
    6: ("relu", 1, []),
    7: ("leaky_relu", 1, [("alpha", F64)]),
    8: ("elu", 1, [("alpha", F64)]),
    9: ("clip", 1, [("min", F64), ("max", F64)]),
    10: ("sigmoid", 1, []),
    11: ("tanh", 1, []),
    12: ("gelu", 1, [("tanh", INT)]),
    13: ("silu", 1, []),
    14: ("softmax", 1, [("axis", INT)]),
    15: ("log_softmax", 1, [("axis", INT)]),
    16: ("batch_norm", 1, [("epsilon", F64), ("momentum", F64)]),
    17: ("layer_norm", 1, [("axis", INT), ("epsilon", F64)]),
    18: ("dropout", 1, [("rate", F64)]),
    19: ("add", 1, []),
    20: ("sub", 1, []),
    21: ("mul", 1, []),
    22: ("div", 1, []),
    23: ("concat", 1, [("axis", INT)]),
    24: ("reshape", 1, [("shape", INTS)]),
    25: ("flatten", 1, [("axis", INT)]),
    26: ("transpose", 1, [("perm", INTS)]),
    27: ("identity", 1, []),
    28: ("matmul", 1, []),
}


def unzstd(frame, size):
    done = subprocess.run(["zstd", "-d", "-c"], input=b"\x28\xb5\x2f\xfd" + frame, capture_output=True, check=False)
    if done.returncode or len(done.stdout) != size:
        raise Refused(f"zstd: {done.stderr.decode().strip()} ({len(done.stdout)} bytes, not {size})")
    return done.stdout


class Weight:
    """An entry of the directory; `begin` and `end` are of its streams."""

    def __init__(self, name, shape, is_state, header, sizes):
        self.name, self.shape, self.is_state, self.header, self.sizes = name, shape, is_state, header, sizes
        self.streams, self.begin, self.end = [], 0, 0


class Directory:
    def __init__(self, data):
        self.reader = Reader(data, "directory")
        self.stem = b""
        self.values, self.weights, self.lines = [], [], []
        for _ in range(self.reader.varint()):
            self.entry()
        for _ in range(self.reader.varint()):
            self.lines.append(f"output {self.values[self.reader.varint()]}")
        while self.reader.left():
            self.reader.u8()
            self.reader.take(self.reader.varint())

    def name(self, tag):
        lengths = self.reader.u8()
        shared, fresh = lengths >> 4, lengths & 15
        if shared == 15:
            shared += self.reader.varint()
        if fresh == 15:
            fresh += self.reader.varint()
        if shared > len(self.stem) or tag >> 3 & 3 == 3:
            raise Refused("a name")
        self.stem = self.stem[:shared] + self.reader.take(fresh)
        name = self.stem.decode() + SUFFIXES[tag >> 3 & 3]
        if not name or len(name.encode()) > 1023 or "\0" in name or name in self.values:
            raise Refused(f"the name {name!r}")
        return name

    def shape(self):
        rank = self.reader.varint()
        if rank > 8:
            raise Refused("a rank above 8")
        return [self.reader.varint() - 1 for _ in range(rank)]

    def entry(self):
        tag = self.reader.u8()
        kind = tag & 3
        if kind == 3 or tag >= 32 or (kind == 0 and tag & 4):
            raise Refused(f"an entry's tag {tag}")
        name = self.name(tag)
        if kind == 2:
            self.node(name, tag)
            return
        shape = self.shape()
        if any(d < 1 for d in (shape if kind == 1 else shape[1:])) or (shape and shape[0] == 0):
            raise Refused(f"{name}: a shape {shape}")
        if kind == 1:
            header = self.reader.take(self.reader.varint())
            sizes = [self.reader.varint() for _ in range(self.reader.varint())]
            self.weights.append(Weight(name, shape, bool(tag & 4), header, sizes))
        self.lines.append(f"{'state' if tag & 4 else ('input', 'weight')[kind]} {name} {shape}")
        self.values.append(name)

    def attribute(self, kind):
        if kind == F64:
            return struct.unpack("<d", self.reader.take(8))[0]
        if kind == INT:
            return self.reader.zigzag()
        return [self.reader.zigzag() for _ in range(self.reader.varint() if kind == INTS else kind)]

    def node(self, name, tag):
        op, outputs, attributes = OPS.get(self.reader.u8()) or (None, 0, [])
        if not op:
            raise Refused(f"{name}: an unknown op")
        changed = self.reader.varint() if tag & 4 else 0
        if changed >> len(attributes):
            raise Refused(f"{name}: an unknown attribute")
        given = [f"{a}={self.attribute(k)}" for i, (a, k) in enumerate(attributes) if changed >> i & 1]
        inputs = []
        for _ in range(self.reader.varint()):
            back = self.reader.varint()
            if back > len(self.values):
                raise Refused(f"{name}: an input before the first value")
            inputs.append(self.values[-back] if back else "-")
        self.lines.append(" ".join([op, name] + inputs + given))
        self.values += [name if i == 0 else f"{name}:{i}" for i in range(outputs)]


def read_head(data):
    """Features, and a reader after the first eight bytes."""
    reader = Reader(data, "header")
    if reader.take(4) != b"MCL\x1a":
        raise Refused("not an mcl container")
    if reader.u8() != 1:
        raise Refused("another major version")
    reader.u8()
    features = reader.u8()
    reader.u8()
    if features & ~3:
        raise Refused(f"unknown features {features}")
    return features, reader


def unwrap(data):
    features, reader = read_head(data)
    if not features & 2:
        return data
    size = reader.varint()
    head = data[:reader.at]
    check = reader.u64()
    frame = reader.take(reader.left())
    if features != 2 or check != xxh3_64(head + frame):
        raise Refused("the wrap")
    data = unzstd(frame, size)
    if read_head(data)[0] & 2:
        raise Refused("a wrap within a wrap")
    return data


class Container:
    def __init__(self, data):
        self.data = unwrap(data)
        features, reader = read_head(self.data)
        self.alignment = reader.u8()
        size = reader.varint()
        stored = reader.varint() if features & 1 else size
        directory = reader.take(stored)
        if self.alignment > 12 or reader.u64() != xxh3_64(self.data[:reader.at - 8]):
            raise Refused("the directory's checksum")
        self.directory = Directory(unzstd(directory, size) if features & 1 else directory)
        self.weights = self.directory.weights
        self.place(reader.at)

    def place(self, first):
        at, unit = first, 1 << self.alignment
        for weight in self.weights:
            weight.begin = weight.end = at
            for i, size in enumerate(weight.sizes):
                start = (at + 1 + unit - 1) // unit * unit - 1
                if any(self.data[at:start]):
                    raise Refused("padding")
                if i == 0:
                    weight.begin = start
                weight.end = at = start + size
                weight.streams.append(self.data[start:at])
        trailer = Reader(self.data[at:], "trailer")
        if trailer.left() != 8 * len(self.weights) + 16:
            raise Refused("the trailer's size")
        self.checks = [(trailer.u32(), trailer.u32()) for _ in self.weights]
        self.decoded_check = None
        if trailer.u64() != xxh3_64(self.data[first:at]):
            raise Refused("the streams' checksum")
        self.decoded_check = trailer.u64()

    def values(self, index):
        """The weight's values, an array of f32, and their hash."""
        weight = self.weights[index]
        if xxh3_64(self.data[weight.begin:weight.end]) & 0xFFFFFFFF != self.checks[index][0]:
            raise Refused(f"{weight.name}: the stored bytes' checksum")
        header = Reader(weight.header, weight.name)
        streams = iter(weight.streams)

        def stream(alphabet, width, count):
            if not count:
                return array("f")
            data = next(streams, None)
            if data is None:
                raise Refused(f"{weight.name}: a stream is missing")
            return decode_stream(data, alphabet, width, count)

        values = read_representation(header, stream, weight.shape)
        if header.left() or next(streams, None) is not None:
            raise Refused(f"{weight.name}: something was left over")
        if sys.byteorder == "big":
            values.byteswap()
        check = xxh3_64(values.tobytes())
        if check & 0xFFFFFFFF != self.checks[index][1]:
            raise Refused(f"{weight.name}: the values' checksum")
        return values, check


def main(path, out=None):
    with open(path, "rb") as file:
        container = Container(file.read())
    print("\n".join(container.directory.lines))
    everything, hashes = b"", b""
    for index in range(len(container.weights)):
        values, check = container.values(index)
        everything += values.tobytes()
        hashes += struct.pack("<Q", check)
    if xxh3_64(hashes) != container.decoded_check:
        raise Refused("the checksum of all values")
    if out:
        with open(out, "wb") as file:
            file.write(everything)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as refused:
        sys.exit(f"{sys.argv[1]}: refused: {refused}")
