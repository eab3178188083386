"""packed_within: workspaces go where there is room, and the fastest that fits is taken."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from plan.machine import Machine, same
from plan.programs import Maker, random_program

from graphc.plan import Plan, plan_program, verify_plan
from graphc.plan.within import plan_within
from graphc.program import Program, Variant

FAST, SLOW = Variant("fast", 4096, 1.0), Variant("slow", 0, 10.0)
MIDDLE = Variant("middle", 512, 3.0)


def with_variants(program: Program, *variants: Variant) -> Program:
    """Every call can be done in several ways."""
    return replace(program, calls=tuple(replace(c, variants=variants) for c in program.calls))


def chain() -> Program:
    """A large buffer lives in the middle of a chain of small ones."""
    m = Maker()
    x = m.input(16)
    for size in (16, 16, 2048, 16, 16):
        made = m.buffer(size)
        m.call([x], [made])
        x = made
    m.kept.add(x)
    return m.done()


def variants(program: Program, plan: Plan) -> list[str]:
    return [program.calls[s.call].variants[s.variant].symbol for s in plan.steps]


def test_the_fastest_that_fits() -> None:
    program = with_variants(chain(), FAST, MIDDLE, SLOW)
    plain = plan_program(program)
    assert set(variants(program, plain)) == {"fast"}
    least = plan_program(program, 0)
    verify_plan(program, least)
    alone = plan_program(with_variants(chain(), SLOW))
    assert least.peak_bytes == alone.peak_bytes < plain.peak_bytes
    found = variants(program, least)
    assert "fast" in found, "where the large buffer is not alive, there is room"
    assert found[2] != "fast" != found[3]
    more = plan_program(program, alone.peak_bytes + 512)
    verify_plan(program, more)
    assert more.peak_bytes <= alone.peak_bytes + 512
    assert more.est_us < least.est_us
    assert plan_program(program, plain.peak_bytes) == plain


@pytest.mark.parametrize("seed", range(12))
def test_more_room_is_never_slower_and_all_plans_are_right(seed: int) -> None:
    rng = random.Random(seed)
    program = random_program(seed, 16)
    calls = tuple(
        replace(
            call,
            variants=tuple(
                Variant(f"v{k}", 64 * rng.randrange(0, 40), float(rng.randrange(1, 50)))
                for k in range(rng.randrange(1, 4))
            ),
        )
        for call in program.calls
    )
    program = replace(program, calls=calls)
    plain, least = plan_program(program), plan_program(program, 0)
    low, high = sorted((least.peak_bytes, plain.peak_bytes))
    times = []
    for budget in (low, low + (high - low) // 3, low + (high - low) // 2, high):
        plan = plan_program(program, budget)
        verify_plan(program, plan)
        assert plan.peak_bytes <= max(budget, least.peak_bytes)
        times.append(plan.est_us)
        within = plan_within(program, max(budget, low))
        assert within.est_us <= plan.est_us * (1 + 1e-9)
    assert all(a >= b for a, b in pairwise(times))
    expected = Machine(program, plain).run()
    assert same(Machine(program, least).run(), expected)
