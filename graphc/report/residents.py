"""residents: what lies in a plan's arenas, where, and from which step to which."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from graphc.lowering import Lowering
from graphc.plan.data import WEIGHTS, Plan, Step, StepKind
from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.plan.timeline import timeline
from graphc.program import PERSISTENT, Buffer, BufferKind, Program
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
    if _has_stays(plan):
        return _stays(low)
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


def activation_bytes(low: Lowering) -> int:
    """The most bytes of the device that activations, their gradients and inputs take in a step."""
    plan = low.plan
    if not _has_stays(plan):
        return timeline(low.program).most(BufferKind.ACT, BufferKind.IO)
    kinds = (BufferKind.ACT.value, BufferKind.IO.value)
    change = [0] * (len(plan.steps) + 2)
    for each in residents(low):
        if each.kind in kinds and not plan.arenas[each.arena].is_host:
            change[each.first] += each.nbytes
            change[each.last + 1] -= each.nbytes
    return max(accumulate(change))


def _has_stays(plan: Plan) -> bool:
    """Are buffers there more than once: replayed, or transferred?"""
    return any(step.instance or step.kind is not StepKind.RUN for step in plan.steps)


def step_name(low: Lowering, step: Step) -> tuple[str, str]:
    """The layer and the part that run, or the buffer that is transferred and where to."""
    if step.kind is StepKind.RUN:
        call = low.call(step)
        return call.name, call.part
    return low.program.buffers[step.operands[0].buffer].name, step.kind.value


def _stays(low: Lowering) -> list[Resident]:
    """As `residents`, of a plan in which buffers are there more than once: from the first step that
    touches bytes to the last before something else is there."""
    program, plan = low.program, low.plan
    here: dict[tuple[int, int, int], Resident] = {}
    found: list[Resident] = []
    homes = {root: place for root, place in plan.homes.items() if root in _given(program)}
    for root, (arena, offset) in homes.items():
        b = program.buffers[root]
        here[arena, offset, root] = Resident(
            b.name, b.kind.value, GIVEN, arena, offset, b.nbytes, 0, 0
        )
    for number, step in enumerate(plan.steps):
        layer = step_name(low, step)[0]
        for place in step.operands:
            root, inner = program.buffers[place.buffer].view_of or (place.buffer, 0)
            b, key = program.buffers[root], (place.arena, place.offset - inner, root)
            is_kept = b.kind in PERSISTENT and plan.arenas[place.arena].name == WEIGHTS
            if not b.nbytes or is_kept:
                continue
            old = here.get(key)
            if old is None:
                found += _ended(here, key, b.nbytes, number)
            first, by = (number, layer) if old is None else (old.first, old.layer)
            where = (*key[:2], b.nbytes, first, number)
            here[key] = Resident(b.name, b.kind.value, by, *where)
        if step.workspace is not None:
            name, part = step_name(low, step)
            where = (*step.workspace, low.variant(step).workspace_bytes, number, number)
            found.append(Resident(f"{name} ({part})", WORKSPACE, name, *where))
    return sorted((*found, *here.values()), key=lambda each: (each.first, each.offset))


def _ended(
    here: dict[tuple[int, int, int], Resident], key: tuple[int, int, int], nbytes: int, step: int
) -> list[Resident]:
    """What was on bytes that something else takes; it ended before, in place right before."""
    arena, start, _ = key
    over = [
        other
        for other, each in here.items()
        if other[0] == arena and other[1] < start + nbytes and start < other[1] + each.nbytes
    ]
    ended = [here.pop(other) for other in over]
    return [replace(each, last=min(each.last, step - 1)) for each in ended if each.first < step]


def _given(program: Program) -> set[int]:
    return {program.root(b).id for b in (*program.inputs.values(), *program.seeds.values())}


def persistent(low: Lowering) -> list[Resident]:
    """What stays from run to run, in the order of its addresses."""
    homes, last = low.plan.homes, max(0, len(low.plan.steps) - 1)
    places = {b: home for b, home in homes.items() if low.plan.arenas[home[0]].name == WEIGHTS}
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
        if step.kind is not StepKind.RUN:
            continue
        call = low.call(step)
        for operand in (*call.reads, *call.writes):
            found.setdefault(low.program.root(operand.buffer).id, call.name)
    return found


__all__ = ["GIVEN", "WORKSPACE", "Resident", "persistent", "residents", "step_name"]
