"""write_caffemodel: a Graph's weights as a binary NetParameter of the new format."""

from __future__ import annotations

import math
from pathlib import Path

from graphc.errors import fail
from graphc.files import replacing
from graphc.front import wire
from graphc.front.blobs import blob_names, saved_blobs
from graphc.ir.graph import Array, Graph
from graphc.tensorfile import raw_bytes

MAX_MESSAGE = (1 << 31) - 1  # what protobuf, and so Caffe, can read


def write_caffemodel(graph: Graph, path: str | Path) -> None:
    """Write every forward layer with name, type, bottoms, tops and its PARAM and STATE blobs.

    A shared blob stands under each layer that uses it, as Caffe writes it. Blobs go straight from
    their arrays to the file. Raises GC-F002, GC-W002 (a parameter without an array), GC-S004,
    GC-U001 (over the 2 GiB that a NetParameter can have).
    """
    names = blob_names(graph)
    layers: list[tuple[bytes, list[Array]]] = []
    for node in graph.forward_nodes():
        start = wire.text(1, node.name) + wire.text(2, node.op.type)
        start += b"".join(wire.text(3, names[v]) for v in node.ins.values())
        start += b"".join(wire.text(4, names[node.outs[role]]) for role in node.tops)
        layers.append((start, saved_blobs(graph, node)))
    title = wire.text(1, graph.name) if graph.name else b""
    total = len(title) + sum(_framed(100, _layer_size(s, blobs)) for s, blobs in layers)
    if total > MAX_MESSAGE:
        fail(
            "GC-U001",
            f"the weights take {total:,} bytes, over the {MAX_MESSAGE:,} of a .caffemodel",
            "write .h5 or .safetensors",
        )
    with replacing(path) as file:
        file.write(title)
        for start, blobs in layers:
            file.write(wire.head(100, _layer_size(start, blobs)) + start)
            for array in blobs:
                file.write(wire.head(7, _blob_size(array)) + wire.head(5, 4 * array.size))
                file.write(raw_bytes(array))
                file.write(_shape(array))


def _framed(number: int, size: int) -> int:
    """Bytes of a field with a content of `size` bytes, its head included."""
    return len(wire.head(number, size)) + size


def _shape(array: Array) -> bytes:
    return wire.chunk(7, wire.chunk(1, wire.packed(array.shape)))


def _blob_size(array: Array) -> int:
    return _framed(5, 4 * math.prod(array.shape)) + len(_shape(array))


def _layer_size(start: bytes, blobs: list[Array]) -> int:
    return len(start) + sum(_framed(7, _blob_size(array)) for array in blobs)


__all__ = ["write_caffemodel"]
