"""Weight files of every kind, told apart by their first bytes; written by suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file, replacing
from graphc.front import deep_compression
from graphc.front.blobs import saved_blobs
from graphc.front.caffemodel import read_caffemodel
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.hdf5 import read_hdf5, write_hdf5
from graphc.front.npz import read_npz
from graphc.ir.bind import LoadReport, bind
from graphc.ir.graph import Array, Graph
from graphc.limits import Limits
from graphc.tensorfile import parse_tensors, write_tensors

HDF5_MAGIC, ZIP_MAGIC = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_USER_BLOCKS = (0, 512, 1024, 2048)  # where an HDF5 file may begin


def read_weights(path: str | Path, limits: Limits | None = None) -> dict[str, list[Array]]:
    """Blobs by layer name, in Caffe's order, float32; perhaps read-only views of the file.

    Kinds: caffemodel (V0, V1, new), HDF5, safetensors and npz with keys `layer/index`. Raises
    GC-F001, GC-F003, GC-L001, GC-P002, GC-P004, GC-U001, GC-U002, GC-W003, with the file's name.
    """
    limits, data = limits or Limits(), map_file(path)
    start = bytes(data[: _USER_BLOCKS[-1] + 8])
    if any(start[at : at + 8] == HDF5_MAGIC for at in _USER_BLOCKS):
        return read_hdf5(path, limits)
    if start[:4] == ZIP_MAGIC:
        return _keyed(path, lambda: read_npz(path, limits), limits)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= len(data):
        return _keyed(path, lambda: parse_tensors(data, limits), limits)
    return read_caffemodel(path, limits)


def load_weights(graph: Graph, path: str | Path, *, strict: bool = True) -> LoadReport:
    """Read a weight file into `graph`, by layer name; the graph's limits apply. Files `.net` are
    those of `graphc.front.deep_compression`.

    `strict`: every layer with parameters must be in the file. Raises as `read_weights`, and
    GC-W001 (other count or shape), GC-W002 (incomplete). The graph is unchanged if it raises.
    """
    if Path(path).suffix == deep_compression.SUFFIX:
        blobs = deep_compression.read_deep_compression(graph, path)
    else:
        blobs = read_weights(path, graph.limits)
    if not graph.shaped:  # they wait for inference: not as views of a file that may change
        blobs = {name: [np.array(a) for a in arrays] for name, arrays in blobs.items()}
    return bind(graph, blobs, strict=strict, source=repr(str(path)))


def write_weights(graph: Graph, path: str | Path) -> None:
    """Write PARAM and STATE blobs as `.caffemodel`, `.h5` / `.hdf5` or `.safetensors`.

    Raises GC-U001 for another suffix, and what the writer raises (GC-F002, GC-W002, GC-S004).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        fail(
            "GC-U001", f"no weight format {suffix!r} ({str(path)!r})", f"use {', '.join(_WRITERS)}"
        )
    _WRITERS[suffix](graph, path)


def write_safetensors(graph: Graph, path: str | Path) -> None:
    """Write every layer's blobs under `layer/index`, shared ones under each layer that has them."""
    tensors: dict[str, Array] = {}
    for node in graph.forward_nodes():
        for index, array in enumerate(saved_blobs(graph, node)):
            tensors.setdefault(f"{node.name}/{index}", array)
    with replacing(path) as file:
        write_tensors(file, tensors)


_WRITERS: dict[str, Callable[[Graph, str | Path], None]] = {
    ".caffemodel": write_caffemodel,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".safetensors": write_safetensors,
}


def _keyed(
    path: str | Path, read: Callable[[], dict[str, Array]], limits: Limits
) -> dict[str, list[Array]]:
    """Read a file of named arrays, and gather `layer/0`, `layer/1`, ... by layer."""
    try:
        size = Path(path).stat().st_size
        limits.check("tensor_bytes", size, "the size of the weight file in bytes")
        return _by_layer(read().items(), limits)
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None


def _by_layer(arrays: Iterable[tuple[str, Array]], limits: Limits) -> dict[str, list[Array]]:
    table: dict[str, dict[int, Array]] = {}
    for key, array in arrays:
        layer, slash, index = key.rpartition("/")
        if not slash or not (index.isascii() and index.isdigit()) or len(index) > 6:
            fail("GC-W003", f"array {key!r} is not called layer/index", "as in 'conv1/0'")
        if int(index) in table.setdefault(layer, {}):
            fail("GC-W003", f"layer {layer!r} has blob {int(index)} twice")
        table[layer][int(index)] = array
    limits.check("layers", len(table), "the number of layers")
    for layer, blobs in table.items():
        limits.check("layer_blobs", len(blobs), f"the number of blobs of layer {layer!r}")
    return {layer: [blobs[i] for i in sorted(blobs)] for layer, blobs in table.items()}


__all__ = ["load_weights", "read_weights", "write_safetensors", "write_weights"]
