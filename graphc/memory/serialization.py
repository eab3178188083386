"""mbs: mini-batch serialization, which carries few samples at a time through groups of layers.

Lym et al., "Mini-batch serialization: CNN training with inter-layer data reuse", arXiv 1810.00307.
Inside a group what layers hand on stays in a cache, and weights are read once per sub-batch. All
figures are bytes to and from memory, counted, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import ceil, inf
from pathlib import Path
from typing import Any

from graphc import driver
from graphc.budget import checked_size
from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Graph
from graphc.memory.units import Unit, units_of
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
    """The cheapest groups for a cache of `cache` bytes; `mixed`: layers that need the whole batch
    and are counted as if they did not (the paper puts others in their place)."""

    cache: int
    batch: int
    train: bool
    groups: tuple[Group, ...]
    mixed: tuple[str, ...]

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


def mbs(
    net: Graph | str | Path,
    *,
    cache: str | int,
    train: bool = False,
    batch: int | None = None,
    greedy: bool = False,
    **words: Any,
) -> Serialized:
    """Groups of layers of a network, and bytes moved; a Graph given is not changed.

    `cache`: bytes, or a size as "10MiB", that sub-batches must fit in. `greedy`: as the paper
    joins groups, to compare. `words`: of `graphc.load`, for a path. Raises GC-R004 for a cache that
    is no size, GC-R002 for a net of no layers, and what loading raises.
    """
    size = checked_size(cache)
    if isinstance(net, Graph):
        graph = forward_part(net)
    else:
        graph = driver.load(net, phase="TRAIN" if train else "TEST", **words)
    driver.shape(graph, batch=batch)
    units = units_of(graph)
    if not units:
        fail("GC-R002", "the network has no layers that compute anything")
    return serialized(units, size, batch_size(graph), train, greedy)


def serialized(
    units: Sequence[Unit],
    cache: int,
    batch: int,
    train: bool,
    greedy: bool = False,
) -> Serialized:
    """As `mbs`, of a chain of units."""
    work = _Counting(units, cache, batch, train)
    cuts = work.greedy() if greedy else work.best()
    groups = tuple(work.group(lo, hi) for lo, hi in zip([0, *cuts[:-1]], cuts, strict=True))
    mixed = tuple(layer for unit in units for layer in unit.mixed)
    return Serialized(cache, batch, train, groups, mixed)


class _Counting:
    """Traffic of groups of units lo .. hi - 1."""

    def __init__(self, units: Sequence[Unit], cache: int, batch: int, train: bool) -> None:
        self.units, self.cache, self.batch, self.train = units, cache, batch, train
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
        """How many fit in the cache through all units; 0 if not even one does."""
        most = max(unit.live for unit in self.units[lo:hi])
        return min(self.batch, int(self.cache // most)) if most else self.batch

    def turns(self, lo: int, hi: int) -> int:
        samples = self.samples(lo, hi)
        return ceil(self.batch / samples) if samples else 0

    def traffic(self, lo: int, hi: int) -> float:
        """Of a group: forward N (x + y) + k w, and N stash written if a backward follows, which
        reads it, and moves N (y + x) + k w + (2 k - 1) w."""
        turns = self.turns(lo, hi)
        if not turns:
            return inf
        own = self.units[lo:hi]
        ends, weights = own[0].x + own[-1].y, sum(unit.w for unit in own)
        total = self.batch * ends + turns * weights
        if self.train:
            stash = sum(unit.stash for unit in own)
            total += 2 * self.batch * stash + self.batch * ends + (3 * turns - 1) * weights
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
        less."""
        cuts = [
            hi
            for hi in range(1, len(self.units) + 1)
            if hi == len(self.units) or self.turns(hi - 1, hi) != self.turns(hi, hi + 1)
        ]
        if any(self.cost(lo, hi) == inf for lo, hi in zip([0, *cuts], cuts, strict=False)):
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
        moved, live = self.traffic(lo, hi), max(unit.live for unit in own)
        if hi - lo == 1 and usual <= moved:
            first, last = own[0].first, own[-1].last
            return Group(first, last, self.batch, 1, 0, round(usual), round(usual))
        turns = self.turns(lo, hi)
        held = round(samples * live)
        return Group(own[0].first, own[-1].last, samples, turns, held, round(usual), round(moved))


__all__ = ["Group", "Serialized", "mbs", "serialized"]
