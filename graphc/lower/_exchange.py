"""exchange: ReLUs before maximum pooling let gradients through behind it, where there are fewer.

Maximum pooling hands each gradient on to the element that was its window's greatest, and what ReLU
made there is positive just where what pooling made is. So the gradients may pass the ReLU first:
it then reads pooling's result, and nobody keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.lower._draft import Alias, Draft
from graphc.ops.pooling import Pooling
from graphc.ops.relu import ReLU
from graphc.ops.spec import View


def exchange(
    drafts: Sequence[Draft],
    graph: Graph,
    pinned: Collection[Value] = (),
    is_plain: Callable[[Draft], bool] = lambda draft: True,
) -> list[Draft]:
    """The drafts, in order, with the gradient of every such ReLU where it costs the least.

    One ReLU takes the place of several whose results a Concat joins for pooling. Nothing is done
    about gradients that are `pinned` or have other readers, where more would have to be kept than
    before, nor with drafts that are not `is_plain`.
    """
    search = _Search(drafts, graph, pinned)
    for at, draft in enumerate(drafts):
        if search.is_max_pool(draft) and is_plain(draft):
            search.visit(at)
    return [d for at, old in enumerate(drafts) for d in search.instead.get(at, (old,))]


class _Search:
    """`instead`: the drafts that come in the place of one, by its position."""

    def __init__(self, drafts: Sequence[Draft], graph: Graph, pinned: Collection[Value]) -> None:
        self.drafts, self.graph, self.pinned = drafts, graph, pinned
        self.instead: dict[int, tuple[Draft, ...]] = {}
        self.touched: dict[Value, list[int]] = {}
        self.joined: set[tuple[Value, Value, View]] = set()
        for at, draft in enumerate(drafts):
            for value in dict.fromkeys(draft.values()):
                self.touched.setdefault(value, []).append(at)
            if draft.is_forward:
                self.joined.update((a.inner, a.outer, _slice(a)) for a in draft.aliases)

    def is_max_pool(self, draft: Draft) -> bool:
        return self._is_part(draft, Pooling) and "index" in dict(draft.reads)

    def visit(self, at: int) -> None:
        pool = self.drafts[at]
        ((role, handed),) = pool.writes
        layer = self._layer(pool)
        found = self._behind(handed, layer.ins["x"], at)
        if not found or not self._pays(layer, found):
            return
        first = self.drafts[found[0]]
        slopes = {self._layer(self.drafts[i]).attrs.negative_slope for i in found}
        if len(slopes) > 1:
            return
        above, top = dict(pool.reads)["dy"], layer.outs["y"]
        passed = Value(f"{above.name}:passed", top.type)
        given = {"dy": above, "y": top}
        relu = replace(
            first, reads=[(r, given[r]) for r, _ in first.reads], writes=[("dx", passed)]
        )
        reads = [(r, passed if r == "dy" else value) for r, value in pool.reads]
        results = {dict(self.drafts[i].reads)["dy"]: self.drafts[i].writes[0][1] for i in found}
        made = results.get(handed, handed)
        self.instead[at] = relu, replace(pool, reads=reads, writes=[(role, made)])
        self.instead |= dict.fromkeys(found, ())
        for i, draft in enumerate(self.drafts):
            if not draft.is_forward and any(a.inner in results for a in draft.aliases):
                self.instead[i] = (_renamed(draft, results),)

    def _behind(self, gradient: Value, of: Value, maker: int) -> list[int]:
        """Positions of the ReLUs that a gradient, that of `of`, goes through in slices or whole;
        none if anything else is done with any of it."""
        if gradient in self.pinned:
            return []
        found: list[int] = []
        for at in self.touched[gradient]:
            draft = self.drafts[at]
            if at == maker:
                continue
            if self._is_relu(draft, gradient, of):
                found.append(at)
                continue
            deeper = self._behind_view(at, gradient, of)
            if not deeper:
                return []
            found += deeper
        return found

    def _behind_view(self, at: int, gradient: Value, of: Value) -> list[int]:
        """The same of a slice, if it is the gradient of what lies there of `of`."""
        draft = self.drafts[at]
        if len(draft.aliases) != 1 or draft.is_forward or draft.aliases[0].outer is not gradient:
            return []
        (alias,) = draft.aliases
        ((role, _),) = draft.writes
        bottom = self._layer(draft).ins[role[1:]]
        if (bottom, of, _slice(alias)) not in self.joined:
            return []
        return self._behind(alias.inner, bottom, at)

    def _pays(self, layer: Node, relus: Sequence[int]) -> bool:
        """Is not more kept for the backward than was?"""
        x, top = layer.ins["x"], layer.outs["y"]
        own = [dict(self.drafts[at].reads)["y"] for at in relus]
        is_freed = not any(self._kept_for(value, relus) for value in (x, *own))
        freed = typed(x).nbytes if is_freed else 0
        more = 0 if self._kept_for(top, ()) else typed(top).nbytes
        return more <= freed and typed(top).size <= typed(x).size

    def _kept_for(self, value: Value, but: Sequence[int]) -> bool:
        """Does the backward, `but` for these drafts, read a value that the forward has made?"""
        places = self.touched[value]
        return any(not self.drafts[at].is_forward and at not in but for at in places)

    def _is_relu(self, draft: Draft, dy: Value, y: Value) -> bool:
        reads = dict(draft.reads)
        return self._is_part(draft, ReLU) and reads == {"dy": dy, "y": y}

    def _is_part(self, draft: Draft, op: type[Pooling | ReLU]) -> bool:
        is_call = not draft.aliases and not draft.is_forward and not draft.is_sum
        return is_call and draft.part == "dx" and self._layer(draft).op is op

    def _layer(self, draft: Draft) -> Node:
        node = self.graph.nodes[draft.node]
        return node.of or node


def _slice(alias: Alias) -> View:
    """The alias' view without the role that it is of."""
    return replace(alias.view, of="")


def _renamed(draft: Draft, results: dict[Value, Value]) -> Draft:
    aliases = tuple(replace(a, inner=results.get(a.inner, a.inner)) for a in draft.aliases)
    writes = [(role, results.get(value, value)) for role, value in draft.writes]
    return replace(draft, aliases=aliases, writes=writes)


__all__ = ["exchange"]
