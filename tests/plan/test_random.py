"""Random programs: their plans hold what they promise, and compute what separate arrays compute.

GRAPHC_FUZZ_PLANS: how many (10,000 in the nightly run).
"""

from __future__ import annotations

import os

import pytest
from plan.machine import Machine, same
from plan.programs import random_program

from graphc.plan import Plan, plan_program, verify_plan
from graphc.plan.text import from_json, to_json
from graphc.program import PERSISTENT, Program

MANY = int(os.environ.get("GRAPHC_FUZZ_PLANS", "2000"))
PARTS = 20


def lives(program: Program, plan: Plan) -> dict[int, tuple[int, int]]:
    """First and last step that needs each root, told from the steps alone."""
    found: dict[int, tuple[int, int]] = {}
    end = {entry: max(lo, hi - 1) for entry, (lo, hi) in plan.entries.items()}
    written: dict[int, int] = {}

    def touch(root: int, step: int) -> None:
        first, last = found.get(root, (step, step))
        found[root] = min(first, step), max(last, step)

    for entry, table in (("forward", program.inputs), ("backward", program.seeds)):
        for buffer in table.values():
            touch(program.root(buffer).id, plan.entries[entry][0])
            written[program.root(buffer).id] = end[entry]
    for index, step in enumerate(plan.steps):
        call = program.calls[step.call]
        for operand in (*call.reads, *call.writes):
            touch(program.root(operand.buffer).id, index)
        for operand in call.writes:
            entry = next(e for e, (lo, hi) in plan.entries.items() if lo <= index < hi)
            written[program.root(operand.buffer).id] = end[entry]
    for buffer in program.kept:
        touch(program.root(buffer).id, written[program.root(buffer).id])
    return found


def check_apart(program: Program, plan: Plan) -> None:
    """No two roots alive in one step share bytes, but where a call overwrites what it reads."""
    places = {}
    for step in plan.steps:
        for place in step.operands:
            root, start = program.buffers[place.buffer].view_of or (place.buffer, 0)
            places[root] = (place.arena, place.offset - start)
    places |= plan.homes
    found = lives(program, plan)
    roots = [r for r in found if program.buffers[r].kind not in PERSISTENT]
    for number, a in enumerate(roots):
        for b in roots[:number]:
            (first, last), (begin, end) = found[a], found[b]
            (arena, low), (other, lower) = places[a], places[b]
            sizes = program.buffers[a].nbytes, program.buffers[b].nbytes
            apart = arena != other or low + sizes[0] <= lower or lower + sizes[1] <= low
            in_place = low == lower and (last == begin or end == first)
            assert apart or in_place or last < begin or end < first or 0 in sizes, (a, b)


@pytest.mark.parametrize("part", range(PARTS))
def test_plans_of_random_programs(part: int) -> None:
    for seed in range(part, MANY, PARTS):
        program = random_program(seed)
        plan = plan_program(program)
        verify_plan(program, plan)
        check_apart(program, plan)
        assert plan.work_bytes >= plan.live_bound >= plan.op_bound
        assert sum(plan.breakdown.values()) == plan.peak_bytes
        assert from_json(to_json(plan)) == plan
        assert plan_program(program) == plan
        if seed % 5 == 0:
            assert same(Machine(program).run(), Machine(program, plan).run())
