"""plan_apart: a plan that shares nothing, to hold packed plans against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from graphc.plan.data import WEIGHTS, WORK, Arena, Place, Plan, Step, StepKind
from graphc.plan.lifetimes import Schedule
from graphc.program import PERSISTENT, Operand, Program
from graphc.runtime import _plans

LINE = 64


class _Arenas:
    """Ends of the two arenas, which only grow."""

    def __init__(self) -> None:
        self.ends = [0, 0]

    def place(self, arena: int, nbytes: int, align: int) -> tuple[int, int]:
        start = -(-self.ends[arena] // align) * align
        self.ends[arena] = start + nbytes
        return arena, start


def plan_apart(program: Program, budget: int | None = None) -> Plan:
    """Every root buffer that a call or the caller touches, and every workspace, keeps bytes of its
    own from the start to the end."""
    schedule, arenas = Schedule.of(program), _Arenas()
    touched = {o.buffer for call in schedule.calls for o in (*call.reads, *call.writes)}
    touched |= {*program.inputs.values(), *program.seeds.values(), *program.kept, *program.lasting}
    roots = {program.root(buffer).id for buffer in touched}
    places = {
        b.id: arenas.place(int(b.kind not in PERSISTENT), b.nbytes, b.align)
        for b in program.buffers
        if b.view_of is None and (b.id in roots or b.kind in PERSISTENT)
    }

    def place(operand: Operand) -> Place:
        root, start = program.buffers[operand.buffer].view_of or (operand.buffer, 0)
        arena, offset = places[root]
        return Place(operand.buffer, operand.version, arena, offset + start)

    steps = []
    for call in schedule.calls:
        fastest = min(call.variants, key=lambda variant: variant.est_us)
        nbytes = fastest.workspace_bytes
        steps.append(
            Step(
                StepKind.RUN,
                call.id,
                tuple(place(operand) for operand in (*call.reads, *call.writes)),
                variant=call.variants.index(fastest),
                workspace=arenas.place(1, nbytes, LINE) if nbytes else None,
            )
        )
    given = {*program.inputs.values(), *program.seeds.values()}
    asked = {program.root(buffer).id for buffer in program.kept | program.lasting | given}
    homes = {b: p for b, p in places.items() if p[0] == 0 or b in asked}
    weights, work = arenas.ends
    return Plan(
        program.target,
        tuple(steps),
        dict(schedule.entries),
        (Arena(WEIGHTS, weights), Arena(WORK, work)),
        homes,
        breakdown={},
        live=(work,),
        op_bound=0,
        est_us=0.0,
    )


@contextmanager
def unplanned() -> Iterator[None]:
    """What is compiled meanwhile for the C++ core gets such plans; they are verified as others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plans, "plan_program", plan_apart)
        yield
