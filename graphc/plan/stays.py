"""Stays: when what may wait on the host is on the device; which buffers may."""

from __future__ import annotations

from graphc.plan.lifetimes import given_roots, roots_of
from graphc.program import PERSISTENT, BufferKind, Program
from graphc.records import record

STREAMED = (BufferKind.PARAM, BufferKind.HISTORY)


@record(slots=True)
class Stay:
    """Positions of an entry at which calls use a root buffer. `buffer`: this stay's; `is_changed`:
    a call writes it; `comes`, `goes`: is it brought from the host, and taken there?"""

    root: int
    entry: str
    uses: list[int]
    is_changed: bool = False
    buffer: int = -1
    comes: bool = False
    goes: bool = False

    @property
    def first(self) -> int:
        return self.uses[0]

    @property
    def last(self) -> int:
        return self.uses[-1]


def sendable(program: Program) -> frozenset[int]:
    """Roots of activations that the forward makes and a later entry only reads."""
    taken = {program.root(buffer).id for buffer in program.kept | program.lasting}
    taken |= {root for root, _ in given_roots(program)}
    made: set[int] = set()
    wanted: set[int] = set()
    roots = roots_of(program)
    for entry, calls in program.entries.items():
        for index in calls:
            call = program.calls[index]
            written = [roots[o.buffer] for o in call.writes]
            if entry == "forward":
                made.update(written)
            else:
                taken.update(written)
                wanted.update([roots[o.buffer] for o in call.reads])
    return frozenset(
        root for root in made & wanted - taken if program.buffers[root].kind not in PERSISTENT
    )


def streamable(program: Program) -> frozenset[int]:
    """Parameters and what the solver remembers of them, unless packed or the caller's."""
    taken = {program.root(buffer).id for buffer in program.kept | program.lasting}
    for index in program.entries.get("prepare", ()):
        call = program.calls[index]
        taken |= {program.root(o.buffer).id for o in (*call.reads, *call.writes)}
    return frozenset(
        b.id
        for b in program.buffers
        if b.kind in STREAMED and b.view_of is None and b.nbytes and b.id not in taken
    )


__all__ = ["Stay", "sendable", "streamable"]
