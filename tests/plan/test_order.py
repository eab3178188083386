"""Plans with transfers: every schedule that heeds the waits gives the same, and each wait counts.

GRAPHC_FUZZ_TRANSFERS: how many random programs (200 in the nightly run, in more schedules).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from plan.machine import Machine
from plan.mutants import MUTANTS, Mutant, early_free
from plan.programs import random_program
from plan.schedules import shown_wrong
from plan.test_replays import chain, chance
from plan.transfer_mutants import TRANSFER_MUTANTS, all_waits, transfers, without_wait

from graphc.errors import GraphError
from graphc.plan import Plan, StepKind, verify_plan
from graphc.plan.facts import Facts
from graphc.plan.hosted import plan_hosted
from graphc.plan.replays import StaleError, TooManyError, unrolled
from graphc.plan.stays import sendable, streamable
from graphc.plan.text import from_json, to_json
from graphc.program import Link, Program

MANY = int(os.environ.get("GRAPHC_FUZZ_TRANSFERS", "60"))
SCHEDULES = 200 if MANY > 60 else 40
NEEDED = 4


def hosted(seed: int, calls: int = 20) -> tuple[Program, Plan] | None:
    """A random program, some of it replayed, some sent, over a link that is fast or slow."""
    rng = random.Random(seed)
    link = Link(rng.choice((1e6, 1e8, 1e10)), rng.choice((0.0, 1.0)))
    program = replace(random_program(seed, calls), link=link)
    facts = Facts(program)
    choice = chance(facts, rng) if seed % 3 else {}
    while True:
        try:
            made = unrolled(facts, choice)
            break
        except StaleError as stale:
            choice = {root: g for root, g in choice.items() if root not in stale.roots}
        except TooManyError:
            choice = {}
    roots = sorted(sendable(made.program)) + (sorted(streamable(program)) if seed % 2 else [])
    roots = [root for root in roots if rng.random() < 0.8]
    if not roots:
        return None
    return program, plan_hosted(facts, choice, roots, rng.choice((0, 300, 2000, 1 << 30)))


def cases(count: int = MANY) -> Iterator[tuple[int, Program, Plan]]:
    for seed in range(count):
        made = hosted(seed)
        if made is not None and transfers(made[1]):
            yield seed, *made


def is_refused(program: Program, plan: Plan) -> bool:
    try:
        verify_plan(program, plan)
    except GraphError as error:
        assert error.code == "GC-V003"
        return True
    return False


def test_every_schedule_gives_the_same() -> None:
    count = 0
    for seed, program, plan in cases():
        verify_plan(program, plan)
        assert not shown_wrong(program, plan, Machine(program).run(), 20), seed
        assert from_json(to_json(plan)) == plan
        assert plan.host_bytes > 0
        assert sum(plan.breakdown.values()) == plan.peak_bytes
        assert plan.work_bytes >= plan.live_bound
        count += 1
    assert count > MANY // 3


def test_no_wait_can_be_left_out() -> None:
    count = 0
    for seed, program, plan in cases():
        for at, event in all_waits(plan):
            assert is_refused(program, without_wait(plan, at, event)), (seed, at, event)
            count += 1
    assert count > MANY


@pytest.mark.parametrize(
    "mutant",
    [m for m in (*TRANSFER_MUTANTS, *MUTANTS) if m is not early_free],
    ids=lambda m: m.__name__,
)
def test_what_any_schedule_shows_wrong_is_refused(mutant: Mutant) -> None:
    """Of mutants that are not refused no schedule may show anything."""
    tally: Counter[str] = Counter()
    for seed, program, plan in cases(MANY * 3 // 4):
        rng, expected = random.Random(seed), Machine(program).run()
        for _ in range(2):
            changed = mutant(program, plan, rng)
            if changed is None or changed == plan:
                continue
            if is_refused(program, changed):
                tally["refused"] += 1
            else:
                assert not shown_wrong(program, changed, expected, SCHEDULES), (
                    seed,
                    mutant.__name__,
                )
                tally["alike"] += 1
    assert tally["refused"] >= NEEDED


def test_schedules_show_what_waits_are_for() -> None:
    """The adversary is one: it shows many of the waits that are left out."""
    shown = total = 0
    for _, program, plan in cases(12):
        expected = Machine(program).run()
        for at, event in all_waits(plan)[:6]:
            shown += shown_wrong(program, without_wait(plan, at, event), expected, SCHEDULES)
            total += 1
    assert shown > total // 4


def test_a_chain_goes_out_and_comes_back() -> None:
    program = replace(chain(), link=Link(1e9, 0.0))
    plan = plan_hosted(Facts(program), {}, sorted(sendable(program)), 1 << 30)
    verify_plan(program, plan)
    kinds = Counter(step.kind for step in plan.steps)
    assert kinds[StepKind.OUT] == kinds[StepKind.IN] == len(sendable(program)) == 3
    assert {step.stream for step in plan.steps} == {0, 1, 2}
    assert plan.est_us > sum(v.est_us for c in program.calls for v in c.variants)
