"""micro_batched: a graph whose layers run on a few samples after each other.

This is a rewriting of the graph, before gradients: each layer that treats samples apart becomes one
node per slice of the batch, all with the same parameters. So gradients of these add up as those of
shared weights do, planner and executors know nothing of slices, what is alive for one slice alone
is memory that the next one has again, and replays bring back one slice at a time.

Layers with samples in common run on the whole batch: losses, so that they are normalized over all
of it; data layers; whatever else mixes samples. BatchNorm in training takes its statistics over all
slices, but normalizes one by one. Slices are views of the whole batch, and join into one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import cast

from graphc.count import batch_size
from graphc.errors import GraphError, fail
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Effect, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.slice import Slice, SliceAttrs
from graphc.ops.spec import OpSpec

REPEATABLE = frozenset({Effect.RNG})


def micro_batched(graph: Graph, size: int) -> list[str]:
    """Let layers of a shaped graph without gradients run on `size` samples at a time (in place);
    returns the names of those that mix samples and still run on all at once, losses aside.

    The last slice may be smaller; nothing is done if there is but one. Raises GC-R004 for a size
    that is none, GC-R003 for a graph of which every layer mixes samples.
    """
    batch = batch_size(graph)
    if type(size) is not int or size < 1:
        fail("GC-R004", f"a micro-batch of {size!r} samples; 1 and more are possible")
    return _Slicer(graph, size, batch).run() if size < batch else []


class _Slicer:
    """`parts[value]`: its slices; `whole`: values of the original graph that are there as such."""

    def __init__(self, graph: Graph, size: int, batch: int) -> None:
        self.graph, self.batch = graph, batch
        self.edges = [*range(0, batch, size), batch]
        self.names = Names.of(graph)
        self.nodes: list[Node] = []
        self.parts: dict[Value, list[Value]] = {}
        self.whole: set[Value] = set()

    def run(self) -> list[str]:
        graph, mixed = self.graph, list[str]()
        pending: list[tuple[Node, list[dict[str, Type]]]] = []
        done = False
        for node in graph.nodes:
            types = self._sliced_types(node)
            if types is not None:
                pending.append((node, types))
                done = True
                continue
            self._emit(pending)
            pending = []
            if node.op is BatchNorm and self._is_batched(node):
                self._normalize(node)
                continue
            if not (node.has(Trait.FEED) or node.has(Effect.SOURCE) or node.has(Trait.LOSS)):
                mixed.append(node.name)
            self._keep(node)
        self._emit(pending)
        if not done:
            named = f", such as layer {mixed[0]!r}" if mixed else ""
            fail("GC-R003", f"no layer treats samples apart{named}", "train on the whole batch")
        for value in graph.outputs:
            self._join(value)
        graph.nodes = self.nodes
        return mixed

    def _is_batched(self, node: Node) -> bool:
        """Have all bottoms and tops the batch as axis 0?"""
        values = (*node.ins.values(), *(node.outs[role] for role in node.tops))
        shapes = [typed(value).shape for value in values]
        return bool(node.ins) and all(shape[:1] == (self.batch,) for shape in shapes)

    def _sliced_types(self, node: Node) -> list[dict[str, Type]] | None:
        """The types of the tops for each slice; None for a node that must see the whole batch."""
        op, sig = cast("type[OpSpec]", node.op), node.sig(self.graph.env)
        traits = op.traits_of(node.attrs, sig)
        is_apart = Trait.BATCH_SEPARABLE in traits and node.op.effects <= REPEATABLE
        if not is_apart or any(node.loss.values()) or not node.tops or not self._is_batched(node):
            return None
        found = []
        for lo, hi in pairwise(self.edges):
            ins = {role: _cut(type_, hi - lo) for role, type_ in sig.ins.items()}
            own = Sig(ins, sig.tops, sig.phase, env=sig.env, name=sig.name)
            try:
                types = op.infer(node.attrs, own)
            except GraphError:
                return None
            if any(types[role] != _cut(typed(node.outs[role]), hi - lo) for role in node.tops):
                return None  # the batch is written out in its attributes
            found.append(types)
        return found

    def _emit(self, pending: Sequence[tuple[Node, list[dict[str, Type]]]]) -> None:
        """Layers that stand in a row, slice by slice."""
        made = {value for node, _ in pending for value in node.outs.values()}
        for node, _ in pending:
            for value in node.ins.values():
                if value not in made:
                    self._cut(value)
        for node, types in pending:
            for role in node.tops:
                value = node.outs[role]
                self.parts[value] = list(self._slices(value, [each[role] for each in types]))
        for k, lo in enumerate(self.edges[:-1]):
            for node, _ in pending:
                self.nodes.append(
                    replace(
                        node,
                        ins={role: self.parts[value][k] for role, value in node.ins.items()},
                        outs={role: self.parts[node.outs[role]][k] for role in node.tops},
                        params=dict(node.params),
                        first_sample=lo,
                    )
                )

    def _normalize(self, node: Node) -> None:
        """A BatchNorm in training."""
        (x,), (y,) = node.ins.values(), (node.outs[role] for role in node.tops)
        xs = self._cut(x)
        ys = self.parts[y] = list(self._slices(y, [typed(value) for value in xs]))
        self.nodes.append(
            replace(
                node,
                op=BatchNormSlices,
                ins={f"x{k}": value for k, value in enumerate(xs)},
                outs={f"y{k}": value for k, value in enumerate(ys)},
                tops=tuple(f"y{k}" for k in range(len(ys))),
                params=dict(node.params),
                propagate=tuple(p for p in node.propagate for _ in xs),
            )
        )

    def _keep(self, node: Node) -> None:
        """A node on the whole batch."""
        for value in node.ins.values():
            self._join(value)
        self.nodes.append(node)
        self.whole.update(node.outs.values())

    def _slices(self, value: Value, types: Sequence[Type]) -> Iterator[Value]:
        for k, type_ in enumerate(types):
            yield Value(self.names.fresh(f"{value.name}#{k}"), type_)

    def _cut(self, value: Value) -> list[Value]:
        """The slices of a value."""
        if value not in self.parts:
            types = [_cut(typed(value), hi - lo) for lo, hi in pairwise(self.edges)]
            found = self.parts[value] = list(self._slices(value, types))
            attrs = SliceAttrs(axis=0, slice_point=tuple(self.edges[1:-1]))
            tops = {f"y{k}": each for k, each in enumerate(found)}
            self._add(Slice, f"slices of {value.name}", attrs, {"x": value}, tops)
        return self.parts[value]

    def _join(self, value: Value) -> None:
        """See that a value is there as a whole."""
        if value in self.parts and value not in self.whole:
            ins = {f"x{k}": each for k, each in enumerate(self.parts[value])}
            self._add(Concat, f"all of {value.name}", ConcatAttrs(axis=0), ins, {"y": value})
            self.whole.add(value)

    def _add(
        self,
        op: type[Slice] | type[Concat],
        name: str,
        attrs: SliceAttrs | ConcatAttrs,
        ins: dict[str, Value],
        outs: dict[str, Value],
    ) -> None:
        self.nodes.append(Node(op, name, attrs, ins, outs, phase=self.graph.phase))


def _cut(type_: Type, samples: int) -> Type:
    return replace(type_, shape=(samples, *type_.shape[1:]))


__all__ = ["micro_batched"]
