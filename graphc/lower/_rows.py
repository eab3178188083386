"""Rows: which kernels of a backend can do a draft, by the rows of its layer's declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Sig, Trait
from graphc.lower._draft import Draft
from graphc.lower._layout import Layout
from graphc.ops.spec import Kernel, OpSpec

MAX_RANK = 8
"""Axes that a kernel's operand may have (csrc/core/tensor.h)."""


class Rows:
    """Rows of drafts, fastest first; none where only the reference will do. `built`: symbols of
    the kernels there are. What depends on data-dependent extents is left to the reference."""

    def __init__(self, graph: Graph, backend: str, built: Iterable[str]) -> None:
        self._graph, self._backend, self._built = graph, backend, frozenset(built)
        self._dynamic = _dynamic_values(graph)
        self._sigs: dict[Node, Sig] = {}
        self._known: dict[Draft, tuple[Kernel, ...]] = {}

    def sig(self, draft: Draft) -> Sig:
        node = self._graph.nodes[draft.node]
        if node not in self._sigs:
            self._sigs[node] = node.sig(self._graph.env)
        return self._sigs[node]

    def node(self, draft: Draft) -> Node:
        return self._graph.nodes[draft.node]

    def of(self, draft: Draft) -> tuple[Kernel, ...]:
        if draft not in self._known:
            self._known[draft] = tuple(self._find(draft))
        return self._known[draft]

    def keep(self, draft: Draft, needs: set[str]) -> None:
        """From now on only rows that fuse all of `needs` do the draft."""
        self._known[draft] = tuple(r for r in self.of(draft) if needs.issubset(r.fuses))

    def attrs(self, draft: Draft, row: Kernel) -> Mapping[str, Any]:
        return row.attrs(self.node(draft).attrs, self.sig(draft)) if row.attrs is not None else {}

    def is_plain(self, draft: Draft) -> bool:
        """May kernels and views do the draft at all?"""
        values = list(draft.values())
        return not any(v in self._dynamic or typed(v).rank > MAX_RANK for v in values)

    def accepts(self, drafts: Iterable[Draft], value: Value, layout: Layout) -> bool:
        """May all of these drafts meet a value under strides with gaps? References can."""
        has_unit = not layout.dims or layout.dims[-1] == 1 or layout.strides[-1] == 1
        return all(has_unit and self._is_strided(d) for d in drafts if self.of(d) or d.is_copy)

    def _is_strided(self, draft: Draft) -> bool:
        return draft.is_copy or all(row.strided for row in self.of(draft))

    def _find(self, draft: Draft) -> Iterator[Kernel]:
        if draft.is_copy or not self.is_plain(draft):
            return
        node = self.node(draft)
        for row in cast("type[OpSpec]", node.op).kernels:
            is_right = row.backend == self._backend and row.part == draft.part
            is_right = is_right and row.symbol in self._built
            if is_right and (row.when is None or row.when(node.attrs, self.sig(draft))):
                yield row


def without_views(drafts: Iterable[Draft], rows: Rows) -> list[Draft]:
    """The drafts, of which those that no kernel may touch are calls even if views would do."""
    return [d if rows.is_plain(d) else replace(d, aliases=()) for d in drafts]


def _dynamic_values(graph: Graph) -> set[Value]:
    """Values whose live extents depend on data."""
    found: set[Value] = set()
    for node in graph.nodes:
        if node.has(Trait.DYNAMIC) or any(v in found for v in node.ins.values()):
            found.update(node.outs.values())
    return found


__all__ = ["Rows", "without_views"]
