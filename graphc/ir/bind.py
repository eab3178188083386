"""bind: put arrays from a weight file behind a graph's parameters, by layer name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.errors import fail
from graphc.ir.graph import Array, Graph, Node, Value, near, typed
from graphc.ir.op import Kind

Blobs = Mapping[str, Sequence[Array]]


@dataclass
class LoadReport:
    """Layer names: `loaded`; `missing` in the file (fillers kept); `unused`: in the file only."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} layers loaded"]
        for label, names in (("missing", self.missing), ("unused", self.unused)):
            if names:
                more = ", ..." if len(names) > 5 else ""
                parts.append(f"{len(names)} {label} ({', '.join(names[:5])}{more})")
        return "weights: " + ", ".join(parts)


def bind(graph: Graph, blobs: Blobs, *, strict: bool = True) -> LoadReport:
    """Copy `blobs` (layer name -> arrays in Caffe's order), and what is pending, into the graph.

    Legacy 4-D shapes fit right-aligned: (1,1,1,N) an N-vector, (1,1,N,K) an N x K matrix. Raises
    GC-W001 for a wrong count or shape, and, if `strict`, GC-W002 when layers are missing. Nothing
    is changed when it raises. An unshaped graph keeps the blobs until `infer`.
    """
    wanted = dict(graph.pending) | {k: list(v) for k, v in blobs.items()}
    if not graph.shaped:
        graph.pending = wanted
        return LoadReport(loaded=sorted(wanted))
    report = LoadReport()
    staged: dict[str, Array] = {}
    seen: set[str] = set()
    for node in graph.forward_nodes():
        values = [v for v in node.params.values() if v.kind is not Kind.CARRY]
        if not values or node.name in seen:
            continue
        seen.add(node.name)
        if node.name not in wanted:
            report.missing.append(node.name)
            continue
        arrays = wanted[node.name]
        _check_count(node, len(arrays), len(values))
        for index, (value, array) in enumerate(zip(values, arrays, strict=True)):
            staged[value.storage.name] = _fit(node, index, value, array)
        report.loaded.append(node.name)
    report.unused = [name for name in blobs if name not in seen and blobs[name]]
    if strict and blobs:
        _check_complete(graph, report, blobs)
    graph.weights.update(staged)
    graph.pending = {}
    return report


def _check_count(node: Node, given: int, needed: int) -> None:
    if given != needed:
        with_place(
            node,
            "GC-W001",
            f"the weight file has {given} blobs, the layer {needed}",
            "rename the layer to give it new weights",
        )


def with_place(node: Node, code: str, message: str, hint: str) -> None:
    """Fail with the node's place filled in."""
    from graphc.errors import GraphError

    raise node.located(GraphError(code, message, hint))


def _fit(node: Node, index: int, value: Value, array: Array) -> Array:
    shape, legacy = typed(value).shape, array.shape
    if legacy != shape and array.ndim == 4 and len(shape) < 4:
        padded = (1,) * (4 - len(shape)) + shape
        legacy = shape if legacy == padded else legacy
    if legacy != shape:
        with_place(
            node,
            "GC-W001",
            f"blob {index} has shape {array.shape} in the weight file, {shape} in the net",
            "rename the layer to give it new weights",
        )
    return np.array(array, np.float32).reshape(typed(value.storage).shape)


def _check_complete(graph: Graph, report: LoadReport, blobs: Blobs) -> None:
    borrowed = _borrowing(graph)
    lost = [name for name in report.missing if name not in borrowed]
    if lost:
        fail(
            "GC-W002",
            f"{len(lost)} layers have no weights in the file: {', '.join(lost[:5])}",
            near(lost[0], blobs) or "load with strict=False to keep the fillers' values",
        )


def _borrowing(graph: Graph) -> set[str]:
    """Layers that own no parameter storage: HDF5 files hold shared blobs at the owner alone."""
    owned: set[str] = set()
    names: set[str] = set()
    for node in graph.forward_nodes():
        fresh = {v.storage.name for v in node.params.values()} - owned
        if node.params and not fresh:
            names.add(node.name)
        owned |= fresh
    return names
