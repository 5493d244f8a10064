"""Representations → values, after docs/format.md. Products and sums of f32 are made in f64 and rounded once, which is the same."""

import struct
import sys
from array import array
from math import prod

from coders import Refused

DEEPEST = 8


def f32s(elements, width):
    """Elements as they were stored (u16: f16) → an array of f32."""
    out = array("f")
    if width == 4:
        out.frombytes(elements.tobytes())
    else:
        out.extend(struct.unpack(f"={len(elements)}e", elements.tobytes()))
    return out


def dense(header, stream, shape, _):
    dtype, count = header.u8(), prod(shape)
    if dtype > 3:
        raise Refused("dense: a dtype")
    if dtype == 3:
        halves = stream(0, 4, 2 * count)
        if sys.byteorder == "big":
            halves = array("I", [halves[i ^ 1] for i in range(len(halves))])
        return array("f", array("d", halves.tobytes()))
    if dtype == 2:
        return f32s(array("I", [v << 16 for v in stream(0, 2, count)]), 4)
    width = 4 if dtype == 0 else 2
    return f32s(stream(0, width, count), width)


def positions(header, stream, count, nonzeros):
    """In stored order, and whether that is column-major."""
    layout = header.u8()
    shift = layout >> 1 & 7
    if layout > 17 or (layout & 16 and shift):
        raise Refused("sparse: a layout")
    found, at = [], 0
    if layout & 16:
        for i, byte in enumerate(stream(256, 1, (count + 7) // 8)):
            found += [8 * i + b for b in range(8) if byte >> b & 1]
    else:
        symbols = stream(256, 1, header.varint())
        low = iter(stream(1 << shift, 1, nonzeros) if shift else [0] * nonzeros)
        for symbol in symbols:
            at += symbol << shift
            if symbol < 255:
                at += next(low, count)
                found.append(at)
            if at >= count:
                raise Refused("sparse: a gap leads outside")
            at += symbol < 255
    if len(found) != nonzeros or (found and found[-1] >= count):
        raise Refused("sparse: positions")
    return found, layout & 1


def sparse(header, stream, shape, depth):
    count, nonzeros = prod(shape), header.varint()
    if nonzeros > count:
        raise Refused("sparse: nonzeros")
    found, by_columns = positions(header, stream, count, nonzeros) if nonzeros else ([], 0)
    if by_columns:
        rows, columns = shape[0] if shape else 1, prod(shape[1:])
        found = sorted(p % rows * columns + p // rows for p in found)
    values = read_representation(header, stream, [nonzeros], depth)
    out = array("f", bytes(4 * count))
    for position, value in zip(found, values):
        out[position] = value
    return out


def palette(header, stream, shape, _):
    entries, flags = header.u8() + 1, header.u8()
    if flags > 1:
        raise Refused("palette: flags")
    width = 2 if flags else 4
    codebook = f32s(stream(0, width, entries), width)
    codes = stream(entries, 1, prod(shape)) if entries > 1 else bytes(prod(shape))
    return array("f", [codebook[code] for code in codes])


def affine(header, stream, shape, _):
    flags, group, count = header.u8(), header.varint(), prod(shape)
    row = prod(shape) if len(shape) < 2 else prod(shape[1:])
    if flags > 31 or group > row:
        raise Refused("affine: parameters")
    bits, width = (flags & 7) + 1, 2 if flags & 16 else 4
    if group == 0 or count == 0:
        owner, scales = [0] * count, 1
    else:
        a_row = -(-row // group)
        owner, scales = [i // row * a_row + i % row // group for i in range(count)], count // row * a_row
    scale = f32s(stream(0, width, scales), width)
    zero = [1 << (bits - 1)] * scales if flags & 8 else stream(1 << bits, 1, scales)
    codes, factor = stream(1 << bits, 1, count), 2 if flags & 8 and bits == 1 else 1
    return array("f", [scale[g] * (factor * code - zero[g]) for g, code in zip(owner, codes)])


def lowrank(header, stream, shape, depth):
    rows, columns, rank = shape[0] if shape else 1, prod(shape[1:]), header.varint()
    if not 1 <= rank <= min(rows, columns):
        raise Refused("lowrank: the rank")
    left = read_representation(header, stream, [rows, rank], depth)
    right = read_representation(header, stream, [rank, columns], depth)
    out, term = array("f", bytes(4 * rows * columns)), array("f", [0])
    for i in range(rows):
        for k in range(rank):
            for j in range(columns):
                term[0] = left[i * rank + k] * right[k * columns + j]
                out[i * columns + j] += term[0]
    return out


def total(header, stream, shape, depth):
    parts = header.u8()
    if not 2 <= parts <= 4:
        raise Refused("sum: parts")
    out = read_representation(header, stream, shape, depth)
    for _ in range(parts - 1):
        for i, value in enumerate(read_representation(header, stream, shape, depth)):
            out[i] += value
    return out


KINDS = {1: dense, 2: sparse, 3: palette, 4: affine, 5: lowrank, 6: total}


def read_representation(header, stream, shape, depth=0):
    kind = header.u8()
    if depth >= DEEPEST or kind not in KINDS:
        raise Refused(f"a representation of kind {kind} at depth {depth}")
    return KINDS[kind](header, stream, shape, depth + 1)
