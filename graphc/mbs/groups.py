"""grouped: which layers carry few samples at a time through all of them, so that data stay near.

Lym et al., "Mini-batch serialization: CNN training with inter-layer data reuse", arXiv 1810.00307.
Inside a group what layers hand on stays in a cache. All figures are bytes to and from memory,
counted, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from math import ceil, inf
from typing import Any

from graphc.mbs.units import Unit
from graphc.records import record


@record(frozen=True, slots=True)
class Group:
    """Layers `first` to `last`, `samples` at a time, in `turns` sub-batches, which need `live`
    bytes of cache; 1 turn of the whole batch and `live` 0: layer by layer, as usual. `before`,
    `after`: bytes moved without serialization and with it."""

    first: str
    last: str
    samples: int
    turns: int
    live: int
    before: int
    after: int


@record(frozen=True, slots=True)
class Serialized:
    """The cheapest groups for a cache of `cache` bytes. `cuts`: how many units end with each.
    `mixed`: layers that need the whole batch; `managed`: they are counted as if they did not (the
    paper puts others in their place), and the cache is a buffer that weights pass by."""

    cache: int
    batch: int
    train: bool
    groups: tuple[Group, ...]
    cuts: tuple[int, ...]
    mixed: tuple[str, ...]
    managed: bool

    @property
    def before(self) -> int:
        return sum(group.before for group in self.groups)

    @property
    def after(self) -> int:
        return sum(group.after for group in self.groups)

    def told(self) -> dict[str, Any]:
        """As a JSON-ready object."""
        return {
            "cache_bytes": self.cache,
            "before_bytes": self.before,
            "after_bytes": self.after,
            "groups": [asdict(group) for group in self.groups],
            "mixed": list(self.mixed),
        }


def serialized(
    units: Sequence[Unit],
    cache: int,
    batch: int,
    train: bool,
    *,
    greedy: bool = False,
    managed: bool = False,
) -> Serialized:
    """The cheapest groups of a chain of units. `greedy`: as the paper joins groups, to compare.

    A cache that evicts what was used least recently keeps what a group hands on only if all that a
    turn touches fits: then weights are read once, too. `managed`: a buffer that software fills, as
    in the paper; data that live fit, and weights are read in each turn.
    """
    work = _Counting(units, cache, batch, train, managed)
    cuts = work.greedy() if greedy else work.best()
    groups = tuple(work.group(lo, hi) for lo, hi in pairwise([0, *cuts]))
    mixed = tuple(layer for unit in units for layer in unit.mixed)
    return Serialized(cache, batch, train, groups, tuple(cuts), mixed, managed)


class _Counting:
    """Traffic of groups of units lo .. hi - 1."""

    def __init__(
        self, units: Sequence[Unit], cache: int, batch: int, train: bool, managed: bool
    ) -> None:
        self.units, self.cache, self.batch, self.train = units, cache, batch, train
        self.managed = managed
        self.usual = [self._usual(unit) for unit in units]

    def _usual(self, unit: Unit) -> float:
        """Layer by layer: forward N (x + y) + w; backward, with weights, N (2 y + 2 x) + 2 w, for
        dy is read twice, for dx and for dw; without, N (y + 2 x)."""
        total = 0.0
        for layer in unit.layers:
            total += self.batch * (layer.x + layer.y) + layer.w
            if self.train and layer.w:
                total += self.batch * (2 * layer.y + 2 * layer.x) + 2 * layer.w
            elif self.train:
                total += self.batch * (layer.y + 2 * layer.x)
        return total

    def samples(self, lo: int, hi: int) -> int:
        """How many fit in the cache through all units, in turns as equal as can be; 0 if not even
        one does."""
        fixed, each = self._footprint(lo, hi)
        if self.managed:
            return min(self.batch, int(self.cache // each)) if each else self.batch
        if self.batch < 2 or not all(unit.apart for unit in self.units[lo:hi]):
            return 0
        most = int((self.cache - fixed) // each) if each else self.batch
        most = min(most, ceil(self.batch / 2))  # of one turn there is nothing to be seen
        return ceil(self.batch / ceil(self.batch / most)) if most > 0 else 0

    def _footprint(self, lo: int, hi: int) -> tuple[float, float]:
        """Bytes of cache: at any rate, and per sample. What a turn touches is the weights, what
        enters and leaves, and what lives in between; in training also the gradients of all that,
        and what is kept."""
        own = self.units[lo:hi]
        live = max(unit.live for unit in own)
        if self.managed:
            return 0, live
        weights, ends = sum(unit.w for unit in own), own[0].x + own[-1].y
        if self.train:
            return 2 * weights, live + 2 * ends + self._stash(lo, hi)
        return weights, live + ends

    def _stash(self, lo: int, hi: int) -> float:
        """What is made inside a group and read by its backward."""
        own = self.units[lo:hi]
        between = (a.y for a, b in pairwise(own) if a.keeps_y or b.keeps_x)
        return sum(unit.stash for unit in own) + sum(between)

    def turns(self, lo: int, hi: int) -> int:
        samples = self.samples(lo, hi)
        return ceil(self.batch / samples) if samples else 0

    def traffic(self, lo: int, hi: int) -> float:
        """Of a group: forward N (x + y) + k w, and N stash written if a backward follows, which
        reads it, and x and y if it needs them, and moves N (y + x), k w and (2 k - 1) w. k is 1
        where weights stay in the cache."""
        turns = self.turns(lo, hi)
        if not turns:
            return inf
        reads = turns if self.managed else 1
        own = self.units[lo:hi]
        first, last = own[0], own[-1]
        ends = first.x + last.y
        total = self.batch * ends + reads * sum(unit.w for unit in own)
        if self.train:
            kept = first.keeps_x * first.x + last.keeps_y * last.y
            total += self.batch * (2 * self._stash(lo, hi) + kept + ends)
            total += reads * sum(unit.back for unit in own)
            total += (2 * reads - 1) * sum(unit.learned for unit in own)
        return total

    def cost(self, lo: int, hi: int) -> float:
        """The cheaper way for a group; a single unit may also run as usual."""
        found = self.traffic(lo, hi)
        return min(found, self.usual[lo]) if hi - lo == 1 else found

    def best(self) -> list[int]:
        """The cuts of the cheapest groups, by dynamic programming over where the last begins."""
        least, begins = [0.0], [0]
        for hi in range(1, len(self.units) + 1):
            ways = [(least[lo] + self.cost(lo, hi), lo) for lo in range(hi)]
            cost, lo = min(ways)
            least.append(cost)
            begins.append(lo)
        cuts, at = [], len(self.units)
        while at:
            cuts.append(at)
            at = begins[at]
        return cuts[::-1]

    def greedy(self) -> list[int]:
        """The paper's way: runs of units with as many turns; then neighbours join while that moves
        less. Where one group, or none, is better, that."""
        length = len(self.units)
        return min(self._joined(), [length], list(range(1, length + 1)), key=self._total)

    def _total(self, cuts: list[int]) -> float:
        return sum(self.cost(lo, hi) for lo, hi in pairwise([0, *cuts]))

    def _joined(self) -> list[int]:
        cuts = [
            hi
            for hi in range(1, len(self.units) + 1)
            if hi == len(self.units) or self.turns(hi - 1, hi) != self.turns(hi, hi + 1)
        ]
        if any(self.cost(lo, hi) == inf for lo, hi in pairwise([0, *cuts])):
            cuts = list(range(1, len(self.units) + 1))
        while True:
            edges = [0, *cuts]
            gains = [
                (self.cost(a, b) + self.cost(b, c) - self.cost(a, c), b)
                for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
            ]
            gain, cut = max(gains, default=(0.0, 0))
            if gain <= 0:
                return cuts
            cuts.remove(cut)

    def group(self, lo: int, hi: int) -> Group:
        own, samples = self.units[lo:hi], self.samples(lo, hi)
        usual = sum(self.usual[lo:hi])
        moved = self.traffic(lo, hi)
        if hi - lo == 1 and usual <= moved:
            first, last = own[0].first, own[-1].last
            return Group(first, last, self.batch, 1, 0, round(usual), round(usual))
        fixed, each = self._footprint(lo, hi)
        held = round(fixed + samples * each)
        turns = self.turns(lo, hi)
        return Group(own[0].first, own[-1].last, samples, turns, held, round(usual), round(moved))


__all__ = ["Group", "Serialized", "serialized"]
