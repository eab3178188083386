"""plan_within: within the budget, never slower for more memory, and the same bits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from plan.machine import Machine, same
from plan.programs import long_chain, random_program
from plan.test_replays import MODELS, replays

from graphc.errors import GraphError
from graphc.memory import lowered
from graphc.plan import plan_program, verify_plan
from graphc.plan.facts import Facts
from graphc.plan.front import POLICIES, Front
from graphc.plan.segments import NEEDED, Segments
from graphc.plan.within import plan_within, replay_us
from graphc.program import Program


def minimum(program: Program, policy: str = "ours") -> int:
    """What GC-M001 tells of."""
    with pytest.raises(GraphError, match="GC-M001") as caught:
        plan_within(program, 0, policy)
    return int(caught.value.message.split("needs ")[1].split(" B")[0].replace(",", ""))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_stay_within_and_never_get_slower(seed: int) -> None:
    program = random_program(seed, 24)
    plain, least = plan_program(program), minimum(program)
    expected, before = Machine(program).run(), None
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        budget = int(least + share * (plain.peak_bytes - least))
        plan = plan_within(program, budget)
        assert plan.peak_bytes <= budget
        assert plan.est_us == pytest.approx(plain.est_us + replay_us(program, plan))
        assert same(Machine(program, plan).run(), expected)
        assert before is None or plan.est_us <= before
        before = plan.est_us
    assert before == plain.est_us
    if least:
        with pytest.raises(GraphError, match="GC-M001"):
            plan_within(program, least - 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_on_a_network(policy: str) -> None:
    path = MODELS / "resnet20" / "train.prototxt"
    program = lowered(path, train=True, batch=8, target="model").program
    plain, least = plan_program(program), minimum(program, policy)
    assert least < plain.peak_bytes
    plan = plan_within(program, least, policy)
    verify_plan(program, plan)
    assert plan.peak_bytes == least == sum(plan.breakdown.values())
    assert replays(plan)
    assert minimum(program) <= least
    assert plan_within(program, least).est_us <= plan.est_us


def test_segments_of_a_chain_take_about_twice_the_root() -> None:
    program = long_chain(200)
    plain = plan_program(program)
    facts = Facts(program)
    trials = Front(facts, "sqrt").trials
    assert trials[-1].peak < plain.work_bytes // 4
    assert all(a.us <= b.us and a.peak > b.peak for a, b in pairwise(trials))
    assert Front(facts, "ours").trials[-1].peak <= trials[-1].peak


def test_half_of_a_residual_network_costs_little() -> None:
    path = MODELS / "resnet50" / "train.prototxt"
    low = lowered(path, train=True, batch=4, target="model")
    budget = low.plan.peak_bytes - low.plan.work_bytes // 2
    plan = plan_within(low.program, budget)
    assert plan.peak_bytes <= budget
    assert replay_us(low.program, plan) <= 0.12 * low.plan.est_us


def test_an_unknown_policy() -> None:
    with pytest.raises(GraphError, match="GC-R002"):
        plan_within(random_program(0), 0, "best")


def test_a_chain_of_thousands_of_layers_ends() -> None:
    program = long_chain(2_000)
    plain = plan_program(program)
    plan = plan_within(program, plain.peak_bytes // 4, "sqrt")
    assert plan.peak_bytes <= plain.peak_bytes // 4


def test_segments_are_as_long_as_there_is_room() -> None:
    program = long_chain(40)
    segments, buffers = Segments(Facts(program)), program.buffers
    wanted = sorted(segments.facts.wanted, key=lambda root: segments.first[root])
    each = max(buffers[root].nbytes for root in wanted)
    counts = []
    for length in (1, 3, 7):
        choice = segments.by_room((NEEDED + length) * each)
        counts.append(sum(root in choice for root in wanted))
    assert counts[0] < counts[1] < counts[2]
    assert not segments.by_room(0)
    assert len(segments.by_room(100 * each)) >= len(wanted) - 1
