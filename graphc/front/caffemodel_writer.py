"""write_caffemodel: a Graph's weights as a binary NetParameter of the new format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from graphc.data import wire_writer as wire
from graphc.errors import fail
from graphc.files import replacing
from graphc.front.blobs import blob_names, saved_blobs
from graphc.ir.graph import Array, Graph
from graphc.tensorfile import raw_bytes

MAX_MESSAGE = (1 << 31) - 1  # what protobuf, and so Caffe, can read


def write_caffemodel(graph: Graph, path: str | Path) -> None:
    """Write every forward layer with name, type, bottoms, tops and its PARAM and STATE blobs.

    A shared blob stands under each layer that uses it, as Caffe writes it. Raises GC-W002 (a
    parameter without an array), GC-S004, and what `write_layers` raises.
    """
    names = blob_names(graph)
    layers: list[tuple[bytes, list[Array]]] = []
    for node in graph.forward_nodes():
        start = wire.text(1, node.name) + wire.text(2, node.op.type)
        start += b"".join(wire.text(3, names[v]) for v in node.ins.values())
        start += b"".join(wire.text(4, names[node.outs[role]]) for role in node.tops)
        layers.append((start, saved_blobs(graph, node)))
    write_layers(path, graph.name, layers)


def write_layers(
    path: str | Path, name: str, layers: Sequence[tuple[bytes, Sequence[Array]]]
) -> None:
    """Write a NetParameter called `name`; a layer is its message without blobs, and its blobs.

    Blobs go straight from their arrays to the file. Raises GC-F002, GC-U001 (over the 2 GiB that a
    NetParameter can have).
    """
    title = wire.text(1, name) if name else b""
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
                write_blob(file, 7, array)


def write_blob(file: IO[bytes], number: int, array: Array) -> None:
    """Write `array` as a BlobProto with shape and float data, in field `number` (1 to 15)."""
    file.write(wire.head(number, _blob_size(array)) + wire.head(5, 4 * array.size))
    file.write(raw_bytes(array))
    file.write(_shape(array))


def blob_size(array: Array) -> int:
    """How many bytes `write_blob` writes."""
    return _framed(7, _blob_size(array))


def _framed(number: int, size: int) -> int:
    """Bytes of a field with a content of `size` bytes, its head included."""
    return len(wire.head(number, size)) + size


def _shape(array: Array) -> bytes:
    return wire.chunk(7, wire.chunk(1, wire.packed(array.shape)))


def _blob_size(array: Array) -> int:
    return _framed(5, 4 * math.prod(array.shape)) + len(_shape(array))


def _layer_size(start: bytes, blobs: Sequence[Array]) -> int:
    return len(start) + sum(map(blob_size, blobs))


__all__ = ["MAX_MESSAGE", "blob_size", "write_blob", "write_caffemodel", "write_layers"]
