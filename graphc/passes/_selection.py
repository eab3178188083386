"""Selection: which classes of channels go, the least important first, until a budget is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from graphc.channels import Axis, Channels, Group, makes_filters
from graphc.count import macs
from graphc.ir.graph import Graph, Value, typed
from graphc.ir.op import Kind
from graphc.ops.spec import F64
from graphc.records import record

Metric: TypeAlias = Literal["macs", "params", "bytes", "filters"]


@record(frozen=True, slots=True)
class Unit:
    """Classes that go together, so that the blocks of grouped layers stay equal."""

    classes: tuple[int, ...]
    score: float


@record(frozen=True, slots=True)
class Chunk:
    """Units of one group that go in one step; `left`: how many of its channels stay after it."""

    group: int
    classes: tuple[int, ...]
    score: float
    left: int


class Sizes:
    """Sums over parameters, each a rate times its size, as channels go.

    Multiply-adds are proportional to the size of a layer's weights; so are the others, by
    definition.
    """

    def __init__(self, graph: Graph, channels: Channels, metric: Metric) -> None:
        self.left = {axis: len(labels) for axis, labels in channels.labels.items()}
        self.members: dict[int, tuple[tuple[Axis, int], ...]] = {}
        self.weight_of: dict[int, int] = {}
        for group in channels.groups:
            for label in group.classes:
                self.members[label] = group.axes
                self.weight_of[label] = len(group.layers)
        self.metric = metric
        self.rates = _rates(graph, channels, metric)
        self._axes: dict[Value, list[tuple[Axis, int]]] = {}
        self._at: dict[Axis, list[Value]] = {}
        for value in self.rates:
            for at in range(typed(value).rank):
                axis, share = channels.grouped.get((value, at), ((value, at), 1))
                self._axes.setdefault(value, []).append((axis, share))
                self._at.setdefault(axis, []).append(value)
        self.total = sum(rate * self._size(value) for value, rate in self.rates.items())
        if metric == "filters":
            self.total = float(sum(self.weight_of.values()))

    def _size(self, value: Value) -> int:
        return math.prod(self.left[axis] // share for axis, share in self._axes.get(value, ()))

    def move(self, classes: Iterable[int], step: int) -> None:
        """Remove classes (`step` -1), or take them back (1)."""
        touched: dict[Value, None] = {}
        counts: dict[Axis, int] = {}
        for label in classes:
            if self.metric == "filters":
                self.total += step * self.weight_of[label]
                continue
            for axis, count in self.members[label]:
                counts[axis] = counts.get(axis, 0) + count
        for axis in counts:
            touched |= dict.fromkeys(self._at.get(axis, ()))
        before = sum(self.rates[value] * self._size(value) for value in touched)
        for axis, count in counts.items():
            self.left[axis] += step * count
        self.total += sum(self.rates[value] * self._size(value) for value in touched) - before


def _rates(graph: Graph, channels: Channels, metric: Metric) -> dict[Value, float]:
    """What one element of each parameter counts for."""
    if metric == "filters":
        return {}
    found: dict[Value, float] = {}
    for node in graph.forward_nodes():
        own = [v.storage for v in node.params.values()]
        if metric == "macs":
            weights = [
                v.storage for r, v in node.params.items() if v.kind is Kind.PARAM and r != "bias"
            ]
            weights = [v for v in weights if typed(v).rank > 1]
            size = sum(typed(v).size for v in weights)
            for value in weights:
                found[value] = found.get(value, 0.0) + macs(node) / max(1, size)
        elif metric == "bytes" or makes_filters(node):
            rate = 4.0 if metric == "bytes" else 1.0
            kinds = (Kind.PARAM, Kind.STATE) if metric == "bytes" else (Kind.PARAM,)
            found |= dict.fromkeys((v for v in own if v.kind in kinds), rate)
    return found


def units(
    channels: Channels, candidates: Sequence[int], scores: F64
) -> tuple[list[Unit], dict[int, str]]:
    """The least that can go together, and of candidates that cannot, why.

    Each of a balanced axis' blocks must lose as many indices: one class of every kind that its
    blocks are made of goes at a time, the least important of each together.
    """
    blocks: dict[int, dict[tuple[int, int], int]] = {}
    for at, (_, axis, count) in enumerate(channels.balances):
        labels = channels.labels[axis].reshape(count, -1)
        for block in range(count):
            found, times = np.unique(labels[block], return_counts=True)
            for label, n in zip(found.tolist(), times.tolist(), strict=True):
                blocks.setdefault(label, {})[at, block] = n
    made = [Unit((c,), float(scores[c])) for c in candidates if c not in blocks]
    refused: dict[int, str] = {}
    for classes in _linked([c for c in candidates if c in blocks], blocks):
        cells: dict[tuple[tuple[tuple[int, int], int], ...], list[int]] = {}
        for label in classes:
            cells.setdefault(tuple(sorted(blocks[label].items())), []).append(label)
        uneven = _uneven(list(cells), channels)
        if uneven:
            refused |= dict.fromkeys(classes, uneven)
            continue
        ranked = [sorted(cell, key=lambda c: (scores[c], c)) for cell in cells.values()]
        made += [Unit(c, float(np.mean(scores[list(c)]))) for c in zip(*ranked, strict=False)]
    return made, refused


def _linked(
    classes: Sequence[int], blocks: dict[int, dict[tuple[int, int], int]]
) -> list[list[int]]:
    """Classes that lie in blocks of one axis, or of axes that have classes in common."""
    root: dict[int, int] = {}

    def find(at: int) -> int:
        while root.setdefault(at, at) != at:
            at = root[at]
        return at

    for label in classes:
        first, *others = {find(at) for at, _ in blocks[label]}
        for other in others:
            root[other] = first
    found: dict[int, list[int]] = {}
    for label in classes:
        found.setdefault(find(next(iter(blocks[label]))[0]), []).append(label)
    return list(found.values())


def _uneven(cells: Sequence[tuple[tuple[tuple[int, int], int], ...]], channels: Channels) -> str:
    """Why one class of each cell does not take as much from every block; empty if it does."""
    taken: dict[int, dict[int, int]] = {}
    for cell in cells:
        for (at, block), count in cell:
            of_axis = taken.setdefault(at, {})
            of_axis[block] = of_axis.get(block, 0) + count
    for at, counts in taken.items():
        node, _, groups = channels.balances[at]
        if len(counts) != groups or len(set(counts.values())) != 1:
            told = ", ".join(str(counts.get(block, 0)) for block in range(groups))
            return f"the {groups} groups of {node.name!r} would lose {told} channels at a time"
    return ""


def chunks(
    groups: Sequence[Group],
    found: Sequence[Unit],
    *,
    least: int,
    multiple: int,
    is_local: bool,
) -> list[Chunk]:
    """The units in the order in which they go, in steps that leave multiples, and `least`.

    `is_local`: so that groups always have lost about the same share of their channels.
    """
    group_of = {label: at for at, group in enumerate(groups) for label in group.classes}
    by_group: dict[int, list[Unit]] = {}
    for unit in sorted(found, key=lambda u: (u.score, u.classes)):
        by_group.setdefault(group_of[unit.classes[0]], []).append(unit)
    made: list[Chunk] = []
    for at, ranked in by_group.items():
        size = left = len(groups[at].classes)
        highest, waiting, sums = -math.inf, list[int](), list[float]()
        for unit in ranked:
            own = sum(group_of[label] == at for label in unit.classes)
            if left - own < max(1, least):
                break
            left -= own
            waiting += unit.classes
            sums.append(unit.score)
            if left % multiple == 0:
                highest = max(highest, float(np.mean(sums)))
                score = 1 - left / size if is_local else highest
                made.append(Chunk(at, tuple(waiting), score, left))
                waiting, sums = [], []
    return sorted(made, key=lambda c: (c.score, c.group, -c.left))


def until(order: Sequence[Chunk], sizes: Sizes, target: float) -> list[Chunk] | None:
    """The first chunks that bring `sizes` to `target`, less those that turn out not to be needed;
    None if all do not."""
    taken: list[Chunk] = []
    for chunk in order:
        if sizes.total <= target:
            break
        sizes.move(chunk.classes, -1)
        taken.append(chunk)
    if sizes.total > target:
        return None
    least = {chunk.group: chunk.left for chunk in taken}
    kept: list[Chunk] = []
    for chunk in reversed(taken):
        if least[chunk.group] == chunk.left:
            sizes.move(chunk.classes, 1)
            if sizes.total <= target:
                earlier = [c.left for c in taken if c.group == chunk.group and c.left > chunk.left]
                least[chunk.group] = min(earlier, default=-1)
                continue
            sizes.move(chunk.classes, -1)
        kept.append(chunk)
    return kept[::-1]


def fewest(order: Sequence[Chunk], fits: Callable[[Sequence[Chunk]], bool]) -> int | None:
    """How many of the first chunks are needed so that it fits, by bisection; None: all are not."""
    if not fits(order):
        return None
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if fits(order[:middle]):
            high = middle
        else:
            low = middle + 1
    return low


__all__ = ["Chunk", "Metric", "Sizes", "Unit", "chunks", "fewest", "units", "until"]
