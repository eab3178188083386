"""bind: put arrays from a weight file behind a graph's parameters, by layer name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from graphc.errors import GraphError, fail, near
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.op import Kind
from graphc.numpy_later import np
from graphc.records import record

Blobs = Mapping[str, Sequence[Array]]


@record
class LoadReport:
    """Layer names: `loaded`; `missing` in the file (fillers kept); `unused`: in the file only;
    `waiting`: read, but bound only when the shapes are known."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.waiting:
            return f"weights: {len(self.waiting)} layers read, bound when the shapes are known"
        parts = [f"{len(self.loaded)} layers loaded"]
        for label, names in (("missing", self.missing), ("unused", self.unused)):
            if names:
                more = ", ..." if len(names) > 5 else ""
                parts.append(f"{len(names)} {label} ({', '.join(names[:5])}{more})")
        return "weights: " + ", ".join(parts)


def bind(
    graph: Graph, blobs: Blobs, *, strict: bool = True, source: str = "the weight file"
) -> LoadReport:
    """Copy `blobs` (layer name -> arrays in Caffe's order), and what is pending, into the graph.

    Legacy 4-D shapes fit right-aligned: (1,1,1,N) an N-vector, (1,1,N,K) an N x K matrix. A layer
    that shares parameters of an earlier one may come with its own alone. Raises GC-W001 for a
    wrong count or shape, and, if `strict`, GC-W002 when layers are missing; `source` is named
    there. Nothing is changed when it raises. An unshaped graph keeps the blobs, and whether to be
    strict, until `infer`.
    """
    wanted = dict(graph.pending) | {k: list(v) for k, v in blobs.items()}
    strict = (strict and bool(blobs)) or graph.pending_strict
    if not graph.shaped:
        graph.pending, graph.pending_strict = wanted, strict
        return LoadReport(waiting=sorted(wanted))
    report = LoadReport()
    staged: dict[str, Array] = {}
    seen: set[str] = set()
    owned: set[Value] = set()
    for node in graph.forward_nodes():
        values = [v for v in node.params.values() if v.kind is not Kind.CARRY]
        own = [v for v in values if v.storage not in owned]
        owned.update(v.storage for v in own)
        if not values or node.name in seen:
            continue
        seen.add(node.name)
        if node.name not in wanted:
            report.missing.append(node.name)
            continue
        arrays = wanted[node.name]
        targets = own if len(arrays) == len(own) else values
        _check_count(node, len(arrays), len(targets), source)
        for index, (value, array) in enumerate(zip(targets, arrays, strict=True)):
            staged[value.storage.name] = _fit(node, index, value, array, source)
        report.loaded.append(node.name)
    report.unused = [name for name in wanted if name not in seen and wanted[name]]
    if strict:
        _check_complete(graph, report, wanted, source)
    graph.weights.update(staged)
    graph.pending, graph.pending_strict = {}, False
    return report


def _check_count(node: Node, given: int, needed: int, source: str) -> None:
    if given != needed:
        with_place(
            node,
            "GC-W001",
            f"{source} has {given} blobs, the layer {needed}",
            "rename the layer to give it new weights",
        )


def with_place(node: Node, code: str, message: str, hint: str) -> None:
    """Fail with the node's place filled in."""
    raise node.located(GraphError(code, message, hint))


def _fit(node: Node, index: int, value: Value, array: Array, source: str) -> Array:
    shape, legacy = typed(value).shape, array.shape
    if legacy != shape and array.ndim == 4 and len(shape) < 4:
        padded = (1,) * (4 - len(shape)) + shape
        legacy = shape if legacy == padded else legacy
    if legacy != shape:
        with_place(
            node,
            "GC-W001",
            f"blob {index} has shape {array.shape} in {source}, {shape} in the net",
            "rename the layer to give it new weights",
        )
    flat = np.array(array, np.float32, order="C")
    return flat.reshape(typed(value.storage).shape)


def _check_complete(graph: Graph, report: LoadReport, blobs: Blobs, source: str) -> None:
    borrowed = _borrowing(graph)
    lost = [name for name in report.missing if name not in borrowed]
    if lost:
        fail(
            "GC-W002",
            f"{len(lost)} layers have no weights in {source}: {', '.join(lost[:5])}",
            near(lost[0], blobs) or "strict=False (--no-strict-weights) keeps the fillers' values",
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
