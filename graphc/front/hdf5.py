"""HDF5 weight files: read by own walk over hard links alone, and written.

Caffe's layout: data/<layer>/<i>, a group for each layer, blobs shared by name only at their owner.
A layer called "a/b" is a group within a group. HDF5 can name other files and plug-ins to be loaded
(links, external storage, virtual datasets, filters); a weight file may do none of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file, replacing
from graphc.front.blobs import saved_blobs
from graphc.front.sizes import check_shape, check_unpacked
from graphc.ir.graph import Array, Graph, Value
from graphc.limits import Limits

_FILTERS = {1: "gzip", 2: "shuffle"}  # HDF5's numbers
_MAX_RATIO = 1100  # deflate cannot expand further


def read_hdf5(path: str | Path, limits: Limits | None = None) -> dict[str, list[Array]]:
    """Blobs by layer name, in order of their numbers; float32.

    A layer that shares all its blobs has an empty list. Raises GC-F001, GC-F003 (a link, external
    storage or a virtual dataset), GC-L001, GC-U001 (filters other than gzip and shuffle), GC-U002
    (h5py missing), GC-W003 (broken, or sizes that cannot be true).
    """
    h5py, limits = _h5py(), limits or Limits()
    size = len(map_file(path))
    try:
        limits.check("tensor_bytes", size, "the size of the weight file in bytes")
        with h5py.File(path, "r") as file:
            return _Walk(h5py, limits, size).read(file)
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None
    except Exception as error:  # on a damaged file h5py raises a dozen kinds
        told = GraphError("GC-W003", f"the HDF5 file is broken: {error}")
        raise told.at(loc=Loc(str(path))) from None


class _Walk:
    """One reading of a file: what it has found and what it may still cost."""

    def __init__(self, h5py: Any, limits: Limits, file_bytes: int) -> None:
        self.h5py = h5py
        self.limits = limits
        self.file_bytes = file_bytes
        self.used = 0
        self.groups = 0
        self.blobs: dict[str, dict[int, Array]] = {}

    def read(self, file: Any) -> dict[str, list[Array]]:
        stack: list[tuple[str, Any, int]] = []
        for name, child in self._children(file, "/"):
            if name == "data" and isinstance(child, self.h5py.Group):
                stack = [("", child, 0)]
        if not stack:
            fail("GC-W003", "the file has no group 'data'", "it may be data, and not weights")
        while stack:  # links may form cycles: the depth ends them
            layer, group, depth = stack.pop()
            self.limits.check("text_depth", depth, f"the depth of group {layer!r}")
            self.groups += 1
            self.limits.check("layers", self.groups, "the number of groups in the file")
            if layer:
                self.blobs.setdefault(layer, {})
            for name, child in self._children(group, f"data/{layer}"):
                if isinstance(child, self.h5py.Group):
                    stack.append((f"{layer}/{name}" if layer else name, child, depth + 1))
                elif isinstance(child, self.h5py.Dataset) and layer and name.isdecimal():
                    self._add(layer, name, child)
        return {k: [v[i] for i in sorted(v)] for k, v in self.blobs.items()}

    def _children(self, group: Any, where: str) -> Iterator[tuple[str, Any]]:
        """The members of a group; each must be a hard link."""
        self.limits.check("layers", len(group), f"the number of members of group {where!r}")
        for name in group:
            if group.get(name, getclass=True, getlink=True) is not self.h5py.HardLink:
                fail("GC-F003", f"{where}/{name} is a link to another place or file")
            yield name, group[name]

    def _add(self, layer: str, name: str, dataset: Any) -> None:
        what = f"data/{layer}/{name}"
        blobs = self.blobs[layer]
        self.limits.check("layer_blobs", len(blobs) + 1, f"the number of blobs of {layer!r}")
        if len(name) > 6 or int(name) in blobs:
            fail("GC-W003", f"{what} is no blob number, or there twice")
        self._check_storage(what, dataset)
        blobs[int(name)] = np.asarray(dataset[()], np.float32)

    def _check_storage(self, what: str, dataset: Any) -> None:
        """Everything that must hold before a byte of the dataset is read."""
        shape, dtype, made = dataset.shape, dataset.dtype, dataset.id.get_create_plist()
        if shape is None or dtype.kind not in "fiu":
            fail("GC-W003", f"{what} holds {dtype}, expected numbers")
        if made.get_external_count() or dataset.is_virtual:
            fail("GC-F003", f"{what} lies in another file")
        for index in range(made.get_nfilters()):
            number = made.get_filter(index)[0]
            if number not in _FILTERS:
                fail("GC-U001", f"{what} uses HDF5 filter {number}", "only gzip and shuffle")
        check_shape(shape, math.prod(shape) * dtype.itemsize, dtype.itemsize)
        nbytes, stored = math.prod(shape) * dtype.itemsize, dataset.id.get_storage_size()
        if nbytes > stored * (_MAX_RATIO if made.get_nfilters() else 1):
            fail("GC-W003", f"{what} claims {nbytes:,} bytes, but {stored:,} are stored")
        self.used += max(nbytes, 4 * math.prod(shape))
        check_unpacked(self.used, self.file_bytes, self.limits)


def write_hdf5(graph: Graph, path: str | Path, more: Iterable[str] = ()) -> None:
    """Write a group per layer, in it the PARAM and STATE blobs that the layer owns.

    `more`: names of layers without blobs that the graph lacks. Raises GC-F002, GC-U001 (a layer
    name that HDF5 cannot hold), GC-U002, GC-W002, GC-S004.
    """
    h5py = _h5py()
    more, owned = tuple(more), set[Value]()
    done: set[str] = set()
    for name in (*more, *(node.name for node in graph.forward_nodes())):
        _check_name(name)
    with replacing(path) as draft:
        try:
            with h5py.File(draft, "w", libver="earliest") as file:
                data = file.create_group("data")
                for name in more:
                    data.require_group(name)
                for node in graph.forward_nodes():
                    if node.name in done:
                        continue
                    done.add(node.name)
                    group = data.require_group(node.name)
                    values = [v for v in node.params.values() if v.kind.value in ("param", "state")]
                    for i, (value, array) in enumerate(
                        zip(values, saved_blobs(graph, node), strict=True)
                    ):
                        if value.storage not in owned:
                            group.create_dataset(str(i), data=array, dtype="<f4")
                        owned.add(value.storage)
        except (GraphError, OSError):
            raise
        except Exception as error:
            fail("GC-F002", f"cannot write {str(path)!r}: {error}")


def _check_name(layer: str) -> None:
    parts = layer.split("/")
    if "" in parts or "." in parts or "\0" in layer or any(p.isdecimal() for p in parts[1:]):
        fail("GC-U001", f"HDF5 cannot hold a layer called {layer!r}", "write .safetensors")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        fail("GC-U002", "HDF5 weight files need h5py", "pip install 'graphc[data]'")
    return h5py


__all__ = ["read_hdf5", "write_hdf5"]
