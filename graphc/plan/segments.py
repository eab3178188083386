"""Choices by rule: what policies of the literature drop, and families of such choices.

Chen et al. 2016 keep the ends of about sqrt(n) segments of a chain. SuperNeurons (Wang et al. 2018)
keeps what is dear to compute, and replays the rest once, per reader, or as its size tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from graphc.plan.bounds import op_bound
from graphc.plan.facts import Facts
from graphc.plan.replays import Choice
from graphc.program import PERSISTENT, BufferKind

SMALL = 512
"""What is under this part of the largest activation is never worth a replay."""


NEEDED = 3
"""Times the largest activation of a segment: what its backward has at once, beside the segment."""


class Segments:
    """`large`: droppable roots worth a replay; `cuts`: where the forward is passed by a single one
    of them, as (position in the forward, root)."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        buffers = facts.program.buffers
        self.packs = frozenset(r for r in facts.droppable if self._is_pack(r))
        sizes = {r: buffers[r].nbytes for r in facts.droppable}
        most = max((sizes[r] for r in facts.wanted), default=0)
        self.small = frozenset(r for r in facts.wanted if sizes[r] * SMALL < most)
        self.large = facts.droppable - self.small
        self._in_order = sorted(self.large)
        self.first, last = self._lives()
        self.cuts = list(self._cuts(last))

    def _is_pack(self, root: int) -> bool:
        """Is it made of what persists alone?"""
        facts = self.facts
        reads = [r for writer in facts.writers[root] for r in facts.reads[writer]]
        return all(facts.program.buffers[r].kind in PERSISTENT for r in reads)

    def _lives(self) -> tuple[dict[int, int], dict[int, int]]:
        """First and last use in the forward of each large root."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for at, index in enumerate(self.facts.forward):
            for root in (*self.facts.reads[index], *self.facts.writes[index]):
                if root in self.large:
                    first.setdefault(root, at)
                    last[root] = at
        return first, last

    def _cuts(self, last: dict[int, int]) -> Iterator[tuple[int, int]]:
        begin: dict[int, list[int]] = {}
        end: dict[int, list[int]] = {}
        for root, at in self.first.items():
            begin.setdefault(at, []).append(root)
            end.setdefault(last[root], []).append(root)
        alive: set[int] = set()
        for at in range(len(self.facts.forward)):
            alive.update(begin.get(at, ()))
            alive.difference_update(end.get(at, ()))
            if len(alive) == 1:
                (root,) = alive
                if root not in self.packs:
                    yield at, root

    def dropped(self, held: Sequence[int] | frozenset[int]) -> dict[int, int]:
        """Everything large but some roots, each replayed once."""
        without = frozenset(held)
        return dict.fromkeys([root for root in self._in_order if root not in without], 0)

    def nothing(self) -> dict[int, int]:
        """Only what nobody asks for after the forward."""
        return dict.fromkeys(sorted(self.facts.droppable - self.facts.wanted), 0)

    def by_count(self, count: int) -> Choice:
        """Keep the ends of `count` segments, of equally many cuts."""
        roots = list(dict.fromkeys(root for _, root in self.cuts))
        ends = [roots[len(roots) * k // count] for k in range(1, count)] if roots else []
        return self.dropped(ends)

    def by_reader(self, most: int, inner: int, part: int) -> Choice:
        """As `by_size`, but replay for each reader in pieces of over a `part`-th of the largest:
        smallest, and slowest."""
        choice, buffers = self.by_size(most, inner), self.facts.program.buffers
        sizes: dict[int, int] = {}
        for root, group in choice.items():
            sizes[group] = sizes.get(group, 0) + buffers[root].nbytes
        largest = max((nbytes for group, nbytes in sizes.items() if group), default=0)
        return {
            root: -at if group and sizes[group] * part > largest else group
            for at, (root, group) in enumerate(choice.items(), start=1)
        }

    def by_size(self, most: int, inner: int | None = None) -> Choice:
        """Keep the ends of segments of about `most` bytes. `inner`: replay each in pieces of about
        that size, of which the ends are kept meanwhile."""
        held = self._ends(most)
        choice = self.dropped(held)
        if inner is None:
            return choice
        kept = self._ends(inner)
        ends = sorted(at for at, root in self.cuts if root in kept)
        group = 1
        for root in sorted(choice, key=lambda root: self.first[root]):
            while group <= len(ends) and self.first[root] > ends[group - 1]:
                group += 1
            choice[root] = 0 if root in kept else group
        return choice

    def by_room(self, room: int) -> Choice:
        """Keep the ends of segments whose replay fits in `room` bytes, beside what its backward
        needs; these get longer as activations get smaller. Nothing is dropped of what does not fit
        by itself."""
        buffers, choice = self.facts.program.buffers, dict[int, int]()
        at: dict[int, list[int]] = {}
        for root in sorted(self.large, key=lambda root: self.first[root]):
            at.setdefault(self.first[root], []).append(root)
        roots: list[int] = []
        total = largest = done = 0
        end = None
        for place, cut in (*self.cuts, (len(self.facts.forward) - 1, None)):
            piece = [root for k in range(done, place + 1) for root in at.get(k, ())]
            done = place + 1
            sizes = [buffers[root].nbytes for root in piece if root in self.facts.wanted]
            most = max([largest, *sizes])
            if total + sum(sizes) + NEEDED * most > room:
                choice |= dict.fromkeys((root for root in roots if root != end), 0)
                roots, total, most = [], 0, max(sizes, default=0)
            if sum(sizes) + NEEDED * most <= room:
                roots, total, largest = roots + piece, total + sum(sizes), most
            else:
                largest = 0
            end = cut
        return choice | dict.fromkeys((root for root in roots if root != end), 0)

    def _ends(self, most: int) -> frozenset[int]:
        buffers = self.facts.program.buffers
        new: dict[int, int] = {}
        for root in self.facts.wanted & self.large:
            at = self.first[root]
            new[at] = new.get(at, 0) + buffers[root].nbytes
        found, total, done = [], 0, 0
        for at, root in self.cuts:
            total += sum(new.get(k, 0) for k in range(done, at + 1))
            done = at + 1
            if total > most:
                found.append(root)
                total = 0
        return frozenset(found)

    @cached_property
    def checkpoints(self) -> frozenset[int]:
        """Results of calls with a weight of two or more axes, and of joins."""
        facts, found = self.facts, set[int]()
        for index in facts.forward:
            if self._is_dear(index):
                found.update(facts.writes[index])
        joined = {root for root, writers in facts.writers.items() if len(writers) > 1}
        return frozenset((found | joined) - self.packs)

    def _is_dear(self, index: int) -> bool:
        roots, buffers = self.facts.reads[index], self.facts.program.buffers
        weights = [r for r in roots if buffers[r].kind in (BufferKind.PARAM, BufferKind.PACKED)]
        is_weighted = any(len([d for d in buffers[r].dims if d > 1]) > 1 for r in weights)
        return (
            is_weighted
            or not self.packs.isdisjoint(roots)
            or len([r for r in roots if r in self.large]) > 1
        )

    def speed_centric(self) -> Choice:
        """Replay what lies between checkpoints once."""
        return self.dropped(self.checkpoints)

    def memory_centric(self) -> Choice:
        """Replay it for each reader."""
        return {root: at for at, root in enumerate(self.dropped(self.checkpoints), start=1)}

    def cost_aware(self) -> Choice:
        """Once where a segment is no larger than what the neediest call takes, else per reader."""
        facts, buffers = self.facts, self.facts.program.buffers
        choice = self.dropped(self.checkpoints)
        most = op_bound(facts.program, facts.program.calls)
        segment: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for index in facts.forward:
            before = [segment[r] for r in facts.reads[index] if r in segment]
            for root in facts.writes[index]:
                if root in choice:
                    head = segment.setdefault(root, min(before, default=root))
                    sizes[head] = sizes.get(head, 0) + buffers[root].nbytes
        own = {root: at for at, root in enumerate(choice, start=1)}
        return {root: 0 if sizes[segment[root]] <= most else own[root] for root in choice}


__all__ = ["Segments"]
