"""merge_common: of layers that compute the same from the same, keep one."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import cast

import numpy as np

from graphc.ir.edit import Replacement
from graphc.ir.graph import Graph, Node
from graphc.ir.op import Effect, Trait
from graphc.ops.spec import OpSpec
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class MergeCommon(Pass):
    """Keep one of several layers of one type with equal options, bottoms and parameters.

    Parameters are equal if they are shared, or if they are the same bit by bit and not just what
    one constant filler makes of all of them, which says nothing. Also known as common subexpression
    elimination.

    Conditions: the layer has no effect beside its tops (random numbers, statistics, files, loss
    weights); the names of outputs and kept blobs survive. With gradients only layers that share
    their parameters are merged.
    """

    name = "merge_common"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        found = Replacement(graph, ctx.pinned)
        seen: dict[Hashable, _Alike] = {}
        detail: list[str] = []
        for node in graph.forward_nodes():
            key = _key(node, found) if _is_pure(node) else None
            if key is None:
                continue
            twin = seen.setdefault(key, _Alike(graph, ctx.train)).twin_of(node)
            if twin is None:
                continue
            if found.drop(node, {node.outs[role]: twin.outs[role] for role in node.tops}):
                detail.append(f"{node.name} is {twin.name} ({node.op.type})")
            else:
                detail.append(f"{node.name} stays: it is {twin.name}, but a name needs it")
        found.apply()
        return Report(self.name, bool(found.dropped), tuple(detail))


def _is_pure(node: Node) -> bool:
    if node.has(Trait.FEED) or node.op.effects & {Effect.SOURCE, Effect.SINK} or not node.tops:
        return False
    calls = cast("type[OpSpec]", node.op).forwards(node.attrs, node.sig())
    return not any(node.loss.values()) and not any(call.effects for call in calls)


def _key(node: Node, found: Replacement) -> Hashable:
    """Equal for layers that differ in names and parameters alone."""
    key = (
        node.op,
        node.attrs,
        node.phase,
        node.propagate,
        node.tops,
        tuple(map(found.end, node.ins.values())),
        tuple(value.type for value in node.params.values()),
    )
    try:
        hash(key)
    except TypeError:  # attributes of a user's layer
        return None
    return key


class _Alike:
    """Layers with one key, told apart by their parameters, once there are two."""

    def __init__(self, graph: Graph, train: bool) -> None:
        self.graph, self.train = graph, train
        self.first: Node | None = None
        self.by_weights: dict[Hashable, Node] = {}

    def twin_of(self, node: Node) -> Node | None:
        """A layer seen before that has equal parameters."""
        if self.first is None:
            self.first = node
            return None
        if not self.by_weights:
            self.by_weights[self._weights(self.first)] = self.first
        twin = self.by_weights.setdefault(self._weights(node), node)
        return None if twin is node else twin

    def _weights(self, node: Node) -> Hashable:
        """Which arrays these are, or, if they are known and not trivial, what is in them."""
        storages = [value.storage for value in node.params.values()]
        if self.train:
            return tuple(storages)
        arrays = [self.graph.weight(value) for value in storages]
        if not any(array.size and array.min() != array.max() for array in arrays):
            return tuple(storages)
        return tuple(hashlib.blake2b(np.ascontiguousarray(a).data).digest() for a in arrays)
