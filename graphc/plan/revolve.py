"""revolve: blocks whose inputs are kept, and all else computed again from the nearest of these.

Griewank and Walther's schedule (ACM TOMS 26:1, 2000) is optimal for a chain of steps that take
equal time and leave equal bytes; the dynamic program here is that for steps of unequal time, as of
Beaumont, Eyraud-Dubois and Shilova's rotor (2019), if only ends of blocks are ever kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from graphc.plan.blocks import Blocks
from graphc.plan.segments import Segments
from graphc.plan.tables import Pairs, Tables

Times = npt.NDArray[np.float64]
Ends = npt.NDArray[np.int64]


def revolve(tables: Tables, segments: Segments, blocks: Blocks) -> Iterator[Pairs]:
    """The replays with room for 0, 1, 2, ... inputs of blocks; rows as in `Trial.pairs`."""
    chain = _Chain(tables, segments, blocks)
    reversal = Reversal(chain.us)
    for slots in range(reversal.length):
        if slots:
            reversal.add_slot()
        pairs = chain.pairs(reversal.sweep(slots))
        if pairs is not None:
            yield pairs


class Reversal:
    """Schedules for a chain of `length` blocks. `us[a, b]`: of running blocks a to b - 1 once.
    `cost[slots][a, b]`: of all replays that the backward of these takes if the input of block a is
    there, and `split[slots][a, b]` the next block whose input is kept, 0 for none."""

    def __init__(self, us: Sequence[float]) -> None:
        self.length = len(us)
        ends = np.concatenate([[0.0], np.cumsum(us)])
        self.us: Times = ends[None, :] - ends[:, None]
        self.cost, self.split = [self._without_slots()], [np.zeros(self.us.shape, np.int64)]

    def _without_slots(self) -> Times:
        """Each block after an advance from the first."""
        count = self.length + 1
        cost = np.zeros((count, count))
        for a in range(count):
            cost[a, a + 1 :] = np.cumsum(self.us[a, a + 1 :])
        return cost

    def add_slot(self) -> None:
        before, count = self.cost[-1], self.length + 1
        cost, split = before.copy(), np.zeros((count, count), np.int64)
        for b in range(2, count):
            # [a, j]: advance to block j and keep its input, do j to b - 1, then a to j - 1
            a, j = np.arange(b - 1)[:, None], np.arange(1, b)[None, :]
            found = np.where(j > a, self.us[: b - 1, 1:b] + before[None, 1:b, b], np.inf)
            found += np.where(j > a, cost[: b - 1, 1:b], 0.0)
            best = found.argmin(axis=1)
            least = found[np.arange(b - 1), best]
            cost[: b - 1, b] = np.minimum(cost[: b - 1, b], least)
            split[: b - 1, b] = np.where(least < before[: b - 1, b], best + 1, 0)
        self.cost.append(cost)
        self.split.append(split)

    def sweep(self, slots: int) -> Iterator[tuple[int, list[int]]]:
        """(block, blocks that run again right before its backward). The forward itself leaves the
        last block whole, and the inputs that are kept first."""
        starts, past = self._kept(slots), self.length - 1
        for left, start in reversed(list(enumerate(starts))):
            if start < past:
                yield from self._backward(start, past, slots - left)
            past = start

    def _kept(self, slots: int) -> list[int]:
        """Blocks whose inputs the forward keeps: 0 first, the network's own, without a slot."""
        last = self.length - 1
        rest: list[Times] = [self.cost[0][:last, last]]
        best: list[Ends] = [np.zeros(last, np.int64)]
        for number in range(1, slots + 1):
            j = np.arange(1, last + 1)
            after = np.concatenate([rest[-1], [0.0]])[1:]
            found = np.where(
                j[None, :] > np.arange(last)[:, None],
                self.cost[number][:last, 1 : last + 1] + after[None, :],
                np.inf,
            )
            best.append(found.argmin(axis=1) + 1 if last else np.zeros(0, np.int64))
            rest.append(found.min(axis=1, initial=np.inf))
        starts, at = [0], 0
        for number in range(slots, 0, -1):
            if at >= last:
                break
            at = int(best[number][at])
            starts.append(at)
        return starts

    def _backward(self, a: int, b: int, slots: int) -> Iterator[tuple[int, list[int]]]:
        pending: list[int] = []
        stack = [(a, b, slots)]
        while stack:
            a, b, slots = stack.pop()
            while slots and not self.split[slots][a, b]:  # another slot does not help
                slots -= 1
            split = int(self.split[slots][a, b])
            if split:
                pending += range(a, split)
                stack += [(a, split, slots), (split, b, slots - 1)]
                continue
            for block in range(b - 1, a - 1, -1):
                yield block, [*pending, *range(a, block + 1)]
                pending = []


class _Chain:
    """`us`: of the calls of each block that can run again."""

    def __init__(self, tables: Tables, segments: Segments, blocks: Blocks) -> None:
        self.tables, length = tables, len(blocks.outs)
        facts, home = tables.facts, dict[int, int]()
        self._calls: list[list[int]] = [[] for _ in range(length)]
        self._begin = [-1] * length  # the first call of a block's backward
        for at, block in enumerate(blocks.block_of):
            if block >= 0 and at >= tables.later:
                self._begin[block] = at if self._begin[block] < 0 else self._begin[block]
            elif block >= 0 and not segments.large.isdisjoint(facts.writes[tables.calls[at]]):
                # those that fill a buffer together run again together, on both sides of a cut
                roots = facts.writes[tables.calls[at]]
                for root in roots:
                    home[root] = min(home.get(root, block), block)
                self._calls[min(home[root] for root in roots)].append(at)
        self.us = [sum(facts.us[tables.calls[at]] for at in calls) for calls in self._calls]
        self._deadlines = np.array(tables.deadlines)

    def pairs(self, sweep: Iterable[tuple[int, list[int]]]) -> Pairs | None:
        """None if a replay would come too late."""
        found: list[tuple[int, int]] = []
        for block, replayed in sweep:
            begin = self._begin[block]
            if begin >= 0:
                found += ((begin, at) for part in replayed for at in self._calls[part])
        made = np.array(sorted(self._needed(found)), np.int32).reshape(-1, 2)
        return None if (made[:, 0] > self._deadlines[made[:, 1]]).any() else made

    def _needed(self, pairs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Without replays of what nobody reads before it is there once more."""
        tables, facts = self.tables, self.tables.facts
        replays: dict[int, list[int]] = {}
        for before, at in sorted(pairs):
            replays.setdefault(before, []).append(at)
        wanted: set[int] = set()
        for begin in range(len(tables.calls) - 1, tables.later - 1, -1):
            wanted.update(facts.reads[tables.calls[begin]])
            for at in reversed(replays.get(begin, ())):
                call = tables.calls[at]
                if wanted.isdisjoint(facts.writes[call]):
                    continue
                yield begin, at
                alone = (r for r in facts.writes[call] if len(facts.writers[r]) == 1)
                wanted.difference_update(alone)
                wanted.update(facts.reads[call])


__all__ = ["Reversal", "revolve"]
