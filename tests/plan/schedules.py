"""Adversary: runs a plan's streams at speeds of its choice, heeding nothing but waits and entries.

Copies are made in pieces, and calls read once when they begin and once when they end, in between
which other streams go on; so what is not ordered by a wait shows in some schedule.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from plan.machine import POISON, Array, Machine, same

from graphc.plan import Plan, Step, StepKind
from graphc.program import Program

PIECES = 3
Pick = Callable[[Sequence[int]], int]
"""Chooses one of the streams that could go on."""


class Adversary(Machine):
    """As `Machine`; the streams that can go on, and `pick` says which one does."""

    def __init__(self, program: Program, plan: Plan, pick: Pick) -> None:
        super().__init__(program, plan)
        self.pick = pick

    def _run_entry(self, entry: str) -> None:
        assert self.plan is not None
        steps = self.plan.steps[slice(*self.plan.entries[entry])]
        queues: dict[int, list[Step]] = {}
        for step in steps:
            queues.setdefault(step.stream, []).append(step)
        recorded = {step.records for step in steps}
        begun: dict[int, Iterator[None]] = {}
        over: set[int | None] = set()
        while queues:
            ready = [
                stream
                for stream, queue in sorted(queues.items())
                if stream in begun or all(e in over for e in queue[0].waits if e in recorded)
            ]
            stream = self.pick(ready)
            if stream not in begun:
                begun[stream] = self._pieces(queues[stream][0])
            try:
                next(begun[stream])
            except StopIteration:
                del begun[stream]
                over.add(queues[stream].pop(0).records)
                if not queues[stream]:
                    del queues[stream]

    def _pieces(self, step: Step) -> Iterator[None]:
        """Do a step; yields where others may go on."""
        if step.kind is not StepKind.RUN:
            yield from self._copy(step)
            return
        call = self.program.calls[step.call]
        views = [self._view(p.buffer, p.arena, p.offset) for p in step.operands]
        before = [np.array(view) for view in views[: len(call.reads)]]
        nbytes = call.variants[step.variant].workspace_bytes
        if step.workspace is not None:
            self._spoil(*step.workspace, nbytes)
        yield
        places = [(p.buffer, p.arena, p.offset) for p in step.operands]
        halves = [_halves(a, b) for a, b in zip(before, views[: len(call.reads)], strict=True)]
        self._call(call, places, None, halves)
        made = [np.array(view) for view in views[len(call.reads) :]]
        yield
        if step.workspace is not None:
            self._spoil(*step.workspace, nbytes)
        for view, array in zip(views[len(call.reads) :], made, strict=True):
            view[...] = array

    def _copy(self, step: Step) -> Iterator[None]:
        source, target = step.operands
        nbytes = self.program.buffers[source.buffer].nbytes
        edges = [nbytes * k // PIECES for k in range(PIECES + 1)]
        for low, high in pairwise(edges):
            from_ = self._bytes(source.arena, source.offset + low, high - low)
            self._bytes(target.arena, target.offset + low, high - low)[:] = from_
            if high < nbytes:
                yield

    def _bytes(self, arena: int, start: int, count: int) -> Array:
        if start < 0 or start + count > self.arenas[arena].size:
            raise IndexError("outside the arena")
        return self.arenas[arena][start : start + count]

    def _spoil(self, arena: int, start: int, count: int) -> None:
        self._bytes(arena, start, count)[:] = POISON


def _halves(early: Array, late: Array) -> Array:
    """The first half as it was when the call began, the rest as it is when it ends."""
    mixed = np.array(late)
    flat, first = mixed.reshape(-1), np.ascontiguousarray(early).reshape(-1)
    flat[: flat.size // 2] = first[: flat.size // 2]
    return mixed


def adversaries(count: int, seed: int = 0) -> Iterator[Pick]:
    """Ways to choose: each stream first or last always, then at random with random likings."""

    def first_of(order: Sequence[int]) -> Pick:
        return lambda ready: min(ready, key=order.index)

    fixed: list[Any] = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    for order in fixed[:count]:
        yield first_of((*order, *range(3, 8)))
    for number in range(count - len(fixed)):
        rng = random.Random(f"{seed} {number}")
        liking = [rng.random() ** 4 + 1e-3 for _ in range(8)]
        yield lambda ready, rng=rng, liking=liking: rng.choices(
            ready, [liking[stream] for stream in ready]
        )[0]


def shown_wrong(program: Program, plan: Plan, expected: dict[int, Array], count: int = 200) -> bool:
    """Does any of `count` schedules give other results, or none?"""
    for pick in adversaries(count):
        try:
            if not same(Adversary(program, plan, pick).run(), expected):
                return True
        except (IndexError, KeyError, TypeError, ValueError):
            return True
    return False


__all__ = ["Adversary", "adversaries", "shown_wrong"]
