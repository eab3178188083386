"""Weights as Han et al. published them for SqueezeNet: sparse, with codebooks.

Little-endian, without a name in it: first a uint32 for each convolution in the net's order, how
many entries it stores; then for each 256 float32 of its codebook, its biases as float32, a uint8
code for each entry, and 4-bit gaps, two in a byte, the low ones first. Entry i is weight number
sum_{j<=i} (gap_j + 1) - 1. A gap that is too long is cut by entries whose code stands for zero.
Source: Han, Mao, Dally, Deep compression, 2016, and the repository SqueezeNet-Deep-Compression.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file
from graphc.ir.graph import Array, Graph, Node, typed
from graphc.ops.convolution import Convolution

SUFFIX = ".net"
CODES = 256


def read_deep_compression(graph: Graph, path: str | Path) -> dict[str, list[Array]]:
    """Blobs by layer name, of all convolutions of `graph`, whose shapes say what the file holds.

    Raises GC-S004 for a graph without shapes, GC-W003 for a file that is not of this net, GC-F001.
    """
    if not graph.shaped:
        fail("GC-S004", "the network has no shapes yet", "give them before such a weight file")
    nodes = [node for node in graph.forward_nodes() if node.op is Convolution]
    reader = _Reader(memoryview(map_file(path)))
    try:
        counts = reader.take(4 * len(nodes)).view("<u4")
        found = {
            node.name: _layer(node, int(count), reader)
            for node, count in zip(nodes, counts, strict=True)
        }
        if reader.left:
            fail("GC-W003", f"{reader.left:,} bytes follow the last of {len(nodes)} convolutions")
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None
    return found


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._at = 0

    @property
    def left(self) -> int:
        return self._data.size - self._at

    def take(self, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        if count > self.left:
            told = f"{count:,} bytes are wanted, {self.left:,} are left"
            fail("GC-W003", told, "this file is of another network")
        self._at += count
        return np.array(self._data[self._at - count : self._at], np.uint8)


def _layer(node: Node, count: int, reader: _Reader) -> list[Array]:
    weight = typed(node.params["weight"])
    if count > weight.size:
        fail("GC-W003", f"layer {node.name!r} stores {count:,} of {weight.size:,} weights")
    codebook = reader.take(4 * CODES).view("<f4")
    bias = [
        reader.take(4 * typed(v).size).view("<f4") for r, v in node.params.items() if r == "bias"
    ]
    codes = reader.take(count)
    pairs = reader.take((count + 1) // 2)
    gaps = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[:count]
    at = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if count and at[-1] >= weight.size:
        told = f"layer {node.name!r} has weight number {at[-1]:,} of {weight.size:,}"
        fail("GC-W003", told, "this file is of another network")
    made = np.zeros(weight.size, np.float32)
    made[at] = codebook[codes]
    return [made.reshape(weight.shape), *(np.asarray(b, np.float32) for b in bias)]


__all__ = ["SUFFIX", "read_deep_compression"]
