"""Streams and their coders, after docs/format.md."""

import sys
from array import array

BLOCK = 1 << 18
LANES, LANES_FROM = 6, 16384
TYPES = {1: "B", 2: "H", 4: "I"}


class Refused(Exception):
    """The file is not what the format allows."""


class Reader:
    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        if size > self.left():
            raise Refused(f"{self.what}: ends at byte {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def varint(self):
        value = 0
        for i in range(10):
            byte = self.u8()
            value |= (byte & 127) << (7 * i)
            if byte < 128:
                if value >> 64 or (i and not byte):
                    break
                return value
        raise Refused(f"{self.what}: a varint")

    def zigzag(self):
        value = self.varint()
        return -(value >> 1) - 1 if value & 1 else value >> 1


class Bits:
    """A bit stream, as one long number."""

    def __init__(self, data):
        self.number, self.size, self.at = int.from_bytes(data, "little"), len(data), 0

    def take(self, count):
        value = self.number >> self.at & ((1 << count) - 1)
        self.at += count
        return value

    def end(self):
        if (self.at + 7) // 8 != self.size or self.number >> self.at:
            raise Refused("bits left over, or missing")


def bit_width(alphabet):
    return (alphabet - 1).bit_length()


def elements(data, width):
    out = array(TYPES[width])
    out.frombytes(data)
    if sys.byteorder == "big":
        out.byteswap()
    return out


def decode_raw(data, _, width, count):
    if len(data) != width * count:
        raise Refused("raw: the size")
    return elements(data, width)


def decode_bitpack(data, alphabet, width, count):
    if not alphabet:
        raise Refused("bitpack: plain values")
    bits = bit_width(alphabet)
    out, held, have, at = array(TYPES[width], bytes(width * count)), 0, 0, 0
    if len(data) != (bits * count + 7) // 8:
        raise Refused("bitpack: the size")
    for i in range(count):
        while have < bits:
            held |= data[at] << have
            at, have = at + 1, have + 8
        out[i] = held & ((1 << bits) - 1)
        held, have = held >> bits, have - bits
    if held:
        raise Refused("bitpack: bits left over")
    return out


# ---- Huffman ----


def read_lengths(bits, alphabet, last):
    lengths, length, symbol = {}, min(11, bit_width(alphabet)), 0
    while symbol <= last:
        if bits.take(1):
            if not bits.take(1):
                length += -1 if bits.take(1) else 1
            elif bits.take(1):
                length = bits.take(4)
            else:
                k = 0
                while k < 8 and bits.take(1):
                    k += 1
                symbol += (1 << k) + bits.take(k)
                if symbol > last:
                    raise Refused("huffman: a run of absent symbols")
                continue
        if not 1 <= length <= 11:
            raise Refused("huffman: a length")
        lengths[symbol] = length
        symbol += 1
    if sum(1 << (11 - n) for n in lengths.values()) != 1 << 11:
        raise Refused("huffman: the code is not complete")
    return lengths


def codes(lengths):
    """{(length, code): symbol}, canonical."""
    table, code, before = {}, 0, 0
    for symbol in sorted(lengths, key=lambda s: (lengths[s], s)):
        length = lengths[symbol]
        code <<= length - before
        table[length, code] = symbol
        code, before = code + 1, length
    return table


def lookup(lengths):
    """For each next 11 bits: symbol and length."""
    table = [None] * 2048
    for (length, code), symbol in codes(lengths).items():
        first = int(f"{code:0{length}b}"[::-1], 2)
        for i in range(first, 2048, 1 << length):
            table[i] = symbol, length
    return table


def read_symbols(data, skip, table, count):
    """Codes that begin at bit `skip` of data and end in its last byte."""
    out, held, have, at = bytearray(count), 0, 0, 0
    data = bytes(data) + bytes(2)
    at, skip = skip // 8, skip % 8
    held, have = data[at] >> skip if at < len(data) else 0, 8 - skip
    at += 1
    for i in range(count):
        while have < 11:
            held |= (data[at] if at < len(data) else 0) << have
            at, have = at + 1, have + 8
        out[i], length = table[held & 2047]
        held, have = held >> length, have - length
    used = 8 * at - have
    if (used + 7) // 8 != len(data) - 2 or held:
        raise Refused("huffman: bits or bytes left over, or missing")
    return out


def decode_huffman(data, alphabet, width, count):
    if width != 1 or alphabet > 256:
        raise Refused("huffman: more than 256 symbols")
    alphabet = alphabet or 256
    bits = Bits(data)
    last = bits.take(bit_width(alphabet))
    if last >= alphabet:
        raise Refused("huffman: a symbol outside its alphabet")
    if bits.take(1):
        bits.end()
        return array("B", bytes([last]) * count)
    table = lookup(read_lengths(bits, alphabet, last))
    if count < LANES_FROM:
        return array("B", read_symbols(data, bits.at, table, count))
    reader = Reader(data, "huffman")
    reader.take((bits.at + 7) // 8)
    if bits.take(-bits.at % 8):
        raise Refused("huffman: bits after the lengths")
    sizes = [reader.varint() for _ in range(LANES - 1)]
    each, out = -(-count // LANES), bytearray()
    for i in range(LANES):
        lane = reader.take(sizes[i] if i < LANES - 1 else reader.left())
        out += read_symbols(lane, 0, table, min(each, count - each * i))
    return array("B", out)


# ---- Planes ----


def decode_planes(data, alphabet, width, count):
    if alphabet or width < 2:
        raise Refused("planes: not floats")
    reader, planes = Reader(data, "planes"), []
    for p in range(width):
        coder = reader.u8()
        if coder not in (0, 2):
            raise Refused("planes: a coder")
        part = reader.take(reader.varint() if p < width - 1 else reader.left())
        planes.append(CODERS[coder](part, 0, 1, count))
    top = 8 * width - 1
    out = array(TYPES[width], bytes(width * count))
    for i in range(count):
        value = sum(plane[i] << (8 * p) for p, plane in enumerate(planes))
        out[i] = value >> 1 | (value & 1) << top
    return out


CODERS = {0: decode_raw, 1: decode_bitpack, 2: decode_huffman, 3: decode_planes}


def decode_stream(data, alphabet, width, count):
    reader = Reader(data, "stream")
    coder = reader.u8()
    if coder not in CODERS:
        raise Refused(f"coder {coder}")
    if coder in (0, 1):
        out = CODERS[coder](reader.take(reader.left()), alphabet, width, count)
    else:
        counts = [min(BLOCK, count - first) for first in range(0, count, BLOCK)]
        sizes = [reader.varint() for _ in counts[:-1]]
        out = array(TYPES[width])
        for i, block in enumerate(counts):
            part = reader.take(sizes[i] if i < len(sizes) else reader.left())
            out += CODERS[coder](part, alphabet, width, block)
    if alphabet and any(symbol >= alphabet for symbol in out):
        raise Refused("a symbol outside its alphabet")
    return out
