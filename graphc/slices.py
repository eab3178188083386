"""Slicer: rewrites a graph so that layers run on a few samples after each other.

Each layer that treats samples apart becomes one node per slice of the batch, all with the same
parameters. So gradients of these add up as those of shared weights do, planner and executors know
nothing of slices, what is alive for one slice alone is memory that the next one has again, and
replays bring back one slice at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, TypeAlias, cast

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Effect, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.slice import Slice, SliceAttrs
from graphc.ops.spec import OpSpec

REPEATABLE = frozenset({Effect.RNG})
OUTWARD = frozenset({Effect.SOURCE, Effect.SINK})
Edges: TypeAlias = tuple[int, ...]
"""0, where one slice ends and the next begins, the size of the batch."""


def edges_of(batch: int, size: int) -> Edges:
    """Slices of `size` samples; the last may be smaller."""
    return (*range(0, batch, size), batch)


def is_batched(node: Node, batch: int) -> bool:
    """Have all bottoms and tops the batch as axis 0?"""
    values = (*node.ins.values(), *(node.outs[role] for role in node.tops))
    shapes = [typed(value).shape for value in values]
    return bool(node.ins) and all(shape[:1] == (batch,) for shape in shapes)


def sliced_types(graph: Graph, node: Node, edges: Edges) -> list[dict[str, Type]] | None:
    """The types of the tops for each slice; None for a node that must see the whole batch."""
    op, sig = cast("type[OpSpec]", node.op), node.sig(graph.env)
    traits = op.traits_of(node.attrs, sig)
    parts = [part.effects for part in op.forwards(node.attrs, sig)]
    effects = frozenset(op.effects & OUTWARD).union(*parts)
    is_apart = Trait.BATCH_SEPARABLE in traits and effects <= REPEATABLE
    if not is_apart or any(node.loss.values()) or not node.tops or not is_batched(node, edges[-1]):
        return None
    known: dict[int, dict[str, Type]] = {}
    for lo, hi in pairwise(edges):
        if hi - lo in known:
            continue
        ins = {role: cut_type(type_, hi - lo) for role, type_ in sig.ins.items()}
        own = Sig(ins, sig.tops, sig.phase, env=sig.env, name=sig.name)
        try:
            types = known[hi - lo] = op.infer(node.attrs, own)
        except GraphError:
            return None
        if any(types[role] != cut_type(typed(node.outs[role]), hi - lo) for role in node.tops):
            return None  # the batch is written out in its attributes
    return [known[hi - lo] for lo, hi in pairwise(edges)]


class Slicer:
    """Nodes of the new graph, in order. `parts[value]`: its slices, by where they begin and end;
    `whole`: values of the original graph that are there as such."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = Names.of(graph)
        self.nodes: list[Node] = []
        self.parts: dict[Value, dict[Edges, list[Value]]] = {}
        self.whole: set[Value] = set()

    def emit(self, row: Sequence[tuple[Node, list[dict[str, Type]]]], edges: Edges) -> None:
        """Layers that stand in a row, with the types of their slices, slice by slice."""
        made = {value for node, _ in row for value in node.outs.values()}
        for node, _ in row:
            for value in node.ins.values():
                if value not in made:
                    self.cut(value, edges)
        for node, types in row:
            for role in node.tops:
                value = node.outs[role]
                slices = self.slices(value, [each[role] for each in types])
                self.parts[value] = {edges: list(slices)}
        for k, samples in enumerate(pairwise(edges)):
            for node, _ in row:
                ins = {role: self.parts[value][edges][k] for role, value in node.ins.items()}
                outs = {role: self.parts[node.outs[role]][edges][k] for role in node.tops}
                params = dict(node.params)
                made_of = replace(node, ins=ins, outs=outs, params=params, samples=samples)
                self.nodes.append(made_of)

    def keep(self, node: Node) -> None:
        """A node on the whole batch."""
        for value in node.ins.values():
            self.join(value)
        self.nodes.append(node)
        self.whole.update(node.outs.values())

    def slices(self, value: Value, types: Sequence[Type]) -> Iterator[Value]:
        for k, type_ in enumerate(types):
            yield Value(self.names.fresh(f"{value.name}#{k}"), type_)

    def cut(self, value: Value, edges: Edges) -> list[Value]:
        """The slices of a value."""
        own = self.parts.setdefault(value, {})
        if edges not in own:
            self.join(value)
            types = [cut_type(typed(value), hi - lo) for lo, hi in pairwise(edges)]
            found = own[edges] = list(self.slices(value, types))
            attrs = SliceAttrs(axis=0, slice_point=tuple(edges[1:-1]))
            tops = {f"y{k}": each for k, each in enumerate(found)}
            self._add(Slice, f"slices of {value.name}", attrs, {"x": value}, tops)
        return own[edges]

    def join(self, value: Value) -> None:
        """See that a value is there as a whole."""
        if self.parts.get(value) and value not in self.whole:
            slices = next(iter(self.parts[value].values()))
            ins = {f"x{k}": each for k, each in enumerate(slices)}
            self._add(Concat, f"all of {value.name}", ConcatAttrs(axis=0), ins, {"y": value})
            self.whole.add(value)

    def join_all(self, kept: Collection[str] | Literal["all"]) -> None:
        """See that outputs and blobs of these names are there as wholes."""
        for value in [*self.graph.outputs, *self.parts]:
            if value in self.graph.outputs or kept == "all" or value.name in kept:
                self.join(value)

    def _add(
        self,
        op: type[Slice] | type[Concat],
        name: str,
        attrs: SliceAttrs | ConcatAttrs,
        ins: dict[str, Value],
        outs: dict[str, Value],
    ) -> None:
        self.nodes.append(Node(op, name, attrs, ins, outs, phase=self.graph.phase))


def cut_type(type_: Type, samples: int) -> Type:
    return replace(type_, shape=(samples, *type_.shape[1:]))


__all__ = ["Edges", "Slicer", "cut_type", "edges_of", "is_batched", "sliced_types"]
