"""Random programs: every budget from the reported minimum on has a plan, and more memory never
takes longer."""

from __future__ import annotations

import random

import pytest
from plan.programs import random_program

from graphc.errors import GraphError
from graphc.plan import plan_program
from graphc.plan.within import Choosing

PROGRAMS = 120
BUDGETS = 6
"""Between a program's minimum and what it takes without replays."""
FIRST = 1_000
"""Seeds are others than those of the tests beside."""


def reported(choosing: Choosing) -> int:
    """The minimum that GC-M001 tells of; 0 where nothing is needed."""
    try:
        return choosing.within(0).peak_bytes
    except GraphError as error:
        assert error.code == "GC-M001"
        return int(error.message.split("needs ")[1].split(" B")[0].replace(",", ""))


def check(seed: int) -> None:
    program, rng = random_program(seed), random.Random(seed)
    plain, choosing = plan_program(program), Choosing(program)
    least = reported(choosing)
    assert least <= plain.peak_bytes
    drawn = [rng.randint(least, plain.peak_bytes) for _ in range(BUDGETS)]
    before = None
    for budget in sorted({least, *drawn, plain.peak_bytes, 2 * plain.peak_bytes}):
        plan = choosing.within(budget)
        assert plan.peak_bytes <= budget, (seed, budget)
        assert before is None or plan.est_us <= before, (seed, budget)
        before = plan.est_us
    assert before == plain.est_us
    if least:
        with pytest.raises(GraphError, match="GC-M001"):
            choosing.within(least - 1)


HOST = 1 << 40


@pytest.mark.parametrize("seed", [2, 8, 11])
def test_with_a_host_every_budget_from_the_minimum_on_has_a_plan(seed: int) -> None:
    program = random_program(seed)
    least, full = reported(Choosing(program, "ours", HOST)), plan_program(program).peak_bytes
    for budget in range(least, full + 1, max(1, (full - least) // 8)):
        plan = Choosing(program, "ours", HOST).within(budget)
        assert (plan.peak_bytes <= budget, plan.host_bytes <= HOST) == (True, True), budget


@pytest.mark.parametrize("part", range(8))
def test_more_memory_never_takes_longer(part: int) -> None:
    for seed in range(FIRST + part, FIRST + PROGRAMS, 8):
        check(seed)
