"""Count what a network costs on paper: multiply-adds, parameters, activations.

Reads declarations only; nothing is run.
"""

from __future__ import annotations

from dataclasses import fields
from typing import cast

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Effect, Kind, Trait
from graphc.ops.spec import OpSpec
from graphc.records import record


@record(frozen=True, slots=True)
class Counts:
    """`macs`: multiply-adds in sums of products, padding counted as full; `activations`: elements
    of tops; `scalings`: of those, elements that a learned or measured factor or shift is applied
    to (BatchNorm, Scale, Bias, PReLU). These three are per sample.

    `params`: learned elements of layers that combine elements (weights and biases); `factors`:
    those of the layers that scale. Statistics are no parameters; a shared one counts once.
    """

    macs: int = 0
    params: int = 0
    activations: int = 0
    scalings: int = 0
    factors: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


def count(graph: Graph) -> list[tuple[Node, Counts]]:
    """The counts of every layer in order. Raises GC-S004 for a graph without shapes."""
    batch = batch_size(graph) or 1
    seen: set[Value] = set()
    return [(node, _count(node, batch, seen)) for node in graph.forward_nodes()]


def batch_size(graph: Graph) -> int:
    """Axis 0 of the first blob that comes from outside; 1 if there is none."""
    for node in graph.forward_nodes():
        if node.has(Trait.FEED) or node.has(Effect.SOURCE):
            for role in node.tops:
                return (*typed(node.outs[role]).shape, 1)[0]
    return 1


def macs(node: Node) -> int:
    """Multiply-adds of a layer's forward, for the whole batch."""
    op, sig = cast("type[OpSpec]", node.op), node.sig()
    return sum(op.macs(node.attrs, part.name, sig) for part in op.forwards(node.attrs, sig))


def _count(node: Node, batch: int, seen: set[Value]) -> Counts:
    fresh = {v.storage for v in node.params.values() if v.kind is Kind.PARAM} - seen
    seen.update(fresh)
    owned = sum(typed(value).size for value in fresh)
    activations = sum(typed(node.outs[role]).size for role in node.tops) // batch
    work = macs(node) // batch
    if not node.has(Trait.ELEMENTWISE):
        return Counts(work, owned, activations)
    return Counts(work, 0, activations, activations if node.params else 0, owned)


__all__ = ["Counts", "batch_size", "count", "macs"]
