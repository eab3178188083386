"""moved: bytes that the steps of a plan move to and from memory, what groups keep near left out."""

from __future__ import annotations

from math import prod

from graphc.errors import fail
from graphc.ir.types import ITEM_BYTES
from graphc.plan.atoms import Atoms
from graphc.plan.data import Plan, StepKind
from graphc.program import Call, Operand, Program

FORWARD = "forward"


def moved(program: Program, plan: Plan, entry: str) -> list[int]:
    """Bytes for each call of an entry, of all its steps.

    A call on the whole batch moves what it reads and writes. Calls on slices of it, one slice after
    another, are a group, whose data stay in a cache: only what it did not make moves in, once, and
    out only what others want of it. Elements count, not what fills up a buffer. Raises GC-R002 for
    an entry that there is not.
    """
    if entry not in plan.entries:
        told = f"no entry {entry!r}, but {', '.join(map(repr, sorted(plan.entries)))}"
        fail("GC-R002", told)
    return _Moved(program, plan).entry(entry)


class _Moved:
    """`readers[root]`: the groups that read it, -1 for whoever runs the plan."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self.program, self.plan, self.atoms = program, plan, Atoms(program)
        self.readers: dict[int, set[int]] = {}
        for buffer in program.kept | program.lasting:
            self.readers[program.root(buffer).id] = {-1}
        self.groups = {entry: _groups(plan, entry) for entry in plan.entries}
        for entry, numbers in self.groups.items():
            first, end = plan.entries[entry]
            for step, number in zip(plan.steps[first:end], numbers, strict=True):
                if step.kind is StepKind.RUN:
                    for operand in program.calls[step.call].reads:
                        root = program.root(operand.buffer).id
                        self.readers.setdefault(root, set()).add(number)

    def entry(self, entry: str) -> list[int]:
        first, end = self.plan.entries[entry]
        totals = dict.fromkeys(self.program.entries[entry], 0)
        read: dict[int, set[tuple[int, int]]] = {}
        made: dict[int, set[tuple[int, int]]] = {}
        for step, group in zip(self.plan.steps[first:end], self.groups[entry], strict=True):
            if step.kind is not StepKind.RUN:
                continue
            call = self.program.calls[step.call]
            if step.samples is None:
                nbytes = self._alone(call)
            else:
                near = read.setdefault(group, set()), made.setdefault(group, set())
                nbytes = self._grouped(call, group, *near)
            totals[call.id] = totals.get(call.id, 0) + nbytes
        return list(totals.values())

    def _alone(self, call: Call) -> int:
        reads = {operand.buffer: operand for operand in call.reads}
        return sum(map(self._bytes, (*reads.values(), *call.writes)))

    def _grouped(
        self, call: Call, group: int, read: set[tuple[int, int]], made: set[tuple[int, int]]
    ) -> int:
        """`read`, `made`: the pieces that the group has read and made so far; both grow."""
        total = 0
        for operand in call.reads:
            pieces = self._pieces(operand)
            is_near = all(piece in read or piece in made for piece in pieces)
            total += 0 if is_near else self._bytes(operand)
            read |= pieces
        for operand in call.writes:
            pieces = self._pieces(operand)
            others = self.readers.get(self.program.root(operand.buffer).id, set()) - {group}
            total += self._bytes(operand) if others and not pieces <= made else 0
            made |= pieces
        return total

    def _pieces(self, operand: Operand) -> set[tuple[int, int]]:
        root = self.program.root(operand.buffer).id
        return {(root, atom) for atom in self.atoms.of[operand.buffer]}

    def _bytes(self, operand: Operand) -> int:
        buffer = self.program.buffers[operand.buffer]
        return prod(buffer.dims) * ITEM_BYTES[buffer.dtype]


def _groups(plan: Plan, entry: str) -> list[int]:
    """A number for each step of an entry, that of its group or its own: turns go on where the one
    before ended, and back to the first sample in a backward."""
    first, end = plan.entries[entry]
    found = list[int]()
    before, number = None, first
    for at, step in enumerate(plan.steps[first:end], start=first):
        samples = step.samples
        if samples is None:
            found.append(at)
            continue
        if before is None:
            goes_on = False
        elif entry == FORWARD:
            goes_on = samples == before or samples[0] == before[1]
        else:
            goes_on = samples == before or samples[1] == before[0]
        number = number if goes_on else at
        before = samples
        found.append(number)
    return found


__all__ = ["moved"]
