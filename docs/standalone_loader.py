"""Runs a .jcz file with jax, numpy and flatbuffers alone; copy it to where it is needed.

It checks the checksum and nothing else: `jaxcompress.load` is for files of strangers.
"""

import json
import zlib
from bisect import bisect_right
from math import prod
from pathlib import Path

import jax
import numpy as np
from jax import export


class Bits:
    def __init__(self, data):
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8))

    def values(self, width, count):
        taken, self.bits = np.split(self.bits, [width * count])
        return taken.reshape(count, width) @ (1 << np.arange(width)[::-1])

    def number(self, width):
        return int(self.values(width, 1)[0])

    def levels(self, count):  # differences, folded, in exponential-Golomb codes
        order, level, found = self.number(3), 0, []
        for _ in range(count):
            width = order + int(self.bits[:64].argmax())
            folded = self.number(2 * width - order + 1) - (1 << order)
            level += -(folded + 1) // 2 if folded % 2 else folded // 2
            found.append(level)
        return np.asarray(found)


def huffman(bits, lengths, total):
    code, before, symbols, found, word = 0, 0, {}, [], ""
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths.tolist()) if n):
        code <<= length - before
        symbols[f"{code:0{length}b}"], code, before = symbol, code + 1, length
    if len(symbols) == 1:
        return np.full(total, *symbols.values())
    for bit in (bits.bits + 48).tobytes().decode() if total else "":
        word += bit
        if word in symbols:
            found.append(symbols[word])
            word = ""
            if len(found) == total:
                break
    bits.values(1, sum(int(lengths[symbol]) for symbol in found))
    return np.asarray(found, int)


def ans(data, weights, total):  # asymmetric numeral systems, Duda 2013
    each = weights * ((1 << 24) - weights.size) // weights.sum() + 1
    each[weights.argmax()] += (1 << 24) - each.sum()
    below, each = (np.cumsum(each) - each).tolist(), each.tolist()
    words = np.frombuffer(data + bytes(-len(data) % 4), "<u4").tolist()
    state, found = 0, []
    for _ in words[:2]:
        state = state << 32 | words.pop()
    for _ in range(total):
        symbol = bisect_right(below, state % (1 << 24)) - 1
        state = (state >> 24) * each[symbol] + state % (1 << 24) - below[symbol]
        found.append(symbol)
        if state < 1 << 32 and words:
            state = state << 32 | words.pop()
    return np.asarray(found, int)


def marks(how, data, alphabet, total, masked):  # 0: no symbol, s + 1: symbol s
    bits, width, found = Bits(data), (alphabet - 1).bit_length(), np.zeros(total, int)
    if how == "dense":
        found = bits.values((alphabet + masked - 1).bit_length(), total) + (not masked)
    elif how == "coo":
        count = bits.number(total.bit_length())
        positions = bits.values(max(total - 1, 0).bit_length(), count)
        found[positions] = bits.values(width, count) + 1
    elif how == "csr":
        gap = bits.number(3) + 2
        fields = bits.values(gap, bits.number(total.bit_length()))
        entry = fields < (1 << gap) - 1
        positions = np.cumsum(fields + entry)[entry] - 1
        found[positions] = bits.values(width, positions.size) + 1
    else:
        low = max(width - 10, 0)  # bits of a symbol that are not modelled
        size = ((alphabet - 1) >> low) + 1 + masked
        if how == "huffman":
            found = huffman(bits, bits.levels(size), total)
        elif total and size > 1:
            weights = bits.levels(size) ** 2
            stored = bits.values(8, bits.number((3 * total + 8).bit_length()))
            found = ans(stored.astype(np.uint8).tobytes(), weights, total)
        found = found + (not masked)
        kept = found > 0
        lows = bits.values(low, int(kept.sum()))
        found[kept] = ((found[kept] - 1) << low) + lows + 1
    return found


def held(codes, bits, shape):  # two in a byte, if they fit
    codes = (codes & 255).astype(np.uint8)
    if bits > 4:
        return codes.reshape(shape)
    low, high = np.pad(codes & 15, (0, codes.size % 2)).reshape(2, -1)
    return low | high << 4


def load(path):
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start])
    header, about, payload, code = (
        data[start + a : start + b]
        for a, b in (entries[name]["data_offsets"] for name in entries)
    )
    assert zlib.crc32(header[4:] + about + payload + code) == int.from_bytes(header[:4])
    header, place, leaves = json.loads(zlib.decompress(header[4:])), 0, []
    assert header["format"] == 3, header["format"]

    def take(length):
        nonlocal place
        place += length
        return payload[place - length : place]

    def floats(shape):
        return np.frombuffer(take(4 * prod(shape)), "<f4").reshape(shape)

    books = [floats([length]) for length in header["books"]]
    for _, shape, table, how, masked, length in header["tensors"]:
        table = table or []  # nothing, [codebook], or [bits, shape of the scale]
        grid, bits = len(table) == 2, table[0] if table else 0
        alphabet = max(2, 2**bits - 1) if grid else len(books[table[0]]) if table else 1
        found = np.ones(prod(shape), int)
        if how:
            found = marks(how, take(length), alphabet, prod(shape), masked)
        kept, symbols = found > 0, found[found > 0] - 1
        codes = np.zeros(prod(shape), int)
        if grid:
            codes[kept] = symbols * 2 - 1 if bits == 1 else symbols - (2**bits - 1) // 2
            values = floats(table[1])
        elif table:  # what is not kept is one more value, 0
            values = np.append(books[table[0]], np.zeros(masked, np.float32))
            codes[:] = len(values) - 1
            codes[kept] = symbols
            bits = max(1, (len(values) - 1).bit_length())
        if table and bits <= 8 and header["execution"] != "float32":
            leaves += [held(codes, bits, shape), values]
        elif table:
            codes = codes.reshape(shape)
            leaves.append(codes.astype("f4") * values if grid else values[codes])
        else:
            leaf = np.zeros(prod(shape), np.float32)
            leaf[kept] = floats([int(kept.sum())])
            leaves.append(leaf.reshape(shape))
    leaves = [jax.numpy.asarray(leaf) for leaf in leaves]
    call = jax.jit(export.deserialize(bytearray(zlib.decompress(code))).call)
    return lambda x: call(leaves, x)
