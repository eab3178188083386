"""Binder: gives every layer its parameter values, one value for those that share a name."""

from __future__ import annotations

from dataclasses import replace

from graphc.errors import fail
from graphc.ir.graph import Graph, Node, ParamSpec, Value
from graphc.ir.names import Names
from graphc.ir.op import Kind, Param
from graphc.ir.types import Type

MULTIPLIERS = ("lr_mult", "decay_mult")


class Binder:
    """Binds the nodes of one graph in order; values made by an earlier binding stay.

    `owners`: `param { name }` -> the value that its first user owns, and what is known of it.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.owners: dict[str, tuple[Value, ParamSpec]] = {}
        self.names = Names.of(graph)

    def bind(self, node: Node) -> None:
        """Set `node.params`, whose bottoms and tops have types. Raises GC-N005, GC-N006, GC-W001,
        GC-L001."""
        declared = node.op.params(node.attrs, replace(node.sig(self.graph.env), params={}))
        blobs = [p for p in declared if p.kind is not Kind.CARRY]
        if len(node.specs) > len(blobs):
            fail("GC-N005", f"{len(node.specs)} param entries for {len(blobs)} blobs")
        specs = dict(zip((p.name for p in blobs), node.specs, strict=False))
        old, node.params = node.params, {}
        for param in declared:
            spec = specs.get(param.name, ParamSpec())
            if param.kind is Kind.STATE and spec.lr_mult:
                fail("GC-N005", f"{param.name} is a statistic: its lr_mult must be 0")
            type_ = Type(param.shape)
            self.graph.limits.check("tensor_bytes", type_.nbytes, f"parameter {param.name!r}")
            if spec.name in self.owners:
                value = self._shared(param, type_, spec, old.get(param.name))
            else:
                value = self._owned(node, param, type_, spec, old.get(param.name))
                value.lr_mult, value.decay_mult = (
                    1.0 if m is None else m for m in (spec.lr_mult, spec.decay_mult)
                )
                if spec.name:
                    self.owners[spec.name] = (value, spec)
            node.params[param.name] = value

    def _owned(
        self, node: Node, param: Param, type_: Type, spec: ParamSpec, old: Value | None
    ) -> Value:
        if old is None or (old.view_of is not None and spec.name):
            name = self.names.fresh(f"{node.name}:{param.name}")
            return Value(name, type_, param.kind, spec=param)
        stale = self.graph.weights.get(old.storage.name)
        is_view = old.view_of is not None  # one that a pass has made, without a name
        if stale is not None and stale.shape != type_.shape:
            if is_view and stale.size == type_.size:
                return _retyped(old, param, type_)
            if param.kind is not Kind.CARRY:
                fail(
                    "GC-W001",
                    f"{param.name} has shape {stale.shape}, but the net now needs {type_.shape}",
                    "the new input shape changes the weights; only inputs that keep them fit",
                )
            del self.graph.weights[old.name]  # another number of streams: they start anew
        return _retyped(old, param, type_)

    def _shared(self, param: Param, type_: Type, spec: ParamSpec, old: Value | None) -> Value:
        owner, known = self.owners[spec.name]
        assert owner.type is not None
        permissive = spec.share_mode == "PERMISSIVE"
        fits = type_.size == owner.type.size if permissive else type_.shape == owner.type.shape
        if not fits or param.kind is not owner.kind:
            here, there = f"of shape {type_.shape}", f"of shape {owner.type.shape}"
            if param.kind is not owner.kind:
                here, there = f"a {param.kind.value} {here}", f"a {owner.kind.value} {there}"
            fail(
                "GC-N006",
                f"parameter {spec.name!r} is {here} here, but {there} at its owner {owner.name!r}",
                "" if permissive else "share_mode: PERMISSIVE allows other shapes of equal counts",
            )
        self.owners[spec.name] = (owner, _agreed(owner, known, spec))
        if type_.shape == owner.type.shape:
            return owner
        if old is not None and old.view_of is owner:
            return _retyped(old, param, type_)
        name = self.names.fresh(f"{owner.name}:view")
        return Value(name, type_, owner.kind, spec=param, view_of=owner)


def _retyped(value: Value, param: Param, type_: Type) -> Value:
    value.type, value.spec = type_, param
    return value


def _agreed(owner: Value, known: ParamSpec, spec: ParamSpec) -> ParamSpec:
    """What is known of a shared parameter: a multiplier given twice must agree; either one wins."""
    for name in MULTIPLIERS:
        mine, theirs = getattr(spec, name), getattr(known, name)
        if mine is None:
            continue
        if theirs is not None and mine != theirs:
            fail("GC-N006", f"parameter {spec.name!r} has {name} {mine} here, {theirs} before")
        setattr(owner, name, mine)
        known = replace(known, **{name: mine})
    return known
