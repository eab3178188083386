"""pack_items: offsets for what lives in the work arena. The policy; C++ places and searches.

Static allocation is NP-complete, but networks are kind to it. If lifetimes nest, placing the
longest first is optimal, and a net's do but near its fullest steps. So: a portfolio of orders; and
while none is optimal, a search among the few items that begin or end near the fullest steps, on top
of those that live through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.errors import fail
from graphc.records import record

MAX_BYTES = 1 << 61
WORK = 400_000_000
"""Comparisons of two items that may be spent beyond the plain orders: under a second."""
PLACING = 1_500
"""As many comparisons take as long as to place an item among all others."""
SEARCH = 8_000_000
"""Of these, in one search."""
FULL = (0.995, 0.98, 0.95, 0.85)
"""Shares of the largest need from which on a step counts as full."""
STARTS = 4
"""From how many of the orders a search begins, for each of these shares."""
_NUMBERS = attrgetter("first", "last", "nbytes", "align")
Table = npt.NDArray[np.int64]
Recipe = tuple[Table, Table]


@record(frozen=True, slots=True)
class Item:
    """`nbytes` bytes needed from step `first` to step `last`, both included. `hangs`: kept at the
    end, so that it grows into what others leave, and is better packed from the arena's top."""

    first: int
    last: int
    nbytes: int
    align: int
    hangs: bool = False


def pack_items(items: Sequence[Item]) -> tuple[int, list[int]]:
    """Arena size and offsets; the same items are always packed alike.

    Raises GC-M002 for items of over 2^61 bytes together.
    """
    if not items:
        return 0, []
    if sum(item.nbytes + item.align for item in items) > MAX_BYTES:
        fail("GC-M002", "the network's buffers add up to over 2^61 bytes", "use a smaller batch")
    return _Policy(items).run()


def live_bytes(items: Sequence[Item], steps: int = 1) -> list[int]:
    """Bytes needed in each step, of at least `steps`."""
    steps = max(steps, 1 + max((item.last for item in items), default=0))
    change = [0] * (steps + 1)
    for item in items:
        change[item.first] += item.nbytes
        change[item.last + 1] -= item.nbytes
    live, now = [], 0
    for delta in change[:-1]:
        now += delta
        live.append(now)
    return live


class _Policy:
    """The orders to try, as recipes: an order, and which items hang."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.count = len(items)
        numbers = chain.from_iterable(map(_NUMBERS, items))
        table = np.fromiter(numbers, np.int64, 4 * len(items)).reshape(-1, 4)
        self.first, self.last, size, _ = table.T
        self.live = np.array(live_bytes(items), np.int64)
        self.bound = int(self.live.max())
        self.packer = _core.Packer(table, self.bound)
        hangs = np.array([item.hangs for item in items], np.int64)
        self.choices = [np.zeros_like(hangs), hangs] if hangs.any() else [hangs]
        duration = self.last - self.first + 1
        area = -(size.astype(np.float64) * duration)  # only compared; may be beyond int64
        self.longest = (-size, -duration)  # the last key of a lexsort decides first
        self.keys = (self.longest, (-duration, -size), (-size, area))

    def run(self) -> tuple[int, list[int]]:
        best: tuple[int, Table] | None = None
        for recipe in self._recipes():
            limit = 2 * MAX_BYTES if best is None else best[0]  # more is of no use
            size, offsets = self.packer.place(*recipe, limit=limit)
            if best is None or size < limit:
                best = size, offsets
            if best[0] <= self.bound:
                break
        assert best is not None
        return best[0], best[1].tolist()

    def _recipes(self) -> Iterator[Recipe]:
        """Likely good ones first; as many as the work allows, but the plain orders always."""
        *first, last = self.keys
        yield from (recipe for key in first for recipe in self._plain(key))
        yield from self._searched()
        yield from self._plain(last)  # leaves the most gaps, which takes the longest

    def _plain(self, key: Sequence[npt.NDArray[Any]]) -> Iterator[Recipe]:
        order = np.lexsort(key)
        return ((order, hangs) for hangs in self.choices)

    def _searched(self) -> Iterator[Recipe]:
        left = WORK
        for share in FULL:
            left -= len(self.keys) * len(self.choices) * self.count * PLACING // 2
            for recipe in self._near(share) if left > 0 else ():
                yield recipe
                left -= SEARCH + self.count * PLACING
                if left <= 0:
                    return

    def _near(self, share: float) -> Iterator[Recipe]:
        """Recipes that begin with what lives in the steps from the first full one to the last.

        What lives through all of them comes first, longest life first; then what begins or ends
        there, in an order that has been searched for; then the rest.
        """
        full = np.nonzero(self.live >= share * self.bound)[0]
        begin, end = full[0], full[-1]
        through = (self.first <= begin) & (self.last >= end)
        inside = (self.first <= end) & (self.last >= begin) & ~through
        rank = np.where(through, 0, np.where(inside, 1, 2))
        some, past = int(through.sum()), int(through.sum() + inside.sum())
        starts = []
        for key in self.keys:
            mixed = [np.where(through, a, b) for a, b in zip(self.longest, key, strict=True)]
            order = np.lexsort((*mixed, rank))
            starts += [(order, hangs) for hangs in self.choices]
        sizes = [self.packer.place(*start, past)[0] for start in starts]
        for number in np.argsort(sizes, kind="stable")[:STARTS]:
            order, hangs = self.packer.improve(*starts[int(number)], some, past, SEARCH)
            rest = order[past:]
            for key in self.keys:
                by_key = np.lexsort([column[rest] for column in key])
                yield np.concatenate([order[:past], rest[by_key]]), hangs


__all__ = ["Item", "live_bytes", "pack_items"]
