"""infer: fill in the types of a graph, and bind its parameters to their values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphc.errors import GraphError, fail, near
from graphc.ir.bind import bind
from graphc.ir.graph import Graph, Node, Role, Value
from graphc.ir.op import Effect, Trait
from graphc.ir.sharing import Binder
from graphc.ir.types import Type
from graphc.ir.versions import blob_of

Shapes = Mapping[str, Sequence[int]]


def infer(
    graph: Graph,
    shapes: Shapes | None = None,
    batch: int | None = None,
    *,
    sources: bool = True,
) -> None:
    """Give every value of `graph` its type, in place; may be called again with other shapes.

    `shapes` maps net inputs and tops of data layers to shapes; `batch` replaces axis 0 of all of
    these. A net input or data layer keeps the types it has, so that a data source is opened only
    while its shapes are unknown; with `sources=False` such a layer leaves the graph unshaped.
    Weights waiting in `graph.pending` are bound. Raises GC-S00x, GC-N00x, GC-W00x, GC-L001 with
    layer and line, GC-R002 for a shape of an unknown blob; the graph is then as it was.
    """
    feeders = [n for n in graph.nodes if n.has(Effect.SOURCE) or n.has(Trait.FEED)]
    given = _checked(shapes or {}, feeders)
    size = None if batch is None else _extent(batch, "the batch size")
    before = _Snapshot(graph)
    try:
        known = {node: _given_types(graph, node, given, size) for node in feeders}
        closed = (n for n in feeders if not n.has(Trait.FEED) and len(known[n]) < len(n.tops))
        if not sources and any(closed):
            return
        _infer(graph, known)
        if graph.pending:
            graph.notes.append(str(bind(graph, {}, strict=False)))
    except BaseException:
        before.restore()
        raise


def _checked(shapes: Shapes, sources: Sequence[Node]) -> dict[str, Type]:
    if not isinstance(shapes, Mapping):
        fail("GC-R002", f"shapes is a {type(shapes).__name__}", 'write {"data": (1, 3, 8, 8)}')
    tops = {blob_of(v) for n in sources for v in n.outs.values()}
    given: dict[str, Type] = {}
    for name, dims in shapes.items():
        if name not in tops:
            hint = near(str(name), tops)
            fail("GC-R002", f"a shape is given for {name!r}, which is no input", hint)
        listed: Any = dims  # callers without a type checker write "1x3" or 5
        if isinstance(listed, str) or not isinstance(listed, Iterable):
            fail("GC-S001", f"the shape of {name!r} is {listed!r}, expected a tuple of integers")
        given[name] = Type(tuple(_extent(d, f"a dimension of {name!r}") for d in listed))
    return given


def _extent(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        fail("GC-S001", f"{what} is {value!r}, expected an integer")


def _infer(graph: Graph, given: Mapping[Node, dict[str, Type]]) -> None:
    """Types of all nodes in order; `given` holds those of tops that come from outside."""
    binder = Binder(graph)
    for node in graph.nodes:
        if node.role is not Role.FWD:
            continue
        try:
            known = given.get(node, {})
            if not known or len(known) < len(node.tops):
                known = node.op.infer(node.attrs, _bare(graph, node)) | known
            for role in node.tops:
                what = f"blob {node.outs[role].name!r}"
                graph.limits.check("tensor_bytes", known[role].nbytes, what)
                node.outs[role].type = known[role]
            binder.bind(node)
        except GraphError as error:
            raise node.located(error) from None


def _bare(graph: Graph, node: Node) -> Any:
    """The node's signature without what inference is about to find out."""
    return replace(node.sig(graph.env), outs={}, params={})


def _given_types(
    graph: Graph, node: Node, given: dict[str, Type], batch: int | None
) -> dict[str, Type]:
    """Set and return those types of a net input or data layer that are given, or known already."""
    known: dict[str, Type] = {}
    try:
        if batch is not None:
            node.attrs = node.op.rebatch(node.attrs, batch)
        for role in node.tops:
            top = node.outs[role]
            old, new = top.type, given.get(blob_of(top), top.type)
            if new is None:
                continue
            if graph.fixed_size and old is not None and old.shape[1:] != new.shape[1:]:
                told = f"{top.name!r} of shape {new.shape} differs from {old.shape}"
                hint = "compile the network anew for this size"
                fail("GC-S002", f"{told}, for which layers of this net were expanded", hint)
            known[role] = top.type = _rebatched(new, batch)
    except GraphError as error:
        raise node.located(error) from None
    return known


def _rebatched(type_: Type, batch: int | None) -> Type:
    return type_ if batch is None or not type_.shape else Type((batch, *type_.shape[1:]))


class _Snapshot:
    """All that inference changes, to be put back if it fails."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = [(n, n.attrs, n.params) for n in graph.nodes]
        self.values: list[tuple[Value, tuple[Any, ...]]] = [
            (v, (v.type, v.spec, v.lr_mult, v.decay_mult)) for v in graph.values()
        ]
        self.weights = dict(graph.weights)

    def restore(self) -> None:
        for node, attrs, params in self.nodes:
            node.attrs, node.params = attrs, params
        for value, (type_, spec, lr_mult, decay_mult) in self.values:
            value.type, value.spec = type_, spec
            value.lr_mult, value.decay_mult = lr_mult, decay_mult
        self.graph.weights.clear()
        self.graph.weights.update(self.weights)
