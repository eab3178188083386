"""lifetimes: from which step to which a root buffer's bytes hold something that is still needed."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.program import PERSISTENT, Call, Program
from graphc.records import record

ORDER = ("prepare", "forward", "backward", "update")
"""Entries run in this order, and are planned as one sequence."""


@record(slots=True)
class Lifetime:
    """Steps `first` to `last`, both included. `given`: filled before an entry starts. `kept`: still
    needed when the entry of its last write is over."""

    first: int
    last: int
    given: bool = False
    kept: bool = False


@record(frozen=True, slots=True)
class Schedule:
    """The calls of all entries, one per step; `entries`: name -> (first step, past the last)."""

    calls: tuple[Call, ...]
    entries: dict[str, tuple[int, int]]

    @staticmethod
    def of(program: Program) -> Schedule:
        calls: list[Call] = []
        entries: dict[str, tuple[int, int]] = {}
        for name in sorted(program.entries, key=_position):
            start = len(calls)
            calls += [program.calls[index] for index in program.entries[name]]
            entries[name] = (start, len(calls))
        return Schedule(tuple(calls), entries)

    def start(self, entry: str) -> int:
        """The first step of an entry; of one that is missing, of what comes after it."""
        later = [
            lo for name, (lo, _) in self.entries.items() if _position(name) >= _position(entry)
        ]
        return min(later, default=len(self.calls))

    def end(self, step: int) -> int:
        """The last step of the entry that a step belongs to."""
        return next((hi - 1 for lo, hi in self.entries.values() if lo <= step < hi), step)


def _position(entry: str) -> int:
    return ORDER.index(entry) if entry in ORDER else len(ORDER)


def lifetimes(program: Program, schedule: Schedule) -> dict[int, Lifetime]:
    """By root buffer; those that persist are left out, as are those that nothing touches."""
    found: dict[int, Lifetime] = {}
    written: dict[int, int] = {}
    roots = roots_of(program)
    persistent = frozenset(b.id for b in program.buffers if b.kind in PERSISTENT)
    for given, entry in given_roots(program):
        start = schedule.start(entry)
        found.setdefault(given, Lifetime(start, start, given=True))
    for step, call in enumerate(schedule.calls):
        for operand in (*call.reads, *call.writes):
            number = roots[operand.buffer]
            life = found.get(number)
            if life is not None:
                if life.last < step:
                    life.last = step
            elif number not in persistent:
                found[number] = Lifetime(step, step)
        for operand in call.writes:
            written[roots[operand.buffer]] = step
    for buffer in program.kept:
        root = program.root(buffer)
        if root.id in found:
            life = found[root.id]
            life.kept = True
            life.last = max(life.last, schedule.end(written.get(root.id, life.first)))
    for buffer in program.lasting:
        root = program.root(buffer)
        if root.id in found:
            found[root.id].kept = True
            found[root.id].last = max(found[root.id].last, len(schedule.calls) - 1)
    return found


def roots_of(program: Program) -> list[int]:
    """By buffer, the number of its root."""
    return [b.id if b.view_of is None else b.view_of[0] for b in program.buffers]


def given_roots(program: Program) -> Iterator[tuple[int, str]]:
    """(root, entry before which the caller fills it) of inputs and seeds."""
    for entry, table in (("forward", program.inputs), ("backward", program.seeds)):
        for buffer in table.values():
            yield program.root(buffer).id, entry


__all__ = ["Lifetime", "Schedule", "given_roots", "lifetimes", "roots_of"]
