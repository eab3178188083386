"""infer: fill in the types of a graph, and bind its parameters to their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.errors import GraphError, fail
from graphc.ir.bind import bind
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value, near
from graphc.ir.op import Effect, Kind, Param, Trait
from graphc.ir.types import Type
from graphc.ir.versions import blob_of

Shapes = Mapping[str, tuple[int, ...]]


def infer(graph: Graph, shapes: Shapes | None = None, batch: int | None = None) -> None:
    """Give every value of `graph` its type, in place; may be called again with other shapes.

    `shapes` maps net inputs and tops of data layers to shapes; a data layer all of whose tops are
    given is not opened. `batch` replaces the batch size of every input and data layer. Weights
    waiting in `graph.pending` are bound. Raises GC-S00x, GC-N00x, GC-W001, GC-L001 with layer and
    line, GC-R002 for a shape of an unknown blob.
    """
    given = dict(shapes or {})
    tops = {blob_of(v) for n in graph.nodes if _is_source(n) for v in n.outs.values()}
    for name in given:
        if name not in tops:
            fail("GC-R002", f"a shape is given for {name!r}, which is no input", near(name, tops))
    binder = _Binder(graph)
    for node in graph.nodes:
        if node.role is Role.FWD:
            try:
                _infer_tops(graph, node, given, batch)
                binder.bind(node)
            except GraphError as error:
                raise node.located(error) from None
    if graph.pending:
        bind(graph, {}, strict=False)


def _is_source(node: Node) -> bool:
    return node.has(Effect.SOURCE) or node.has(Trait.FEED)


def _infer_tops(graph: Graph, node: Node, given: Shapes, batch: int | None) -> None:
    known: dict[str, Type] = {}
    if _is_source(node):
        if batch is not None:
            node.attrs = node.op.rebatch(node.attrs, batch)
        asked = {role: given.get(blob_of(node.outs[role])) for role in node.tops}
        known = {role: Type(tuple(shape)) for role, shape in asked.items() if shape is not None}
    if any(role not in known for role in node.tops):
        known = node.op.infer(node.attrs, node.sig(graph.env)) | known
    for role in node.tops:
        graph.limits.check("tensor_bytes", known[role].nbytes, f"blob {node.outs[role].name!r}")
        node.outs[role].type = known[role]


class _Binder:
    """Makes the parameter values of one graph, sharing those that have a name in common."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.owners: dict[str, tuple[Value, ParamSpec]] = {}
        self.names: set[str] = {v.name for n in graph.nodes for v in n.outs.values()}

    def bind(self, node: Node) -> None:
        declared = node.op.params(node.attrs, replace(node.sig(self.graph.env), params={}))
        blobs = [p for p in declared if p.kind is not Kind.CARRY]
        if len(node.specs) > len(blobs):
            fail("GC-N005", f"{len(node.specs)} param entries for {len(blobs)} blobs")
        specs = dict(zip((p.name for p in blobs), node.specs, strict=False))
        old, node.params = node.params, {}
        for param in declared:
            spec = specs.get(param.name, ParamSpec())
            if param.kind is Kind.STATE and (spec.lr_mult or spec.decay_mult):
                fail("GC-N005", f"{param.name} is a statistic: its lr_mult must be 0")
            type_ = Type(param.shape)
            self.graph.limits.check("tensor_bytes", type_.nbytes, f"parameter {param.name!r}")
            node.params[param.name] = self._value(node, param, type_, spec, old.get(param.name))

    def _value(
        self, node: Node, param: Param, type_: Type, spec: ParamSpec, old: Value | None
    ) -> Value:
        owner = self.owners.get(spec.name) if spec.name else None
        if owner is not None:
            return self._shared(owner, param, type_, spec, old)
        if old is not None and old.view_of is None:
            value = old
            stale = self.graph.weights.get(value.name)
            if stale is not None and stale.shape != type_.shape:
                if value.kind is Kind.CARRY:  # another number of streams: they start anew
                    del self.graph.weights[value.name]
                    stale = None
            if stale is not None and stale.shape != type_.shape:
                fail(
                    "GC-W001",
                    f"{param.name} has shape {stale.shape}, but the net now needs {type_.shape}",
                    "the new input shape changes the weights; only inputs that keep them fit",
                )
        else:
            value = Value(self._fresh(f"{node.name}:{param.name}"), kind=param.kind)
        value.type, value.spec = type_, param
        value.lr_mult = 1.0 if spec.lr_mult is None else spec.lr_mult
        value.decay_mult = 1.0 if spec.decay_mult is None else spec.decay_mult
        if spec.name:
            self.owners[spec.name] = (value, spec)
        return value

    def _shared(
        self,
        owner: tuple[Value, ParamSpec],
        param: Param,
        type_: Type,
        spec: ParamSpec,
        old: Value | None,
    ) -> Value:
        value, first = owner
        assert value.type is not None
        permissive = spec.share_mode == "PERMISSIVE"
        fits = type_.size == value.type.size if permissive else type_.shape == value.type.shape
        if not fits:
            fail(
                "GC-N006",
                f"parameter {spec.name!r} has shape {type_.shape} here, "
                f"{value.type.shape} at its owner",
            )
        for name in ("lr_mult", "decay_mult"):
            mine, theirs = getattr(spec, name), getattr(first, name)
            if mine is not None and theirs is not None and mine != theirs:
                fail("GC-N006", f"parameter {spec.name!r} has {name} {mine} here, {theirs} before")
            if mine is not None and theirs is None:
                setattr(value, name, mine)
                first = replace(first, **{name: mine})
        self.owners[spec.name] = (value, first)
        if type_.shape == value.type.shape:
            return value
        if old is not None and old.view_of is value:
            old.type = type_
            return old
        return Value(
            self._fresh(f"{value.name}:view"), type_, value.kind, spec=param, view_of=value
        )

    def _fresh(self, name: str) -> str:
        fresh, count = name, 2
        while fresh in self.names:
            fresh, count = f"{name}:{count}", count + 1
        self.names.add(fresh)
        return fresh
