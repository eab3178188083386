"""Poison: the bytes of a plan that hold nothing before and after each step, to be filled with NaN.

A read of a value before its first write, or after its bytes were given to another, then shows in
the results.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphc._core import Place
from graphc.program import Call, Operand, Program
from graphc.runtime._steps import Locate, place_of

Ranges = tuple[list[Place], list[Place]]


def poison_ranges(program: Program, calls: Sequence[Call], locate: Locate) -> list[Ranges]:
    """(before, after) of each call of an entry, in order.

    Before: what is written for the first time, unless the call reads it under another name (in
    place). After: what nobody reads any more, unless the call has just written there.
    """
    first, last, filled = _lives(program, calls)
    kept = {program.root(b).id for b in program.kept}
    ranges: list[Ranges] = []
    for at, call in enumerate(calls):
        reads = [_place(program, o, locate) for o in call.reads]
        writes = [_place(program, o, locate) for o in call.writes]
        roots = {_root(program, o): None for o in (*call.reads, *call.writes)}
        begun = [r for r in roots if first[r] == at and r not in filled]
        ended = [r for r in roots if last[r] == at and r not in kept and r not in filled]
        ranges.append(
            (
                [p for r in begun for p in _without(place_of(program, r, locate), reads)],
                [p for r in ended for p in _without(place_of(program, r, locate), writes)],
            )
        )
    return ranges


def _lives(
    program: Program, calls: Sequence[Call]
) -> tuple[dict[int, int], dict[int, int], set[int]]:
    """First and last call that touches each root, and the roots that hold something before."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    filled: set[int] = {program.root(b).id for b in program.inputs.values()}
    for at, call in enumerate(calls):
        for operand in (*call.reads, *call.writes):
            root = _root(program, operand)
            first.setdefault(root, at)
            last[root] = at
        written = {_root(program, o) for o in call.writes}
        filled.update(
            r for o in call.reads if first[r := _root(program, o)] == at and r not in written
        )
    return first, last, filled


def _root(program: Program, operand: Operand) -> int:
    return program.root(operand.buffer).id


def _place(program: Program, operand: Operand, locate: Locate) -> Place:
    return place_of(program, _root(program, operand), locate)


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
