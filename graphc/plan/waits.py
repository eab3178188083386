"""with_waits: the events between streams that a plan's steps need, and no others.

A step waits for what clashes with it in the bytes that it touches, unless it knows already that
this is over: from its own stream, or from what it has waited for. So no wait can be left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.plan.data import Arena, Place, Step, StepKind
from graphc.program import Program
from graphc.records import record

COMPUTE, OUTWARD, INWARD = 0, 1, 2
STREAM_OF = {StepKind.RUN: COMPUTE, StepKind.OUT: OUTWARD, StepKind.IN: INWARD}
STREAMS = len(STREAM_OF)


@record(frozen=True, slots=True)
class _Use:
    """Bytes `start` to `end` of an arena."""

    arena: int
    start: int
    end: int
    is_written: bool


def with_waits(
    program: Program,
    steps: Sequence[Step],
    entries: Sequence[tuple[int, int]],
    arenas: Sequence[Arena],
) -> tuple[Step, ...]:
    """The steps on the stream of their kind, with `waits` and `records`. Entries begin when all
    before is over, so that nothing waits across them."""
    uses = [_uses(program, step) for step in steps]
    maps = [_Map([u for own in uses for u in own if u.arena == a]) for a in range(len(arenas))]
    waits: list[tuple[int, ...]] = []
    for first, past in entries:
        waits += _Waits(maps, steps, first).run(uses[first:past])
    asked = sorted({step for own in waits for step in own})
    events = {step: event for event, step in enumerate(asked)}
    return tuple(
        Step(
            step.kind,
            step.call,
            step.operands,
            step.instance,
            step.variant,
            step.workspace,
            step.samples,
            STREAM_OF[step.kind],
            tuple(events[asked] for asked in own),
            events.get(at),
        )
        for at, (step, own) in enumerate(zip(steps, waits, strict=True))
    )


def _uses(program: Program, step: Step) -> list[_Use]:
    """What a step touches; a view counts as its root."""
    if step.kind is not StepKind.RUN:
        source, target = step.operands
        return [_use(program, source, False), _use(program, target, True)]
    call = program.calls[step.call]
    count = len(call.reads)
    found = [_use(program, place, at >= count) for at, place in enumerate(step.operands)]
    if step.workspace is not None:
        arena, start = step.workspace
        end = start + call.variants[step.variant].workspace_bytes
        found.append(_Use(arena, start, end, True))
    return found


def _use(program: Program, place: Place, is_written: bool) -> _Use:
    root, inner = program.buffers[place.buffer].view_of or (place.buffer, 0)
    start = place.offset - inner
    return _Use(place.arena, start, start + program.buffers[root].nbytes, is_written)


class _Map:
    """One arena, cut wherever a use begins or ends; of each piece, by stream, the last step of the
    entry that wrote it and the last that read it, plus 1."""

    def __init__(self, uses: Sequence[_Use]) -> None:
        edges = sorted({edge for use in uses for edge in (use.start, use.end)})
        self.piece = {edge: at for at, edge in enumerate(edges)}
        self.last = np.zeros((2, STREAMS, max(1, len(edges))), np.int64)

    def clear(self) -> None:
        self.last[:] = 0

    def range(self, use: _Use) -> slice:
        return slice(self.piece[use.start], self.piece[use.end])


class _Waits:
    """`known[s][t]`: how many steps of stream t are over when the next one of stream s begins."""

    def __init__(self, maps: Sequence[_Map], steps: Sequence[Step], first: int) -> None:
        self.maps, self.steps, self.first = maps, steps, first
        self.known = [[0] * STREAMS for _ in range(STREAMS)]
        self.after: list[list[list[int]]] = [[] for _ in range(STREAMS)]
        self.numbers: list[list[int]] = [[] for _ in range(STREAMS)]  # of a stream's steps
        for each in maps:
            each.clear()

    def run(self, uses: Sequence[Sequence[_Use]]) -> list[tuple[int, ...]]:
        found = []
        for number, own in enumerate(uses, start=self.first):
            stream = STREAM_OF[self.steps[number].kind]
            found.append(self._wait(stream, self._clashes(stream, own)))
            self.numbers[stream].append(number)
            count = len(self.numbers[stream])
            self.known[stream][stream] = count
            self.after[stream].append(list(self.known[stream]))
            for use in own:
                each = self.maps[use.arena]
                each.last[int(use.is_written), stream, each.range(use)] = count
        return found

    def _clashes(self, stream: int, own: Sequence[_Use]) -> list[int]:
        """How many steps of each stream must be over."""
        needed = np.zeros(STREAMS, np.int64)
        for use in own:
            each = self.maps[use.arena]
            read, written = each.last[:, :, each.range(use)].max(axis=2, initial=0)
            np.maximum(needed, written, out=needed)
            if use.is_written:
                np.maximum(needed, read, out=needed)
        needed[stream] = 0
        return [int(count) for count in needed]

    def _wait(self, stream: int, needed: Sequence[int]) -> tuple[int, ...]:
        known = self.known[stream]
        open_ = [other for other in range(STREAMS) if needed[other] > known[other]]
        told = {other: self.after[other][needed[other] - 1] for other in open_}
        chosen = [
            other
            for other in open_
            if not any(told[via][other] >= needed[other] for via in open_ if via != other)
        ]
        for other in chosen:
            known[:] = map(max, known, told[other])
        return tuple(self.numbers[other][needed[other] - 1] for other in chosen)


def times(
    steps: Sequence[Step], durations: Sequence[float], entries: Sequence[tuple[int, int]]
) -> float:
    """Microseconds of all entries if each step begins as soon as its stream and what it waits for
    allow."""
    total = 0.0
    for first, past in entries:
        free = [0.0] * STREAMS
        events: dict[int, float] = {}
        for step, us in zip(steps[first:past], durations[first:past], strict=True):
            start = max([free[step.stream], *(events[e] for e in step.waits)])
            free[step.stream] = start + us
            if step.records is not None:
                events[step.records] = start + us
        total += max(free)
    return total


__all__ = ["COMPUTE", "INWARD", "OUTWARD", "times", "with_waits"]
