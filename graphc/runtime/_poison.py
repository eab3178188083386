"""Poison: the bytes of a plan that hold nothing before and after each step, to be filled with NaN.

A read of a value before its first write, or after its bytes were given to another, then shows in
the results.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphc.program import PERSISTENT, Call, Program
from graphc.records import record

Place = tuple[int, int, int]
"""(region, byte offset, bytes)."""
Ranges = tuple[list[Place], list[Place]]


@record(frozen=True, slots=True)
class _Home:
    """One stay of a root buffer in memory."""

    root: int
    place: Place


def poison_ranges(
    program: Program,
    calls: Sequence[Call],
    places: Sequence[Sequence[Place]],
    later: Collection[Call] = (),
    moved: Collection[int] = (),
) -> list[Ranges]:
    """(before, after) of each call of an entry in order; `places`: of reads, then of writes;
    `later`: the calls of entries that follow; `moved`: roots that are copied beside the calls, and
    left alone.

    Before: what is written for the first time, but for what the call reads there (in place).
    After: what nobody touches any more, but for what the call has written there.
    """
    touched = [_homes(program, c, own) for c, own in zip(calls, places, strict=True)]
    first: dict[_Home, int] = {}
    last: dict[_Home, int] = {}
    full: set[_Home] = set()  # hold something before the entry
    for at, (reads, writes) in enumerate(touched):
        for home in (*reads, *writes):
            first.setdefault(home, at)
            last[home] = at
        full.update(h for h in reads if first[h] == at and h not in writes)
    stays = {program.root(b).id for b in program.kept | program.lasting}
    stays |= {b.id for b in program.buffers if b.kind in PERSISTENT} | {*moved}
    awaited = {program.root(o.buffer).id for call in later for o in call.reads}
    ranges: list[Ranges] = []
    for at, (reads, writes) in enumerate(touched):
        homes = dict.fromkeys((*reads, *writes))
        begun = [h for h in homes if first[h] == at and h not in full and h.root not in stays]
        ended = [h for h in homes if last[h] == at and h.root not in stays | awaited]
        before = [p for h in begun for p in _without(h.place, [r.place for r in reads])]
        after = [p for h in ended for p in _without(h.place, [w.place for w in writes])]
        ranges.append((before, after))
    return ranges


def _homes(
    program: Program, call: Call, places: Sequence[Place]
) -> tuple[list[_Home], list[_Home]]:
    """Where the roots of a call's reads and writes are."""
    homes = []
    for operand, (region, offset, _) in zip((*call.reads, *call.writes), places, strict=True):
        buffer, root = program.buffers[operand.buffer], program.root(operand.buffer)
        inner = 0 if buffer.view_of is None or not buffer.nbytes else buffer.view_of[1]
        homes.append(_Home(root.id, (region, offset - inner, root.nbytes)))
    return homes[: len(call.reads)], homes[len(call.reads) :]


def _without(place: Place, others: Collection[Place]) -> Iterator[Place]:
    """What is left of a range without others."""
    region, start, size = place
    stop = start + size
    for _, low, nbytes in sorted(p for p in others if p[0] == region):
        if low + nbytes > start and low < stop:
            if low > start:
                yield region, start, low - start
            start = max(start, low + nbytes)
    if start < stop:
        yield region, start, stop - start
