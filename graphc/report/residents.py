"""residents: what lies in a plan's arenas, where, and from which step to which."""

from __future__ import annotations

from graphc.lowering import Lowering
from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.program import PERSISTENT, Buffer, Program
from graphc.records import record

WORKSPACE = "workspace"
GIVEN = "given from outside"


@record(frozen=True, slots=True)
class Resident:
    """`nbytes` bytes at `offset` of arena number `arena`, from step `first` to step `last`, both
    included; `layer`: whose call first writes them; `kind`: as in a plan's breakdown."""

    name: str
    kind: str
    layer: str
    arena: int
    offset: int
    nbytes: int
    first: int
    last: int


def residents(low: Lowering) -> list[Resident]:
    """Root buffers and workspaces of the plan's steps, in the order in which they begin.

    Those of one step never overlap: what is overwritten in place ends in the step before. Bytes
    that hold nothing (of empty buffers) are left out.
    """
    program, plan = low.program, low.plan
    schedule = Schedule.of(program)
    lives, places = lifetimes(program, schedule), _places(low)
    ends = {root: life.last for root, life in lives.items()}
    found = []
    for number, step in enumerate(plan.steps):
        call = low.call(step)
        for write, read in low.in_place(step):
            new, old = program.root(write.buffer).id, program.root(read.buffer).id
            if new != old and new in lives and old in lives and lives[new].first == number:
                ends[old] = number - 1
        if step.workspace is not None:
            nbytes = low.variant(step).workspace_bytes
            where = (*step.workspace, nbytes, number, number)
            found.append(Resident(f"{call.name} ({call.part})", WORKSPACE, call.name, *where))
    for root, life in lives.items():
        buffer = program.buffers[root]
        if buffer.nbytes and root in places and ends[root] >= life.first:
            layer = GIVEN if life.given else schedule.calls[life.first].name
            where = (*places[root], buffer.nbytes, life.first, ends[root])
            found.append(Resident(buffer.name, buffer.kind.value, layer, *where))
    return sorted(found, key=lambda each: (each.first, each.offset))


def persistent(low: Lowering) -> list[Resident]:
    """What stays from run to run, in the order of its addresses."""
    places, last = _places(low), max(0, len(low.plan.steps) - 1)
    owners = _owners(low)
    return sorted(
        (
            Resident(b.name, b.kind.value, owners.get(b.id, ""), *places[b.id], b.nbytes, 0, last)
            for b in _roots(low.program)
            if b.kind in PERSISTENT and b.nbytes and b.id in places
        ),
        key=lambda each: each.offset,
    )


def _roots(program: Program) -> list[Buffer]:
    return [buffer for buffer in program.buffers if buffer.view_of is None]


def _places(low: Lowering) -> dict[int, tuple[int, int]]:
    """Root buffer -> arena and offset."""
    found = dict(low.plan.homes)
    for step in low.plan.steps:
        for place in step.operands:
            root, start = low.program.buffers[place.buffer].view_of or (place.buffer, 0)
            found[root] = (place.arena, place.offset - start)
    return found


def _owners(low: Lowering) -> dict[int, str]:
    """Root buffer -> the layer whose call touches it first."""
    found: dict[int, str] = {}
    for step in low.plan.steps:
        call = low.call(step)
        for operand in (*call.reads, *call.writes):
            found.setdefault(low.program.root(operand.buffer).id, call.name)
    return found


__all__ = ["GIVEN", "WORKSPACE", "Resident", "persistent", "residents"]
