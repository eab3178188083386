"""Rows: which kernels of a backend can do a draft, by the rows of its layer's declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from graphc.ir.graph import Graph, Node, Role, Sigs, Value, typed
from graphc.ir.op import Sig, Trait
from graphc.lower._choices import Choice
from graphc.lower._draft import Draft
from graphc.lower._formats import Formats
from graphc.lower._layout import Layout, dense
from graphc.lower._problem import Problem, problem_of, told_of
from graphc.ops.kernel import BLOCKED, PLAIN, Cost, Kernel, Pack, Sides
from graphc.ops.spec import OpSpec

_PLAIN: Sides = (PLAIN, PLAIN)
MAX_RANK = 8
"""Axes that a kernel's operand may have (csrc/core/tensor.h)."""


class Rows:
    """Rows of drafts; none where only the reference will do. `built`: symbols of the kernels there
    are; `fits`: does a kernel that may refuse a use take it? `deterministic`: only rows whose bits
    do not depend on how many threads there are. What depends on data-dependent extents is left to
    the reference, but for rows that are `dynamic`."""

    def __init__(
        self,
        graph: Graph,
        backend: str,
        built: Iterable[str],
        formats: Formats | None = None,
        fits: Callable[[Problem], bool] = lambda problem: True,
        deterministic: bool = False,
    ) -> None:
        self._graph, self._backend, self._built = graph, backend, frozenset(built)
        self.formats, self._fits = formats or Formats(), fits
        self._deterministic = deterministic
        self._dynamic = _dynamic_values(graph)
        self.sigs = Sigs(graph.env)
        self._known: dict[Draft, tuple[Kernel, ...]] = {}
        self._told: Mapping[Draft, Mapping[str, Any]] = {}
        self._sides: dict[Draft, Sides] = {}
        self._choices: dict[Draft, Choice] = {}
        self._problems: dict[tuple[Draft, Kernel, Sides], Problem] = {}
        self._kept: dict[tuple[Draft, str], int] = {}

    def sig(self, draft: Draft) -> Sig:
        return self.sigs[self.node(draft)]

    def node(self, draft: Draft) -> Node:
        """The layer whose part, forward or gradient, the draft is; of a sum of gradients, it."""
        node = self._graph.nodes[draft.node]
        return node.of or node

    def of(self, draft: Draft) -> tuple[Kernel, ...]:
        if draft not in self._known:
            self._known[draft] = tuple(self._find(draft))
        return self._known[draft]

    def keep(self, draft: Draft, needs: set[str]) -> None:
        """From now on only rows that fuse all of `needs` do the draft."""
        self._known[draft] = tuple(r for r in self.of(draft) if needs.issubset(r.fuses))

    def can_add(self, draft: Draft) -> bool:
        """Can whoever does the draft add its result to what is there? References can."""
        return draft.can_add and all(row.adds for row in self.of(draft))

    def tell(self, told: Mapping[Draft, Mapping[str, Any]]) -> None:
        """What kernels are told beside their rows' own attributes, of their epilogues."""
        self._told = told

    def problems(self, draft: Draft) -> dict[Sides, list[tuple[Kernel, Problem]]]:
        """The rows that can do the draft, by the formats they do it in."""
        found: dict[Sides, list[tuple[Kernel, Problem]]] = {}
        for row in self.of(draft):
            for sides in row.formats:
                if self._suits(draft, row, sides):
                    problem = self.problem(draft, row, sides)
                    if not row.asks or self._fits(problem):
                        found.setdefault(sides, []).append((row, problem))
        return found

    def problem(self, draft: Draft, row: Kernel, sides: Sides | None = None) -> Problem:
        """What a row is told of a draft, in these formats or those that were chosen."""
        sides = sides or self.sides(draft)
        if (draft, row, sides) not in self._problems:
            self._problems[draft, row, sides] = self._problem(draft, row, sides)
        return self._problems[draft, row, sides]

    def _problem(self, draft: Draft, row: Kernel, sides: Sides) -> Problem:
        attrs = {**self.attrs(draft, row), **self.epilogue(draft), **told_of(sides, self.formats)}
        if draft.adds:
            attrs["accumulate"] = True
        packed = {pack.of: self.packed_size(draft, pack) for pack in row.packs}
        return problem_of(draft, row, sides, attrs, self.formats, packed)

    def cost(self, draft: Draft, row: Kernel) -> Cost | None:
        """What a row computes and moves, if its algorithm is one of its own."""
        return row.cost(self.node(draft).attrs, self.sig(draft)) if row.cost is not None else None

    def packed_size(self, draft: Draft, pack: Pack) -> int:
        """Elements of a packed operand, 0 where only the kernel knows."""
        return pack.size(self.node(draft).attrs, self.sig(draft)) if pack.size is not None else 0

    def choose(
        self, draft: Draft, sides: Sides, rows: Iterable[Kernel], known: Choice | None = None
    ) -> None:
        """From now on these rows do the draft, in these formats, the first of them by default;
        `known`: what is known of them from a lowering before."""
        self._known[draft], self._sides[draft] = tuple(rows), sides
        if known is not None:
            self._choices[draft] = known

    def chosen(self, draft: Draft) -> Choice:
        """The draft's formats, and what is known of its rows."""
        return self._choices.get(draft) or Choice(self.sides(draft), (), {})

    def tell_choice(self, draft: Draft, choice: Choice) -> None:
        """What has turned out of the rows that do the draft."""
        self._choices[draft] = choice

    def rows_of(self, draft: Draft, choice: Choice) -> list[Kernel] | None:
        """The rows of a choice; None if it is not for this draft."""
        sides = choice.sides
        able = {r.symbol: r for r in self.of(draft) if sides in r.formats}
        rows = [able[v.symbol] for v in choice.variants if v.symbol in able]
        can = all(self._suits(draft, row, sides) for row in rows)
        is_host = sides == _PLAIN and not self.of(draft)
        return rows if can and len(rows) == len(choice.variants) and (rows or is_host) else None

    def sides(self, draft: Draft) -> Sides:
        """The formats that were chosen."""
        return self._sides.get(draft, _PLAIN)

    def attrs(self, draft: Draft, row: Kernel) -> Mapping[str, Any]:
        """The row's own attributes."""
        told = row.attrs(self.node(draft).attrs, self.sig(draft)) if row.attrs is not None else {}
        return told if row.stores is None else {**told, "stored": self._stored(draft, row)}

    def _stored(self, draft: Draft, row: Kernel) -> int:
        """What a kernel keeps of the weight as it is now; 0, for room for all of it, where it is
        trained or not known."""
        node, graph = self.node(draft), self._graph
        (pack,) = row.packs
        value = node.params[pack.of]
        if graph.grads or value.storage.name not in graph.weights or row.stores is None:
            return 0
        key = draft, row.symbol
        if key not in self._kept:
            weight = graph.weight(value).reshape(typed(value).shape)
            self._kept[key] = max(1, row.stores(node.attrs, weight))
        return self._kept[key]

    def pack_attrs(self, draft: Draft, row: Kernel) -> Mapping[str, Any]:
        """What packs of declared size are told: nothing of epilogues, which all may follow."""
        sides = self._sides.get(draft, (PLAIN, PLAIN))
        return {**self.attrs(draft, row), **told_of(sides, self.formats)}

    def epilogue(self, draft: Draft) -> Mapping[str, Any]:
        """Attributes of what the draft's kernel does after its own work."""
        return self._told.get(draft, {})

    def is_plain(self, draft: Draft) -> bool:
        """May kernels and views do the draft at all?"""
        return self._is_addressable(draft) and self._dynamic.isdisjoint(draft.values())

    def _is_addressable(self, draft: Draft) -> bool:
        return all(typed(value).rank <= MAX_RANK for value in draft.values())

    def accepts(self, drafts: Iterable[Draft], value: Value, layout: Layout) -> bool:
        """May all of these drafts meet a value under strides with gaps? References can."""
        if self.formats.is_blocked(value):  # the samples of a slice of channels
            has_unit = layout.strides[1:] == dense(layout.dims).strides[1:]
        else:
            has_unit = not layout.dims or layout.dims[-1] == 1 or layout.strides[-1] == 1
        return all(has_unit and self._is_strided(d) for d in drafts if self.of(d) or d.mover)

    def _is_strided(self, draft: Draft) -> bool:
        return bool(draft.mover) or all(row.strided for row in self.of(draft))

    def _suits(self, draft: Draft, row: Kernel, sides: Sides) -> bool:
        """May the operands have these formats, and do any?"""
        if BLOCKED not in sides:
            return True
        formats = self.formats
        images = {(v, sides[is_top]) for v, is_top in draft.images() if formats.is_image(v)}
        if len(dict(images)) < len(images):
            return False  # one value in two formats
        blocked = [v for v, side in images if side == BLOCKED]
        fit = all(formats.can_block(v) and (not row.whole or formats.is_whole(v)) for v in blocked)
        return fit and bool(blocked)

    def _find(self, draft: Draft) -> Iterator[Kernel]:
        if draft.mover or not self._is_addressable(draft):
            return
        node, is_plain = self.node(draft), self.is_plain(draft)
        is_fixed = self._dynamic.isdisjoint(value for _, value in draft.writes)
        for row in self._declared(node, draft):
            is_right = row.backend == self._backend and row.does(draft.part)
            is_right = is_right and row.symbol in self._built
            is_right = is_right and (row.deterministic or not self._deterministic)
            is_right = is_right and (is_plain or (row.dynamic and is_fixed))
            if is_right and (row.when is None or row.when(node.attrs, self.sig(draft))):
                yield row

    def _declared(self, node: Node, draft: Draft) -> Iterable[Kernel]:
        return cast("type[OpSpec]", node.op).kernels_of(node.attrs, self.sig(draft))


def without_views(drafts: Iterable[Draft], rows: Rows) -> list[Draft]:
    """The drafts, of which those that no kernel may touch are calls even if views would do."""
    return [d if rows.is_plain(d) else replace(d, aliases=()) for d in drafts]


def _dynamic_values(graph: Graph) -> set[Value]:
    """Values whose live extents depend on data; a gradient has those of what it is for."""
    found: set[Value] = set()
    for node in graph.forward_nodes():
        if node.has(Trait.DYNAMIC) or any(v in found for v in node.ins.values()):
            found.update(node.outs.values())
    if not found:
        return found
    tops = graph.by_name()
    found.update(seed for name, seed in graph.seeds.items() if tops[name] in found)
    for node in graph.nodes:
        if node.role is Role.GRAD and _is_dynamic(node, found):
            found.update(node.outs.values())
    return found


def _is_dynamic(grad: Node, found: set[Value]) -> bool:
    """The same of a gradient node, of a sum of gradients as of its summands."""
    if grad.of is not None:
        (role,) = grad.outs
        for table in (grad.of.params, grad.of.ins):
            if role[1:] in table:
                return table[role[1:]] in found
    return any(value in found for value in grad.ins.values())


__all__ = ["Rows", "without_views"]
